//! What is given to others, and how they check it: manifests, bundles, bills of materials, provenance.
//!
//! Everything written here follows from its arguments alone: no clock, no environment, no random value, so that equal
//! releases have equal bytes. [`check`] reads the folder it is given, [`digest`] the files; nothing else touches
//! anything.

pub mod bundle;
pub mod check;
pub mod digest;
pub mod manifest;
pub mod notes;
pub mod pack;
pub mod provenance;
pub mod remote;
pub mod sbom;
pub mod sums;
pub mod upload;

pub use digest::{Digest, canonical_json};
