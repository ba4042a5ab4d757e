//! A machine made of a temporary folder, with shell scripts for tools.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Arch, Host};

/// A [`Host`] whose tools are in `bin/` below a temporary folder; dropped with it.
pub struct FakeHost {
    pub host: Host,
    pub folder: tempfile::TempDir,
}

impl FakeHost {
    pub fn new(arch: Arch) -> FakeHost {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().to_owned();
        std::fs::create_dir(root.join("bin")).expect("bin");
        std::fs::create_dir(root.join("project")).expect("project");
        let path = vec![root.join("bin")];
        let project = root.join("project");
        FakeHost { host: Host { arch, root, path, variables: [].into(), is_root: false, project }, folder }
    }

    /// A program that prints `says` whatever it is asked.
    pub fn tool(&self, name: &str, says: &str) {
        self.script(name, &format!("cat <<'END'\n{says}\nEND\n"));
    }

    pub fn script(&self, name: &str, body: &str) {
        let path = self.folder.path().join("bin").join(name);
        // The path of a fake machine has no cat, so scripts get the real one.
        self.file(&format!("bin/{name}"), &format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{body}"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("mode");
    }

    /// A file below the root, with its folders.
    pub fn file(&self, path: &str, content: &str) {
        let path = self.folder.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("folders");
        std::fs::write(path, content).expect("file");
    }
}
