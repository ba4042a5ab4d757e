//! IGVM files: written from a decided layout, measured, read, loaded and compared.
//!
//! The format itself, its parser and the digests of platforms are the crates igvm_defs and igvm, Microsoft's own. They
//! take twenty seconds to compile, so this is a program of its own: `cargo xtask` starts it where it is needed.
//! What a file holds is decided before, by [`image::igvm`].
//!
//! | module | subject |
//! |---|---|
//! | [`headers`], [`context`] | a layout's headers and registers: the crate's value of the whole file |
//! | [`write`] | the file's bytes, in one pass, without a second copy of the pages |
//! | [`measure`] | what each platform will report of it, and endorsements of that |
//! | [`pack`] | the build's request, which does all of the above |
//! | [`read`] | any file by the crate's parser, whose panics are errors |
//! | [`guard`], [`foreign`] | files of others, refused before the parser where it would panic or take much memory |
//! | [`load`], [`boot`] | a file in a machine's memory, or why a host refuses it |
//! | [`show`], [`pages`], [`map`], [`diff`], [`extract`] | what a file says |

pub mod boot;
pub mod context;
pub mod diff;
pub mod extract;
pub mod foreign;
pub mod guard;
pub mod headers;
pub mod load;
pub mod map;
pub mod measure;
pub mod name;
pub mod pack;
pub mod pages;
pub mod read;
pub mod show;
pub mod write;
