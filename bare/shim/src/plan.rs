//! The page that the build fills in and the file carries: little-endian words of 64 bits, then text. Measured like every
//! page of the file, so what it says holds as far as the file does.
//!
//! | word | |
//! |---|---|
//! | 0, 1 | "VTLSHIM1", architecture: 0 x86_64, 1 aarch64 |
//! | 2-4 | kernel: address, bytes, bytes that it takes from its address on |
//! | 5 | address where the kernel begins |
//! | 6, 7 | initramfs: address, bytes |
//! | 8, 9 | built-in device tree: address, bytes |
//! | 10, 11 | built-in command line: address, bytes without its NUL |
//! | 12 | x86_64: boot_params |
//! | 13 | the host's number of processors, 32 bits |
//! | 14, 15 | the host's memory map: address, bytes |
//! | 16, 17 | the host's device tree |
//! | 18, 19 | the host's command line |
//! | 20, 21 | memory of the shim and of what it makes: address, bytes |
//! | 22, 23 | in it, room for the device tree |
//! | 24, 25 | in it, room for the command line |
//! | 26 | bytes of the text at byte 1024: names of options that the host may add, with spaces between; `*` is all |
//! | 32-37, 38-43 | SHA-384 of kernel and initramfs |

use crate::{Failure, Range};

pub const PAGE_BYTES: usize = 4096;
pub const MAGIC: u64 = u64::from_le_bytes(*b"VTLSHIM1");
/// Where the names of options begin.
pub const TEXT: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    X86_64,
    Aarch64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan<'a> {
    pub arch: Arch,
    pub kernel: Range,
    /// All that the kernel needs before it knows the memory map.
    pub kernel_span: Range,
    pub entry: u64,
    pub initramfs: Range,
    pub template: Range,
    pub command_line: Range,
    /// x86_64 alone.
    pub boot_params: Range,
    pub vp_count: Range,
    pub memory_map: Range,
    pub host_tree: Range,
    pub host_options: Range,
    /// The shim's memory.
    pub own: Range,
    pub tree_room: Range,
    pub command_line_room: Range,
    /// Names with spaces between, or `*`.
    pub allowed_options: &'a str,
    pub kernel_digest: [u8; 48],
    pub initramfs_digest: [u8; 48],
}

impl Plan<'_> {
    /// # Errors
    /// What is wrong with it; ranges are sound, and those of what the shim makes lie in its memory.
    pub fn parse(page: &[u8; PAGE_BYTES]) -> Result<Plan<'_>, Failure> {
        let word = |number: usize| {
            let bytes: [u8; 8] = core::array::from_fn(|byte| page[number * 8 + byte]);
            u64::from_le_bytes(bytes)
        };
        let range = |start: usize, bytes: usize| {
            Range::of(word(start), word(bytes)).ok_or(Failure::Plan("a range beyond all addresses"))
        };
        let digest = |at: usize| core::array::from_fn(|byte| page[at * 8 + byte]);
        if word(0) != MAGIC {
            return Err(Failure::Plan("nobody filled it in"));
        }
        let arch = match word(1) {
            0 => Arch::X86_64,
            1 => Arch::Aarch64,
            _ => return Err(Failure::Plan("an architecture that isn't known")),
        };
        let length = usize::try_from(word(26)).unwrap_or(usize::MAX);
        let text = TEXT.checked_add(length).and_then(|end| page.get(TEXT..end));
        let text = text.and_then(|text| core::str::from_utf8(text).ok());
        let plan = Plan {
            arch,
            kernel: range(2, 3)?,
            kernel_span: range(2, 4)?,
            entry: word(5),
            initramfs: range(6, 7)?,
            template: range(8, 9)?,
            command_line: range(10, 11)?,
            boot_params: Range::of(word(12), PAGE_BYTES as u64).ok_or(Failure::Plan("boot_params"))?,
            vp_count: Range::of(word(13), 4).ok_or(Failure::Plan("the number of processors"))?,
            memory_map: range(14, 15)?,
            host_tree: range(16, 17)?,
            host_options: range(18, 19)?,
            own: range(20, 21)?,
            tree_room: range(22, 23)?,
            command_line_room: range(24, 25)?,
            allowed_options: text.ok_or(Failure::Plan("names of options"))?,
            kernel_digest: digest(32),
            initramfs_digest: digest(38),
        };
        let is_own = plan.own.contains(&plan.tree_room) && plan.own.contains(&plan.command_line_room);
        let begins_inside = plan.kernel_span.start <= plan.entry && plan.entry < plan.kernel_span.end;
        match is_own && begins_inside && plan.kernel_span.contains(&plan.kernel) {
            true => Ok(plan),
            false => Err(Failure::Plan("ranges that don't lie in each other")),
        }
    }
}
