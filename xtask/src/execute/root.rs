//! UnpackRoot: the root of the builder, from its packages. No script of theirs is run; what those would have made and a
//! build needs is among the plan's links.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use anyhow::{Context as _, Result, bail};

use super::{
    Cancelled,
    run::Job,
    sources::{cancelled_or, control, options},
};
use crate::{
    digest::Digest,
    fetch::archive::{self, Archive, Options},
    host::toolbox::MERGED,
    plan::{Action, Source},
    report::Unit,
    store::OutputKind,
};

/// What no program of a build looks at.
const LEFT_OUT: [&str; 5] =
    ["usr/share/doc", "usr/share/info", "usr/share/lintian", "usr/share/locale", "usr/share/man"];

pub fn unpack(job: &Job, links: &BTreeMap<String, String>) -> Result<Vec<(&'static str, OutputKind)>> {
    let mut root = Root { tree: job.out("tree"), owners: BTreeMap::new() };
    let options = Options { merge_usr: true, ..options(false) };
    root.prepare()?;
    let total = job.inputs.len() as u64;
    for (number, (role, package)) in job.inputs.iter().enumerate() {
        if job.context.cancelled.load(Ordering::Relaxed) {
            return Err(Cancelled.into());
        }
        let name = package_name(job, role);
        let part = job.work.scratch().join(number.to_string());
        archive::unpack(Archive::Package(package), &part, &options, &control(job))
            .map_err(|error| cancelled_or(job, error))
            .with_context(|| format!("{name} can't be unpacked"))?;
        for folder in LEFT_OUT {
            remove(&part.join(folder))?;
        }
        root.merge(&part, Path::new(""), &name)?;
        job.progress.update(number as u64 + 1, Some(total), Unit::Objects);
    }
    root.link(links)?;
    Ok(vec![("tree", OutputKind::Tree)])
}

/// What the package of a role is called.
fn package_name(job: &Job, role: &str) -> String {
    let Some(Source::Output { step, .. }) = job.step.inputs.get(role) else { return role.to_owned() };
    match &job.plan.steps[*step].action {
        Action::FetchDeb(pin) => format!("{} {}", pin.package, pin.version),
        _ => role.to_owned(),
    }
}

/// The root while it grows.
struct Root {
    tree: PathBuf,
    /// Which package brought a file.
    owners: BTreeMap<PathBuf, String>,
}

impl Root {
    /// The folders that are there even if no package has them.
    fn prepare(&self) -> Result<()> {
        for folder in ["etc"].iter().map(PathBuf::from).chain(MERGED.map(|name| Path::new("usr").join(name)))
        {
            let path = self.tree.join(folder);
            fs::create_dir_all(&path).with_context(|| format!("can't make {}", path.display()))?;
        }
        Ok(())
    }

    /// Moves what a package brings to its place. Two packages may bring the same file (one for several
    /// architectures does), but not one with another content.
    fn merge(&mut self, part: &Path, folder: &Path, package: &str) -> Result<()> {
        let from = part.join(folder);
        for entry in fs::read_dir(&from).with_context(|| format!("can't list {}", from.display()))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let (from, to) = (entry.path(), self.tree.join(&path));
            match fs::symlink_metadata(&to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.own(&from, &path, package)?;
                    fs::rename(&from, &to).with_context(|| format!("can't move to {}", to.display()))?;
                }
                Err(error) => return Err(error).with_context(|| format!("can't look at {}", to.display())),
                Ok(there) if there.is_dir() && entry.file_type()?.is_dir() => {
                    self.merge(part, &path, package)?
                }
                Ok(_) if is_same(&from, &to)? => {}
                Ok(_) => {
                    let owner = self.owners.get(&path).map_or("another package", String::as_str);
                    bail!(
                        "{package} and {owner} both bring /{}, and not the same\n  hint: take one of them out of \
                         profiles/builder.yaml, then run `cargo xtask pins lock`",
                        path.display()
                    )
                }
            }
        }
        Ok(())
    }

    /// Takes note of whose the files below `from` are, which become those below `path`.
    fn own(&mut self, from: &Path, path: &Path, package: &str) -> Result<()> {
        for entry in walkdir::WalkDir::new(from).follow_root_links(false) {
            let entry = entry?;
            if !entry.file_type().is_dir() {
                let below = entry.path().strip_prefix(from).unwrap_or(Path::new(""));
                let path = if below == Path::new("") { path.to_path_buf() } else { path.join(below) };
                self.owners.insert(path, package.to_owned());
            }
        }
        Ok(())
    }

    fn link(&self, links: &BTreeMap<String, String>) -> Result<()> {
        for (path, target) in links {
            let place = self.tree.join(path);
            if place.symlink_metadata().is_ok() {
                let owner = self.owners.get(Path::new(path)).map_or("a package", String::as_str);
                bail!("{owner} brings /{path} itself\n  hint: take the link out of profiles/builder.yaml");
            }
            let folder = place.parent().unwrap_or(&self.tree);
            let is_inside =
                |path: PathBuf| Some(path.canonicalize().ok()?.starts_with(self.tree.canonicalize().ok()?));
            if is_inside(folder.join(target)) != Some(true) {
                bail!(
                    "the link /{path} leads to {target}, which no package brings\n  hint: correct it in profiles/builder.yaml"
                );
            }
            symlink(target, &place).with_context(|| format!("can't make {}", place.display()))?;
        }
        Ok(())
    }
}

fn is_same(a: &Path, b: &Path) -> Result<bool> {
    let (of_a, of_b) = (a.symlink_metadata()?, b.symlink_metadata()?);
    Ok(match (of_a.is_symlink(), of_b.is_symlink()) {
        (true, true) => fs::read_link(a)? == fs::read_link(b)?,
        (false, false) if of_a.is_file() && of_b.is_file() && of_a.len() == of_b.len() => {
            Digest::of_file(a)? == Digest::of_file(b)?
        }
        _ => false,
    })
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Packages by name, with the files that each brings (`path=content`, `path>target`), merged in order.
    fn merged(packages: &[(&str, &[&str])]) -> (tempfile::TempDir, Result<Root>) {
        let folder = tempfile::tempdir().unwrap();
        let mut root = Root { tree: folder.path().join("tree"), owners: BTreeMap::new() };
        root.prepare().unwrap();
        for (name, files) in packages {
            let part = folder.path().join(name);
            for file in *files {
                let (path, content) = file.split_once(['=', '>']).unwrap();
                let path = part.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                match file.contains('>') {
                    true => symlink(content, path).unwrap(),
                    false => fs::write(path, content).unwrap(),
                }
            }
            if let Err(error) = root.merge(&part, Path::new(""), name) {
                return (folder, Err(error));
            }
        }
        (folder, Ok(root))
    }

    #[track_caller]
    fn check(packages: &[(&str, &[&str])], links: &[(&str, &str)], error: Expect) {
        let (_folder, root) = merged(packages);
        let links = links.iter().map(|(path, target)| (path.to_string(), target.to_string())).collect();
        let error_found = root.and_then(|root| root.link(&links)).unwrap_err();
        error.assert_eq(&error_found.to_string());
    }

    #[test]
    fn packages_share_folders_and_what_is_the_same() {
        let one: &[&str] =
            &["usr/bin/gcc>gcc-12", "usr/bin/gcc-12=driver", "usr/share/note=same", "usr/bin/loose>nowhere"];
        let other: &[&str] = &["usr/bin/make=make", "usr/share/note=same", "usr/bin/gcc>gcc-12"];
        let (_folder, root) = merged(&[("one", one), ("other", other)]);
        let root = root.unwrap();
        root.link(&[("usr/bin/cc".to_string(), "gcc".to_string())].into()).unwrap();
        let read = |path: &str| fs::read_to_string(root.tree.join(path)).unwrap();
        assert_eq!((read("usr/bin/cc"), read("usr/bin/make")), ("driver".to_string(), "make".to_string()));
        assert_eq!(root.owners[Path::new("usr/share/note")], "one");
    }

    #[test]
    fn packages_that_contradict_each_other() {
        let bash: (&str, &[&str]) = ("bash 5", &["usr/bin/sh=bash"]);
        let dash: (&str, &[&str]) = ("dash 1", &["usr/bin/sh=dash"]);
        check(
            &[bash, dash],
            &[],
            expect![[r#"
                dash 1 and bash 5 both bring /usr/bin/sh, and not the same
                  hint: take one of them out of profiles/builder.yaml, then run `cargo xtask pins lock`"#]],
        );
        check(
            &[bash, ("link 1", &["usr/bin/sh>bash"])],
            &[],
            expect![[r#"
                link 1 and bash 5 both bring /usr/bin/sh, and not the same
                  hint: take one of them out of profiles/builder.yaml, then run `cargo xtask pins lock`"#]],
        );
    }

    #[test]
    fn links_lead_to_what_packages_bring() {
        let mawk: (&str, &[&str]) = ("mawk 1", &["usr/bin/mawk=mawk"]);
        let nowhere = expect![[r#"
            the link /usr/bin/awk leads to gawk, which no package brings
              hint: correct it in profiles/builder.yaml"#]];
        check(&[mawk], &[("usr/bin/awk", "gawk")], nowhere);
        let absolute = expect![[r#"
            the link /usr/bin/awk leads to /usr/bin/env, which no package brings
              hint: correct it in profiles/builder.yaml"#]];
        check(&[mawk], &[("usr/bin/awk", "/usr/bin/env")], absolute);
        let outside = expect![[r#"
            the link /usr/bin/awk leads to ../../../mawk 1, which no package brings
              hint: correct it in profiles/builder.yaml"#]];
        check(&[mawk], &[("usr/bin/awk", "../../../mawk 1")], outside);
        let taken = expect![[r#"
            mawk 1 brings /usr/bin/mawk itself
              hint: take the link out of profiles/builder.yaml"#]];
        check(&[mawk], &[("usr/bin/mawk", "mawk")], taken);
    }
}
