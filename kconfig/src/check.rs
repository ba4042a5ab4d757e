//! What can't be right about a graph, though each statement could be read.

mod cycles;
mod order;

use crate::{
    edition::Edition,
    expr::{Expr, ExprId},
    finalize::choice_of,
    graph::{EntryId, EntryKind, Graph, Place, PropertyKind, SymbolId},
    message::Message,
    tristate::Kind,
};

/// The whole graph, after `finalize`: cycles, transitional symbols, members of choices. Also orders the symbols.
pub(crate) fn graph(graph: &mut Graph, messages: &mut Vec<Message>) {
    let mut cycles = cycles::Search::new(graph);
    for entry in graph.below(Graph::ROOT) {
        if let Some(symbol) = graph.entry(entry).symbol {
            cycles.search(symbol, messages);
        }
        transitional(graph, entry, messages);
        if graph.entry(entry).kind == EntryKind::Choice {
            for child in graph.below(entry) {
                member(graph, child, messages);
            }
        }
    }
    graph.order = order::order(graph);
}

fn warn(graph: &Graph, place: Place, text: String, messages: &mut Vec<Message>) {
    messages.push(Message::warning(&graph.files[place.file.index()], place.line, text));
}

fn fail(graph: &Graph, place: Place, text: &str, messages: &mut Vec<Message>) {
    messages.push(Message::error(&graph.files[place.file.index()], place.line, format!("error: {text}")));
}

fn is_yes(graph: &Graph, e: Option<ExprId>) -> bool {
    e.is_none_or(|e| matches!(graph.exprs.get(e), Expr::Symbol(Graph::YES)))
}

/// Transitional symbols have a type and a help text, nothing else.
fn transitional(graph: &Graph, id: EntryId, messages: &mut Vec<Message>) {
    let entry = graph.entry(id);
    let Some(symbol) = entry.symbol.filter(|&symbol| graph.symbol(symbol).is_transitional) else { return };
    let text = "transitional symbols can only have help sections";
    if !is_yes(graph, entry.depends) || !is_yes(graph, entry.visibility) {
        fail(graph, entry.place, text, messages);
    } else if let Some(&property) = graph.symbol(symbol).properties.first() {
        fail(graph, graph.property(property).place, text, messages);
    }
}

fn member(graph: &Graph, id: EntryId, messages: &mut Vec<Message>) {
    let Some(symbol) = graph.entry(id).symbol else { return };
    for &property in &graph.symbol(symbol).properties {
        let property = graph.property(property);
        if property.kind == PropertyKind::Default {
            fail(graph, property.place, "defaults for choice values not supported", messages);
        }
        if property.entry != id && property.kind == PropertyKind::Prompt {
            let is_inside = graph.parent(property.entry) == graph.parent(id);
            match graph.edition {
                Edition::Before7 if is_inside => {}
                Edition::Before7 => {
                    let text = "choice value has a prompt outside its choice group";
                    fail(graph, property.place, text, messages);
                }
                Edition::Linux7 => {
                    let text = "choice value must not have a prompt in another entry";
                    fail(graph, property.place, text, messages);
                }
            }
        }
    }
}

/// The statements about one symbol; `entry` is the first of its entries.
pub(crate) fn properties(graph: &Graph, id: SymbolId, entry: EntryId, messages: &mut Vec<Message>) {
    let symbol = graph.symbol(id);
    let name = graph.name(id);
    if symbol.kind == Kind::Unknown {
        let place = graph.entry(entry).place;
        warn(graph, place, "config symbol defined without type".into(), messages);
    }
    for &property in &symbol.properties {
        let property = graph.property(property);
        let place = property.place;
        match property.kind {
            PropertyKind::Default => {
                let value = graph.as_symbol(property.value);
                let has_text = matches!(symbol.kind, Kind::String | Kind::Int | Kind::Hex);
                let Some(value) = value else {
                    if has_text {
                        let text = format!("default for config symbol '{name}' must be a single symbol");
                        warn(graph, place, text, messages);
                    }
                    continue;
                };
                if matches!(symbol.kind, Kind::Int | Kind::Hex) && !is_number(graph, symbol.kind, value) {
                    warn(graph, place, format!("'{name}': number is invalid"), messages);
                }
                let foreign = || choice_of(graph, value).and_then(|c| graph.entry(c).symbol) != Some(id);
                if symbol.name.is_none() && foreign() {
                    let value = graph.name(value);
                    let text = format!("choice default symbol '{value}' is not contained in the choice");
                    warn(graph, place, text, messages);
                }
            }
            PropertyKind::Select | PropertyKind::Imply => {
                let verb = property.kind.as_str();
                let Some(target) = graph.as_symbol(property.value) else { continue };
                let kind = graph.symbol(target).kind;
                if !symbol.kind.is_logical() {
                    let text = format!("config symbol '{name}' uses {verb}, but is not bool or tristate");
                    warn(graph, place, text, messages);
                } else if kind != Kind::Unknown && !kind.is_logical() {
                    let target = graph.name(target);
                    let text = format!(
                        "'{target}' has wrong type. '{verb}' only accept arguments of bool and tristate type"
                    );
                    warn(graph, place, text, messages);
                }
            }
            PropertyKind::Range => {
                if !matches!(symbol.kind, Kind::Int | Kind::Hex) {
                    let text = "range is only allowed for int or hex symbols";
                    warn(graph, place, text.into(), messages);
                }
                let Some((low, high)) = property.range else { continue };
                if !is_number(graph, symbol.kind, low) || !is_number(graph, symbol.kind, high) {
                    warn(graph, place, "range is invalid".into(), messages);
                }
            }
            PropertyKind::Prompt | PropertyKind::Comment | PropertyKind::Menu => {}
        }
    }
}

/// Whether `value` is a number, or a symbol that has one.
fn is_number(graph: &Graph, kind: Kind, value: SymbolId) -> bool {
    match graph.symbol(value).kind {
        Kind::Int | Kind::Hex => true,
        Kind::Unknown => kind.accepts(graph.name(value)),
        _ => false,
    }
}
