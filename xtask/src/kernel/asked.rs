//! Composed fragments as requests to the Kconfig engine.

use std::sync::Arc;

use kconfig::{
    Fill, Graph, Request, Wanted,
    explain::{Asked, Requests},
};

use super::{Composed, fragment};

/// Everything that the fragments ask of symbols which this kernel declares; all else is off, as the build has it.
pub fn requests<'g>(graph: &'g Graph, composed: &Composed) -> Requests<'g> {
    let mut parsed = Request::new(graph);
    let asked = composed.requests().filter_map(|request| {
        let symbol = graph.declared(bare(&request.symbol))?;
        let text = request.value.to_string();
        // A value that the symbol can't have is asked for all the same: that is then the reason why it is lost.
        let wanted = match parsed.set(symbol, &text) {
            Ok(()) => parsed.wanted(symbol).cloned(),
            Err(_) => None,
        };
        let wanted = wanted.unwrap_or_else(|| Wanted::Text(Arc::from(text)));
        Some(Asked { symbol, wanted, origin: Arc::from(place(request)) })
    });
    Requests::new(graph, Fill::No, asked.collect())
}

/// file:line of a request.
pub fn place(request: &fragment::Request) -> String {
    format!("{}:{}", request.origin.file, request.origin.line)
}

/// Without prefix.
pub fn bare(symbol: &str) -> &str {
    symbol.strip_prefix("CONFIG_").unwrap_or(symbol)
}
