//! From artifacts to machines: what is written for whoever runs them, as text that follows from values alone.
//!
//! Each kind of machine has a template that reads as the script it becomes, and one file that fills it in.

pub mod azure;
pub mod hyperv;
mod powershell;
pub mod qemu;
mod shell;
mod template;
