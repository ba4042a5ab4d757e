use std::path::PathBuf;

use super::*;
use crate::host::memo::Trust;
use crate::host::testing::FakeHost;

/// Digests of file names are of no use: the key of the memo must not leak into the identity.
#[test]
fn identities_follow_content_and_version_not_place() {
    let identity = |says: &str, folder: &str| {
        let mut fake = FakeHost::new(Arch::X86_64);
        fake.tool("make", says);
        let place = fake.folder.path().join(folder);
        std::fs::create_dir_all(&place).unwrap();
        std::fs::rename(fake.folder.path().join("bin/make"), place.join("make-real")).unwrap();
        std::os::unix::fs::symlink(place.join("make-real"), fake.folder.path().join("bin/make")).unwrap();
        fake.host.path = vec![fake.folder.path().join("bin")];
        let mut memo = Memo::load(&fake.folder.path().join("memo"), Trust::TimeStamps);
        identify(&fake.host, &mut memo, &Subject::Program("make".to_owned())).unwrap().identity
    };
    let first = identity("GNU Make 4.3", "a");
    assert_eq!((first.name.as_str(), first.version.as_str()), ("make", "GNU Make 4.3"));
    assert_eq!(first, identity("GNU Make 4.3", "elsewhere/deep"));
    assert_ne!(first.sha256, identity("GNU Make 4.3\npatched", "a").sha256);
}

#[test]
fn a_compiler_is_also_what_it_runs() {
    let fake = FakeHost::new(Arch::X86_64);
    let root = fake.folder.path().display().to_string();
    fake.script(
        "gcc",
        &format!(
            "case $1 in\n--version) echo 'gcc (X) 12.2.0';;\n-print-prog-name=cc1) echo {root}/libexec/cc1;;\n\
             -print-prog-name=*) echo \"${{1#*=}}\";;\nesac"
        ),
    );
    fake.file("libexec/cc1", "cc1");
    for name in ["collect2", "as", "ld"] {
        fake.tool(name, name);
    }
    let identify = || {
        let mut memo = Memo::load(&PathBuf::from(&root).join("memo"), Trust::TimeStamps);
        identify(&fake.host, &mut memo, &Subject::Compiler("gcc".to_owned()))
    };
    let first = identify().unwrap().identity;
    assert_eq!(first.version, "gcc (X) 12.2.0");
    fake.file("libexec/cc1", "another cc1");
    let second = identify().unwrap().identity;
    fake.tool("as", "another assembler");
    let third = identify().unwrap().identity;
    assert!(first.sha256 != second.sha256 && second.sha256 != third.sha256);
    std::fs::remove_file(fake.folder.path().join("bin/ld")).unwrap();
    let error = identify().unwrap_err().to_string();
    assert_eq!(error, "gcc does not find its ld\nhint: `cargo xtask doctor` says which package has it");
}

#[test]
fn everything_missing_is_told_at_once() {
    let fake = FakeHost::new(Arch::X86_64);
    let mut memo = Memo::load(&fake.folder.path().join("memo"), Trust::TimeStamps);
    let errors =
        identify_all(&fake.host, &mut memo, &kernel_subjects(Arch::X86_64, Arch::Aarch64)).unwrap_err();
    let text: Vec<String> = errors.iter().map(|e| e.to_string().lines().next().unwrap().to_owned()).collect();
    assert_eq!(
        text,
        ["gcc", "aarch64-linux-gnu-gcc", "make", "flex", "bison", "bc", "gzip", "aarch64-linux-gnu-objcopy"]
            .map(|name| format!("{name} is not on PATH"))
    );
}

/// The tools of this machine: their identities are the same whether remembered or asked anew.
#[test]
fn real_tools_have_stable_identities() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::current(folder.path()).unwrap();
    let path = folder.path().join("memo");
    let mut subjects = kernel_subjects(host.arch, host.arch);
    subjects.push(Subject::StaticLibrary { compiler: "gcc".to_owned() });
    let ask = |trust| {
        let mut memo = Memo::load(&path, trust);
        let found = identify_all(&host, &mut memo, &subjects).unwrap();
        memo.save().unwrap();
        found
    };
    let first = ask(Trust::TimeStamps);
    assert_eq!(first, ask(Trust::TimeStamps));
    assert_eq!(first, ask(Trust::Nothing));
    for resolved in &first {
        assert!(!resolved.identity.version.contains('/'), "{resolved:?}");
        assert_eq!(resolved.identity.sha256.len(), 64);
    }
}
