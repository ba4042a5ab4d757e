//! The parts of `first-boot`, as a library so that each can be tested on the host.
//!
//! What seeds and Azure say is read by pure functions ([`wish`], [`yaml`], [`sources`], [`accounts`], [`report`],
//! [`volume`]); all of it is taken for hostile: bounded in size and depth, and checked before anything is done.
//! [`machine`] looks at the machine and acts on it.

pub mod accounts;
pub mod machine;
pub mod report;
pub mod sources;
pub mod volume;
pub mod wish;
pub mod yaml;
