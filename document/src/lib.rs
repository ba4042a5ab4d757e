//! YAML documents with the place of every value, and what is wrong with them.
//!
//! Reading goes text → [`Node`] tree ([`parse`]) → checked against the [`Shape`] of a Rust type ([`check`])
//! → that type ([`Node::to`]). serde_yaml, which prints documents elsewhere in this tool, can't do the first
//! step: it stops at the first thing it doesn't like, knows a place for errors only, not for values, and reads
//! anchors, merge keys and tags, which have no business in these files. Nothing here knows what a profile is.

mod check;
mod node;
mod parse;
mod problem;
mod shape;
mod typed;

pub use check::check;
pub use node::{Entry, Node, Value};
pub use parse::parse;
pub use problem::{Origin, Problem, Problems, did_you_mean, list};
pub use shape::{Shape, json_schema};
