//! Where the second build runs: a folder of its own in the store's file system, with a copy of the project, a store
//! that has the downloads and nothing else, and an empty home.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{Aspect, Perturbation};
use crate::{
    digest::Digest,
    execute::{Context, Outcome},
    host::command::Limits,
    plan::{Action, Plan},
    store::WorkDir,
};

/// Folders of a project that no build reads.
const NOT_COPIED: [&str; 3] = ["target", "out", ".git"];

/// Steps that bring pinned bytes from outside, known by digest: nothing is fetched twice.
pub fn is_download(action: &Action) -> bool {
    matches!(
        action,
        Action::FetchDeb(_) | Action::FetchUrl { .. } | Action::FetchGit { .. } | Action::VendorCrates { .. }
    )
}

/// The folder; it goes away with this value.
pub struct Place {
    /// Where its files really are.
    real: PathBuf,
    /// The library that shows programs another time and another order of folders.
    pub elsewhere: Option<PathBuf>,
    /// Dropped last: it removes everything.
    _work: WorkDir,
}

impl Place {
    pub fn new(context: &Context, perturbation: &mut Perturbation, hermetic: bool) -> Result<Place> {
        let work = context.store.work_dir("verify")?;
        let real = work.scratch().join("real");
        for folder in ["project", "store/v1/steps", "home", "tmp"] {
            let path = real.join(folder);
            fs::create_dir_all(&path).with_context(|| format!("can't make {}", path.display()))?;
        }
        copy_project(&context.root, &real.join("project"), &context.store.root().join(".."))?;
        let library = match hermetic {
            true => Err("programs in the builder's root don't load the library for it".to_owned()),
            false => make_library(context, perturbation, &real)
                .map_err(|error| format!("the library for it can't be made: {error:#}")),
        };
        let elsewhere = match library {
            Ok(library) => Some(library),
            Err(why) => {
                perturbation.leave_out(Aspect::Clock, &why);
                perturbation.leave_out(Aspect::DirectoryOrder, &why);
                None
            }
        };
        Ok(Place { real, elsewhere, _work: work })
    }

    /// What the process inside gets to see under another name.
    pub fn folder(&self) -> &Path {
        &self.real
    }

    /// The store, seen from here.
    pub fn store(&self) -> PathBuf {
        self.real.join("store")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.real.join(name)
    }

    /// Gives the store a download that the user's has.
    pub fn adopt(&self, context: &Context, key: &Digest) -> Result<()> {
        let from = context.store.step_dir(key);
        link_tree(&from, &self.store().join("v1/steps").join(key.to_string()))
            .with_context(|| format!("can't link the download {}", from.display()))
    }

    /// Gives the store all downloads of the plan.
    pub fn adopt_downloads(&self, context: &Context, plan: &Plan, outcomes: &[Outcome]) -> Result<()> {
        let steps = plan.steps.iter().zip(outcomes);
        steps
            .filter(|(step, _)| is_download(&step.action))
            .try_for_each(|(_, outcome)| self.adopt(context, &outcome.key))
    }
}

/// Neither libfaketime, under which rustc hangs, nor disorderfs, below which a kernel takes several times as long and
/// which only root can mount.
fn make_library(context: &Context, perturbation: &Perturbation, folder: &Path) -> Result<PathBuf> {
    let (source, library) = (folder.join("elsewhere.c"), folder.join("elsewhere.so"));
    fs::write(&source, include_str!("elsewhere.c"))
        .with_context(|| format!("can't write {}", source.display()))?;
    let host = context.tools.host();
    let compiler = host.find("gcc").context("gcc is not installed")?;
    let compile = host.command(compiler).args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(&source);
    let (offset, seed) = (perturbation.clock_seconds(), perturbation.seed);
    compile
        .arg(format!("-DOFFSET={offset}"))
        .arg(format!("-DSEED={seed}ull"))
        .arg("-ldl")
        .read(Limits::default())?;
    Ok(library)
}

/// Files are linked, or copied where the store spans file systems.
fn link_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(from).follow_root_links(true) {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from).unwrap_or(entry.path()));
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
            fs::set_permissions(&target, entry.metadata()?.permissions())?;
        } else if entry.file_type().is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        } else if fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// The last entries of each folder come first, so that a file system which lists by age lists otherwise.
fn copy_project(from: &Path, to: &Path, store: &Path) -> Result<()> {
    let store = store.canonicalize().unwrap_or_else(|_| store.to_path_buf());
    let is_wanted = |entry: &walkdir::DirEntry| {
        let is_left_out = entry.depth() == 1 && NOT_COPIED.iter().any(|name| entry.file_name() == *name);
        let is_built = entry.file_name() == "target" && entry.file_type().is_dir();
        !is_left_out && !is_built && entry.path() != store
    };
    let sorted = walkdir::WalkDir::new(from).sort_by(|a, b| b.file_name().cmp(a.file_name()));
    for entry in sorted.into_iter().filter_entry(is_wanted) {
        let entry = entry.with_context(|| format!("can't list {}", from.display()))?;
        let target = to.join(entry.path().strip_prefix(from).unwrap_or(entry.path()));
        let copied = if entry.file_type().is_dir() {
            fs::create_dir_all(&target)
        } else if entry.file_type().is_symlink() {
            fs::read_link(entry.path()).and_then(|link| std::os::unix::fs::symlink(link, &target))
        } else {
            fs::copy(entry.path(), &target).map(|_| ())
        };
        copied.with_context(|| format!("can't copy {}", entry.path().display()))?;
    }
    Ok(())
}
