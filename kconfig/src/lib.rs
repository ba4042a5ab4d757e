//! The Kconfig language (as of Linux 7.3): read, solved as the kernel's own `conf` does, and explained.
//!
//! ```text
//! Kconfig files ── parse ─▶ Graph ── Request (.config, fragments, a rule for the rest) ─▶ Solution ─▶ .config
//! ```
//!
//! A pure library: files, environment variables and shell commands are asked for through [`Sources`] and [`Probes`];
//! nothing else reaches outside. Messages and output files are conf's, to the byte.
//!
//! Language: Documentation/kbuild/kconfig-language.rst and kconfig-macro-language.rst.
//!
//! ```
//! use std::collections::BTreeMap;
//! use kconfig::{Fill, Request, Silent, parse};
//!
//! let files = BTreeMap::from([(
//!     "Kconfig".to_string(),
//!     "mainmenu \"Demo\"\n\nconfig A\n\tbool \"A\"\n\tselect B\n\nconfig B\n\tbool\n".to_string(),
//! )]);
//! let (graph, warnings) = parse("Kconfig", &files, &mut Silent)?;
//! assert!(warnings.is_empty());
//!
//! let mut request = Request::new(&graph);
//! request.fill(Fill::Yes);
//! let solution = request.solve();
//! assert_eq!(solution.value_of("B").as_deref(), Some("y"));
//! assert!(solution.dot_config().ends_with("CONFIG_A=y\nCONFIG_B=y\n"));
//! # Ok::<(), kconfig::Rejected>(())
//! ```

mod check;
mod edition;
pub mod explain;
mod expr;
mod finalize;
mod graph;
mod host;
mod lexer;
mod macros;
mod message;
mod number;
mod output;
mod parser;
mod request;
mod simplify;
mod solve;
mod tristate;

pub use edition::Edition;
pub use expr::{Comparison, Expr, ExprId, Exprs};
pub use graph::{
    Entry, EntryId, EntryKind, FileId, Graph, Place, Property, PropertyId, PropertyKind, Reverse, Symbol,
    SymbolId,
};
pub use host::{Probes, Recorder, Silent, Sources};
pub use message::{Message, Rejected, Severity};
pub use output::unmet_warning;
pub use request::{Fill, Request, Wanted};
pub use solve::{Origin, Solution};
pub use tristate::{Kind, Tristate};

/// Reads the Kconfig file `path` and all that it sources, in the language of the kernel that `KERNELVERSION` names
/// (see [`Edition::of`]).
///
/// # Errors
///
/// Every message, if one of them makes conf refuse the files.
pub fn parse(
    path: &str,
    sources: &dyn Sources,
    probes: &mut dyn Probes,
) -> Result<(Graph, Vec<Message>), Rejected> {
    let (mut graph, mut messages) = parser::parse(path, sources, probes);
    let failed = |messages: &[Message]| messages.iter().any(|m| m.severity == Severity::Error);
    if failed(&messages) {
        return Err(Rejected(messages));
    }
    finalize::finalize(&mut graph, &mut messages);
    if graph.exprs().too_deep {
        let text = "dependencies are nested too deeply, enclosing blocks included";
        messages.push(Message::plain(Severity::Error, text));
        return Err(Rejected(messages));
    }
    check::graph(&mut graph, &mut messages);
    match failed(&messages) {
        true => Err(Rejected(messages)),
        false => Ok((graph, messages)),
    }
}
