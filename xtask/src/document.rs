//! YAML documents with the place of every value, and what is wrong with them.

mod problem;

pub use problem::{Origin, Problem, Problems, did_you_mean};
