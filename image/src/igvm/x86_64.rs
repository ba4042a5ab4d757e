//! x86-64: a bzImage entered in long mode, with boot_params, page tables and segments ready.

use std::ops::Range;

use super::{
    Content, Cursor, Entry, IgvmError, Image, Import, Layout, PAGE_BYTES, PlatformKind, Region, Role,
    largest, parameters, reset,
};
use crate::fields::Fields as _;

/// Everything lies above what PCs keep for themselves.
const LOW_MEMORY_END: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const LARGE_PAGE: u64 = 2 << 20;

// Offsets within the image and, from 0x1f1 on, within boot_params (boot.rst, "The Real-Mode Kernel Header").
const SETUP_SECTS: usize = 0x1f1;
const HEADER_END: usize = 0x201;
const MAGIC: usize = 0x202;
const TYPE_OF_LOADER: usize = 0x210;
const CODE32_START: usize = 0x214;
const RAMDISK_IMAGE: usize = 0x218;
const RAMDISK_SIZE: usize = 0x21c;
const CMD_LINE_PTR: usize = 0x228;
const KERNEL_ALIGNMENT: usize = 0x230;
const RELOCATABLE: usize = 0x234;
const SETUP_DATA: usize = 0x250;
const PREF_ADDRESS: usize = 0x258;
const INIT_SIZE: usize = 0x260;
const HEADER_MAX: usize = 0x280;
// Offsets within boot_params alone (zero-page.rst).
const EXT_RAMDISK_IMAGE: usize = 0xc0;
const EXT_RAMDISK_SIZE: usize = 0xc4;
const EXT_CMD_LINE_PTR: usize = 0xc8;
const E820_COUNT: usize = 0x1e8;
const E820_TABLE: usize = 0x2d0;
const E820_ENTRIES_MAX: usize = 128;

const E820_RAM: u32 = 1;
const E820_RESERVED: u32 = 2;
const SETUP_DTB: u32 = 2;
const SETUP_CC_BLOB: u32 = 7;
/// The entry of long mode, from where the protected-mode part is.
const ENTRY_64: u64 = 0x200;

/// Null, none, 64-bit code at 0x10 and data at 0x18: what the boot protocol wants.
const SEGMENTS: [u64; 4] = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

// Page-table entries: present, writable; a large page.
const TABLE: u64 = 0x3;
const LARGE: u64 = 0x83;

pub fn layout(
    image: &Image<'_>,
    device_tree: impl FnOnce(Range<u64>) -> Vec<u8>,
) -> Result<Layout, IgvmError> {
    let header = Header::read(image)?;
    let place = Place::find(image, &header)?;
    let initramfs = place.initramfs..place.initramfs + image.initramfs.length_bytes;

    let mut cursor = Cursor { next: place.tables };
    let mut layout = Layout::new(image, Entry::X86_64 { rip: 0, rsi: 0, cr3: 0, gdt_base: 0, gdt_limit: 0 });
    layout.parameters = parameters(&mut cursor);
    let confidential =
        layout.has(PlatformKind::SevSnp).then(|| Confidential::place(&mut cursor, &mut layout));
    let reserved = place.tables..cursor.next;
    let segments: Vec<u8> = SEGMENTS.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    let gdt_limit = segments.len() as u16 - 1;
    let gdt_base = cursor.bytes(&mut layout, Role::SegmentTable, segments);
    let cr3 = cursor.next;
    // TDX begins at the end of the first 4 GiB.
    let mapped = if layout.has(PlatformKind::Tdx) { initramfs.end.max(4 * GIB) } else { initramfs.end };
    cursor.bytes(&mut layout, Role::PageTables, page_tables(cr3, mapped));
    let node = setup_data(0, SETUP_DTB, &device_tree(initramfs.clone()));
    let tree = cursor.bytes(&mut layout, Role::DeviceTree, node);
    let text = [image.command_line.as_bytes(), &[0]].concat();
    let command_line = cursor.bytes(&mut layout, Role::CommandLine, text);
    let told =
        Told { kernel: place.kernel, initramfs: initramfs.clone(), command_line, setup_data: tree, reserved };
    let params = boot_params(&header, &told, &image.memory);
    let rsi = cursor.bytes(&mut layout, Role::BootParams, params);
    if let Some(confidential) = confidential {
        let setup_data = cursor.next;
        confidential.tell(&mut cursor, &mut layout, tree);
        let told = Told { setup_data, ..told };
        split_for_sev_snp(&mut layout, Role::BootParams, boot_params(&header, &told, &image.memory));
    }
    assert!(cursor.next <= place.kernel, "the tables have more room than that");
    let entry = Registers { rip: place.kernel + ENTRY_64, rsi, cr3, gdt_base, gdt_limit };
    if layout.has(PlatformKind::Tdx) {
        layout.regions.push(reset::region(&entry));
    }
    let Registers { rip, rsi, cr3, gdt_base, gdt_limit } = entry;
    layout.entry = Entry::X86_64 { rip, rsi, cr3, gdt_base, gdt_limit };
    let part = &image.kernel.part;
    let code = Content::Source { name: part.source.clone(), offset: header.code_offset };
    layout.push(place.kernel, part.length_bytes - header.code_offset, Role::Kernel, code);
    let packed = Content::Source { name: image.initramfs.source.clone(), offset: 0 };
    layout.push(initramfs.start, image.initramfs.length_bytes, Role::Initramfs, packed);
    Ok(layout)
}

/// With what the first processor begins.
pub(super) struct Registers {
    pub rip: u64,
    pub rsi: u64,
    pub cr3: u64,
    pub gdt_base: u64,
    pub gdt_limit: u16,
}

/// Pages that only AMD's encrypted guests have.
struct Confidential {
    secrets: u64,
    cpuid: u64,
}

impl Confidential {
    fn place(cursor: &mut Cursor, layout: &mut Layout) -> Confidential {
        let mut page = |role, import| {
            let gpa = cursor.take(PAGE_BYTES, PAGE_BYTES);
            let platforms = vec![PlatformKind::SevSnp];
            let content = Content::Host;
            layout.regions.push(Region { gpa, length_bytes: PAGE_BYTES, role, content, import, platforms });
            gpa
        };
        let secrets = page(Role::Secrets, Import::Secrets);
        let cpuid = page(Role::Cpuid, Import::Cpuid);
        let context = cursor.take(PAGE_BYTES, PAGE_BYTES);
        let mut platforms = layout.platforms.iter_mut();
        let own = platforms.find(|platform| platform.kind == PlatformKind::SevSnp);
        own.expect("it is asked for").context_gpa = Some(context);
        Confidential { secrets, cpuid }
    }

    /// The node that leads the kernel to them (arch/x86/include/asm/sev.h, `cc_setup_data` and `cc_blob_sev_info`).
    fn tell(&self, cursor: &mut Cursor, layout: &mut Layout, next: u64) {
        const MAGIC: &[u8; 4] = b"AMDE";
        const NODE_BYTES: u64 = 24;
        let blob = (cursor.next + NODE_BYTES) as u32;
        let mut bytes = setup_data(next, SETUP_CC_BLOB, &blob.to_le_bytes());
        bytes.resize(NODE_BYTES as usize, 0);
        // Magic, version 0 and two reserved bytes; addresses, each with a length and reserved bytes.
        bytes.extend([&MAGIC[..], &[0; 4]].concat());
        for page in [self.secrets, self.cpuid] {
            bytes.extend(page.to_le_bytes());
            bytes.extend(PAGE_BYTES.to_le_bytes());
        }
        cursor.bytes(layout, Role::ConfidentialBlob, bytes);
        let added = layout.regions.last_mut().expect("just added");
        added.platforms = vec![PlatformKind::SevSnp];
    }
}

/// Gives AMD's encrypted guests other bytes for what was added with this role.
fn split_for_sev_snp(layout: &mut Layout, role: Role, bytes: Vec<u8>) {
    let number = layout.regions.iter().position(|region| region.role == role).expect("it was added");
    let mut own = layout.regions[number].clone();
    own.content = Content::Bytes(bytes);
    own.platforms = vec![PlatformKind::SevSnp];
    let others = &mut layout.regions[number].platforms;
    others.retain(|kind| *kind != PlatformKind::SevSnp);
    if others.is_empty() {
        layout.regions.remove(number);
    }
    layout.regions.push(own);
}

/// Of a bzImage's setup header, what decides on the place.
struct Header<'a> {
    head: &'a [u8],
    /// Where the protected-mode part begins in the file.
    code_offset: u64,
    is_relocatable: bool,
    preferred: u64,
    alignment: u64,
    /// Bytes that the kernel needs from its place on, until it knows the memory map.
    init_size: u64,
}

impl Header<'_> {
    fn read<'a>(image: &Image<'a>) -> Result<Header<'a>, IgvmError> {
        let head = image.kernel.head;
        let source_name = || image.kernel.part.source.clone();
        if head.len() < HEADER_MAX {
            return Err(IgvmError::KernelShort { source_name: source_name(), begin: HEADER_MAX as u64 });
        }
        let sectors = match head[SETUP_SECTS] {
            0 => 4,
            sectors => u64::from(sectors),
        };
        let code_offset = (sectors + 1) * 512;
        if code_offset >= image.kernel.part.length_bytes {
            return Err(IgvmError::KernelShort { source_name: source_name(), begin: code_offset });
        }
        Ok(Header {
            head,
            code_offset,
            is_relocatable: head[RELOCATABLE] != 0,
            preferred: head.le64(PREF_ADDRESS),
            alignment: u64::from(head.le32(KERNEL_ALIGNMENT)).max(PAGE_BYTES).next_power_of_two(),
            init_size: u64::from(head.le32(INIT_SIZE)).max(image.kernel.part.length_bytes - code_offset),
        })
    }
}

/// Addresses: tables, then the kernel with all that it needs to begin, then the initramfs.
struct Place {
    tables: u64,
    kernel: u64,
    initramfs: u64,
}

/// Parameter areas, segments, page tables of 512 GiB at most, a device tree of 256 KiB, boot_params.
const TABLES_ROOM: u64 = 3 << 20;

impl Place {
    fn find(image: &Image<'_>, header: &Header<'_>) -> Result<Place, IgvmError> {
        let in_range = |range: &Range<u64>| {
            let tables = range.start.max(LOW_MEMORY_END);
            let free = tables.checked_add(TABLES_ROOM)?;
            let kernel = match header.is_relocatable {
                false if header.preferred < free => return None,
                false => header.preferred,
                true => free.max(header.preferred).checked_next_multiple_of(header.alignment)?,
            };
            let initramfs = kernel.checked_add(header.init_size)?.checked_next_multiple_of(PAGE_BYTES)?;
            let end = initramfs.checked_add(image.initramfs.length_bytes)?;
            (end <= range.end && end <= 512 * GIB).then_some(Place { tables, kernel, initramfs })
        };
        if let Some(place) = image.memory.iter().find_map(in_range) {
            return Ok(place);
        }
        if !header.is_relocatable {
            let source_name = image.kernel.part.source.clone();
            return Err(IgvmError::KernelFixed { source_name, address: header.preferred });
        }
        let above = header.preferred.max(LOW_MEMORY_END + TABLES_ROOM);
        let needed = above.saturating_add(header.init_size).saturating_add(image.initramfs.length_bytes);
        Err(IgvmError::NoRoom { needed, largest: largest(&image.memory) })
    }
}

/// Tables at `at` that map addresses from 0 to beyond `end` to themselves.
fn page_tables(at: u64, end: u64) -> Vec<u8> {
    let directories = end.div_ceil(GIB);
    let mut tables = vec![0_u8; ((2 + directories) * PAGE_BYTES) as usize];
    let mut put = |entry: u64, value: u64| {
        let at = (entry * 8) as usize;
        tables[at..at + 8].copy_from_slice(&value.to_le_bytes());
    };
    put(0, (at + PAGE_BYTES) | TABLE);
    for directory in 0..directories {
        put(512 + directory, (at + (2 + directory) * PAGE_BYTES) | TABLE);
    }
    for page in 0..directories * 512 {
        put(1024 + page, (page * LARGE_PAGE) | LARGE);
    }
    tables
}

/// A node of the list that begins at `setup_data`.
fn setup_data(next: u64, kind: u32, data: &[u8]) -> Vec<u8> {
    let length = data.len() as u32;
    [&next.to_le_bytes()[..], &kind.to_le_bytes(), &length.to_le_bytes(), data].concat()
}

/// What boot_params tells.
struct Told {
    kernel: u64,
    initramfs: Range<u64>,
    command_line: u64,
    /// First node of the list with the device tree in it.
    setup_data: u64,
    /// Pages that the host writes to, which the kernel must leave alone.
    reserved: Range<u64>,
}

fn boot_params(header: &Header<'_>, told: &Told, memory: &[Range<u64>]) -> Vec<u8> {
    let mut params = vec![0; PAGE_BYTES as usize];
    let end = (MAGIC + usize::from(header.head[HEADER_END])).min(HEADER_MAX);
    params[SETUP_SECTS..end].copy_from_slice(&header.head[SETUP_SECTS..end]);
    let mut put = |at: usize, bytes: &[u8]| params[at..at + bytes.len()].copy_from_slice(bytes);
    let low_and_high =
        |value: u64| (value as u32).to_le_bytes().into_iter().chain(((value >> 32) as u32).to_le_bytes());
    let mut split = |low: usize, high: usize, value: u64| {
        let bytes: Vec<u8> = low_and_high(value).collect();
        put(low, &bytes[..4]);
        put(high, &bytes[4..]);
    };
    split(RAMDISK_IMAGE, EXT_RAMDISK_IMAGE, told.initramfs.start);
    split(RAMDISK_SIZE, EXT_RAMDISK_SIZE, told.initramfs.end - told.initramfs.start);
    split(CMD_LINE_PTR, EXT_CMD_LINE_PTR, told.command_line);
    // A loader without a number.
    put(TYPE_OF_LOADER, &[0xff]);
    put(CODE32_START, &(told.kernel as u32).to_le_bytes());
    put(SETUP_DATA, &told.setup_data.to_le_bytes());
    let map = memory_map(memory, &told.reserved);
    let entries = map.iter().take(E820_ENTRIES_MAX);
    for (number, (range, kind)) in entries.enumerate() {
        let at = E820_TABLE + number * 20;
        put(at, &range.start.to_le_bytes());
        put(at + 8, &(range.end - range.start).to_le_bytes());
        put(at + 16, &kind.to_le_bytes());
    }
    put(E820_COUNT, &[map.len().min(E820_ENTRIES_MAX) as u8]);
    params
}

/// RAM without `reserved`, which lies inside one of its ranges.
fn memory_map(memory: &[Range<u64>], reserved: &Range<u64>) -> Vec<(Range<u64>, u32)> {
    let mut map = Vec::new();
    for range in memory {
        if range.start <= reserved.start && reserved.end <= range.end {
            map.push((range.start..reserved.start, E820_RAM));
            map.push((reserved.clone(), E820_RESERVED));
            map.push((reserved.end..range.end, E820_RAM));
        } else {
            map.push((range.clone(), E820_RAM));
        }
    }
    map.retain(|(range, _)| range.start < range.end);
    map
}
