//! A guest as a host has loaded it: runs of memory, and the first processor's registers.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// What the host is to load a file into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Host {
    pub arch: crate::Arch,
    /// RAM, in ascending order: whole pages, not touching each other.
    pub memory: Vec<Range<u64>>,
    /// Address space for devices of the VMBus.
    pub mmio: Vec<Range<u64>>,
    pub vps: u32,
    /// The host's description of the machine, a device tree blob.
    #[serde(with = "super::hex")]
    pub device_tree: Vec<u8>,
    /// What the host adds to the command line.
    pub command_line: String,
}

/// What the host has made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Guest {
    /// In ascending order of address; what lies between is zeros.
    pub runs: Vec<Run>,
    /// Whether the file has a place for what the host adds to the command line.
    pub takes_command_line: bool,
    pub registers: Registers,
}

/// Memory in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Run {
    /// Guest physical address.
    pub gpa: u64,
    pub length_bytes: u64,
    /// Name of the file that has the bytes.
    pub file: String,
}

/// The first processor's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Registers {
    X86_64(X86_64),
    Aarch64(Aarch64),
}

/// What a host can set on x86_64; what it doesn't set is as after a reset (PAT, RFLAGS) or zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct X86_64 {
    pub rip: u64,
    pub rsp: u64,
    pub rflags: u64,
    /// CS, DS, ES, FS, GS, SS, TR.
    pub segments: [Segment; 7],
    pub idtr: Table,
    pub gdtr: Table,
    pub efer: u64,
    pub cr0: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub pat: u64,
    pub rbp: u64,
    pub rsi: u64,
    pub r8_to_r12: [u64; 5],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Segment {
    pub base: u64,
    pub limit: u32,
    pub selector: u16,
    /// As in a descriptor: type in bits 3:0, present in bit 7, AVL, L, D and G in bits 15:12.
    pub attributes: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Table {
    pub base: u64,
    pub limit: u16,
}

/// What a host can set on aarch64; what it doesn't set is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Aarch64 {
    pub pc: u64,
    pub x0_to_x7: [u64; 8],
    pub cpsr: u64,
    pub sctlr: u64,
    pub tcr: u64,
    pub mair: u64,
    pub vbar: u64,
    pub ttbr: [u64; 2],
}

impl Default for X86_64 {
    /// After a reset (AMD64 APM volume 2, 14.1.3), as far as it says anything about long mode.
    fn default() -> X86_64 {
        X86_64 {
            rip: 0xfff0,
            rsp: 0,
            rflags: 2,
            segments: [Segment::default(); 7],
            idtr: Table::default(),
            gdtr: Table::default(),
            efer: 0,
            cr0: 0x6000_0010,
            cr3: 0,
            cr4: 0,
            pat: 0x0007_0406_0007_0406,
            rbp: 0,
            rsi: 0,
            r8_to_r12: [0; 5],
        }
    }
}
