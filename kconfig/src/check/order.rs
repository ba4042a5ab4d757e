//! In which order symbols are calculated, so that calculating one never leads through a long chain of others.

use crate::{
    expr::ExprId,
    graph::{EntryKind, Graph, PropertyKind, SymbolId},
};

/// Every declared symbol behind all that its value depends on: first what `modules` needs, then what each entry of
/// the menus does. Bounds of ranges may form circles, the only ones that pass the checks; those are cut somewhere.
pub(super) fn order(graph: &Graph) -> Vec<SymbolId> {
    let mut order = Vec::with_capacity(graph.symbols.len());
    let mut is_seen = vec![false; graph.symbols.len()];
    let entries = graph.below(Graph::ROOT).filter_map(|entry| graph.entry(entry).symbol);
    for root in graph.modules.into_iter().chain(entries) {
        if std::mem::replace(&mut is_seen[root.index()], true) {
            continue;
        }
        let mut chain = vec![(root, needs(graph, root))];
        while let Some((symbol, needed)) = chain.last_mut() {
            match needed.pop() {
                Some(next) if !std::mem::replace(&mut is_seen[next.index()], true) => {
                    chain.push((next, needs(graph, next)));
                }
                Some(_) => {}
                None => {
                    order.push(*symbol);
                    chain.pop();
                }
            }
        }
    }
    order
}

/// What has to be calculated before the symbol, last first.
fn needs(graph: &Graph, id: SymbolId) -> Vec<SymbolId> {
    let symbol = graph.symbol(id);
    let mut needed = Vec::new();
    if let Some(choice) = symbol.choice {
        needed.extend(graph.entry(choice).symbol);
        return needed;
    }
    own_needs(graph, id, &mut needed);
    // A choice decides with all that its members look at.
    let choices = symbol.entries.iter().filter(|&&entry| graph.entry(entry).kind == EntryKind::Choice);
    for &choice in choices {
        let below = graph.below(choice).filter_map(|entry| graph.entry(entry).symbol);
        for member in below.chain(graph.entry(choice).members.iter().copied()) {
            own_needs(graph, member, &mut needed);
        }
    }
    needed.reverse();
    needed
}

fn own_needs(graph: &Graph, id: SymbolId, needed: &mut Vec<SymbolId>) {
    let symbol = graph.symbol(id);
    let mut add = |e: ExprId| graph.exprs.symbols(e, &mut |mentioned| needed.push(mentioned));
    symbol.depends.iter().for_each(|&e| add(e));
    symbol.selected_by.iter().chain(&symbol.implied_by).for_each(|reverse| add(reverse.condition));
    for &property in &symbol.properties {
        let property = graph.property(property);
        if matches!(property.kind, PropertyKind::Select | PropertyKind::Imply) {
            continue;
        }
        // A choice's default is a member, which needs the choice.
        let value = property.value.filter(|_| symbol.name.is_some());
        property.visible.into_iter().chain(value).for_each(&mut add);
    }
    let bounds = symbol.properties.iter().filter_map(|&property| graph.property(property).range);
    needed.extend(bounds.flat_map(|(low, high)| [low, high]));
}
