//! Profiles: from YAML files to a [`Spec`], which has everything decided, or to a report of all that is wrong.
//!
//! Files come through the [`Files`] trait; apart from that everything here is values in, values out.

mod builder;
pub mod device_tree;
mod explain;
mod files;
mod layers;
mod load;
mod merge;
pub mod pair;
mod payload;
mod pins;
mod rules;
mod scalar;
mod schema;
pub mod spec;
pub mod types;

#[cfg(test)]
mod tests;

pub use builder::Builder;
pub use explain::{explain, explain_pair};
pub use files::Project;
pub use load::{
    builder, builder_file, kernel_pins, lint_rules, load, load_all, locked, pair_named, rust_packages,
    with_kernel,
};
pub use pair::Pair;
pub use scalar::*;
pub use schema::schemas;
pub use spec::Spec;
pub use types::{Arch, Vtl};
