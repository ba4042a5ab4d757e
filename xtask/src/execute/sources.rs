//! What comes from outside: packages, files, revisions; unpacked and patched.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use anyhow::{Context as _, Result};

use super::{Cancelled, Context, Forecast, LastBuild, forecast, run::Job};
use crate::{
    fetch::{
        Control, Location,
        archive::{self, Archive, Limits, Options},
        download::{Download, DownloadError, Downloader, Policy},
        git_source::{self, GitWanted},
        location::redact_text,
        locations::{Deb, Missing, OfflineError, Sources},
        patches,
    },
    plan::{Action, Plan, SourceFrom},
    profile::{Sha256, types::DebPin},
    report::Unit,
    store::OutputKind,
};

/// Every file of a tree gets this time: none looks older than what it was made from. 2000-01-01, which FAT
/// and zip can express too.
const TREE_TIME: u64 = 946_684_800;

/// A member of a package that is larger is not the program it is taken for.
const MEMBER_LIMIT_BYTES: u64 = 256 << 20;

/// One for all steps: it keeps connections open.
static DOWNLOADER: LazyLock<Downloader> = LazyLock::new(|| Downloader::new(Policy::default()));

pub fn fetch_deb(job: &Job, pin: &DebPin) -> Result<Vec<(&'static str, OutputKind)>> {
    let version = pin.version.to_string();
    let deb = deb(pin, &version);
    let sources = sources(job.context);
    let locations = sources.of_deb(&deb);
    let name = format!("{} {}", pin.package, pin.version);
    if locations.is_empty() {
        return Err(OfflineError(vec![Missing::deb(&deb)]).into());
    }
    download(job, &name, &locations, pin.sha256.as_str(), Some(pin.size))
}

pub fn fetch_url(
    job: &Job,
    url: &str,
    sha256: &Sha256,
    size_bytes: Option<u64>,
) -> Result<Vec<(&'static str, OutputKind)>> {
    let location = Location::parse(url)?;
    if job.context.offline && location.is_remote() {
        return Err(OfflineError(vec![missing_url(url, sha256, size_bytes)]).into());
    }
    download(job, url, &[location], sha256.as_str(), size_bytes)
}

fn download(
    job: &Job,
    what: &str,
    locations: &[Location],
    sha256: &str,
    size: Option<u64>,
) -> Result<Vec<(&'static str, OutputKind)>> {
    let step = &job.step.name;
    // Outside the step's own folder, so that a killed download is resumed by the next build.
    let dest = job.context.store.partial_dir().join(sha256);
    let pin = step.strip_prefix("fetch ").map(|name| match name.contains(':') {
        // Of the builder's root.
        true => "lock".to_owned(),
        false => format!("update {name}"),
    });
    let wanted = Download { what, pin: pin.as_deref(), locations, sha256, size, dest: &dest };
    let progress = |done, total| job.progress.update(done, total, Unit::Bytes);
    let control = Control { cancel: &job.context.cancelled, progress: &progress };
    let downloaded = DOWNLOADER.download(&wanted, &control).map_err(|error| match error {
        DownloadError::Cancelled { .. } => Cancelled.into(),
        error => anyhow::Error::from(error),
    })?;
    downloaded.warnings.iter().for_each(|warning| job.progress.note(warning));
    let out = job.out("file");
    fs::rename(&dest, &out).with_context(|| format!("can't move the download to {}", out.display()))?;
    Ok(vec![("file", OutputKind::File)])
}

pub fn fetch_git(
    job: &Job,
    url: &str,
    revision: &str,
    patches: &[String],
) -> Result<Vec<(&'static str, OutputKind)>> {
    let control = control(job);
    let tree = job.out("tree");
    if job.context.offline && is_remote(url) {
        return Err(OfflineError(vec![missing_git(url, revision)]).into());
    }
    let wanted = GitWanted { url, revision };
    let exported = git_source::export(&wanted, &job.work.scratch(), &tree, &options(false), &control)
        .map_err(|error| cancelled_or(job, error))?;
    for submodule in &exported.submodules {
        job.progress.note(&format!("the submodule {} is left empty", submodule.display()));
    }
    apply(job, &tree, patches)?;
    Ok(vec![("tree", OutputKind::Tree)])
}

pub fn extract_member(job: &Job, member: &str) -> Result<Vec<(&'static str, OutputKind)>> {
    let path = job.out("file");
    let mut file = File::create(&path).with_context(|| format!("can't write {}", path.display()))?;
    archive::extract_member(job.input("package"), member, MEMBER_LIMIT_BYTES, &mut file)?;
    Ok(vec![("file", OutputKind::File)])
}

pub fn unpack_source(
    job: &Job,
    from: &SourceFrom,
    patches: &[String],
) -> Result<Vec<(&'static str, OutputKind)>> {
    let source = job.input("source");
    let archive = match from {
        SourceFrom::Deb { member } => Archive::TarballInPackage { package: source, member },
        SourceFrom::Tarball => Archive::Tarball(source),
    };
    let tree = job.out("tree");
    let progress = |done, total| job.progress.update(done, total, Unit::Bytes);
    let control = Control { cancel: &job.context.cancelled, progress: &progress };
    archive::unpack(archive, &tree, &options(true), &control).map_err(|error| cancelled_or(job, error))?;
    apply(job, &tree, patches)?;
    Ok(vec![("tree", OutputKind::Tree)])
}

/// Packages over each other, in order of their roles.
pub fn unpack_debs(job: &Job) -> Result<Vec<(&'static str, OutputKind)>> {
    let tree = job.out("tree");
    fs::create_dir_all(&tree).with_context(|| format!("can't make {}", tree.display()))?;
    let control = control(job);
    for (number, package) in job.inputs.values().enumerate() {
        let part = job.work.scratch().join(number.to_string());
        archive::unpack(Archive::Package(package), &part, &options(false), &control)
            .map_err(|error| cancelled_or(job, error))?;
        merge(&part, &tree)?;
    }
    Ok(vec![("tree", OutputKind::Tree)])
}

/// Moves everything in `from` to `to`, folders into folders.
fn merge(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("can't list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if target.is_dir() && entry.file_type()?.is_dir() {
            merge(&entry.path(), &target)?;
        } else {
            fs::rename(entry.path(), &target)
                .with_context(|| format!("can't move to {}", target.display()))?;
        }
    }
    Ok(())
}

fn apply(job: &Job, tree: &Path, patches: &[String]) -> Result<()> {
    if patches.is_empty() {
        return Ok(());
    }
    let files: Vec<PathBuf> =
        (0..patches.len()).map(|number| job.input(&format!("patch-{number:03}")).to_path_buf()).collect();
    let applied = patches::apply(tree, &files, &control(job)).map_err(|error| cancelled_or(job, error))?;
    for patch in applied {
        let subject = patch.subject.unwrap_or_else(|| patch.file.display().to_string());
        job.progress.note(&format!("applied: {subject}"));
    }
    normalise(tree)
}

/// Gives what patches touched the time and the modes of what was unpacked: git writes them as of now, and by
/// the umask.
fn normalise(tree: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(TREE_TIME);
    for entry in walkdir::WalkDir::new(tree) {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if !entry.file_type().is_symlink() && metadata.modified()? != time {
            let is_open = entry.file_type().is_dir() || metadata.permissions().mode() & 0o100 != 0;
            let mode = if is_open { 0o755 } else { 0o644 };
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode))
                .and_then(|()| File::open(entry.path())?.set_modified(time))
                .with_context(|| format!("can't set mode and time of {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Fails with everything that a build of `plan` would have to download although it may not, all at once.
pub fn check_offline(context: &Context, plan: &Plan, last: &LastBuild) -> Result<()> {
    let sources = sources(context);
    let mut missing = Vec::new();
    for (step, forecast) in plan.steps.iter().zip(forecast(context, plan, last)?) {
        if matches!(forecast, Forecast::Reuse { .. }) {
            continue;
        }
        match &step.action {
            Action::FetchDeb(pin) => {
                let version = pin.version.to_string();
                let deb = deb(pin, &version);
                if !sources.of_deb(&deb).iter().any(Location::may_exist) {
                    missing.push(Missing::deb(&deb));
                }
            }
            Action::FetchUrl { url, sha256, size_bytes } if Location::parse(url)?.is_remote() => {
                missing.push(missing_url(url, sha256, *size_bytes));
            }
            Action::FetchGit { url, revision, .. } if is_remote(url) => {
                missing.push(missing_git(url, revision));
            }
            _ => {}
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(OfflineError(missing).into()) }
}

fn missing_url(url: &str, sha256: &Sha256, size: Option<u64>) -> Missing {
    let name = Location::parse(url).map_or_else(|_| url.to_string(), |location| location.to_string());
    Missing { name, sha256: Some(sha256.to_string()), size, place: None }
}

/// Whether a Git repository is on another machine.
fn is_remote(url: &str) -> bool {
    !Path::new(url).is_absolute() && !url.starts_with("file:")
}

fn missing_git(url: &str, revision: &str) -> Missing {
    let name = format!("revision {revision} of {}", redact_text(url));
    Missing { name, sha256: None, size: None, place: None }
}

fn sources(context: &Context) -> Sources {
    Sources::new(context.mirrors.clone(), context.offline)
}

fn deb<'a>(pin: &'a DebPin, version: &'a str) -> Deb<'a> {
    Deb {
        package: pin.package.as_str(),
        version,
        pool: pin.pool.as_str(),
        size: pin.size,
        sha256: pin.sha256.as_str(),
        snapshot: pin.snapshot.as_str(),
    }
}

pub fn options(strip_top: bool) -> Options {
    Options { strip_top, mtime: TREE_TIME, merge_usr: false, limits: Limits::default() }
}

pub fn control<'a>(job: &'a Job) -> Control<'a> {
    Control { cancel: &job.context.cancelled, progress: &|_, _| {} }
}

/// Whatever an interrupted step says, the reason is that the user wanted to stop.
pub fn cancelled_or<E: Into<anyhow::Error>>(job: &Job, error: E) -> anyhow::Error {
    match job.context.cancelled.load(std::sync::atomic::Ordering::Relaxed) {
        true => Cancelled.into(),
        false => error.into(),
    }
}
