//! Did every request survive? The final .config compared with the composed fragments, and for what was
//! lost, the law that the kernel's Kconfig files state. The law is quoted beside the values it speaks of, not
//! solved.

mod report;
#[cfg(test)]
mod tests;

use std::io;

use document::did_you_mean;
use serde::Serialize;
use thiserror::Error;

use super::{
    Composed, DotConfig, Value,
    fragment::Request,
    kconfig_text::{Definition, KconfigText, Selector},
};

#[derive(Debug, Error)]
pub enum VerifyError {
    #[error("{0}")]
    Lost(LostSymbols),
    /// Symbols were lost, and the tree that would say why cannot be read.
    #[error("{lost}  the Kconfig files that would explain this cannot be read: {error}")]
    NoExplanation { lost: LostSymbols, error: io::Error },
}

/// Every request that the kernel's configuration did not honour. Its Display is a table for people; serde
/// gives the same for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostSymbols {
    /// How many symbols the fragments ask for.
    pub requested: usize,
    pub lost: Vec<LostSymbol>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostSymbol {
    /// With prefix.
    pub symbol: String,
    pub wanted: Value,
    /// `None`: the final .config does not mention it.
    pub got: Option<Value>,
    /// file:line of the fragment.
    pub fragment: String,
    /// Why, as far as the Kconfig files say; `None` if they were not read.
    pub law: Option<Law>,
}

/// What the kernel's Kconfig files say about one symbol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "kind")]
pub enum Law {
    Unknown {
        /// A symbol of similar name, with prefix.
        did_you_mean: Option<String>,
    },
    /// Defined, but only in a file that this architecture does not read.
    Elsewhere { place: String },
    Defined {
        definitions: Vec<Definition>,
        /// Symbols that are on and select this one; only where it was to be off.
        selected_by: Vec<Selector>,
        /// The member that is on in the choice of which this symbol is another member.
        chosen: Option<String>,
        /// Every symbol that the conditions mention.
        values: Vec<FinalValue>,
    },
}

/// A symbol, without prefix, in the final configuration; `n` if that does not mention it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FinalValue {
    pub symbol: String,
    pub value: Value,
}

/// Compares every request with the final configuration. `read_kconfig` is called only if something was lost.
pub fn verify(
    composed: &Composed,
    dot_config: &DotConfig,
    read_kconfig: impl FnOnce() -> io::Result<KconfigText>,
) -> Result<(), VerifyError> {
    let lost: Vec<LostSymbol> = composed
        .requests()
        .filter(|request| !honoured(&request.value, dot_config.get(&request.symbol)))
        .map(|request| lost_symbol(request, dot_config))
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    let mut lost = LostSymbols { requested: composed.len(), lost };
    match read_kconfig() {
        Ok(kconfig) => {
            for symbol in &mut lost.lost {
                symbol.law = Some(law(symbol, dot_config, &kconfig));
            }
            Err(VerifyError::Lost(lost))
        }
        Err(error) => Err(VerifyError::NoExplanation { lost, error }),
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
        fragment: format!("{}:{}", request.origin.file, request.origin.line),
        law: None,
    }
}

fn law(lost: &LostSymbol, dot_config: &DotConfig, kconfig: &KconfigText) -> Law {
    let name = bare(&lost.symbol);
    let definitions = kconfig.definitions(name).to_vec();
    if definitions.is_empty() {
        return match kconfig.elsewhere(name) {
            Some(place) => Law::Elsewhere { place: place.into() },
            None => {
                let close = did_you_mean(name, kconfig.symbols());
                Law::Unknown { did_you_mean: close.map(|close| format!("CONFIG_{close}")) }
            }
        };
    }
    let raised =
        matches!((&lost.wanted, &lost.got), (Value::No | Value::Module, Some(Value::Yes | Value::Module)));
    let selectors = if raised { kconfig.selectors(name) } else { &[] };
    let selected_by =
        selectors.iter().filter(|selector| is_on(&selector.symbol, dot_config)).cloned().collect();
    let mut siblings =
        definitions.iter().filter_map(|definition| kconfig.choice_members(definition.choice?)).flatten();
    let chosen = siblings.find(|sibling| *sibling != name && is_on(sibling, dot_config)).cloned();
    let values = values(&definitions, dot_config);
    Law::Defined { definitions, selected_by, chosen, values }
}

/// `name` without prefix.
fn is_on(name: &str, dot_config: &DotConfig) -> bool {
    matches!(dot_config.get(&format!("CONFIG_{name}")), Some(Value::Yes | Value::Module))
}

/// The final values of what the conditions mention, in the order of mention.
fn values(definitions: &[Definition], dot_config: &DotConfig) -> Vec<FinalValue> {
    let mut found: Vec<FinalValue> = Vec::new();
    for condition in definitions.iter().flat_map(Definition::conditions) {
        for symbol in mentioned(condition) {
            if !found.iter().any(|known| known.symbol == symbol) {
                let value = dot_config.get(&format!("CONFIG_{symbol}")).cloned().unwrap_or(Value::No);
                found.push(FinalValue { symbol, value });
            }
        }
    }
    found
}

/// Names of symbols in a condition; constants, quoted strings and macros, `$(…)`, are none.
fn mentioned(condition: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quoted, mut macros) = (false, 0);
    let mut chars = condition.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '$' if chars.peek() == Some(&'(') => macros += usize::from(chars.next().is_some()),
            '(' if macros > 0 => macros += 1,
            ')' if macros > 0 => macros -= 1,
            c if !quoted && macros == 0 && (c.is_ascii_alphanumeric() || c == '_') => {
                words.last_mut().expect("never empty").push(c);
            }
            _ => words.push(String::new()),
        }
    }
    words.retain(|word| word.contains(|c: char| c.is_ascii_uppercase()));
    words
}

fn bare(symbol: &str) -> &str {
    symbol.strip_prefix("CONFIG_").unwrap_or(symbol)
}
