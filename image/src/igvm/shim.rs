//! A file that the boot shim starts: the same parts as without it, and before them the shim, with its plan of where
//! everything is, what kernel and initramfs have to be, and what the host may say. The plan's format is in
//! bare/shim/src/plan.rs.

use std::ops::Range;

use super::{Content, Entry, IgvmError, Image, Layout, PAGE_BYTES, Parameter, ParameterKind, Role, largest};
use crate::Arch;
use crate::uki::Part;

/// The shim, and what it is to see to.
#[derive(Clone, Debug)]
pub struct Shim<'a> {
    /// The program as it lies in memory, for the address that [`base`] says.
    pub part: Part,
    /// SHA-384 of what lies in memory of the kernel ([`kernel_bytes`]) and of the initramfs.
    pub kernel_digest: [u8; 48],
    pub initramfs_digest: [u8; 48],
    /// Names of options that the host may add to the command line; `*` is all.
    pub host_options: &'a [String],
}

/// The shim's memory: itself, its plan, and what it makes.
const OWN_BYTES: u64 = 2 << 20;
const ALIGNMENT: u64 = 2 << 20;
/// Where PCs begin to have memory to themselves; elsewhere, far enough from the address of nothing.
const LOW_MEMORY_END: u64 = 1 << 20;

// In the shim's memory.
const SHIM_BYTES_MAX: u64 = 512 << 10;
const PLAN: u64 = SHIM_BYTES_MAX;
const HOST_OPTIONS: u64 = PLAN + PAGE_BYTES;
const BUILT_IN_OPTIONS: u64 = PLAN + 2 * PAGE_BYTES;
/// As much as Linux maps of a device tree before it knows memory.
const TREE: Range<u64> = (1 << 20)..(1 << 20) + (256 << 10);
/// COMMAND_LINE_SIZE of both architectures.
const COMMAND_LINE: Range<u64> = 0x18_0000..0x18_0000 + 2048;

/// Bytes that names of options may take, with spaces between.
pub const HOST_OPTIONS_MAX: usize = 2048;

/// Where the shim lies in this memory, which is as [`Image::memory`].
///
/// # Errors
/// [`IgvmError::NoRoom`] where there is no memory for it.
pub fn base(memory: &[Range<u64>]) -> Result<u64, IgvmError> {
    let begin = |range: &Range<u64>| {
        let base = range.start.max(LOW_MEMORY_END).checked_next_multiple_of(ALIGNMENT)?;
        (base.checked_add(OWN_BYTES)? <= range.end).then_some(base)
    };
    let no_room = || IgvmError::NoRoom { needed: OWN_BYTES, largest: largest(memory) };
    memory.iter().find_map(begin).ok_or_else(no_room)
}

/// What of the kernel's file lies in memory: on x86_64 not the code for real mode (boot.rst, `setup_sects`).
pub fn kernel_bytes(arch: Arch, head: &[u8], file_bytes: u64) -> Range<u64> {
    const SETUP_SECTS: usize = 0x1f1;
    let begin = match (arch, head.get(SETUP_SECTS)) {
        (Arch::Aarch64, _) | (_, None) => 0,
        (Arch::X86_64, Some(0)) => 5 * 512,
        (Arch::X86_64, Some(sectors)) => (u64::from(*sectors) + 1) * 512,
    };
    begin.min(file_bytes)..file_bytes
}

/// The memory that is left for the other parts.
pub(super) fn remaining(memory: &[Range<u64>], base: u64) -> Vec<Range<u64>> {
    let end = base + OWN_BYTES;
    let cut = |range: &Range<u64>| if range.contains(&base) { end..range.end } else { range.clone() };
    memory.iter().map(cut).filter(|range| range.start < range.end).collect()
}

/// Puts the shim before a file that was laid out without it, in the memory that it leaves.
pub(super) fn wrap(
    image: &Image<'_>,
    shim: &Shim<'_>,
    base: u64,
    layout: Layout,
) -> Result<Layout, IgvmError> {
    let length_bytes = shim.part.length_bytes;
    if length_bytes > SHIM_BYTES_MAX {
        return Err(IgvmError::NoRoom { needed: length_bytes, largest: SHIM_BYTES_MAX });
    }
    let mut layout = layout;
    layout.required = image.memory.clone();
    layout.parameters.push(Parameter {
        gpa: base + HOST_OPTIONS,
        size_bytes: PAGE_BYTES,
        kind: ParameterKind::CommandLine,
    });
    layout.parameters.sort_by_key(|area| area.gpa);
    if image.arch == Arch::Aarch64 {
        // Without the shim it is in the tree alone.
        let text = Content::Bytes([image.command_line.as_bytes(), &[0]].concat());
        layout.push(base + BUILT_IN_OPTIONS, image.command_line.len() as u64 + 1, Role::CommandLine, text);
    }
    let plan = plan(image, shim, base, &layout);
    layout.push(
        base,
        length_bytes,
        Role::Shim,
        Content::Source { name: shim.part.source.clone(), offset: 0 },
    );
    layout.push(base + PLAN, PAGE_BYTES, Role::ShimPlan, Content::Bytes(plan));
    layout.entry = match layout.entry {
        Entry::X86_64 { cr3, gdt_base, gdt_limit, .. } => {
            Entry::X86_64 { rip: base, rsi: base + PLAN, cr3, gdt_base, gdt_limit }
        }
        Entry::Aarch64 { .. } => Entry::Aarch64 { pc: base, x0: base + PLAN },
    };
    Ok(layout)
}

fn plan(image: &Image<'_>, shim: &Shim<'_>, base: u64, layout: &Layout) -> Vec<u8> {
    const TEXT: usize = 1024;
    /// A node of `setup_data` has this before the tree.
    const NODE_BYTES: u64 = 16;
    let region = |role: Role| {
        let region = layout.regions.iter().find(|region| region.role == role);
        region.map_or((0, 0), |region| (region.gpa, region.length_bytes))
    };
    let area = |kind: ParameterKind| {
        let area = layout.parameters.iter().find(|area| area.kind == kind);
        area.map_or((0, 0), |area| (area.gpa, area.size_bytes))
    };
    let (kernel, kernel_bytes) = region(Role::Kernel);
    let (initramfs, initramfs_bytes) = region(Role::Initramfs);
    let (tree, tree_bytes) = region(Role::DeviceTree);
    let head = if image.arch == Arch::X86_64 { NODE_BYTES } else { 0 };
    let (command_line, command_line_bytes) = region(Role::CommandLine);
    let (entry, argument) = match layout.entry {
        Entry::X86_64 { rip, rsi, .. } => (rip, rsi),
        Entry::Aarch64 { pc, .. } => (pc, 0),
    };
    let names = shim.host_options.join(" ");
    let mut words = vec![
        u64::from_le_bytes(*b"VTLSHIM1"),
        u64::from(image.arch == Arch::Aarch64),
        kernel,
        kernel_bytes,
        // The initramfs lies behind all that the kernel needs to begin.
        initramfs - kernel,
        entry,
        initramfs,
        initramfs_bytes,
        tree + head,
        tree_bytes - head,
        command_line,
        // Without its NUL.
        command_line_bytes - 1,
        argument,
        area(ParameterKind::VpCount).0,
    ];
    for kind in [ParameterKind::MemoryMap, ParameterKind::DeviceTree, ParameterKind::CommandLine] {
        let (gpa, bytes) = area(kind);
        words.extend([gpa, bytes]);
    }
    words.extend([base, OWN_BYTES]);
    for room in [TREE, COMMAND_LINE] {
        words.extend([base + room.start, room.end - room.start]);
    }
    words.push(names.len() as u64);
    words.resize(32, 0);
    let mut page: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    page.extend(shim.kernel_digest);
    page.extend(shim.initramfs_digest);
    page.resize(TEXT, 0);
    page.extend(names.into_bytes());
    page.resize(PAGE_BYTES as usize, 0);
    page
}
