use expect_test::{Expect, expect};
use image::Arch;
use image::kernel::{EfiStub, identify};

use crate::support::chain;
use crate::uki::fixture;

#[test]
fn kernels_are_identified() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let kernel = identify(&fixture::kernel(arch)).unwrap();
        assert_eq!(kernel.arch, arch);
        let nx_compatible = false;
        assert_eq!(kernel.efi_stub, Some(EfiStub { nx_compatible }));

        let mut bare = fixture::kernel(arch);
        bare[..2].fill(0);
        assert_eq!(identify(&bare).unwrap().efi_stub, None);
    }
}

#[test]
fn other_bytes_are_refused() {
    let check = |head: &[u8], expected: Expect| {
        expected.assert_eq(&chain(&identify(head).unwrap_err()));
    };
    let changed = |arch: Arch, at: usize, bytes: &[u8]| {
        let mut kernel = fixture::kernel(arch);
        kernel[at..at + bytes.len()].copy_from_slice(bytes);
        kernel
    };
    check(b"", expect!["it is neither an x86 bzImage nor an arm64 Image"]);
    check(
        b"\x1f\x8b\x08",
        expect![
            "it is neither an x86 bzImage nor an arm64 Image (it is gzip data: take Image rather than Image.gz)"
        ],
    );
    check(
        b"\x7fELF\x02",
        expect!["it is neither an x86 bzImage nor an arm64 Image (it is an ELF file, perhaps vmlinux)"],
    );
    check(
        b"MZ\0\0zimg",
        expect!["it is neither an x86 bzImage nor an arm64 Image (it is a compressed EFI image: take Image)"],
    );
    check(
        &changed(Arch::X86_64, 0x206, &[0x0b, 0x02]),
        expect!["it is a bzImage of boot protocol 2.11, older than 2.12"],
    );
    check(&changed(Arch::X86_64, 0x236, &[0]), expect!["it is a bzImage without a 64-bit entry"]);
    check(&fixture::kernel(Arch::X86_64)[..0x230], expect!["it is a bzImage without a 64-bit entry"]);
    check(
        &changed(Arch::X86_64, 0x44, &[0x64, 0xaa]),
        expect!["it is a kernel for x86_64, but its EFI header has machine type 0xaa64"],
    );
    check(&changed(Arch::Aarch64, 0x40, b"NE"), expect!["its EFI header is broken: Invalid PE magic"]);
    check(
        &changed(Arch::Aarch64, 0x3c, &[0xff; 4]),
        expect!["its EFI header is broken: Invalid PE headers offset or size"],
    );
}
