//! Did every request survive? The final .config compared with the composed fragments, and for what was lost, why, and
//! the smallest change that would save it.

mod report;
#[cfg(test)]
mod tests;

use kconfig::{
    Graph,
    explain::{Reason, Remedy, Search, Why, did_you_mean, remedy, why},
};
use serde::Serialize;
use thiserror::Error;

use super::{
    Composed, DotConfig, Value,
    asked::{self, bare},
    fragment::Request,
};

/// Every request that the kernel's configuration did not honour. Its Display is a table for people; serde
/// gives the same for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Error)]
#[serde(rename_all = "kebab-case")]
pub struct LostSymbols {
    /// How many symbols the fragments ask for.
    pub requested: usize,
    pub lost: Vec<LostSymbol>,
    /// What would save all of them; `None`: not known, or there is nothing to be done with lines of fragments.
    pub remedy: Option<Remedy>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LostSymbol {
    /// With prefix.
    pub symbol: String,
    pub wanted: Value,
    /// `None`: the final .config does not mention it.
    pub got: Option<Value>,
    /// file:line of the fragment.
    pub fragment: String,
    /// `None` if the Kconfig files were not read.
    pub why: Option<Why>,
    /// file:line of the tree where a symbol is declared for other architectures only.
    pub elsewhere: Option<String>,
}

/// Compares every request with the final configuration.
pub fn verify(composed: &Composed, dot_config: &DotConfig) -> Result<(), LostSymbols> {
    let lost: Vec<LostSymbol> = composed
        .requests()
        .filter(|request| !honoured(&request.value, dot_config.get(&request.symbol)))
        .map(|request| lost_symbol(request, dot_config))
        .collect();
    match lost.is_empty() {
        true => Ok(()),
        false => Err(LostSymbols { requested: composed.len(), lost, remedy: None }),
    }
}

/// conf leaves a symbol out if it is off and invisible.
fn honoured(wanted: &Value, got: Option<&Value>) -> bool {
    got.unwrap_or(&Value::No) == wanted
}

fn lost_symbol(request: &Request, dot_config: &DotConfig) -> LostSymbol {
    LostSymbol {
        symbol: request.symbol.clone(),
        wanted: request.value.clone(),
        got: dot_config.get(&request.symbol).cloned(),
        fragment: asked::place(request),
        why: None,
        elsewhere: None,
    }
}

impl LostSymbols {
    /// The same with reasons, from the Kconfig files of the kernel that lost them. `elsewhere` finds the place where
    /// a symbol is declared that the graph doesn't have.
    pub fn explained(
        mut self,
        graph: &Graph,
        composed: &Composed,
        elsewhere: impl Fn(&str) -> Option<String>,
    ) -> LostSymbols {
        let requests = asked::requests(graph, composed);
        let solution = requests.solve();
        let mut targets = Vec::new();
        for lost in &mut self.lost {
            let name = bare(&lost.symbol);
            let Some(symbol) = graph.declared(name) else {
                lost.why = Some(unknown(graph, lost));
                lost.elsewhere = elsewhere(name);
                continue;
            };
            if let Some(asked) = requests.get(symbol) {
                lost.why = Some(why(&requests, &solution, symbol, &asked.wanted));
                targets.push(symbol);
            }
        }
        if !targets.is_empty() {
            let found = remedy(&requests, &targets, Search::default());
            // A number may be the right one, and only written otherwise.
            let says_something = !matches!(&found, Remedy::Lines { lines, .. } if lines.is_empty());
            self.remedy = Some(found).filter(|_| says_something);
        }
        self
    }
}

fn unknown(graph: &Graph, lost: &LostSymbol) -> Why {
    let name = bare(&lost.symbol);
    Why {
        symbol: name.to_string(),
        value: "n".into(),
        needed: Some(lost.wanted.to_string()),
        asked: Some((lost.fragment.clone(), lost.wanted.to_string())),
        reasons: vec![Reason::Unknown { did_you_mean: did_you_mean(graph, name) }],
    }
}
