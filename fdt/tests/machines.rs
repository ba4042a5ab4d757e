//! The ready machines as text, and machines that can't be.

use expect_test::{Expect, expect, expect_file};
use fdt::machine::{
    Chosen, MAINLINE, Machine, Platform, PsciConduit, hyperv_vtl2_aarch64, hyperv_vtl2_x86_64,
    qemu_virt_aarch64,
};
use fdt::{Range, check, to_dtb, to_dts};

const GIB: u64 = 1 << 30;

fn hyperv_x86_64() -> Machine {
    hyperv_vtl2_x86_64(2, vec![Range::new(0, GIB)])
}

fn hyperv_aarch64() -> Machine {
    hyperv_vtl2_aarch64(2, vec![Range::new(0, GIB)], Chosen::default())
}

fn qemu_virt() -> Machine {
    let bootargs = Some("console=ttyAMA0".to_owned());
    let initrd = Some(Range::new(0x4800_0000, 0x10_0000));
    qemu_virt_aarch64(2, vec![Range::new(GIB, GIB)], PsciConduit::Hvc, Chosen { bootargs, initrd })
}

#[test]
fn ready_machines_as_text() {
    expect_file!["golden/hyperv-vtl2-x86_64.dts"].assert_eq(&to_dts(&hyperv_x86_64().tree(&MAINLINE)));
    expect_file!["golden/hyperv-vtl2-aarch64.dts"].assert_eq(&to_dts(&hyperv_aarch64().tree(&MAINLINE)));
    expect_file!["golden/qemu-virt-aarch64.dts"].assert_eq(&to_dts(&qemu_virt().tree(&MAINLINE)));
}

#[track_caller]
fn problems(machine: &Machine, expected: Expect) {
    let tree = machine.tree(&MAINLINE);
    let lines: String = check(&tree).iter().map(|problem| format!("{problem}\n")).collect();
    expected.assert_eq(&lines);
    assert_eq!(to_dtb(&tree).is_err(), !lines.is_empty());
}

#[test]
fn no_cpus() {
    problems(
        &hyperv_vtl2_x86_64(0, vec![Range::new(0, GIB)]),
        expect![[r#"
        /cpus: required node cpu@… is missing
    "#]],
    );
}

#[test]
fn no_memory() {
    problems(
        &hyperv_vtl2_aarch64(1, Vec::new(), Chosen::default()),
        expect![[r#"
        /: required node memory@… is missing
    "#]],
    );
}

#[test]
fn ram_where_devices_are() {
    problems(
        &hyperv_vtl2_x86_64(1, vec![Range::new(0, 4 * GIB)]),
        expect![[r#"
        /interrupt-controller@fee00000: MMIO 0xfee00000..0xfee01000 overlaps RAM 0x0..0x100000000 of /memory@0
    "#]],
    );
    problems(
        &hyperv_vtl2_aarch64(1, vec![Range::new(0, 4 * GIB)], Chosen::default()),
        expect![[r#"
        /serial@effec000: MMIO 0xeffec000..0xeffed000 overlaps RAM 0x0..0x100000000 of /memory@0
        /interrupt-controller@ffff0000: MMIO 0xeffee000..0xf000e000 overlaps RAM 0x0..0x100000000 of /memory@0
        /interrupt-controller@ffff0000: MMIO 0xffff0000..0x100000000 overlaps RAM 0x0..0x100000000 of /memory@0
    "#]],
    );
    problems(
        &qemu_virt_aarch64(1, vec![Range::new(0, GIB)], PsciConduit::Smc, Chosen::default()),
        expect![[r#"
        /interrupt-controller@8000000: MMIO 0x8000000..0x8010000 overlaps RAM 0x0..0x40000000 of /memory@0
        /interrupt-controller@8000000: MMIO 0x80a0000..0x9000000 overlaps RAM 0x0..0x40000000 of /memory@0
        /serial@9000000: MMIO 0x9000000..0x9001000 overlaps RAM 0x0..0x40000000 of /memory@0
    "#]],
    );
}

#[test]
fn more_cpus_than_redistributors() {
    let machine =
        |cpus| qemu_virt_aarch64(cpus, vec![Range::new(GIB, GIB)], PsciConduit::Smc, Chosen::default());
    problems(&machine(123), expect![]);
    problems(
        &machine(124),
        expect![[r#"
        /interrupt-controller@8000000: redistributor regions have room for 123 CPUs, but there are 124
    "#]],
    );
    // Another region, as with more than 123 CPUs under QEMU.
    let Platform::Aarch64(mut platform) = machine(124).platform else { unreachable!() };
    platform.gic.redistributors.push(Range::new(0x40_0000_0000, 0x400_0000));
    problems(&Machine { platform: Platform::Aarch64(platform), ..machine(1) }, expect![]);
}

#[test]
fn ids_twice() {
    let mut machine = hyperv_x86_64();
    let Platform::X86_64(platform) = &mut machine.platform else { unreachable!() };
    platform.apic_ids = vec![0, 1, 1];
    problems(
        &machine,
        expect![[r#"
        /cpus/cpu@1: two nodes of this name in the same parent
    "#]],
    );
}

#[test]
fn vmbus_windows() {
    let mut machine = hyperv_x86_64();
    machine.vmbus.as_mut().unwrap().mmio = vec![Range::new(0x10_0000_0000, 4 * GIB)];
    problems(
        &machine,
        expect![[r#"
        /bus/vmbus@1000000000: ranges: 0x100000000 does not fit into 1 cell(s)
    "#]],
    );
    machine.vmbus.as_mut().unwrap().mmio = Vec::new();
    problems(
        &machine,
        expect![[r#"
        /bus/vmbus: ranges: empty, but the cell counts of this node and its parent differ, so the addresses can't be the same
    "#]],
    );
}

#[test]
fn command_line_with_a_nul() {
    let chosen = Chosen { bootargs: Some("a\0b".to_owned()), initrd: None };
    problems(
        &hyperv_vtl2_aarch64(1, vec![Range::new(0, GIB)], chosen),
        expect![[r#"
        /chosen: bootargs: string has a NUL inside
    "#]],
    );
}
