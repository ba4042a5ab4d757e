//! One module a verb of the command line.

pub mod bench;
pub mod boot;
pub mod build_image;
pub mod config;
pub mod doctor;
pub mod explain;
pub mod fdt;
pub mod igvm;
pub mod image;
mod operand;
pub mod pins;
pub mod plan;
pub mod provision;
mod purposes;
pub mod release;
pub mod schema;
mod session;
pub mod test;
pub mod verify;

pub use session::{Access, Selection, Session, SessionOptions};
