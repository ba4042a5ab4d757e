//! Those who say what a machine is to become, each in a format of its own. Pure: text in, [`Wish`](crate::wish::Wish) out.

pub mod cloud_config;
pub mod imds;
pub mod ovf;
pub mod wire_server;

/// No text of a source is longer, in bytes.
pub const LONGEST_TEXT_BYTES: u64 = 256 * 1024;
