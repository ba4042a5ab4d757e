//! What a profile's artifacts contain and were made with: for bills of materials.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use release::{
    manifest::Manifest,
    sbom::{Crate, Kind, Part, Role, debian_purl, purl_encoded},
};

use crate::{
    execute::{CRATES, Context, Outcomes},
    host::{Host, command::Limits, identity::Subject},
    plan::{Action, Plan, Source},
    profile::types::DebPin,
};

/// Debian's permanent archive.
const ARCHIVE: &str = "https://snapshot.debian.org/archive/debian";
const KERNEL_LICENCE: &str = "GPL-2.0-only WITH Linux-syscall-note";

/// `plan` is of one profile.
pub fn parts(context: &Context, plan: &Plan, outcomes: &Outcomes, manifest: &Manifest) -> Result<Vec<Part>> {
    let mut parts = BTreeSet::new();
    let kernel = kernel_version(context, plan, outcomes)?;
    for number in plan.steps_of(&manifest.profile.name) {
        parts.extend(download(plan, outcomes, number));
        let compiled = &plan.steps[number].action;
        if matches!(
            compiled,
            Action::BuildPayload { .. }
                | Action::BuildShim { .. }
                | Action::BuildMonitor { .. }
                | Action::BuildLoader { .. }
        ) {
            parts.extend(crates(context, plan, outcomes, number)?.into_iter().map(Part::from));
        }
    }
    parts.extend(kernel.map(|version| Part {
        kind: Kind::Kernel,
        name: "linux".to_owned(),
        purl: Some(format!("pkg:generic/linux@{}", purl_encoded(&version))),
        cpe: Some(format!("cpe:2.3:o:linux:linux_kernel:{version}:*:*:*:*:*:*:*")),
        version,
        sha256: None,
        licence: Some(KERNEL_LICENCE.to_owned()),
        location: None,
        role: Role::Contained,
    }));
    let subjects: BTreeSet<&Subject> = plan
        .steps_of(&manifest.profile.name)
        .into_iter()
        .flat_map(|number| &plan.steps[number].tools)
        .collect();
    parts.extend(subjects.iter().map(|subject| tool(subject, manifest)));
    parts.extend(packages(context, &subjects)?);
    Ok(parts.into_iter().collect())
}

/// What the kernel calls itself.
fn kernel_version(context: &Context, plan: &Plan, outcomes: &Outcomes) -> Result<Option<String>> {
    let mut kernels = plan.steps.iter().zip(&outcomes.0);
    let kernel = kernels.find(|(step, _)| matches!(step.action, Action::BuildKernel { .. }));
    let Some((step, outcome)) = kernel else { return Ok(None) };
    let path = context.output(&step.name, outcome, "release")?;
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    Ok(Some(text.trim().to_owned()))
}

fn crates(context: &Context, plan: &Plan, outcomes: &Outcomes, number: usize) -> Result<Vec<Crate>> {
    let path = context.output(&plan.steps[number].name, &outcomes.0[number], CRATES)?;
    let text = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("can't read {}", path.display()))
}

fn download(plan: &Plan, outcomes: &Outcomes, number: usize) -> Option<Part> {
    let fetched = outcomes.0[number].record.output("file").map(|output| output.sha256);
    let role = role(plan, number);
    match &plan.steps[number].action {
        Action::FetchDeb(pin) => Some(package(pin, role)),
        Action::FetchUrl { url, .. } => Some(Part {
            kind: Kind::Package,
            name: url.rsplit('/').next().unwrap_or(url).to_owned(),
            version: String::new(),
            sha256: fetched,
            licence: None,
            purl: None,
            cpe: None,
            location: Some(url.clone()),
            role,
        }),
        Action::FetchGit { url, revision, .. } => Some(Part {
            kind: Kind::Package,
            name: url.rsplit('/').next().unwrap_or(url).trim_end_matches(".git").to_owned(),
            version: revision.clone(),
            sha256: None,
            licence: None,
            purl: None,
            cpe: None,
            location: Some(format!("git+{url}@{revision}")),
            role,
        }),
        _ => None,
    }
}

fn package(pin: &DebPin, role: Role) -> Part {
    let arch = pin.architecture.name();
    Part {
        kind: Kind::Package,
        name: pin.package.to_string(),
        version: pin.version.to_string(),
        sha256: pin.sha256.as_str().parse().ok(),
        licence: None,
        purl: Some(debian_purl(pin.package.as_str(), pin.version.as_str(), arch)),
        cpe: None,
        location: Some(format!("{ARCHIVE}/{}/{}", pin.snapshot, pin.pool)),
        role,
    }
}

/// Only what is unpacked to be run is in no artifact: a compiler, as opposed to sources, stubs and programs.
fn role(plan: &Plan, number: usize) -> Role {
    let reads = |step: &crate::plan::Step| {
        step.inputs.values().any(|source| matches!(source, Source::Output { step, .. } if *step == number))
    };
    let mut readers = plan.steps.iter().filter(|step| reads(step));
    let unpacks =
        |step: &crate::plan::Step| matches!(step.action, Action::UnpackDebs | Action::UnpackRoot { .. });
    match (&plan.steps[number].action, readers.all(unpacks)) {
        (Action::FetchDeb(pin), true) if !is_linked(pin.package.as_str()) => Role::BuildTool,
        _ => Role::Contained,
    }
}

/// Packages of static libraries that go into every program: of Rust, of the C library and of gcc.
fn is_linked(package: &str) -> bool {
    ["libstd-rust-web-dev", "libc6-dev"].iter().any(|name| package.starts_with(name))
        || (package.starts_with("libgcc-") && package.contains("-dev"))
}

fn tool(subject: &Subject, manifest: &Manifest) -> Part {
    let known = manifest.tools.get(&subject.name());
    let (kind, role) = match subject {
        Subject::Program(_) | Subject::Compiler(_) | Subject::Cargo => (Kind::Program, Role::BuildTool),
        // Linked into every program of the payload.
        Subject::StaticLibrary { .. } => (Kind::Library, Role::Contained),
        // The compiler with the library of its target, which is.
        Subject::Rust { .. } => (Kind::Library, Role::Contained),
    };
    Part {
        kind,
        name: subject.name(),
        version: known.map(|tool| tool.version.clone()).unwrap_or_default(),
        sha256: known.map(|tool| tool.sha256),
        licence: None,
        purl: None,
        cpe: None,
        location: None,
        role,
    }
}

/// The packages of this machine that its tools belong to, where dpkg knows.
fn packages(context: &Context, subjects: &BTreeSet<&Subject>) -> Result<Vec<Part>> {
    let host = context.tools.host();
    // With a root of the builder there are none: its packages are downloads.
    let Some(dpkg) = host.find("dpkg-query").filter(|_| !subjects.is_empty()) else { return Ok(Vec::new()) };
    let mut roles: BTreeMap<PathBuf, Role> = BTreeMap::new();
    for subject in subjects {
        let role = match subject {
            Subject::StaticLibrary { .. } => Role::Contained,
            _ => Role::BuildTool,
        };
        roles.extend(files(host, subject).into_iter().map(|path| (path, role)));
    }
    // Packages from before /bin and /usr/bin became one list their files by the old path.
    let spellings = |path: &Path| {
        let short = path.strip_prefix("/usr").ok().map(|rest| Path::new("/").join(rest));
        [Some(path.to_path_buf()), short].into_iter().flatten()
    };
    // Paths that nobody knows are told on standard error, and by an exit status that says nothing more.
    let search = host.command(&dpkg).arg("--search").args(roles.keys().flat_map(|path| spellings(path)));
    let owners = search.output(Limits::default())?.stdout;
    let mut owned: BTreeMap<&str, Role> = BTreeMap::new();
    for (packages, path) in owners.lines().filter_map(|line| line.split_once(": ")) {
        let role = roles.iter().find(|(known, _)| spellings(known).any(|known| known == Path::new(path)));
        let Some((_, role)) = role else { continue };
        for package in packages.split(", ") {
            let known = owned.entry(package).or_insert(*role);
            *known = (*known).min(*role);
        }
    }
    if owned.is_empty() {
        return Ok(Vec::new());
    }
    let show = host
        .command(&dpkg)
        .args(["--show", "--showformat=${binary:Package} ${Package} ${Version} ${Architecture}\n"]);
    let shown = show.args(owned.keys()).output(Limits::default())?.stdout;
    let part = |line: &str| {
        let [full, name, version, arch] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        let bare = full.split(':').next().unwrap_or(full);
        let role = owned.get(full).or_else(|| owned.get(bare)).copied().unwrap_or(Role::BuildTool);
        Some(Part {
            kind: Kind::Package,
            name: name.to_owned(),
            version: version.to_owned(),
            sha256: None,
            licence: None,
            purl: Some(debian_purl(name, version, arch)),
            cpe: None,
            location: None,
            role,
        })
    };
    Ok(shown.lines().filter_map(part).collect())
}

/// Where the files of a tool are, links resolved.
fn files(host: &Host, subject: &Subject) -> Vec<PathBuf> {
    let asked = |compiler: &str, questions: &[&str]| -> Vec<PathBuf> {
        let Some(compiler) = host.find(compiler) else { return Vec::new() };
        let answer = |question: &&str| {
            let said = host.command(&compiler).arg(question).read(Limits::default()).ok()?;
            host.find(&said).or_else(|| Some(PathBuf::from(said)))
        };
        questions.iter().filter_map(answer).chain([compiler.clone()]).collect()
    };
    let found = match subject {
        Subject::Program(name) => host.find(name).into_iter().collect(),
        Subject::Compiler(name) => {
            asked(name, &["-print-prog-name=cc1", "-print-prog-name=as", "-print-prog-name=ld"])
        }
        Subject::StaticLibrary { compiler } => {
            asked(compiler, &["-print-file-name=libc.a", "-print-file-name=libgcc.a"])
        }
        // rustup's toolchains belong to no package.
        Subject::Rust { .. } | Subject::Cargo => Vec::new(),
    };
    found.into_iter().filter_map(|path| path.canonicalize().ok()).collect()
}
