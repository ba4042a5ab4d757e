//! What this tool knows about configuring and building Linux, as values: fragments and their composition,
//! the judgement over the kernel's answer, make's command lines, and the reading of make's log. Nothing here
//! starts a process; apart from [`kconfig_text::read_tree`], which reads a source tree to explain a failure,
//! nothing here touches a file. The Kconfig language itself is the kernel's affair: it resolves, this module
//! compares.

pub mod command;
pub mod compose;
pub mod dot_config;
pub mod fragment;
pub mod image;
pub mod kconfig_text;
pub mod make_output;
pub mod progress;
pub mod trust_level;
pub mod value;
pub mod verify;

pub use compose::Composed;
pub use dot_config::DotConfig;
pub use value::Value;
