use std::fs;

use expect_test::{Expect, expect};
use image::Arch;
use image::layout::Layout;
use image::uki::{self, KernelPart, Part, Uki};
use object::read::pe::PeFile64;
use object::{LittleEndian as LE, Object, ObjectSection};
use tempfile::tempdir;

use crate::support::{Recording, chain, content, contents, write_file};

/// Small PE images: stubs and kernels that no machine could run.
pub mod fixture {
    use image::Arch;
    use object::pe;
    use object::write::pe::{NtHeaders, Writer};

    /// A stub with one section. Headers fill one step of `file_alignment`: 512 leaves room for three section headers
    /// more, 1024 for sixteen.
    pub fn stub(arch: Arch, file_alignment: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(true, 4096, file_alignment, &mut bytes);
        writer.reserve_dos_header();
        writer.reserve_nt_headers(16);
        writer.reserve_section_headers(1);
        let text = writer.reserve_text_section(700);
        writer.write_empty_dos_header().unwrap();
        writer.write_nt_headers(NtHeaders {
            machine: pe::Machine(arch.pe_machine()),
            time_date_stamp: 0,
            characteristics: pe::IMAGE_FILE_EXECUTABLE_IMAGE,
            major_linker_version: 0,
            minor_linker_version: 0,
            address_of_entry_point: 4096,
            image_base: 0,
            major_operating_system_version: 0,
            minor_operating_system_version: 0,
            major_image_version: 0,
            minor_image_version: 0,
            major_subsystem_version: 0,
            minor_subsystem_version: 0,
            subsystem: pe::IMAGE_SUBSYSTEM_EFI_APPLICATION,
            dll_characteristics: pe::DllFlags(0),
            size_of_stack_reserve: 0,
            size_of_stack_commit: 0,
            size_of_heap_reserve: 0,
            size_of_heap_commit: 0,
        });
        writer.write_section_headers();
        writer.write_section(text.file_offset, &[0xc3; 700]);
        bytes
    }

    /// The smallest thing that passes for a kernel with an EFI stub.
    pub fn kernel(arch: Arch) -> Vec<u8> {
        let mut bytes = stub(arch, 1024);
        match arch {
            Arch::X86_64 => {
                bytes[0x202..0x206].copy_from_slice(b"HdrS");
                bytes[0x206..0x208].copy_from_slice(&[0x0f, 0x02]);
                bytes[0x236] = 1;
            }
            Arch::Aarch64 => bytes[0x38..0x3c].copy_from_slice(b"ARM\x64"),
        }
        bytes
    }
}

const INITRD_BYTES: u64 = 100_001;

fn part(source: &str, length_bytes: u64) -> Part {
    let source = source.into();
    Part { source, length_bytes }
}

/// Calls `check` with a sound specification, to be used or spoilt.
fn with_uki<T>(arch: Arch, check: impl FnOnce(Uki<'_>) -> T) -> T {
    let kernel = fixture::kernel(arch);
    check(Uki {
        arch,
        stub: &fixture::stub(arch, 1024),
        os_release: "ID=example\nVERSION_ID=1\n",
        cmdline: "console=ttyS0 quiet",
        uname: "7.3.0-example",
        device_tree: Some(b"\xd0\x0d\xfe\xed and the rest of it"),
        kernel: KernelPart { head: &kernel, part: part("kernel", 200_000) },
        initrd: Some(part("initrd", INITRD_BYTES)),
    })
}

/// The same specification with another stub and kernel.
fn spoilt<'a>(uki: Uki<'a>, stub: &'a [u8], head: &'a [u8]) -> Uki<'a> {
    let kernel = KernelPart { head, ..uki.kernel };
    Uki { stub, kernel, ..uki }
}

fn layout(arch: Arch) -> Layout {
    with_uki(arch, |uki| uki::layout(&uki).unwrap())
}

/// Name, loaded and stored bytes of each section, in order.
fn sections(image: &[u8]) -> Vec<(String, Vec<u8>)> {
    let file = PeFile64::parse(image).unwrap();
    file.sections()
        .map(|section| {
            let name = section.name().unwrap().to_owned();
            (name, section.data().unwrap().to_vec())
        })
        .collect()
}

fn expected_sections() -> Vec<(String, Vec<u8>)> {
    [
        (".text", vec![0xc3; 700]),
        (".osrel", b"ID=example\nVERSION_ID=1\n".to_vec()),
        (".cmdline", b"console=ttyS0 quiet".to_vec()),
        (".uname", b"7.3.0-example".to_vec()),
        (".dtb", b"\xd0\x0d\xfe\xed and the rest of it".to_vec()),
        (".initrd", contents("initrd", INITRD_BYTES)),
        (".linux", contents("kernel", 200_000)),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into()
}

#[test]
fn sections_hold_what_was_given() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let recording = Recording::of(&layout(arch));
        recording.assert_written_once();
        let bytes = recording.bytes.get_ref();
        assert!(sections(bytes) == expected_sections(), "{arch}");
        assert!(bytes == Recording::of(&layout(arch)).bytes.get_ref());
    }
}

#[test]
fn headers_agree_with_the_sections() {
    let recording = Recording::of(&layout(Arch::Aarch64));
    let file = PeFile64::parse(recording.bytes.get_ref().as_slice()).unwrap();
    let optional = &file.nt_headers().optional_header;
    let mut end = 0;
    for section in file.section_table().iter() {
        let address = section.virtual_address.get(LE);
        assert_eq!(address % 4096, 0);
        assert!(address >= end);
        end = address + section.virtual_size.get(LE);
        assert_eq!(section.pointer_to_raw_data.get(LE) % 1024, 0);
    }
    assert_eq!(optional.size_of_image.get(LE), end.next_multiple_of(4096));
    assert_eq!(optional.size_of_headers.get(LE), 1024);
    assert_eq!(optional.check_sum.get(LE), 0);
    assert_eq!(recording.bytes.get_ref().len() % 1024, 0);
}

#[test]
fn binutils_reads_the_same() {
    let temporary = tempdir().unwrap();
    let directory = temporary.path();
    write_file(&layout(Arch::X86_64), &directory.join("uki.efi"));
    let headers = content(directory, "binutils", &["objdump", "-h", "-w", "uki.efi"]);
    let lines: Vec<String> = headers
        .lines()
        .skip_while(|line| !line.starts_with("Idx"))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    expect![[r#"
        Idx Name Size VMA LMA File off Algn Flags
        0 .text 000002bc 0000000000001000 0000000000001000 00000400 2**4 CONTENTS, ALLOC, LOAD, READONLY, CODE
        1 .osrel 00000018 0000000000002000 0000000000002000 00000800 2**2 CONTENTS, ALLOC, LOAD, READONLY, DATA
        2 .cmdline 00000013 0000000000003000 0000000000003000 00000c00 2**2 CONTENTS, ALLOC, LOAD, READONLY, DATA
        3 .uname 0000000d 0000000000004000 0000000000004000 00001000 2**2 CONTENTS, ALLOC, LOAD, READONLY, DATA
        4 .dtb 00000017 0000000000005000 0000000000005000 00001400 2**2 CONTENTS, ALLOC, LOAD, READONLY, DATA
        5 .initrd 000186a1 0000000000006000 0000000000006000 00001800 2**2 CONTENTS, ALLOC, LOAD, READONLY, DATA
        6 .linux 00030d40 000000000001f000 000000000001f000 0001a000 2**2 CONTENTS, ALLOC, LOAD, READONLY, CODE"#]].assert_eq(&lines.join("\n"));

    for (name, bytes) in expected_sections() {
        let only = format!("--only-section={name}");
        let copy = ["objcopy", "-I", "pei-x86-64", "-O", "binary", &only, "uki.efi", "section"];
        content(directory, "binutils", &copy);
        let section = fs::read(directory.join("section")).unwrap();
        // A section's copy may go on with the padding that follows it in the file.
        let (start, padding) = section.split_at(bytes.len());
        assert!(start == bytes && padding.iter().all(|byte| *byte == 0), "{name}");
    }
}

#[test]
fn symbol_table_is_left_out() {
    let arch = Arch::X86_64;
    let mut stub = fixture::stub(arch, 1024);
    let symbols = stub.len() as u32;
    // PointerToSymbolTable and NumberOfSymbols of the COFF header at 0x44, one symbol, an empty string table.
    stub[0x4c..0x50].copy_from_slice(&symbols.to_le_bytes());
    stub[0x50..0x54].copy_from_slice(&1u32.to_le_bytes());
    stub.extend([0xee; 18]);
    stub.extend(4u32.to_le_bytes());
    let with_symbols = with_uki(arch, |uki| uki::layout(&Uki { stub: &stub, ..uki }).unwrap());
    let recording = Recording::of(&with_symbols);
    assert!(sections(recording.bytes.get_ref()) == expected_sections());
    let file = PeFile64::parse(recording.bytes.get_ref().as_slice()).unwrap();
    assert_eq!(file.nt_headers().file_header.pointer_to_symbol_table.get(LE), 0);
    assert_eq!(with_symbols.size_bytes(), layout(arch).size_bytes());
}

#[test]
fn a_kernel_without_nx_takes_it_from_the_stub() {
    let arch = Arch::Aarch64;
    let mut stub = fixture::stub(arch, 1024);
    // DllCharacteristics, 70 bytes into the optional header at 0x58.
    stub[0x9e..0xa0].copy_from_slice(&0x0140u16.to_le_bytes());
    let check = |kernel_flags: u16, expected: u16| {
        let mut kernel = fixture::kernel(arch);
        kernel[0x9e..0xa0].copy_from_slice(&kernel_flags.to_le_bytes());
        let image = with_uki(arch, |uki| uki::layout(&spoilt(uki, &stub, &kernel)).unwrap());
        let recording = Recording::of(&image);
        let file = PeFile64::parse(recording.bytes.get_ref().as_slice()).unwrap();
        let optional = &file.nt_headers().optional_header;
        assert_eq!(optional.dll_characteristics.get(LE).0, expected);
    };
    check(0x0100, 0x0140);
    check(0x0000, 0x0040);
}

#[test]
fn what_cannot_be_an_image_is_refused() {
    type Spoil = dyn Fn(&mut Uki<'_>);
    let check = |spoil: &Spoil, expected: Expect| {
        let error = with_uki(Arch::X86_64, |mut uki| {
            spoil(&mut uki);
            uki::layout(&uki).unwrap_err()
        });
        expected.assert_eq(&chain(&error));
    };
    check(
        &|uki| uki.stub = b"MZ",
        expect!["the EFI stub is no 64-bit PE image: Invalid DOS header size or alignment"],
    );
    check(&|uki| uki.stub = &uki.stub[..1024], expect!["the EFI stub's sections reach beyond its end"]);
    check(
        &|uki| uki.arch = Arch::Aarch64,
        expect!["kernel kernel is for x86_64, but the image is for aarch64"],
    );
    check(
        &|uki| uki.cmdline = "a\0b",
        expect!["the kernel command line has a NUL or another control character in it"],
    );
    check(
        &|uki| uki.cmdline = "a\n",
        expect!["the kernel command line has a NUL or another control character in it"],
    );
    check(&|uki| uki.cmdline = "", expect!["section .cmdline would be empty"]);
    check(
        &|uki| uki.uname = "7.3\n",
        expect!["the kernel release has a NUL or another control character in it"],
    );
    check(
        &|uki| uki.os_release = "\0",
        expect!["the os-release text has a NUL or another control character in it"],
    );
    check(
        &|uki| uki.device_tree = Some(b"/dts-v1/;"),
        expect!["the device tree does not start with the magic number of a DTB"],
    );
    check(
        &|uki| uki.kernel.head = b"\x7fELF",
        expect![
            "kernel kernel: it is neither an x86 bzImage nor an arm64 Image (it is an ELF file, perhaps vmlinux)"
        ],
    );
    check(&|uki| uki.kernel.part.length_bytes = 0, expect!["section .linux would be empty"]);
    check(
        &|uki| uki.kernel.part.length_bytes = 1 << 32,
        expect!["the image would be larger than 4 GiB, the limit of PE"],
    );
    check(
        &|uki| uki.initrd = Some(part("initrd", (1 << 32) - 1)),
        expect!["the image would be larger than 4 GiB, the limit of PE"],
    );
}

#[test]
fn stubs_and_kernels_of_another_kind_are_refused() {
    let arch = Arch::X86_64;
    let check = |stub: Vec<u8>, kernel: Vec<u8>, expected: Expect| {
        let error = with_uki(arch, |uki| uki::layout(&spoilt(uki, &stub, &kernel)).unwrap_err());
        expected.assert_eq(&chain(&error));
    };
    let stub = || fixture::stub(arch, 1024);
    let changed = |at: usize, bytes: &[u8]| {
        let mut stub = stub();
        stub[at..at + bytes.len()].copy_from_slice(bytes);
        stub
    };
    let kernel = || fixture::kernel(arch);
    let mut bare = kernel();
    bare[..2].fill(0);
    check(stub(), bare, expect!["kernel kernel has no EFI stub (CONFIG_EFI_STUB)"]);
    check(
        stub(),
        fixture::kernel(Arch::Aarch64),
        expect!["kernel kernel is for aarch64, but the image is for x86_64"],
    );
    check(
        fixture::stub(Arch::Aarch64, 1024),
        kernel(),
        expect!["the EFI stub has machine type 0xaa64, but x86_64 is 0x8664"],
    );
    check(
        fixture::stub(arch, 512),
        kernel(),
        expect!["the EFI stub's headers have room for 3 more sections, but 6 are needed"],
    );
    // The security directory, entry 4 of those at 0xc8; SectionAlignment; the section's name.
    check(
        changed(0xe8, &[1]),
        kernel(),
        expect!["the EFI stub is signed, which adding sections would break"],
    );
    check(changed(0x78, &[0; 4]), kernel(), expect!["the EFI stub's alignments are no powers of two"]);
    check(changed(0x148, b".linux\0\0"), kernel(), expect!["the EFI stub already has a section .linux"]);
}

/// Whatever a stub or kernel says, the answer is an image or an error.
#[test]
fn damaged_headers_do_no_harm() {
    let arch = Arch::X86_64;
    let (stub, kernel) = (fixture::stub(arch, 1024), fixture::kernel(arch));
    let mut refused = 0;
    for at in 0..0x240 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let [mut bad_stub, mut bad_kernel] = [stub.clone(), kernel.clone()];
            bad_stub[at] = value;
            bad_kernel[at] = value;
            for (stub, kernel) in [(&bad_stub, &kernel), (&stub, &bad_kernel)] {
                let result = with_uki(arch, |uki| uki::layout(&spoilt(uki, stub, kernel)));
                refused += usize::from(result.is_err());
            }
        }
    }
    for length in 0..stub.len() {
        let result = with_uki(arch, |uki| uki::layout(&spoilt(uki, &stub[..length], &kernel)));
        refused += usize::from(result.is_err());
    }
    // At least each stub that ends before its section does.
    assert!(refused >= 1724, "{refused}");
}
