//! Fragments put together, in order, into what is asked of the kernel's configuration as a whole. A
//! conflict is an error unless the later fragment announces that it overrides. What the kernel makes of
//! the request is judged in `verify`.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use document::{Problem, Problems};

use super::{
    Value,
    fragment::{self, Fragment, Request},
};

/// Every requested symbol once, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Composed {
    requests: BTreeMap<String, Request>,
    /// Requests that later ones replaced, in the order of the fragments.
    overridden: Vec<Request>,
}

impl Composed {
    pub fn requests(&self) -> impl ExactSizeIterator<Item = &Request> {
        self.requests.values()
    }

    /// `symbol` with its prefix: `CONFIG_SMP`.
    pub fn get(&self, symbol: &str) -> Option<&Request> {
        self.requests.get(symbol)
    }

    /// What earlier fragments asked of `symbol`, in vain.
    pub fn overridden<'c>(&'c self, symbol: &'c str) -> impl Iterator<Item = &'c Request> {
        self.overridden.iter().filter(move |request| request.symbol == symbol)
    }

    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// The file that KCONFIG_ALLCONFIG names for `make allnoconfig`: the same text for the same requests,
    /// however they are spread over fragments. Holds no path and no comment, so it can stand in a key.
    pub fn to_allconfig(&self) -> String {
        let line = |request: &Request| match &request.value {
            Value::No => format!("# {} is not set\n", request.symbol),
            value => format!("{}={value}\n", request.symbol),
        };
        self.requests().map(line).collect()
    }
}

/// Reads and composes fragments, given as path and content in the order in which they apply. All problems
/// of all fragments, and between them, are reported together.
pub fn compose_sources(sources: &[(Arc<str>, Vec<u8>)]) -> Result<Composed, Problems> {
    let mut problems = Problems::default();
    let mut fragments = Vec::new();
    for (file, bytes) in sources {
        let (fragment, found) = fragment::parse(file, bytes);
        problems.0.extend(found.0);
        fragments.push(fragment);
    }
    let legible = problems.is_empty();
    match compose(&fragments) {
        Ok(composed) => problems.into_result(composed),
        Err(found) => {
            // An override may lack its counterpart only because that one's line could not be read.
            let sure = found.0.into_iter().filter(|problem| legible || problem.message != OVERRIDES_NOTHING);
            problems.0.extend(sure);
            problems.into_result(Composed::default())
        }
    }
}

const OVERRIDES_NOTHING: &str = "an override is announced, but no earlier fragment sets the symbol otherwise";

/// Composes fragments in the order in which they apply. The same value twice is no conflict: each fragment
/// says what it needs itself, and the first stays the origin.
pub fn compose(fragments: &[Fragment]) -> Result<Composed, Problems> {
    let mut problems = Problems::default();
    let mut composed = Composed::default();
    for request in fragments.iter().flat_map(|fragment| &fragment.requests) {
        let earlier = composed.requests.get(&request.symbol);
        let differs = earlier.filter(|earlier| earlier.value != request.value);
        match (differs, &request.override_reason) {
            (None, Some(_)) => problems.push(overrides_nothing(request, earlier)),
            (Some(earlier), None) => problems.push(conflict(request, earlier)),
            (None, None) if earlier.is_some() => {}
            (None, None) | (Some(_), Some(_)) => {
                let replaced = composed.requests.insert(request.symbol.clone(), request.clone());
                composed.overridden.extend(replaced);
            }
        }
    }
    problems.into_result(composed)
}

fn conflict(request: &Request, earlier: &Request) -> Problem {
    let Request { symbol, value, .. } = request;
    let message = format!("{symbol} is {value} here, but {} in an earlier fragment", earlier.value);
    Problem::new(request.origin.clone(), message)
        .excerpt(&request.text)
        .related(earlier.origin.clone(), format!("earlier: {}", earlier.text))
        .hint("if it is meant, put above the line: # override: <reason>")
}

fn overrides_nothing(request: &Request, earlier: Option<&Request>) -> Problem {
    let problem = Problem::new(request.origin.clone(), OVERRIDES_NOTHING).excerpt(&request.text);
    let problem = match earlier {
        Some(earlier) => problem.related(earlier.origin.clone(), format!("the same value: {}", earlier.text)),
        None => problem,
    };
    problem.hint("drop `override:` from the comment, or correct the order of the fragments")
}
