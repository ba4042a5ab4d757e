//! A tree as a blob (DTB, for kernels) and as source (DTS, for people). Only the blob is checked first: the text has to
//! show what is wrong too.

mod dtb;
mod dts;

pub use dtb::{EmitError, to_dtb};
pub use dts::{to_dts, value_text};
