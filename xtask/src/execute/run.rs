//! One step, from its lock to its place in the store.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use super::{
    Again, Cancelled, Context, Outcome, device_tree, disk, igvm, initramfs, kconfig, kernel, leak, payload,
    root, sources, uki, vendor,
};
use crate::{
    digest::Digest,
    host::{
        identity::Subject,
        toolbox::{self, Access, Place, Toolbox},
    },
    plan::{Action, BUILDER, KeyParts, Plan, Source, Step, key, tools_of},
    report::{StepProgress, failure},
    store::{Output, OutputKind, StepRecord, WorkDir},
};

/// A running step's whole world.
pub struct Job<'a> {
    pub context: &'a Context,
    pub step: &'a Step,
    /// Role → absolute path.
    pub inputs: BTreeMap<String, PathBuf>,
    /// The steps before, as far as this one reads them.
    pub upstream: &'a BTreeMap<usize, (Digest, StepRecord)>,
    pub plan: &'a Plan,
    pub work: &'a WorkDir,
    pub progress: &'a StepProgress,
    /// Whose programs the step runs.
    pub toolbox: Toolbox<'a>,
}

impl Job<'_> {
    /// The path of an input that the plan gives every step of this kind.
    pub fn input(&self, role: &str) -> &Path {
        &self.inputs[role]
    }

    pub fn read(&self, role: &str) -> Result<Vec<u8>> {
        read(self.input(role))
    }

    pub fn size_bytes(&self, role: &str) -> Result<u64> {
        let path = self.input(role);
        let metadata = fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?;
        Ok(metadata.len())
    }

    pub fn write(&self, output: &str, content: &[u8]) -> Result<()> {
        let path = self.work.out().join(output);
        fs::write(&path, content).with_context(|| format!("can't write {}", path.display()))
    }

    pub fn out(&self, output: &str) -> PathBuf {
        self.work.out().join(output)
    }
}

pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

/// Digest of an input that lies in the project; None for one that doesn't.
pub fn project_digest(context: &Context, source: &Source) -> Result<Option<Digest>> {
    Ok(match source {
        Source::File(path) => {
            let path = context.root.join(path);
            let digest = context.memo.digest(&path);
            Some(digest.with_context(|| format!("can't read {}", path.display()))?.0)
        }
        Source::Folder(path) => Some(folder_digest(context, path)?),
        Source::Output { .. } | Source::Local(_) => None,
    })
}

/// Digest of a project folder's files, without what building there leaves behind.
fn folder_digest(context: &Context, folder: &str) -> Result<Digest> {
    let mut listing = BTreeMap::new();
    for path in folder_files(&context.root.join(folder))? {
        let (digest, _) =
            context.memo.digest(&path).with_context(|| format!("can't read {}", path.display()))?;
        let name = path.strip_prefix(&context.root).unwrap_or(&path).to_string_lossy().into_owned();
        listing.insert(name, digest);
    }
    Ok(Digest::of_json(&listing))
}

/// Files of a recipe's folder: all but `target/`.
pub fn folder_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_wanted = |entry: &walkdir::DirEntry| entry.depth() != 1 || entry.file_name() != "target";
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_entry(is_wanted) {
        let entry = entry.with_context(|| format!("can't list {}", folder.display()))?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// Runs step `number`, or takes what another build has made meanwhile.
pub fn step(
    context: &Context,
    plan: &Plan,
    number: usize,
    parts: KeyParts,
    why: &[String],
    upstream: &BTreeMap<usize, (Digest, StepRecord)>,
) -> Result<Outcome> {
    let step = &plan.steps[number];
    let key = key(&parts);
    let why: &[String] = if step.is_hermetic() { why } else { &["reads a local tree".to_string()] };
    let progress = context.reporter.step_started(&step.name, &key.to_string(), why);
    match locked(context, plan, step, key, parts, upstream, &progress) {
        Ok(outcome) => {
            progress.finished(&outcome.key.to_string());
            Ok(outcome)
        }
        Err(error) if is_no_failure(&error) => {
            progress.stopped(&failure(&error));
            Err(error)
        }
        Err(error) => {
            let log = failed_log_path(context, &key);
            let log = log.exists().then(|| log.to_string_lossy().into_owned());
            let error = match &log {
                Some(log) => error.context(format!("step `{}` failed; its log is {log}", step.name)),
                None => error.context(format!("step `{}` failed", step.name)),
            };
            progress.failed(&failure(&error), log.as_deref());
            Err(error)
        }
    }
}

/// An input has to be made again, or the user wants to stop: that is nobody's fault.
fn is_no_failure(error: &anyhow::Error) -> bool {
    error.is::<Again>() || error.is::<Cancelled>()
}

fn locked(
    context: &Context,
    plan: &Plan,
    step: &Step,
    key: Digest,
    parts: KeyParts,
    upstream: &BTreeMap<usize, (Digest, StepRecord)>,
    progress: &StepProgress,
) -> Result<Outcome> {
    let _lock = context.store.lock(&key, || progress.waiting(&key.to_string()))?;
    if step.is_hermetic()
        && let Some(record) = context.store.get(&key)?
    {
        return Ok(Outcome { key, parts, record, ran: None });
    }
    let started = Instant::now();
    // What an earlier try left behind would be taken for this one's.
    let _ = fs::remove_file(failed_log_path(context, &key));
    let work = context.store.work_dir(&key.short())?;
    let result = run(context, plan, step, upstream, &work, progress);
    let record = result.and_then(|record| check_unchanged(context, step, &parts).map(|()| record));
    let record = record.inspect_err(|error| {
        if !is_no_failure(error) {
            keep_log(context, &key, &work);
        }
    })?;
    // What a local tree gives is known only now, so that is what names it.
    let key = if step.is_hermetic() { key } else { Digest::of_json(&(&parts, &record)) };
    let _local_lock = if step.is_hermetic() { None } else { Some(context.store.lock(&key, || {})?) };
    if context.store.get(&key)?.is_none() {
        let from = work.out();
        context.store.commit(&key, work, &record)?;
        context.memo.adopt(&from, &context.store.step_dir(&key).join("out"), &record.outputs);
    }
    Ok(Outcome { key, parts, record, ran: Some(started.elapsed()) })
}

/// Fails if a file of the project was changed while the step read it: what was made then belongs to no key.
fn check_unchanged(context: &Context, step: &Step, parts: &KeyParts) -> Result<()> {
    for (role, source) in &step.inputs {
        let (Source::File(path) | Source::Folder(path)) = source else { continue };
        if project_digest(context, source)?.as_ref() != parts.inputs().get(role) {
            bail!("{path} was changed while the step read it\n  hint: build again");
        }
    }
    Ok(())
}

fn run(
    context: &Context,
    plan: &Plan,
    step: &Step,
    upstream: &BTreeMap<usize, (Digest, StepRecord)>,
    work: &WorkDir,
    progress: &StepProgress,
) -> Result<StepRecord> {
    let inputs = inputs(context, plan, step, upstream)?;
    let toolbox = toolbox(context, step, &inputs, work)?;
    let job = Job { context, step, inputs, upstream, plan, work, progress, toolbox };
    let outputs = dispatch(&job)?;
    let mut record = StepRecord { outputs: Vec::new() };
    for (name, kind) in outputs {
        let path = work.out().join(name);
        let digest = match kind {
            OutputKind::File => Digest::of_file(&path),
            OutputKind::Tree => context.memo.tree_digest(&path),
        };
        let (sha256, size_bytes) = digest.with_context(|| format!("can't read {}", path.display()))?;
        record.outputs.push(Output { name: name.to_string(), kind, sha256, size_bytes });
    }
    leak::check(context, step, work, &record)?;
    Ok(record)
}

/// This machine's programs, or those of the builder's root where the step reads one. There they see what the step
/// reads, its scratch folder and its outputs, by names that are the same everywhere.
fn toolbox<'a>(
    context: &'a Context,
    step: &Step,
    inputs: &BTreeMap<String, PathBuf>,
    work: &WorkDir,
) -> Result<Toolbox<'a>> {
    let host = context.tools.host();
    let Some(tree) = inputs.get(BUILDER) else { return Ok(Toolbox::Host(host)) };
    let place =
        |outside: &Path, inside: PathBuf, access| Place { outside: outside.to_path_buf(), inside, access };
    let read = inputs.iter().filter(|(role, _)| *role != BUILDER);
    let mut places: Vec<Place> =
        read.map(|(role, path)| place(path, Path::new(toolbox::INPUTS).join(role), Access::Read)).collect();
    places.push(place(&work.scratch(), toolbox::SCRATCH.into(), Access::Write));
    places.push(place(&work.out(), toolbox::OUTPUTS.into(), Access::Write));
    let toolbox = Toolbox::root(host, tree, places)?;
    // What a program runs by itself is missed when it does; what the step is known to run, at once.
    for program in tools_of(&step.action, host.arch).iter().map(Subject::program) {
        toolbox.find(program)?;
    }
    Ok(toolbox)
}

/// The one place that knows what carries out which action; each returns the names of its outputs.
fn dispatch(job: &Job) -> Result<Vec<(&'static str, OutputKind)>> {
    match &job.step.action {
        Action::FetchDeb(pin) => sources::fetch_deb(job, pin),
        Action::FetchUrl { url, sha256, size_bytes } => sources::fetch_url(job, url, sha256, *size_bytes),
        Action::FetchGit { url, revision, patches } => sources::fetch_git(job, url, revision, patches),
        Action::ExtractMember { member } => sources::extract_member(job, member),
        Action::UnpackSource { from, patches } => sources::unpack_source(job, from, patches),
        Action::UnpackDebs => sources::unpack_debs(job),
        Action::UnpackRoot { links } => root::unpack(job, links),
        Action::ResolveKconfig { arch, vtl, all_config, rules, composed } => {
            let demands = kconfig::Demands { arch: *arch, vtl: *vtl, composed, rules, command_line: None };
            kconfig::resolve(job, all_config, &demands)
        }
        Action::BuildKernel { arch } => kernel::build(job, *arch),
        Action::EmitDtb { arch, vtl, described, command_line } => {
            device_tree::emit(job, *arch, *vtl, described, command_line)
        }
        Action::VendorCrates { .. } => vendor::vendor(job),
        Action::BuildPayload { arch, package, binary, features, rust } => {
            payload::build(job, *arch, package, binary, features, rust)
        }
        Action::BuildMonitor { arch, rust } => payload::build_monitor(job, *arch, rust),
        Action::BuildShim { arch, base, rust } => payload::build_shim(job, *arch, *base, rust),
        Action::BuildLoader { arch, rust } => payload::build_loader(job, *arch, rust),
        Action::PackInitramfs { entries, compression_level } => {
            initramfs::pack(job, entries, *compression_level)
        }
        Action::BuildUki { arch, profile, command_line } => uki::build(job, *arch, profile, command_line),
        Action::PackIgvm { arch, vtl, described, command_line, igvm } => {
            igvm::pack(job, &igvm::Wanted { arch: *arch, vtl: *vtl, described, command_line, igvm })
        }
        Action::PackDisk { profile, size_bytes, label, esp } => {
            disk::pack(job, profile, *size_bytes, label, esp)
        }
        Action::PackVhd { profile, size_bytes } => disk::pack_vhd(job, profile, *size_bytes),
        Action::PackVhdx { profile } => disk::pack_vhdx(job, profile),
        Action::PackQcow2 { compression } => disk::pack_qcow2(job, *compression),
    }
}

/// Paths of the step's inputs, those from the store after a check against their digests.
fn inputs(
    context: &Context,
    plan: &Plan,
    step: &Step,
    upstream: &BTreeMap<usize, (Digest, StepRecord)>,
) -> Result<BTreeMap<String, PathBuf>> {
    let mut paths = BTreeMap::new();
    for (role, source) in &step.inputs {
        let path = match source {
            Source::Output { step: number, output } => {
                let (key, record) = &upstream[number];
                let recorded = record
                    .output(output)
                    .with_context(|| format!("step {} made no {output}", plan.steps[*number].name))?;
                context.bring(&plan.steps[*number].name, key, recorded)?;
                context.store.output_path(key, output)
            }
            Source::File(path) | Source::Folder(path) | Source::Local(path) => context.root.join(path),
        };
        paths.insert(role.clone(), path);
    }
    Ok(paths)
}

/// Where the log of a step that failed is kept, since its work folder goes away.
fn failed_log_path(context: &Context, key: &Digest) -> PathBuf {
    context.store.root().join("failed").join(format!("{}.log", key.short()))
}

/// Saves the log from the work folder; a whole one or none.
fn keep_log(context: &Context, key: &Digest, work: &WorkDir) {
    let kept = failed_log_path(context, key);
    let folder = kept.parent().unwrap_or(context.store.root());
    if work.log().exists() && fs::create_dir_all(folder).and_then(|()| fs::copy(work.log(), &kept)).is_err() {
        let _ = fs::remove_file(&kept);
    }
}
