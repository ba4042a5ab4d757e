//! Pairs: a file in profiles/ that names two others, for the two levels of one machine. A pair builds nothing of its own:
//! whoever builds it builds its parts.

use std::{collections::BTreeMap, sync::Arc};

use document::{Origin, Problem, Problems, Value, did_you_mean, list};
use serde::Serialize;

use super::{
    load::{Document, Loader},
    merge,
    scalar::Name,
    spec::Spec,
    types::{self, Profile},
};

/// A pair whose parts are there and fit together.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    pub name: String,
    pub description: String,
    #[serde(rename = "pair")]
    pub parts: Parts,
    #[serde(skip)]
    pub file: Arc<str>,
    #[serde(skip)]
    origins: BTreeMap<String, Origin>,
}

/// Names of profiles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parts {
    pub vtl2: String,
    pub vtl0: String,
}

impl Pair {
    /// VTL2's part, then VTL0's.
    pub fn parts(&self) -> [&str; 2] {
        [&self.parts.vtl2, &self.parts.vtl0]
    }

    /// Where a key was set.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.origins.get(key)
    }

    fn place(&self, key: &str) -> Origin {
        self.origins[key].clone()
    }
}

const KEY: &str = "pair";
/// What may stand beside it.
const BESIDE: [&str; 2] = [KEY, "description"];

pub(super) fn is_pair(document: &Document) -> bool {
    document.node.get(KEY).is_some()
}

/// Reads a pair and looks for its parts; None if something is wrong with it, which is then reported.
pub(super) fn read(loader: &mut Loader, name: &str, document: &Document) -> Option<Pair> {
    if !document.clean {
        return None;
    }
    let before = loader.problems.0.len();
    if let Value::Map(entries) = &document.node.value {
        for entry in entries.iter().filter(|entry| !BESIDE.contains(&entry.key.as_str())) {
            let message = format!("a pair has no `{}`: its parts have", entry.key);
            let problem = Problem::new(entry.key_origin.clone(), message);
            loader.problems.push(problem.hint("write it in the profile of one of its parts"));
        }
    }
    let Profile { description, pair, .. } = loader.typed(&document.node)?;
    let types::Pair { vtl2, vtl0 } = pair?;
    if description.is_none() {
        let problem = Problem::new(document.node.origin.clone(), "nothing sets `description`");
        loader.problems.push(problem.hint("say in one sentence what the pair is for"));
    }
    let origins = merge::origins(&document.node);
    for (key, part) in [("pair.vtl2", &vtl2), ("pair.vtl0", &vtl0)] {
        look_for(loader, &origins[key], part);
    }
    let parts = Parts { vtl2: vtl2.to_string(), vtl0: vtl0.to_string() };
    let pair = Pair {
        name: name.to_owned(),
        description: description.unwrap_or_default(),
        parts,
        file: document.file.clone(),
        origins,
    };
    (loader.problems.0.len() == before).then_some(pair)
}

fn look_for(loader: &mut Loader, origin: &Origin, part: &Name) {
    let known = loader.profile_names();
    let problem = if !known.iter().any(|known| known == part.as_str()) {
        let message = format!("there is no profile `{part}` (no file profiles/{part}.yaml)");
        let problem = Problem::new(origin.clone(), message);
        match did_you_mean(part.as_str(), known.iter().map(String::as_str)) {
            Some(close) => problem.hint(format!("did you mean `{close}`?")),
            None => problem.hint(format!("profiles there are: {}", list(&known, "and"))),
        }
    } else if loader.names_pair(part.as_str()) {
        let message = format!("`{part}` is a pair itself, and has no level of its own");
        Problem::new(origin.clone(), message).hint("name one of its parts")
    } else {
        return;
    };
    loader.problems.push(problem);
}

/// Whether the parts are what the pair takes them for. Parts that are wrong themselves have been reported.
pub(super) fn check(pair: &Pair, specs: &[Spec], problems: &mut Problems) {
    let part = |name: &str| specs.iter().find(|spec| spec.name == name);
    let (upper, lower) = (part(&pair.parts.vtl2), part(&pair.parts.vtl0));
    for (spec, key, vtl) in [(upper, "pair.vtl2", types::Vtl::Vtl2), (lower, "pair.vtl0", types::Vtl::Vtl0)] {
        let Some(spec) = spec.filter(|spec| spec.vtl != vtl) else { continue };
        let message = format!(
            "`{}` is for VTL{}, and this part of a pair for VTL{}",
            spec.name,
            spec.vtl.number(),
            vtl.number()
        );
        problems.push(said_in(Problem::new(pair.place(key), message), spec, "vtl"));
    }
    let (Some(upper), Some(lower)) = (upper, lower) else { return };
    if upper.arch != lower.arch {
        let message = format!(
            "`{}` is for {}, and `{}` for {}: a pair is one machine",
            lower.name,
            lower.arch.name(),
            upper.name,
            upper.arch.name()
        );
        let problem = Problem::new(pair.place("pair.vtl0"), message);
        problems.push(said_in(said_in(problem, lower, "arch"), upper, "arch"));
    }
}

fn said_in(problem: Problem, spec: &Spec, key: &str) -> Problem {
    match spec.origin(key) {
        Some(origin) => problem.related(origin.clone(), format!("`{key}` of `{}`", spec.name)),
        None => problem,
    }
}
