//! What this tool knows about configuring and building Linux, as values: fragments and their composition,
//! the judgement over the kernel's answer, make's command lines, and the reading of make's log. Files and processes
//! are touched in two places: [`engine`] reads a source tree's Kconfig files and asks the tools what those want to
//! know; [`elsewhere`] looks for symbols of other architectures. The language itself is the crate `kconfig`'s.

pub mod agreement;
pub mod asked;
pub mod command;
pub mod compose;
pub mod difference;
pub mod dot_config;
pub mod elsewhere;
pub mod engine;
pub mod environment;
pub mod fragment;
pub mod image;
pub mod lint;
pub mod make_output;
pub mod progress;
mod text;
pub mod value;
pub mod verify;

pub use compose::Composed;
pub use dot_config::DotConfig;
pub use value::Value;
