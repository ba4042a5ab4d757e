//! IGVM files: written from a decided layout, measured, read and compared.
//!
//! The format itself, its parser and the digests of platforms are the crates igvm_defs and igvm, Microsoft's own. They
//! take twenty seconds to compile, so this is a program of its own: `cargo xtask` starts it where it is needed.
//! What a file holds is decided before, by [`image::igvm`].
//!
//! | module | subject |
//! |---|---|
//! | [`headers`] | a layout's headers, and the crate's value of the whole file |
//! | [`write`] | the file's bytes, in one pass, without a second copy of the pages |
//! | [`read`] | any file, hostile ones too |
//! | [`load`] | a file in a machine's memory, or why a host refuses it |
//! | [`measure`] | what each platform will report of it |

pub mod boot;
pub mod headers;
pub mod load;
pub mod measure;
pub mod pack;
pub mod read;
pub mod write;
