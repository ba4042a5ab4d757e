//! Files as a host loads them: what it puts where, and what it refuses, each with its reason.

use std::ops::Range;

use igvm::{
    Arch as FileArch, IgvmDirectiveHeader as Directive, IgvmFile, IgvmPlatformHeader, IgvmRevision,
    hv_defs::Vtl,
    registers::{AArch64Register, X86Register},
};
use igvm_defs::{
    IGVM_NATIVE_PLATFORM_VERSION, IGVM_VHS_PARAMETER, IGVM_VHS_PARAMETER_INSERT, IGVM_VHS_SUPPORTED_PLATFORM,
    IGVM_VSM_ISOLATION_PLATFORM_VERSION, IgvmPageDataFlags, IgvmPageDataType, IgvmPlatformType, PAGE_SIZE_4K,
};
use image::{
    Arch,
    igvm::start::{Host, Registers},
};
use vtlforge_igvm::{
    boot::boot,
    load::{Loaded, load},
    read::read,
};

const MIB: u64 = 1 << 20;

fn host() -> Host {
    Host {
        arch: Arch::X86_64,
        memory: vec![0..64 * MIB, 128 * MIB..192 * MIB],
        mmio: vec![Range { start: 0xf_f000_0000, end: 0x10_0000_0000 }],
        vps: 3,
        device_tree: vec![0xd0, 0x0d, 0xfe, 0xed],
        command_line: "quiet".to_string(),
    }
}

fn platform(kind: IgvmPlatformType, mask: u32, highest_vtl: u8) -> IgvmPlatformHeader {
    let platform_version = match kind {
        IgvmPlatformType::NATIVE => IGVM_NATIVE_PLATFORM_VERSION,
        _ => IGVM_VSM_ISOLATION_PLATFORM_VERSION,
    };
    IgvmPlatformHeader::SupportedPlatform(IGVM_VHS_SUPPORTED_PLATFORM {
        compatibility_mask: mask,
        highest_vtl,
        platform_type: kind,
        platform_version,
        shared_gpa_boundary: 0,
    })
}

fn page(gpa: u64, byte: u8) -> Directive {
    typed_page(gpa, byte, IgvmPageDataType::NORMAL, 1)
}

fn typed_page(gpa: u64, byte: u8, data_type: IgvmPageDataType, compatibility_mask: u32) -> Directive {
    let data = vec![byte; PAGE_SIZE_4K as usize];
    Directive::PageData { gpa, compatibility_mask, flags: IgvmPageDataFlags::new(), data_type, data }
}

fn area(parameter_area_index: u32, number_of_bytes: u64) -> Directive {
    Directive::ParameterArea { number_of_bytes, parameter_area_index, initial_data: Vec::new() }
}

fn at(parameter_area_index: u32, byte_offset: u32) -> IGVM_VHS_PARAMETER {
    IGVM_VHS_PARAMETER { parameter_area_index, byte_offset }
}

fn insert(parameter_area_index: u32, gpa: u64) -> Directive {
    Directive::ParameterInsert(IGVM_VHS_PARAMETER_INSERT { gpa, compatibility_mask: 1, parameter_area_index })
}

fn required(gpa: u64, number_of_bytes: u32) -> Directive {
    Directive::RequiredMemory { gpa, compatibility_mask: 1, number_of_bytes, vtl2_protectable: true }
}

fn context(vtl: Vtl, compatibility_mask: u32) -> Directive {
    let registers = vec![X86Register::Rip(0x10_0000), X86Register::Rsi(7), X86Register::R9(9)];
    Directive::X64VbsVpContext { vtl, registers, compatibility_mask }
}

/// A file with these headers, written and read again.
fn file(platforms: Vec<IgvmPlatformHeader>, directives: Vec<Directive>) -> IgvmFile {
    let file = IgvmFile::new(IgvmRevision::V1, platforms, Vec::new(), directives).unwrap();
    let mut bytes = Vec::new();
    file.serialize(&mut bytes).unwrap();
    let (read, arch) = read(&bytes).unwrap();
    assert_eq!(arch, Arch::X86_64);
    read
}

fn vsm() -> Vec<IgvmPlatformHeader> {
    vec![platform(IgvmPlatformType::VSM_ISOLATION, 1, 2)]
}

fn loaded(directives: Vec<Directive>) -> Loaded {
    load(&file(vsm(), directives), Arch::X86_64, &host()).unwrap()
}

#[test]
fn pages_and_registers() {
    let zeros = typed_page(4 * MIB, 0, IgvmPageDataType::NORMAL, 1);
    let other = typed_page(8 * MIB, 5, IgvmPageDataType::NORMAL, 2);
    let far = page(130 * MIB, 4);
    let directives = vec![
        page(MIB, 1),
        page(MIB + 0x1000, 2),
        page(MIB + 0x4000, 3),
        zeros,
        other,
        far,
        context(Vtl::Vtl2, 1),
    ];
    let platforms = [vsm(), vec![platform(IgvmPlatformType::NATIVE, 2, 2)]].concat();
    let Loaded { blocks, registers, takes_command_line } =
        load(&file(platforms, directives), Arch::X86_64, &host()).unwrap();
    let shape: Vec<_> = blocks.iter().map(|(gpa, bytes)| (*gpa, bytes.len())).collect();
    // Zeros need no place, the other platform's page isn't ours, and memory with a hole isn't one block.
    assert_eq!(shape, [(MIB, 0x5000), (130 * MIB, 0x1000)]);
    let block = &blocks[0].1;
    assert_eq!((block[0], block[0x1000], block[0x2000], block[0x4000]), (1, 2, 0, 3));
    let Registers::X86_64(registers) = registers else { panic!("{registers:?}") };
    assert_eq!((registers.rip, registers.rsi, registers.r8_to_r12[1]), (0x10_0000, 7, 9));
    // What isn't said is as after a reset.
    assert_eq!((registers.rflags, registers.pat), (2, 0x0007_0406_0007_0406));
    assert!(!takes_command_line);
}

#[test]
fn parameters_are_filled_in() {
    let page = PAGE_SIZE_4K as usize;
    let Loaded { blocks, takes_command_line, .. } = loaded(vec![
        required(MIB, 8 << 20),
        area(0, PAGE_SIZE_4K),
        area(7, 2 * PAGE_SIZE_4K),
        Directive::VpCount(at(0, 16)),
        Directive::CommandLine(at(0, 64)),
        Directive::MemoryMap(at(7, 0)),
        Directive::DeviceTree(at(7, 4096)),
        Directive::MmioRanges(at(0, 256)),
        insert(7, 2 * MIB),
        insert(0, 2 * MIB + 0x2000),
        context(Vtl::Vtl2, 1),
    ]);
    assert!(takes_command_line);
    assert_eq!(blocks.len(), 1);
    let (gpa, bytes) = &blocks[0];
    assert_eq!(*gpa, 2 * MIB);
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let entries: Vec<_> =
        (0..5).map(|entry| [word(entry * 24), word(entry * 24 + 8), word(entry * 24 + 16)]).collect();
    // Pages before what is VTL2's, that, and the rest; then the second range, and the end.
    let pages = |bytes: u64| bytes / PAGE_SIZE_4K;
    assert_eq!(
        entries,
        [
            [0, pages(MIB), 0],
            [pages(MIB), pages(8 * MIB), 3],
            [pages(9 * MIB), pages(55 * MIB), 0],
            [pages(128 * MIB), pages(64 * MIB), 0],
            [0, 0, 0]
        ]
    );
    assert_eq!(bytes[page..page + 4], [0xd0, 0x0d, 0xfe, 0xed]);
    let area = 2 * page;
    assert_eq!(bytes[area + 16..area + 20], [3, 0, 0, 0]);
    assert_eq!(&bytes[area + 64..area + 70], b"quiet\0");
    assert_eq!([word(area + 256), word(area + 264)], [0xff_0000, 0x1_0000]);
}

#[test]
fn aarch64() {
    let revision = IgvmRevision::V2 { arch: FileArch::AArch64, page_size: 4096 };
    let registers =
        vec![AArch64Register::Pc(0x20_0000), AArch64Register::X0(1), AArch64Register::Ttbr1El1(2)];
    let context = Directive::AArch64VbsVpContext { vtl: Vtl::Vtl2, registers, compatibility_mask: 1 };
    let file = IgvmFile::new(revision, vsm(), Vec::new(), vec![page(2 * MIB, 1), context]).unwrap();
    let mut bytes = Vec::new();
    file.serialize(&mut bytes).unwrap();
    let (file, arch) = read(&bytes).unwrap();
    let host = Host { arch: Arch::Aarch64, ..host() };
    let Registers::Aarch64(registers) = load(&file, arch, &host).unwrap().registers else { panic!() };
    assert_eq!((registers.pc, registers.x0_to_x7[0], registers.ttbr), (0x20_0000, 1, [0, 2]));
    let refusal = load(&file, arch, &self::host()).unwrap_err().to_string();
    assert_eq!(refusal, "the file is for aarch64, and the machine is x86_64");
}

fn refused(platforms: Vec<IgvmPlatformHeader>, directives: Vec<Directive>, reason: &str) {
    let refusal = load(&file(platforms, directives), Arch::X86_64, &host()).unwrap_err().to_string();
    assert_eq!(refusal, reason);
}

#[test]
fn platforms_that_are_refused() {
    let native = vec![platform(IgvmPlatformType::NATIVE, 1, 2)];
    refused(
        native,
        vec![page(MIB, 1)],
        "the file has no VSM_ISOLATION platform, which Hyper-V's own isolation of trust levels is; it has NATIVE",
    );
    let level_0 = vec![platform(IgvmPlatformType::VSM_ISOLATION, 1, 0)];
    refused(
        level_0,
        vec![context(Vtl::Vtl2, 1)],
        "the file's VSM_ISOLATION platform is for trust level 0, not for 2",
    );
}

#[test]
fn headers_that_are_refused() {
    const MACHINE: &str = "0x0 to 0x4000000, 0x8000000 to 0xc000000";
    let context = || context(Vtl::Vtl2, 1);
    let big = |index| area(index, 1 << 40);
    let cases: Vec<(Vec<Directive>, String)> = vec![
        (vec![page(MIB, 1)], "the file has no registers for the first processor at trust level 2".into()),
        (
            vec![context(), context()],
            "the file has registers for the first processor at trust level 2 more than once".into(),
        ),
        (
            vec![self::context(Vtl::Vtl0, 1), context()],
            "the file has registers of a trust level below, which VTL2 of Hyper-V doesn't have".into(),
        ),
        (
            vec![required(60 * MIB, 8 << 20), context()],
            format!("the file needs memory at 0x3c00000 to 0x4400000, and the machine has {MACHINE}"),
        ),
        (
            vec![required(MIB, 2 << 20), required(2 * MIB, 1 << 20), context()],
            "memory at 0x200000 to 0x300000 is required twice".into(),
        ),
        (
            vec![page(64 * MIB, 1), context()],
            format!("the page at 0x4000000 to 0x4001000 is not in the machine's memory, which is {MACHINE}"),
        ),
        (vec![page(MIB, 1), page(MIB, 1), context()], "the page at 0x100000 overlaps another one".into()),
        (
            vec![typed_page(MIB, 1, IgvmPageDataType::SECRETS, 1), context()],
            "the page at 0x100000 is of type SECRETS, which VTL2 of Hyper-V doesn't have".into(),
        ),
        (
            vec![big(3), context()],
            "parameter area 3 is 0x10000000000 bytes long: not a number of whole pages that memory has room for"
                .into(),
        ),
        (
            vec![area(0, 4096), Directive::VpCount(at(0, 4094)), context()],
            "the number of processors doesn't fit into parameter area 0: it needs 0x4 bytes from byte 0xffe on, \
             and the area has 0x1000"
                .into(),
        ),
        (
            vec![area(0, 4096), Directive::DeviceTree(at(0, u32::MAX)), context()],
            "the device tree doesn't fit into parameter area 0: it needs 0x4 bytes from byte 0xffffffff on, and the \
             area has 0x1000"
                .into(),
        ),
        (
            vec![area(0, 4096), Directive::Madt(at(0, 0)), context()],
            "the file asks for an ACPI table (MADT), which this host doesn't have".into(),
        ),
        (
            vec![page(MIB, 1), area(0, 8192), insert(0, MIB - 0x1000), context()],
            "the parameter area at 0xff000 overlaps another one".into(),
        ),
    ];
    for (directives, reason) in cases {
        refused(vsm(), directives, &reason);
    }
}

/// Files that the parser of the format refuses, or panics on.
#[test]
fn files_that_cannot_be_read() {
    let mut good = Vec::new();
    let headers = vec![page(MIB, 1), context(Vtl::Vtl2, 1)];
    IgvmFile::new(IgvmRevision::V1, vsm(), Vec::new(), headers).unwrap().serialize(&mut good).unwrap();
    let wrong = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    let changed = |number: usize, word: u32| {
        let mut bytes = good.clone();
        bytes[number * 4..number * 4 + 4].copy_from_slice(&word.to_le_bytes());
        wrong(&bytes)
    };
    assert_eq!(wrong(b"MZ"), "no IGVM file: it doesn't begin with `IGVM`");
    assert_eq!(wrong(&good[..20]), "the headers end outside of the file");
    assert_eq!(
        wrong(&good[..good.len() - 1]),
        format!("the header says {} bytes, and the file has {}", good.len(), good.len() - 1)
    );
    assert_eq!(changed(1, 3), "format version 3; 1 and 2 are known");
    assert_eq!(changed(3, u32::MAX), "the headers end outside of the file");
    assert_eq!(changed(2, u32::MAX), "the headers end outside of the file");
    assert_eq!(changed(5, 0), "an invalid file");
    // Every byte of the headers changed, with the checksum put right: read, then loaded or refused. The parser itself
    // panics on some of them.
    let length = u32::from_le_bytes(good[12..16].try_into().unwrap()) as usize;
    let (mut kinds, mut taken) = (std::collections::BTreeSet::new(), 0);
    for at in 24..24 + length {
        for flip in [1, 0x41, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= flip;
            bytes[20..24].fill(0);
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&bytes[..24 + length]);
            bytes[20..24].copy_from_slice(&hasher.finalize().to_le_bytes());
            match read(&bytes) {
                Ok((file, arch)) => taken += usize::from(load(&file, arch, &host()).is_ok()),
                Err(error) => _ = kinds.insert(error.to_string()),
            }
        }
    }
    assert!(taken > 0);
    assert!(kinds.contains("an invalid file: its headers say what no reader can follow"), "{kinds:?}");
}

/// One page of the file, named by thousands of headers: read and loaded it would be 24 MiB, from 200 kB.
#[test]
fn boot_refuses_what_headers_multiply() {
    let folder = tempfile::tempdir().unwrap();
    let [file, request] = ["vtl2.igvm", "request.json"].map(|name| folder.path().join(name));
    let guest = folder.path().join("guest.json");
    let boots = |count: u64| {
        let pages = (0..count).map(|number| page(MIB + number * PAGE_SIZE_4K, 1));
        let directives = pages.chain([context(Vtl::Vtl2, 1)]).collect();
        let mut bytes = Vec::new();
        // The crate writes equal pages once.
        IgvmFile::new(IgvmRevision::V1, vsm(), Vec::new(), directives)
            .unwrap()
            .serialize(&mut bytes)
            .unwrap();
        std::fs::write(&file, bytes).unwrap();
        let text = serde_json::json!({ "file": file, "host": host(), "folder": folder.path() });
        std::fs::write(&request, text.to_string()).unwrap();
        boot(&request).map_err(|error| format!("{error:#}"))
    };
    let error = boots(6000).unwrap_err();
    assert!(error.ends_with("with it headers name 4 times the data that the file has"), "{error}");
    assert!(error.contains("vtl2.igvm"), "{error}");
    assert!(!guest.exists());
    boots(600).unwrap();
    assert!(guest.exists());
}
