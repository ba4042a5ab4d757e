//! Judges that come from PyPI: installed into the store once, every file by its digest.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{project, run, store};

/// The system's Python, for which Debian packages what is compiled.
const PYTHON: &str = "/usr/bin/python3";

/// An installed set of packages.
pub struct Judges {
    pub folder: PathBuf,
    /// What stands for this set in names of files.
    pub name: String,
}

impl Judges {
    /// `requirements` is a file of the project; `name` is what it is called in the store.
    pub fn install(name: &str, requirements: &str) -> Judges {
        let requirements = project().join(requirements);
        let name = format!("{name}-{}", short(&digest(&requirements)));
        let folder = cached(&store().join("judges").join(&name), |folder| {
            let mut pip = Command::new(PYTHON);
            pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]);
            pip.args(["--only-binary=:all:", "--disable-pip-version-check", "--root-user-action=ignore"]);
            pip.arg("--target").arg(folder).arg("--requirement").arg(&requirements);
            run(&mut pip).expect("pip brings judges, for which it needs the network once");
        });
        Judges { folder, name }
    }

    /// Python that has them.
    pub fn python(&self) -> Command {
        let mut command = Command::new(PYTHON);
        command.env("PYTHONPATH", &self.folder).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// A program that one of them brings.
    pub fn program(&self, name: &str) -> Command {
        let mut command = self.python();
        command.arg(self.folder.join("bin").join(name));
        command
    }
}

/// A folder that is there whole or not at all: made beside its place, then renamed.
pub fn cached(place: &Path, make: impl FnOnce(&Path)) -> PathBuf {
    if !place.exists() {
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let making = place.with_extension(format!("making-{}", std::process::id()));
        fs::create_dir_all(&making).unwrap();
        make(&making);
        // Another run may have been faster.
        if fs::rename(&making, place).is_err() {
            assert!(place.exists(), "{}", place.display());
            let _ = fs::remove_dir_all(&making);
        }
    }
    place.to_path_buf()
}

pub fn digest(path: &Path) -> String {
    let said = super::judge("sha256sum", &[path.to_str().unwrap()]);
    said.split_whitespace().next().unwrap().to_owned()
}

pub fn short(digest: &str) -> &str {
    &digest[..16]
}
