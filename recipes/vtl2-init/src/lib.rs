//! The parts of `vtl2-init`, PID 1 of the initramfs, as a library so that each can be tested on the host.
//!
//! Deciding (trust level, report, configuration, restart policy) is pure; looking at the machine (facts, mounts, the
//! kernel log) and acting on it (supervise, power) are kept apart from it. Nothing here may end the process: when PID 1
//! exits the kernel panics.

pub mod config;
pub mod device_tree;
pub mod facts;
pub mod kernel_log;
pub mod mounts;
pub mod output;
pub mod power;
pub mod report;
pub mod restart;
pub mod signals;
pub mod supervise;
pub mod trust_level;
