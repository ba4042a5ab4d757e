//! The ready machines as text, and machines that can't be.

use expect_test::{Expect, expect, expect_file};
use fdt::machine::{
    Chosen, Dialect, EnableMethod, Isolation, MAINLINE, Machine, Memory, MemoryAllocation, OPENHCL,
    OPENHCL_HOST, OpenHcl, Platform, PsciConduit, Reservation, Reserved, Serial, VmBus, dialect,
    hyperv_vtl2_aarch64, hyperv_vtl2_x86_64, qemu_microvm_x86_64, qemu_virt_aarch64, qemu_virt_el2_aarch64,
};
use fdt::map::MemoryMap;
use fdt::vtl::{self, Arch, Target};
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
    let mut el2 = qemu_virt_el2_aarch64(2, vec![Range::new(GIB, GIB)], Chosen::default());
    el2.serial = Some(Serial::Ns16550 { base: 0x900_0000, spi: 1, clock_hz: 1_843_200, register_shift: 2 });
    let microvm = qemu_microvm_x86_64(2, vec![Range::new(0, GIB)]);
    expect_file!["golden/hyperv-vtl2-x86_64.dts"].assert_eq(&to_dts(&hyperv_x86_64().tree(&MAINLINE)));
    expect_file!["golden/hyperv-vtl2-aarch64.dts"].assert_eq(&to_dts(&hyperv_aarch64().tree(&MAINLINE)));
    expect_file!["golden/qemu-virt-aarch64.dts"].assert_eq(&to_dts(&qemu_virt().tree(&MAINLINE)));
    expect_file!["golden/qemu-virt-el2-ns16550.dts"].assert_eq(&to_dts(&el2.tree(&MAINLINE)));
    expect_file!["golden/qemu-microvm-x86_64.dts"].assert_eq(&to_dts(&microvm.tree(&MAINLINE)));
}

/// Everything that a description can say beside what the ready machines do, at VTL2 of a host with VTL0 below.
fn all_of_it(mut machine: Machine) -> Machine {
    let comment = |text: &str| Some(text.to_owned());
    for (index, cpu) in machine.cpus.iter_mut().enumerate() {
        cpu.numa_node = Some(index as u32 % 2);
    }
    machine.cpus[0].comment = comment("boots");
    machine.memory = vec![
        Memory { numa_node: Some(0), comment: comment("node 0"), ..Memory::new(Range::new(0, GIB)) },
        Memory { numa_node: Some(1), ..Memory::new(Range::new(GIB, GIB)) },
        Memory { numa_node: Some(0), below: true, ..Memory::new(Range::new(4 * GIB, 4 * GIB)) },
    ];
    machine.memory_reservations = vec![Reservation {
        range: Range::new(0x10_0000, 0x1000),
        comment: comment("kept /* by */ the loader"),
    }];
    machine.reserved = vec![Reserved {
        name: "log".to_owned(),
        range: Range::new(0x20_0000, 0x1000),
        compatible: None,
        no_map: true,
        comment: comment("crash log"),
    }];
    let interrupt = machine.vmbus[0].interrupt;
    machine.vmbus.push(VmBus {
        vtl: 0,
        mmio: vec![Range::new(0xe_0000_0000, 2 * GIB)],
        interrupt,
        connection_id: 1,
        comment: comment("of VTL0"),
    });
    machine.openhcl = Some(OpenHcl {
        isolation: Isolation::Vbs,
        allocation: MemoryAllocation::Vtl2 { memory_size: Some(GIB), mmio_size: None },
    });
    match &mut machine.platform {
        Platform::X86_64(platform) => {
            platform.wakeup_mailbox = Some(0xf_f000);
            machine.serial = Some(Serial::Ns16550Port { port: 0x3e8, baud: 115_200 });
        }
        Platform::Aarch64(platform) => {
            platform.enable_method = EnableMethod::SpinTable { release_address: 0x8000 }
        }
    }
    machine
}

#[test]
fn everything_in_every_dialect_as_text() {
    for dialect in dialect::ALL {
        for (arch, machine) in [("x86_64", hyperv_x86_64()), ("aarch64", hyperv_aarch64())] {
            let tree = all_of_it(machine).tree(dialect);
            assert_eq!(check(&tree), [], "{arch} {}", dialect.name);
            expect_file![format!("golden/all-{arch}-{}.dts", dialect.name)].assert_eq(&to_dts(&tree));
        }
    }
}

/// Each dialect's tree is what its own readers take, and none is another's.
#[test]
fn dialects_against_the_rules_of_trust_levels() {
    let of = |dialect: &Dialect, under: &'static Dialect| {
        let target = Target { arch: Arch::Aarch64, vtl: 2, dialect: under };
        vtl::check(&all_of_it(hyperv_aarch64()).tree(dialect), &target).len()
    };
    for dialect in dialect::ALL {
        assert_eq!(of(dialect, dialect), 0, "{}", dialect.name);
    }
    assert!(of(&MAINLINE, &OPENHCL) > 0);
    assert!(of(&OPENHCL, &MAINLINE) > 0);
    assert!(of(&OPENHCL_HOST, &MAINLINE) > 0);
}

#[test]
fn memory_map_as_text() {
    let map = MemoryMap::of(&all_of_it(hyperv_aarch64()).tree(&MAINLINE)).to_string();
    expect_file!["golden/memory-map.txt"].assert_eq(&map);
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
            /interrupt-controller@8000000/msi-controller@8080000: MMIO 0x8080000..0x80a0000 overlaps RAM 0x0..0x40000000 of /memory@0
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
    machine.cpus.push(machine.cpus[1].clone());
    problems(
        &machine,
        expect![[r#"
            /cpus/cpu@1: reg: CPU id 0x1 is already that of /cpus/cpu@1
        "#]],
    );
}

#[test]
fn vmbus_windows() {
    let mut machine = hyperv_x86_64();
    machine.vmbus[0].mmio = vec![Range::new(0x10_0000_0000, 4 * GIB)];
    problems(
        &machine,
        expect![[r#"
        /bus/vmbus@1000000000: ranges: 0x100000000 does not fit into 1 cell(s)
    "#]],
    );
    machine.vmbus[0].mmio = Vec::new();
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
