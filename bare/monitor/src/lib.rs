//! The part of Hyper-V's interface that a VTL2 kernel uses, as values and rules: hypercalls, synthetic registers and
//! MSRs, CPUID, the synthetic interrupt controller, and a VMBus host that has nothing to offer.
//!
//! Shared by both architectures and free of hardware: whatever touches the machine goes through [`Machine`], so all
//! of it runs under the host's tests. Everything the guest hands over is taken for hostile: no input may panic here.
//!
//! TLFS is Microsoft's Hypervisor Top-Level Functional Specification, as it stands on the web
//! (learn.microsoft.com/virtualization/hyper-v-on-windows/tlfs). In quotes are its headings, which its PDF of version
//! 6.0b numbers otherwise; hypercalls and data types have a page each, under their names.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod cpuid;
pub mod efi;
pub mod guest;
pub mod hypercall;
pub mod json;
pub mod lower;
pub mod machine;
pub mod msr;
pub mod partition;
pub mod register;
pub mod smccc;
pub mod synic;
pub mod vmbus;
pub mod vtl;

#[cfg(test)]
mod tests;

pub use machine::{Machine, OutsideRam};
pub use partition::{Arch, Config, Partition, VPS_MAX};
