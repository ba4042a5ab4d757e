//! Machines from artifacts: scripts boot disks of both architectures and levels under QEMU and leave the artifacts as they
//! are; scripts for PowerShell are judged by a grammar of it and by what its commands are documented to take.

mod harness;
#[path = "provision/hyperv.rs"]
mod hyperv;
#[path = "provision/qemu.rs"]
mod qemu;
