//! What programs of a root see, judged by programs of this machine in a root that borrows its /usr.

use std::{fs, os::unix::fs::symlink};

use super::*;
use crate::host::{Arch, testing::FakeHost};

/// A root whose programs are those of this machine.
struct Borrowed {
    folder: tempfile::TempDir,
    host: Host,
}

impl Borrowed {
    fn new() -> Borrowed {
        let folder = tempfile::tempdir().unwrap();
        for name in ["root/etc", "scratch", "input"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        symlink("/usr", folder.path().join("root/usr")).unwrap();
        fs::write(folder.path().join("input/file"), "read me\n").unwrap();
        fs::write(folder.path().join("secret"), "not declared\n").unwrap();
        Borrowed { folder, host: Host::current(Path::new("/")).unwrap() }
    }

    fn toolbox(&self) -> Toolbox<'_> {
        let place = |name: &str, inside: &str, access| Place {
            outside: self.folder.path().join(name),
            inside: inside.into(),
            access,
        };
        let places =
            vec![place("scratch", "/build", Access::Write), place("input", "/input/source", Access::Read)];
        Toolbox::root(&self.host, &self.folder.path().join("root"), places).unwrap()
    }

    fn say(&self, script: &str) -> String {
        let toolbox = self.toolbox();
        let command = toolbox.command("/bin/sh").args(["-c", script]).directory("/build");
        let output = toolbox.enter(command).output(Limits::default()).unwrap();
        output.stdout + &output.stderr
    }
}

#[test]
fn only_what_is_declared_is_there() {
    let root = Borrowed::new();
    assert_eq!(root.say("pwd; cat /input/source/file"), "/build\nread me\n");
    let secret = root.folder.path().join("secret");
    assert!(secret.exists());
    assert!(root.say(&format!("cat {}", secret.display())).contains("No such file"));
    assert_eq!(
        root.say("ls /home /root 2>/dev/null; ls -d /*").replace('\n', " ").trim(),
        "/bin /build /dev /etc /input /lib /lib64 /proc /sbin /tmp /usr"
    );
}

#[test]
fn only_what_is_to_be_written_can_be() {
    let root = Borrowed::new();
    assert_eq!(root.say("echo made > /build/made && cat made"), "made\n");
    assert_eq!(fs::read_to_string(root.folder.path().join("scratch/made")).unwrap(), "made\n");
    for place in ["/input/source/new", "/etc/new", "/new"] {
        let said = root.say(&format!("echo new > {place}"));
        assert!(said.contains("Read-only file system") || said.contains("Permission denied"), "{said}");
    }
}

#[test]
fn everybody_is_the_same_there_and_nobody_else_is() {
    let root = Borrowed::new();
    assert_eq!(
        root.say("uname -n; id -u; id -g; echo ${HOME-none} $PATH"),
        "vtlforge\n1000\n1000\nnone /usr/bin\n"
    );
    // One process that holds the others, one shell, and what that runs; no interface but the loopback.
    assert!(root.say("ls -d /proc/[0-9]*").lines().count() <= 3);
    assert_eq!(root.say("tail -n +3 /proc/net/dev | cut -d: -f1").trim(), "lo");
}

#[test]
fn paths_have_another_name_inside() {
    let root = Borrowed::new();
    let toolbox = root.toolbox();
    let seen = |name: &str| toolbox.seen(&root.folder.path().join(name));
    assert_eq!(seen("scratch"), Path::new("/build"));
    assert_eq!(seen("scratch/a/b"), Path::new("/build/a/b"));
    assert_eq!(seen("input/file"), Path::new("/input/source/file"));
    assert_eq!(seen("secret"), root.folder.path().join("secret"));
}

#[test]
fn a_program_that_no_package_brings() {
    let root = Borrowed::new();
    let toolbox = root.toolbox();
    assert_eq!(toolbox.find("sh").unwrap(), Path::new("/usr/bin/sh"));
    let error = toolbox.find("no-such-tool").unwrap_err().to_string();
    assert!(error.contains("the builder's root has no no-such-tool"), "{error}");
    assert!(error.contains("profiles/builder.yaml"), "{error}");
}

#[test]
fn a_machine_without_user_namespaces() {
    let fake = FakeHost::new(Arch::X86_64);
    let error = check_entering(&fake.host).unwrap_err().to_string();
    assert!(error.contains("bwrap is not installed"), "{error}");
    fake.script("true", "exit 0");
    fake.script("bwrap", "echo 'bwrap: No permissions to create new namespace' >&2; exit 1");
    let error = check_entering(&fake.host).unwrap_err().to_string();
    assert!(error.contains("| bwrap: No permissions to create new namespace\n"), "{error}");
    assert!(error.contains("--host-tools"), "{error}");
    check_entering(&Host::current(Path::new("/")).unwrap()).unwrap();
}
