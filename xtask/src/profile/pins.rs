//! Rules that a pin has to keep on its own, whoever uses it.

use std::collections::BTreeMap;

use document::{Node, Origin, Problem, Problems};

use super::{
    scalar::Name,
    types::{DebArch, DebPin, Pin},
};

/// profiles/pins.yaml with the places of its values.
pub(super) struct LoadedPins {
    pub pins: BTreeMap<Name, Pin>,
    /// Pins that together are a Rust toolchain for aarch64.
    pub rust_for_aarch64: Vec<Name>,
    pub node: Node,
}

impl LoadedPins {
    /// Where a value of a pin stands, such as `deb.sha256`; the pin itself for an empty key.
    pub fn origin(&self, name: &Name, key: &str) -> Origin {
        let pin = self.node.get("pins").and_then(|pins| pins.get(name.as_str()));
        let value = pin.and_then(|pin| pin.at(key)).or(pin);
        value.unwrap_or(&self.node).origin.clone()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pins.keys().map(Name::as_str)
    }
}

pub(super) fn check(pins: &LoadedPins, problems: &mut Problems) {
    for (index, name) in pins.rust_for_aarch64.iter().enumerate() {
        if !pins.pins.contains_key(name) {
            let node = pins.node.at(&format!("rust-for-aarch64.{index}")).unwrap_or(&pins.node);
            problems
                .push(Problem::new(node.origin.clone(), format!("there is no pin `{name}` in this file")));
        }
    }
    for (name, pin) in &pins.pins {
        let at = |key: &str| pins.origin(name, &format!("deb.{key}"));
        check_file_name(&format!("the pin `{name}`"), &pin.deb, at, problems);
        if pin.linux.is_some() && pin.member.is_none() {
            let message =
                format!("the pin `{name}` is a kernel source, and doesn't say where in the package that is");
            let problem = Problem::new(pins.origin(name, "linux"), message);
            problems
                .push(problem.hint("add `member:` with the path of the source tarball inside the package"));
        }
    }
}

/// The file's name repeats package, version and architecture (Debian Policy 5.6.12: without the epoch). A pin
/// in which only one of the two was changed is the usual slip. `at` says where a value of the pin stands.
pub(super) fn check_file_name(
    what: &str,
    deb: &DebPin,
    at: impl Fn(&str) -> Origin,
    problems: &mut Problems,
) {
    let version = deb.version.as_str();
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    let wanted = format!("{}_{version}_{}.deb", deb.package, deb.architecture.name());
    let found = deb.pool.as_str().rsplit('/').next().unwrap_or_default();
    if found != wanted {
        let message = format!("{what} contradicts itself: its package is in `{wanted}`, not in `{found}`");
        let problem = Problem::new(at("pool"), message);
        let problem = problem.related(at("version"), "the version is set here");
        problems.push(problem.hint("correct `pool`, or `package`, `version` and `architecture`"));
    }
}

impl DebArch {
    /// As Debian writes it.
    pub fn name(self) -> &'static str {
        match self {
            DebArch::All => "all",
            DebArch::Amd64 => "amd64",
            DebArch::Arm64 => "arm64",
        }
    }
}
