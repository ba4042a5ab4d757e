//! Releases: what the crate `release` describes, made from a build's outcomes, compared with the last one, signed and put
//! in place at once.

mod assemble;
mod changes;
mod parts;
mod sign;
mod source;

pub use assemble::{Bundle, Job, Writer, assemble, listed};
pub use sign::{Key, PublicKey, Signer, Verdict, signer_of, verify};
pub use source::source;
