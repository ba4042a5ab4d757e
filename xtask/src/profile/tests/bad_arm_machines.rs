//! Machines of 64-bit Arm that can't be.

use expect_test::{Expect, expect};

use super::{arm, bad_machines::described};

#[track_caller]
fn bad(machine: &str, lines: &str, report: Expect) {
    described(arm(), machine, lines).bad(report);
}

#[test]
fn interrupts_outside_the_gic() {
    bad(
        "qemu-virt",
        "pmu: 16\ntimer: {virtual: 32}\nserial: {type: pl011, base: 0x9000000, interrupt: 988}",
        expect![[r#"
            profiles/para.yaml:14:8: /pmu, interrupts: PPI 16 is outside the interrupt controller: it has 0 to 15
             14 |   pmu: 16
                |        ^
              hint: numbers are counted from 0: INTID less 32 for an SPI, less 16 for a PPI
            profiles/para.yaml:15:10: /timer, interrupts: PPI 32 is outside the interrupt controller: it has 0 to 15
             15 |   timer: {virtual: 32}
                |          ^
              hint: numbers are counted from 0: INTID less 32 for an SPI, less 16 for a PPI
            profiles/para.yaml:16:11: /serial@9000000, interrupts: SPI 988 is outside the interrupt controller: it has 0 to 987
             16 |   serial: {type: pl011, base: 0x9000000, interrupt: 988}
                |           ^
              hint: numbers are counted from 0: INTID less 32 for an SPI, less 16 for a PPI
            3 problems"#]],
    );
}

#[test]
fn too_few_redistributors() {
    bad(
        "hyperv-vtl2",
        "cpus: 4\ngic: {redistributors: [{base: 0xeffee000, size: 128KiB}]}",
        expect![[r#"
        profiles/para.yaml:15:8: /interrupt-controller@ffff0000: redistributor regions have room for 1 CPUs, but there are 4
         15 |   gic: {redistributors: [{base: 0xeffee000, size: 128KiB}]}
            |        ^
          hint: describe fewer processors, or add a region to `gic.redistributors`
        1 problem"#]],
    );
}

#[test]
fn stride() {
    bad(
        "hyperv-vtl2",
        "gic: {stride: 0x8000}",
        expect![[r#"
        profiles/para.yaml:14:8: /interrupt-controller@ffff0000, redistributor-stride: stride: 0x8000 is no multiple of 0x10000
         14 |   gic: {stride: 0x8000}
            |        ^
          hint: use whole frames of 64 KiB
        1 problem"#]],
    );
}

#[test]
fn devices_over_each_other() {
    bad(
        "qemu-virt",
        "serial: {type: sbsa-uart, base: 0x8000000}\ngic: {its: [{base: 0x80a0000, size: 128KiB}]}",
        expect![[r#"
            profiles/para.yaml:15:8: /interrupt-controller@8000000: MMIO 0x8000000..0x8010000 overlaps MMIO 0x8000000..0x8001000 of /serial@8000000
             15 |   gic: {its: [{base: 0x80a0000, size: 128KiB}]}
                |        ^
              profiles/para.yaml:14:11: the other one
              hint: move one of them, or make it smaller; `cargo xtask fdt show --map` draws where everything is
            profiles/para.yaml:15:8: /interrupt-controller@8000000: MMIO 0x80a0000..0x9000000 overlaps MMIO 0x80a0000..0x80c0000 of /interrupt-controller@8000000/msi-controller@80a0000
             15 |   gic: {its: [{base: 0x80a0000, size: 128KiB}]}
                |        ^
              hint: move one of them, or make it smaller; `cargo xtask fdt show --map` draws where everything is
            2 problems"#]],
    );
}

#[test]
fn mpidr() {
    bad(
        "qemu-virt",
        "cpu-list: [{id: 0}, {id: 0x80000001}]",
        expect![[r#"
        profiles/para.yaml:14:23: /cpus/cpu@80000001, reg: CPU id 0x80000001 has bits outside the affinity fields of MPIDR_EL1 (39:32 and 23:0)
         14 |   cpu-list: [{id: 0}, {id: 0x80000001}]
            |                       ^
          hint: use Aff3 in bits 39:32 and Aff2, Aff1, Aff0 in bits 23:0
        1 problem"#]],
    );
}

#[test]
fn spinning_nowhere() {
    bad(
        "qemu-virt",
        "enable-method: spin-table",
        expect![[r#"
        profiles/para.yaml:14:18: processors that spin wait for an address, and nothing says where
         14 |   enable-method: spin-table
            |                  ^
          hint: add `release-address`
        1 problem"#]],
    );
}

#[test]
fn waiting_in_vain() {
    bad(
        "qemu-virt",
        "release-address: 0x40000000",
        expect![[r#"
        profiles/para.yaml:14:20: PSCI starts processors without an address to wait at
         14 |   release-address: 0x40000000
            |                    ^
          hint: remove it, or set `enable-method: spin-table`
        1 problem"#]],
    );
}

#[test]
fn initrd_outside_ram() {
    bad(
        "qemu-virt",
        "initrd: {base: 0x5f000000, size: 32MiB}",
        expect![[r#"
        profiles/para.yaml:14:11: /chosen, linux,initrd-start: 0x5f000000..0x61000000 is not in RAM
         14 |   initrd: {base: 0x5f000000, size: 32MiB}
            |           ^
          hint: put it into one of the memory ranges
        1 problem"#]],
    );
}

#[test]
fn with_keys_of_x86() {
    bad(
        "qemu-virt",
        "local-apic: 0xfee00000\nwakeup-mailbox: 0x1000",
        expect![[r#"
        profiles/para.yaml:14:15: no aarch64 machine has this
         14 |   local-apic: 0xfee00000
            |               ^
          hint: remove it
        profiles/para.yaml:15:19: no aarch64 machine has this
         15 |   wakeup-mailbox: 0x1000
            |                   ^
          hint: remove it
        2 problems"#]],
    );
}

#[test]
fn microvm_on_arm() {
    bad(
        "qemu-microvm",
        "",
        expect![[r#"
        profiles/para.yaml:13:12: QEMU's `microvm` machine is x86_64
         13 |   machine: qemu-microvm
            |            ^
          profiles/para.yaml:4:7: `arch` is set here
          hint: use `qemu-virt`
        1 problem"#]],
    );
}

#[test]
fn port() {
    bad(
        "qemu-virt",
        "serial: {type: ns16550-port, base: 0x3f8}",
        expect![[r#"
        profiles/para.yaml:14:18: no aarch64 machine has such a serial port
         14 |   serial: {type: ns16550-port, base: 0x3f8}
            |                  ^
          hint: x86_64 has `ns16550-port`; aarch64 has `pl011`, `sbsa-uart` and `ns16550`
        1 problem"#]],
    );
}
