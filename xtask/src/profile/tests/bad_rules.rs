//! Values that are fine alone and can't work together.

use expect_test::expect;

use super::{BASE, DEMO, PARA, PINS, arm, good};

#[test]
fn arm_console_on_x86() {
    good().edit(BASE, "ttyS0", "ttyAMA0").bad(expect![[r#"
        profiles/layers/base.yaml:2:10: ttyAMA0 is a PL011, an Arm serial port: no x86_64 machine has one
         2 | console: ttyAMA0
           |          ^
          profiles/layers/base.yaml:1:7: `arch` is set here
          profiles/demo.yaml: in this profile
          profiles/para.yaml: in this profile
          hint: use `ttyS0`, or at VTL2 `ttyS2`
        1 problem"#]]);
}

#[test]
fn pc_console_on_arm() {
    good().edit(DEMO, "vtl: 0", "vtl: 0\narch: aarch64").bad(expect![[r#"
        profiles/layers/base.yaml:2:10: ttyS0 and ttyS2 are 16550s at PC addresses: Hyper-V and QEMU give aarch64 machines a PL011
         2 | console: ttyS0
           |          ^
          profiles/demo.yaml:4:7: `arch` is set here
          profiles/demo.yaml: in this profile
          hint: use `ttyAMA0`
        profiles/layers/base.yaml:8:13: the pin `stub` gives usr/lib/linuxx64.efi.stub, and the EFI stub for aarch64 is linuxaa64.efi.stub
         8 |   efi-stub: stub
           |             ^
          profiles/demo.yaml: in this profile
          hint: name a pin for aarch64
        2 problems"#]]);
}

#[test]
fn third_serial_port_at_vtl0() {
    good().edit(DEMO, "vtl: 0", "vtl: 0\nconsole: ttyS2").bad(expect![[r#"
        profiles/demo.yaml:4:10: ttyS2 is the third serial port, and Hyper-V gives a VTL0 guest two
         4 | console: ttyS2
           |          ^
          profiles/demo.yaml:3:6: `vtl` is set here
          hint: use `ttyS0`
        1 problem"#]]);
}

#[test]
fn paravisor_from_uefi() {
    good().edit(PARA, "igvm", "uefi").bad(expect![[r#"
        profiles/para.yaml:4:11: VTL2 is started by the host from an IGVM file, before any UEFI runs
         4 | firmware: uefi
           |           ^
          profiles/para.yaml:3:6: `vtl` is set here
          hint: use `igvm`
        1 problem"#]]);
}

#[test]
fn options_without_the_boot_shim() {
    let igvm = "firmware: igvm\nigvm: {host-options: [quiet]}";
    good().edit(PARA, "firmware: igvm", igvm).bad(expect![[r#"
        profiles/para.yaml:5:22: a kernel that the host starts takes no options from it
         5 | igvm: {host-options: [quiet]}
           |                      ^
          hint: remove it, or start the boot shim with `entry: shim`
        1 problem"#]]);
}

#[test]
fn boot_shim_for_other_platforms_and_with_values() {
    let igvm =
        "firmware: igvm\nigvm: {entry: shim, platforms: [vsm-isolation, native], host-options: [quiet, a=b]}";
    good()
        .edit(PARA, "firmware: igvm", igvm)
        .edit(PARA, "hyperv-vtl2", "hyperv-vtl2\n  dialect: openhcl")
        .bad(expect![[r#"
            profiles/para.yaml:5:15: the boot shim is for Hyper-V's own isolation alone
             5 | igvm: {entry: shim, platforms: [vsm-isolation, native], host-options: [quiet, a=b]}
               |               ^
              hint: use `direct`, or leave `vsm-isolation` as the only platform
            profiles/para.yaml:5:79: the host may add an option or not, whatever its value; what stands here is the option's name
             5 | igvm: {entry: shim, platforms: [vsm-isolation, native], host-options: [quiet, a=b]}
               |                                                                               ^
              hint: write the name alone
            profiles/para.yaml:11:12: the boot shim writes device trees of dialect `mainline`
             11 |   dialect: openhcl
                |            ^
              hint: use `mainline`, or `igvm.entry: direct`
            3 problems"#]]);
}

#[test]
fn guest_from_igvm() {
    good().edit(DEMO, "uefi", "igvm").bad(expect![[r#"
        profiles/demo.yaml:4:11: a VTL0 guest of generation 2 boots by UEFI only; an IGVM file would be started at VTL2
         4 | firmware: igvm
           |           ^
          profiles/demo.yaml:3:6: `vtl` is set here
          hint: use `uefi`
        1 problem"#]]);
}

#[test]
fn qemu_virt_on_x86() {
    good().edit(PARA, "hyperv-vtl2", "qemu-virt").bad(expect![[r#"
        profiles/para.yaml:9:12: QEMU's `virt` machine is aarch64
         9 |   machine: qemu-virt
           |            ^
          profiles/layers/base.yaml:1:7: `arch` is set here
          hint: at VTL2 use `hyperv-vtl2`; at VTL0 remove `device-tree`: x86_64 machines bring ACPI tables
        1 problem"#]]);
}

#[test]
fn paravisor_machine_for_a_guest() {
    good().edit(DEMO, "disk:", "device-tree:\n  machine: hyperv-vtl2\ndisk:").bad(expect![[r#"
        profiles/demo.yaml:10:12: hyperv-vtl2 describes what VTL2 sees; a VTL0 guest would be told of devices it doesn't have
         10 |   machine: hyperv-vtl2
            |            ^
          profiles/demo.yaml:3:6: `vtl` is set here
          hint: use `qemu-virt`, or remove `device-tree`: Hyper-V describes VTL0 by ACPI tables
        1 problem"#]]);
}

#[test]
fn xsave() {
    good().edit(PARA, "  command-line: [noxsave]\n", "").bad(expect![[r#"
        profiles/para.yaml:1:1: `noxsave` is not on the kernel's command line
         1 | description: A paravisor.
           | ^
          configs/rules.yaml:12:5: XSAVE and a missing APIC are the end of VTL2
          hint: add `noxsave` to the command line
        1 problem"#]]);
}

#[test]
fn acpi_off_at_vtl2() {
    good().edit(PARA, "[noxsave]", "[noxsave, acpi=off]").bad(expect![[r#"
        profiles/para.yaml:7:27: `acpi=off` is on the kernel's command line
         7 |   command-line: [noxsave, acpi=off]
           |                           ^
          configs/rules.yaml:12:5: XSAVE and a missing APIC are the end of VTL2
          hint: remove it from the command line
        1 problem"#]]);
}

#[test]
fn second_console() {
    good().edit(DEMO, "[panic=-1]", "['console=ttyS0,9600', console=ttyS1, console=tty0]").bad(expect![[
        r#"
        profiles/demo.yaml:8:18: `console=ttyS0` is there already: it follows from the key `console`
         8 |   command-line: ['console=ttyS0,9600', console=ttyS1, console=tty0]
           |                  ^
          hint: remove this option
        profiles/demo.yaml:8:40: `console=ttyS1` contradicts the key `console`, which is `ttyS0`
         8 |   command-line: ['console=ttyS0,9600', console=ttyS1, console=tty0]
           |                                        ^
          hint: change the key `console`, and remove this option
        2 problems"#
    ]]);
}

#[test]
fn screen_at_vtl2() {
    good().edit(PARA, "[noxsave]", "[noxsave, console=tty0]").bad(expect![[r#"
        profiles/para.yaml:7:27: `tty0` is a screen, and VTL2 has none
         7 |   command-line: [noxsave, console=tty0]
           |                           ^
          hint: remove it
        1 problem"#]]);
}

#[test]
fn payload_shut_out() {
    good().edit(DEMO, "[panic=-1]", "[initrd=x, noinitrd, printk.devkmsg=off]").bad(expect![[r#"
        profiles/demo.yaml:8:18: `initrd=` names a file on the EFI system partition; the payload is inside the kernel's image
         8 |   command-line: [initrd=x, noinitrd, printk.devkmsg=off]
           |                  ^
          hint: remove it
        profiles/demo.yaml:8:28: the payload is an initramfs: with `noinitrd` nothing would be process 1
         8 |   command-line: [initrd=x, noinitrd, printk.devkmsg=off]
           |                            ^
          hint: remove it
        profiles/demo.yaml:8:38: with `printk.devkmsg=off` the payload can't write to the kernel log, where it says that it is ready
         8 |   command-line: [initrd=x, noinitrd, printk.devkmsg=off]
           |                                      ^
          hint: use `printk.devkmsg=on`
        3 problems"#]]);
}

#[test]
fn command_line_too_long() {
    good()
        .edit(
            DEMO,
            "[panic=-1]",
            &format!("[{}]", (0..300).map(|n| format!("a.b={n}")).collect::<Vec<_>>().join(",")),
        )
        .bad(expect![[r#"
            profiles/demo.yaml:8:17: the command line takes 2313 bytes with its final NUL; kernels cut it at 2048
             8 |   command-line: [a.b=0,a.b=1,a.b=2,a.b=3,a.b=4,a.b=5,a.b=6,a.b=7,a.b=8,a.b=9,a.b=10,a.b=11,a.b=12,a.
               |                 ^
              hint: remove some options
            1 problem"#]]);
}

#[test]
fn disk_too_small() {
    good().edit(DEMO, "300MiB", "32MiB").bad(expect![[r#"
        profiles/demo.yaml:10:9: a disk of 33554432 bytes can't hold a FAT32 file system, as an EFI system partition is: 36 MiB
         10 |   size: 32MiB
            |         ^
          hint: the nearest size that works is `36MiB`
        1 problem"#]]);
}

#[test]
fn disk_with_half_a_mebibyte() {
    good().edit(DEMO, "300MiB", "262656KiB").bad(expect![[r#"
        profiles/demo.yaml:10:9: Azure takes disks of whole MiB only, and 268959744 bytes are 524288 too many
         10 |   size: 262656KiB
            |         ^
          hint: the nearest size that works is `257MiB`
        1 problem"#]]);
}

#[test]
fn disk_too_large() {
    good().edit(DEMO, "300MiB", "4096GiB").bad(expect![[r#"
        profiles/demo.yaml:10:9: the VHD format ends at 2040 GiB, and 4398046511104 bytes are more
         10 |   size: 4096GiB
            |         ^
          hint: the nearest size that works is `2088960MiB`
        1 problem"#]]);
}

#[test]
fn memory_too_small() {
    good().edit(PARA, "1GiB", "16MiB").bad(expect![[r#"
        profiles/para.yaml:11:11: 16777216 bytes of memory can't hold a kernel with its initramfs
         11 |   memory: 16MiB
            |           ^
          hint: 64MiB is the least, 512MiB leaves room for a payload
        1 problem"#]]);
}

#[test]
fn memory_of_odd_size() {
    good().edit(PARA, "1GiB", "100000000").bad(expect![[r#"
        profiles/para.yaml:11:11: memory comes in whole MiB, and 100000000 bytes are 385280 too many
         11 |   memory: 100000000
            |           ^
          hint: 64MiB is the least, 512MiB leaves room for a payload
        1 problem"#]]);
}

#[test]
fn too_many_processors_for_qemu() {
    arm().edit(PARA, "hyperv-vtl2", "qemu-virt").edit(PARA, "cpus: 4", "cpus: 200").bad(expect![[r#"
        profiles/para.yaml:14:9: QEMU's `virt` machine has interrupt redistributors for 123 processors at their usual place; those of more lie where a device tree made in advance can't know
         14 |   cpus: 200
            |         ^
          hint: at most 123
        1 problem"#]]);
}

#[test]
fn unknown_pin() {
    good().edit(DEMO, "{pin: linux}", "{pin: linus}").bad(expect![[r#"
        profiles/demo.yaml:6:17: there is no pin `linus` in profiles/pins.yaml
         6 |   source: {pin: linus}
           |                 ^
          hint: did you mean `linux`?
        1 problem"#]]);
}

#[test]
fn stub_as_kernel() {
    good().edit(DEMO, "{pin: linux}", "{pin: stub}").bad(expect![[r#"
        profiles/demo.yaml:6:17: the pin `stub` is no kernel source: it has no key `linux`
         6 |   source: {pin: stub}
           |                 ^
          hint: name a pin of a Linux source package
        1 problem"#]]);
}

#[test]
fn kernel_as_stub() {
    good().edit(BASE, "efi-stub: stub", "efi-stub: linux").bad(expect![[r#"
        profiles/layers/base.yaml:8:13: the pin `linux` gives usr/src/linux.tar.xz, and the EFI stub for x86_64 is linuxx64.efi.stub
         8 |   efi-stub: linux
           |             ^
          profiles/demo.yaml: in this profile
          profiles/para.yaml: in this profile
          hint: name a pin for x86_64
        1 problem"#]]);
}

#[test]
fn stub_of_the_other_architecture() {
    arm().edit(PARA, "efi-stub: arm-stub", "efi-stub: stub").bad(expect![[r#"
        profiles/para.yaml:7:13: the pin `stub` gives usr/lib/linuxx64.efi.stub, and the EFI stub for aarch64 is linuxaa64.efi.stub
         7 |   efi-stub: stub
           |             ^
          hint: name a pin for aarch64
        1 problem"#]]);
}

#[test]
fn stub_from_the_wrong_package() {
    arm()
        .edit(PINS, "architecture: arm64", "architecture: amd64")
        .edit(PINS, "stubs_252-1_arm64", "stubs_252-1_amd64")
        .bad(expect![[r#"
            profiles/para.yaml:7:13: the pin `arm-stub` is for amd64, and firmware of aarch64 runs no such program
             7 |   efi-stub: arm-stub
               |             ^
              hint: name a pin for aarch64
            1 problem"#]]);
}

#[test]
fn old_kernel_for_arm_paravisor() {
    arm().edit(PINS, "linux: 7.3.4", "linux: 6.12.117").bad(expect![[r#"
        profiles/para.yaml:10:17: the kernel is Linux 6.12, wanted Linux 6.16 or later
         10 |   source: {pin: linux}
            |                 ^
          configs/rules.yaml:8:5: earlier versions have it on x86_64 alone
          hint: take Linux 6.16 or later
        1 problem"#]]);
}

#[test]
fn archive_of_unknown_format() {
    good().edit(DEMO, "{pin: linux}", "{archive: {url: https://example.org/linux.zip, sha256: aa11111111111111111111111111111111111111111111111111111111111111}}").bad(expect![[r#"
        profiles/demo.yaml:6:27: can't tell the archive's format: it ends in none of `.tar.xz`, `.tar.gz`, `.tgz` or `.tar.zst`
         6 |   source: {archive: {url: https://example.org/linux.zip, sha256: aa111111111111111111111111111111111
           |                           ^
          hint: give the address of a source tarball
        1 problem"#]]);
}

#[test]
fn patches_on_a_local_tree() {
    good()
        .write("linux/Makefile", "")
        .edit(DEMO, "{pin: linux}", "{path: linux}")
        .edit(DEMO, "[guest]", "[guest]\n  patches: [patches/one.patch]")
        .bad(expect![[r#"
            profiles/demo.yaml:8:12: a local tree is built as it is: patches would change your files
             8 |   patches: [patches/one.patch]
               |            ^
              hint: apply them there, or use a `git` source
            1 problem"#]]);
}

#[test]
fn missing_files() {
    good()
        .edit(DEMO, "{pin: linux}", "{path: /src/linux}")
        .edit(DEMO, "[guest]", "[gest]\n  patches: [patches/two.patch]")
        .bad(expect![[r#"
            profiles/demo.yaml:6:18: there is no file /src/linux/Makefile (a kernel tree has one)
             6 |   source: {path: /src/linux}
               |                  ^
              hint: a path is absolute or starts at the project's folder
            profiles/demo.yaml:7:15: there is no fragment `gest` (no file configs/gest.config)
             7 |   fragments: [gest]
               |               ^
              hint: did you mean `guest`?
            profiles/demo.yaml:8:12: a local tree is built as it is: patches would change your files
             8 |   patches: [patches/two.patch]
               |            ^
              hint: apply them there, or use a `git` source
            profiles/demo.yaml:8:13: there is no file patches/two.patch (a patch of the profile)
             8 |   patches: [patches/two.patch]
               |             ^
              hint: patches are files, with their path from the project's folder
            4 problems"#]]);
}

#[test]
fn arm_is_fine_by_itself() {
    arm().specs();
}
