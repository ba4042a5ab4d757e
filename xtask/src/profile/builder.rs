//! The root in which releases are built: what is wanted in it (profiles/builder.yaml, written by people) and the packages
//! that this comes to (profiles/builder.lock.yaml, written by `pins lock`).

use std::collections::{BTreeMap, BTreeSet};

use document::{Node, Origin, Problem, Problems};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    pins::check_file_name,
    scalar::{LinkTarget, Name, RelativePath},
    types::{Arch, DebArch, DebPin},
};

pub(super) const BUILDER: &str = "profiles/builder.yaml";
pub(super) const LOCK: &str = "profiles/builder.lock.yaml";

const RENEW: &str = "`cargo xtask pins lock` writes the lock anew";

/// profiles/builder.yaml: the programs with which releases are built, as Debian packages in a root of their own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BuilderFile {
    /// Where packages are taken from. The newest version counts.
    pub suites: Vec<Name>,
    /// Of the machines that the programs run on.
    pub architecture: DebArch,
    /// Packages that come with all that they depend on, and what each is for.
    #[schemars(extend("patternErrorMessage" = format!("expected {}", Name::WANTED)))]
    pub packages: BTreeMap<Name, String>,
    /// Packages that come alone.
    #[schemars(extend("patternErrorMessage" = format!("expected {}", Name::WANTED)))]
    pub alone: BTreeMap<Name, Alone>,
    /// Symbolic links that packages make when they are installed, not when they are unpacked. Path in the root: target.
    #[schemars(extend("patternErrorMessage" = format!("expected {}", RelativePath::WANTED)))]
    pub links: BTreeMap<RelativePath, LinkTarget>,
}

/// A package of which the files are wanted, and not what it depends on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Alone {
    pub architecture: DebArch,
    /// What it is for.
    #[allow(dead_code, reason = "for readers")]
    pub reason: String,
}

/// profiles/builder.lock.yaml: exactly these packages. Nobody writes it by hand.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BuilderLock {
    /// Suites at the time.
    pub suites: Vec<Name>,
    pub architecture: DebArch,
    /// What was asked for.
    pub packages: Vec<Name>,
    /// What was asked for alone.
    pub alone: Vec<Name>,
    /// What that came to.
    pub locked: Vec<DebPin>,
}

/// The root, decided.
#[derive(Clone, Debug)]
pub struct Builder {
    /// Of the machines that it runs on.
    pub arch: Arch,
    pub packages: Vec<DebPin>,
    /// Path in the root → what the link holds.
    pub links: BTreeMap<String, String>,
}

/// Both files with the places of their values.
pub(super) struct LoadedBuilder {
    pub file: BuilderFile,
    pub file_node: Node,
    pub lock: BuilderLock,
    pub lock_node: Node,
}

/// The root, if the lock is of this file, whole, and of one piece.
pub(super) fn check(loaded: &LoadedBuilder, problems: &mut Problems) -> Option<Builder> {
    let before = problems.0.len();
    check_wanted(loaded, problems);
    check_locked(loaded, problems);
    let arch = match loaded.file.architecture {
        DebArch::Amd64 => Arch::X86_64,
        DebArch::Arm64 => Arch::Aarch64,
        DebArch::All => {
            let origin = place(&loaded.file_node, "architecture");
            problems.push(Problem::new(origin, "expected the architecture of a machine, amd64 or arm64"));
            return None;
        }
    };
    let links = loaded.file.links.iter().map(|(path, target)| (path.to_string(), target.to_string()));
    let builder = Builder { arch, packages: loaded.lock.locked.clone(), links: links.collect() };
    (problems.0.len() == before).then_some(builder)
}

/// Whether the lock was made from what the file says now.
fn check_wanted(loaded: &LoadedBuilder, problems: &mut Problems) {
    let LoadedBuilder { file, file_node, lock, lock_node } = loaded;
    if file.suites != lock.suites || file.architecture != lock.architecture {
        let message = "the lock was made for other suites, or another architecture";
        let problem = Problem::new(place(file_node, "suites"), message);
        problems.push(problem.related(place(lock_node, "suites"), "those of the lock").hint(RENEW));
    }
    let lists = [
        ("packages", file.packages.keys().collect::<BTreeSet<_>>(), &lock.packages),
        ("alone", file.alone.keys().collect(), &lock.alone),
    ];
    for (key, wanted, known) in lists {
        for name in wanted.iter().filter(|name| !known.contains(name)) {
            let origin = entry(file_node, key, name.as_str());
            let problem = Problem::new(
                origin,
                format!("`{name}` is not in the lock, so it has no version and no digest"),
            );
            problems.push(problem.hint(RENEW));
        }
        for (number, name) in known.iter().enumerate().filter(|(_, name)| !wanted.contains(name)) {
            let origin = place(lock_node, &format!("{key}.{number}"));
            let problem = Problem::new(origin, format!("{BUILDER} no longer asks for `{name}`"));
            problems.push(problem.hint(RENEW));
        }
    }
}

/// What nobody would notice of a lock that was written by hand.
fn check_locked(loaded: &LoadedBuilder, problems: &mut Problems) {
    let LoadedBuilder { file, file_node, lock, lock_node } = loaded;
    let mut missing: BTreeSet<(&Name, Option<DebArch>)> =
        lock.packages.iter().map(|name| (name, None)).collect();
    let alone = |name| file.alone.get(name).map(|alone| alone.architecture);
    missing.extend(lock.alone.iter().filter_map(|name| Some((name, Some(alone(name)?)))));
    let mut seen = BTreeSet::new();
    for (number, pin) in lock.locked.iter().enumerate() {
        let (package, arch) = (&pin.package, pin.architecture);
        let at = |key: &str| place(lock_node, &format!("locked.{number}.{key}"));
        check_file_name(&format!("`{package}` of the lock"), pin, at, problems);
        if !seen.insert((package, arch)) {
            problems.push(Problem::new(at("package"), format!("`{package}` is locked twice")).hint(RENEW));
            continue;
        }
        let is_of_root = [DebArch::All, lock.architecture].contains(&arch);
        if is_of_root {
            missing.remove(&(package, None));
        }
        if !missing.remove(&(package, Some(arch))) && !is_of_root {
            let message = format!("`{package}` is for {}, and nothing asks for that", arch.name());
            problems.push(Problem::new(at("architecture"), message).hint(RENEW));
        }
    }
    for (name, arch) in missing {
        let origin = entry(file_node, if arch.is_some() { "alone" } else { "packages" }, name.as_str());
        let message = format!("the lock has no version of `{name}`, though it was made for it");
        problems.push(Problem::new(origin, message).hint(RENEW));
    }
}

fn entry(node: &Node, map: &str, key: &str) -> Origin {
    // Names may have dots in them, so no path can be built of them.
    let map = node.get(map).unwrap_or(node);
    map.get(key).unwrap_or(map).origin.clone()
}

fn place(node: &Node, path: &str) -> Origin {
    node.at(path).unwrap_or(node).origin.clone()
}
