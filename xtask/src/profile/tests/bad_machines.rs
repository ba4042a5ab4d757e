//! Machines that can't be, each told at the line that says so.

use expect_test::{Expect, expect};

use super::{PARA, Tree, good};

/// The paravisor with these lines under `device-tree`.
pub(super) fn described(tree: Tree, machine: &str, lines: &str) -> Tree {
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    let written = "  machine: hyperv-vtl2\n  cpus: 4\n  memory: 1GiB\n";
    tree.edit(PARA, written, &format!("  machine: {machine}\n{lines}"))
}

#[track_caller]
fn bad(lines: &str, report: Expect) {
    described(good(), "hyperv-vtl2", lines).bad(report);
}

#[test]
fn ram_over_ram() {
    bad(
        "memory-ranges:\n  - {base: 0x0, size: 1GiB}\n  - {base: 0x20000000, size: 1GiB}",
        expect![[r#"
        profiles/para.yaml:12:7: /memory@20000000: RAM 0x20000000..0x60000000 overlaps RAM 0x0..0x40000000 of /memory@0
         12 |     - {base: 0x20000000, size: 1GiB}
            |       ^
          profiles/para.yaml:11:7: the other one
          hint: move one of them, or make it smaller; `cargo xtask fdt show --map` draws where everything is
        1 problem"#]],
    );
}

#[test]
fn ram_over_the_local_apic() {
    bad(
        "memory-ranges:\n  - {base: 0x0, size: 4GiB}",
        expect![[r#"
        profiles/para.yaml:9:12: /interrupt-controller@fee00000: MMIO 0xfee00000..0xfee01000 overlaps RAM 0x0..0x100000000 of /memory@0
         9 |   machine: hyperv-vtl2
           |            ^
          profiles/para.yaml:11:7: the other one
          hint: move one of them, or make it smaller; `cargo xtask fdt show --map` draws where everything is
        1 problem"#]],
    );
}

#[test]
fn vmbus_window_over_ram() {
    bad(
        "memory-ranges: [{base: 0xff0000000, size: 1GiB}]",
        expect![[r#"
        profiles/para.yaml:10:19: /memory@ff0000000: RAM 0xff0000000..0x1030000000 overlaps MMIO 0xff0000000..0x1000000000 of /bus/vmbus@ff0000000
         10 |   memory-ranges: [{base: 0xff0000000, size: 1GiB}]
            |                   ^
          profiles/para.yaml:9:12: the other one
          hint: move one of them, or make it smaller; `cargo xtask fdt show --map` draws where everything is
        1 problem"#]],
    );
}

#[test]
fn reserved_ranges_over_each_other() {
    bad(
        "reserved:\n  - {name: one, base: 0x100000, size: 64KiB}\n  - {name: two, base: 0x108000, size: 64KiB}",
        expect![[r#"
            profiles/para.yaml:12:7: /reserved-memory/two@108000: reserved range 0x108000..0x118000 overlaps reserved range 0x100000..0x110000 of /reserved-memory/one@100000
             12 |     - {name: two, base: 0x108000, size: 64KiB}
                |       ^
              profiles/para.yaml:11:7: the other one
              hint: move one of them, or make it smaller; `cargo xtask fdt show --map` draws where everything is
            1 problem"#]],
    );
}

#[test]
fn memreserve_over_reserved() {
    bad(
        "memreserve: [{base: 0x100000, size: 64KiB}]\nreserved: [{name: log, base: 0x100000, size: 4KiB}]",
        expect![[r#"
            profiles/para.yaml:10:16: /memreserve/: reserved range 0x100000..0x110000 overlaps reserved range 0x100000..0x101000 of /reserved-memory/log@100000
             10 |   memreserve: [{base: 0x100000, size: 64KiB}]
                |                ^
              profiles/para.yaml:11:14: the other one
              hint: move one of them, or make it smaller; `cargo xtask fdt show --map` draws where everything is
            1 problem"#]],
    );
}

#[test]
fn reserved_over_a_device() {
    bad(
        "reserved: [{name: log, base: 0xfee00000, size: 4KiB}]",
        expect![[r#"
        profiles/para.yaml:9:12: /interrupt-controller@fee00000: MMIO 0xfee00000..0xfee01000 overlaps reserved range 0xfee00000..0xfee01000 of /reserved-memory/log@fee00000
         9 |   machine: hyperv-vtl2
           |            ^
          profiles/para.yaml:10:14: the other one
          hint: move one of them, or make it smaller; `cargo xtask fdt show --map` draws where everything is
        1 problem"#]],
    );
}

#[test]
fn unaligned_ram() {
    bad(
        "memory-ranges: [{base: 0x800, size: 1GiB}]",
        expect![[r#"
        profiles/para.yaml:10:19: /memory@800, reg: RAM: 0x800 is no multiple of 0x1000
         10 |   memory-ranges: [{base: 0x800, size: 1GiB}]
            |                   ^
          hint: use whole pages
        1 problem"#]],
    );
}

#[test]
fn ram_of_odd_size() {
    bad(
        "memory-ranges: [{base: 0x0, size: 1000000}]",
        expect![[r#"
        profiles/para.yaml:10:19: /memory@0, reg: RAM: 0xf4240 is no multiple of 0x1000
         10 |   memory-ranges: [{base: 0x0, size: 1000000}]
            |                   ^
          hint: use whole pages
        1 problem"#]],
    );
}

#[test]
fn empty_ram() {
    bad(
        "memory-ranges: [{base: 0x0, size: 1GiB}, {base: 0x80000000, size: 0}]",
        expect![[r#"
        profiles/para.yaml:10:44: /memory@80000000: 0x80000000..0x80000000 is empty
         10 |   memory-ranges: [{base: 0x0, size: 1GiB}, {base: 0x80000000, size: 0}]
            |                                            ^
          hint: give it a size, or remove it
        1 problem"#]],
    );
}

#[test]
fn ram_beyond_64_bits() {
    bad(
        "memory-ranges: [{base: 0xfffffffffffff000, size: 1MiB}]",
        expect![[r#"
        profiles/para.yaml:10:19: /memory@fffffffffffff000: 0x100000 bytes at 0xfffffffffffff000 go beyond 64 bits
         10 |   memory-ranges: [{base: 0xfffffffffffff000, size: 1MiB}]
            |                   ^
          hint: addresses have 64 bits
        1 problem"#]],
    );
}

#[test]
fn no_ram() {
    bad(
        "memory-ranges: []",
        expect![[r#"
        profiles/para.yaml:9:12: /: required node memory@… is missing
         9 |   machine: hyperv-vtl2
           |            ^
        1 problem"#]],
    );
}

#[test]
fn unaligned_vmbus_window() {
    bad(
        "vmbus: [{vtl: 2, mmio: [{base: 0xff0000100, size: 1MiB}]}]",
        expect![[r#"
        profiles/para.yaml:10:11: /bus/vmbus@ff0000100, ranges: VMBus window: 0xff0000100 is no multiple of 0x1000
         10 |   vmbus: [{vtl: 2, mmio: [{base: 0xff0000100, size: 1MiB}]}]
            |           ^
          hint: use whole pages
        1 problem"#]],
    );
}

#[test]
fn vmbus_window_too_large_for_its_cells() {
    bad(
        "vmbus: [{vtl: 2, mmio: [{base: 0x1000000000, size: 4GiB}]}]",
        expect![[r#"
        profiles/para.yaml:10:11: /bus/vmbus@1000000000, ranges: 0x100000000 does not fit into 1 cell(s)
         10 |   vmbus: [{vtl: 2, mmio: [{base: 0x1000000000, size: 4GiB}]}]
            |           ^
          hint: a smaller number; a VMBus window of 4 GiB or more is given in parts, or in the dialect `openhcl`
        1 problem"#]],
    );
}

#[test]
fn vmbus_without_a_window() {
    bad(
        "vmbus: [{vtl: 2, mmio: []}]",
        expect![[r#"
        profiles/para.yaml:10:11: /bus/vmbus, ranges: empty, but the cell counts of this node and its parent differ, so the addresses can't be the same
         10 |   vmbus: [{vtl: 2, mmio: []}]
            |           ^
          hint: give the VMBus a window: `mmio: [{base: …, size: …}]`
        1 problem"#]],
    );
}

#[test]
fn vmbus_of_the_level_below_alone() {
    bad(
        "vmbus: [{vtl: 0, mmio: [{base: 0xff0000000, size: 1MiB}]}]",
        expect![[r#"
        profiles/para.yaml:10:10: /: there is no node with compatible "microsoft,vmbus"
         10 |   vmbus: [{vtl: 0, mmio: [{base: 0xff0000000, size: 1MiB}]}]
            |          ^
          hint: drivers/hv/vmbus_drv.c: without ACPI VMBus is found by its node alone, and every Hyper-V device through it
        1 problem"#]],
    );
}

#[test]
fn two_vmbuses_of_one_level() {
    bad(
        "vmbus:\n  - {vtl: 2, mmio: [{base: 0xff0000000, size: 1MiB}]}\n  - {vtl: 2, mmio: [{base: 0xfe0000000, size: 1MiB}]}",
        expect![[r#"
            profiles/para.yaml:11:5: /bus/vmbus@fe0000000: a second VMBus, beside /bus/vmbus@ff0000000
             11 |     - {vtl: 2, mmio: [{base: 0xff0000000, size: 1MiB}]}
                |     ^
              hint: drivers/hv/vmbus_drv.c keeps one device for its bus: the later node replaces the first
            1 problem"#]],
    );
}

#[test]
fn vector_of_an_exception() {
    bad(
        "vmbus: [{vtl: 2, mmio: [{base: 0xff0000000, size: 1MiB}], interrupt: 14}]",
        expect![[r#"
        profiles/para.yaml:10:11: /bus/vmbus@ff0000000, interrupts: vector 0xe is outside the local APIC: it delivers 0x20 to 0xff
         10 |   vmbus: [{vtl: 2, mmio: [{base: 0xff0000000, size: 1MiB}], interrupt: 14}]
            |           ^
        1 problem"#]],
    );
}

#[test]
fn vmbus_of_another_level() {
    bad(
        "vmbus: [{vtl: 1, mmio: []}]",
        expect![[r#"
        profiles/para.yaml:10:17: `device-tree.vmbus.0.vtl`: `1` is not known here, expected `0` or `2`
         10 |   vmbus: [{vtl: 1, mmio: []}]
            |                 ^
        1 problem"#]],
    );
}

#[test]
fn cpu_id_twice() {
    bad(
        "cpu-list:\n  - {id: 0}\n  - {id: 2, comment: a good one}\n  - {id: 2}",
        expect![[r#"
        profiles/para.yaml:13:7: /cpus/cpu@2, reg: CPU id 0x2 is already that of /cpus/cpu@2
         13 |     - {id: 2}
            |       ^
          profiles/para.yaml:12:7: the other one
          hint: give each processor an id of its own
        1 problem"#]],
    );
}

#[test]
fn apic_id_too_wide() {
    bad(
        "cpu-list: [{id: 0x100000000}]",
        expect![[r#"
        profiles/para.yaml:10:14: /cpus/cpu@100000000, reg: 0x100000000 does not fit into 1 cell(s)
         10 |   cpu-list: [{id: 0x100000000}]
            |              ^
          hint: a smaller number; a VMBus window of 4 GiB or more is given in parts, or in the dialect `openhcl`
        1 problem"#]],
    );
}

#[test]
fn no_cpus_in_the_list() {
    bad(
        "cpu-list: []",
        expect![[r#"
        profiles/para.yaml:10:13: a machine without processors runs nothing
         10 |   cpu-list: []
            |             ^
          hint: list one
        1 problem"#]],
    );
}

#[test]
fn cpus_counted_and_listed() {
    bad(
        "cpus: 4\ncpu-list: [{id: 0}]",
        expect![[r#"
        profiles/para.yaml:11:13: this and `cpus` give processors one by one, and their number: only one can count
         11 |   cpu-list: [{id: 0}]
            |             ^
          hint: remove one of them
        1 problem"#]],
    );
}

#[test]
fn some_cpus_on_numa_nodes() {
    bad(
        "cpu-list: [{id: 0, numa-node: 0}, {id: 1}]",
        expect![[r#"
        profiles/para.yaml:9:12: /memory@0: is on no NUMA node, though /cpus/cpu@0 is: either all CPUs and memory are, or none
         9 |   machine: hyperv-vtl2
           |            ^
          profiles/para.yaml:10:14: the other one
          hint: set `numa-node` everywhere or nowhere
        profiles/para.yaml:10:37: /cpus/cpu@1: is on no NUMA node, though /cpus/cpu@0 is: either all CPUs and memory are, or none
         10 |   cpu-list: [{id: 0, numa-node: 0}, {id: 1}]
            |                                     ^
          profiles/para.yaml:10:14: the other one
          hint: set `numa-node` everywhere or nowhere
        2 problems"#]],
    );
}

#[test]
fn numa_node_that_no_kernel_counts_to() {
    bad(
        "cpu-list: [{id: 0, numa-node: 0}]\nmemory-ranges: [{base: 0, size: 1GiB, numa-node: 4096}]",
        expect![[r#"
            profiles/para.yaml:11:19: /memory@0, numa-node-id: there is no NUMA node 4096: kernels count them up to 1023
             11 |   memory-ranges: [{base: 0, size: 1GiB, numa-node: 4096}]
                |                   ^
            1 problem"#]],
    );
}

#[test]
fn more_numa_nodes_than_cpus() {
    bad(
        "cpus: 2\nnuma-nodes: 3",
        expect![[r#"
        profiles/para.yaml:11:15: 3 NUMA nodes for 2 processors leave some without any
         11 |   numa-nodes: 3
            |               ^
          hint: as many as there are processors, or fewer
        1 problem"#]],
    );
}

#[test]
fn numa_nodes_and_a_list() {
    bad(
        "numa-nodes: 2\nmemory-ranges: [{base: 0, size: 1GiB}]",
        expect![[r#"
        profiles/para.yaml:11:18: this and `numa-nodes` give RAM range by range, and how to deal it out: only one can count
         11 |   memory-ranges: [{base: 0, size: 1GiB}]
            |                  ^
          hint: remove one of them
        1 problem"#]],
    );
}

#[test]
fn unaligned_wakeup_mailbox() {
    bad(
        "wakeup-mailbox: 0x1800",
        expect![[r#"
        profiles/para.yaml:10:19: /reserved-memory/wakeup-mailbox@1800, reg: wakeup mailbox: 0x1800 is no multiple of 0x1000
         10 |   wakeup-mailbox: 0x1800
            |                   ^
          hint: use whole pages
        1 problem"#]],
    );
}

#[test]
fn wakeup_mailbox_over_reserved() {
    bad(
        "wakeup-mailbox: 0x1000\nreserved: [{name: log, base: 0x1000, size: 4KiB}]",
        expect![[r#"
        profiles/para.yaml:10:19: /reserved-memory/wakeup-mailbox@1000: reserved range 0x1000..0x2000 overlaps reserved range 0x1000..0x2000 of /reserved-memory/log@1000
         10 |   wakeup-mailbox: 0x1000
            |                   ^
          profiles/para.yaml:11:14: the other one
          hint: move one of them, or make it smaller; `cargo xtask fdt show --map` draws where everything is
        1 problem"#]],
    );
}

#[test]
fn name_too_long() {
    bad(
        "reserved: [{name: a-name-that-is-longer-than-the-rules-allow, base: 0x1000, size: 4KiB}]",
        expect![[r#"
            profiles/para.yaml:10:14: /reserved-memory/a-name-that-is-longer-than-the-rules-allow@1000: name is 42 characters without the unit address; at most 31 are allowed
             10 |   reserved: [{name: a-name-that-is-longer-than-the-rules-allow, base: 0x1000, size: 4KiB}]
                |              ^
              hint: use a shorter name
            1 problem"#]],
    );
}

#[test]
fn name_with_an_address() {
    bad(
        "reserved: [{name: log@1000, base: 0x1000, size: 4KiB}]",
        expect![[r#"
        profiles/para.yaml:10:21: `device-tree.reserved.0.name`: expected the name of a node: letters, digits and `,`, `.`, `_`, `+`, `-`, beginning with a letter, found "log@1000"
         10 |   reserved: [{name: log@1000, base: 0x1000, size: 4KiB}]
            |                     ^
        1 problem"#]],
    );
}

#[test]
fn keys_of_the_other_architecture() {
    bad(
        "psci: hvc\npmu: 7\ngic: {stride: 0x20000}",
        expect![[r#"
        profiles/para.yaml:10:9: no x86_64 machine has this
         10 |   psci: hvc
            |         ^
          hint: remove it
        profiles/para.yaml:11:8: no x86_64 machine has this
         11 |   pmu: 7
            |        ^
          hint: remove it
        profiles/para.yaml:12:8: no x86_64 machine has this
         12 |   gic: {stride: 0x20000}
            |        ^
          hint: remove it
        3 problems"#]],
    );
}

#[test]
fn arm_serial_port_on_x86() {
    bad(
        "serial: {type: pl011, base: 0x9000000}",
        expect![[r#"
        profiles/para.yaml:10:18: no x86_64 machine has such a serial port
         10 |   serial: {type: pl011, base: 0x9000000}
            |                  ^
          hint: x86_64 has `ns16550-port`; aarch64 has `pl011`, `sbsa-uart` and `ns16550`
        1 problem"#]],
    );
}

#[test]
fn port_beyond_the_last() {
    bad(
        "serial: {type: ns16550-port, base: 0x10000}",
        expect![[r#"
        profiles/para.yaml:10:38: 0x10000 is no I/O port with seven behind it: there are 0x10000
         10 |   serial: {type: ns16550-port, base: 0x10000}
            |                                      ^
          hint: the ports of a PC are 0x3f8, 0x2f8, 0x3e8 and 0x2e8
        1 problem"#]],
    );
}

#[test]
fn unknown_dialect() {
    bad(
        "dialect: linux",
        expect![[r#"
        profiles/para.yaml:10:12: `device-tree.dialect`: `linux` is not known here, expected `mainline`, `openhcl` or `openhcl-host`
         10 |   dialect: linux
            |            ^
        1 problem"#]],
    );
}

#[test]
fn unknown_key() {
    bad(
        "memory-range: []",
        expect![[r#"
        profiles/para.yaml:10:3: unknown key `memory-range` in `device-tree`
         10 |   memory-range: []
            |   ^
          hint: did you mean `memory-ranges`?
        1 problem"#]],
    );
}

#[test]
fn address_that_is_none() {
    bad(
        "memory-ranges: [{base: 1GiB, size: 1GiB}]",
        expect![[r#"
        profiles/para.yaml:10:26: `device-tree.memory-ranges.0.base`: expected an address of at most 64 bits, such as 0x40000000, found "1GiB"
         10 |   memory-ranges: [{base: 1GiB, size: 1GiB}]
            |                          ^
        1 problem"#]],
    );
}

#[test]
fn size_missing() {
    bad(
        "memory-ranges: [{base: 0}]",
        expect![[r#"
        profiles/para.yaml:10:19: `device-tree.memory-ranges.0`: the key `size` is missing
         10 |   memory-ranges: [{base: 0}]
            |                   ^
        1 problem"#]],
    );
}

#[test]
fn tree_too_large_for_the_kernel() {
    let range = |index: u64| format!("  - {{base: {:#x}, size: 4KiB}}\n", (1 << 32) + index * 0x2000);
    let lines: String = (0..4000).map(range).collect();
    bad(
        &format!("memory-ranges:\n{lines}"),
        expect![[r#"
        profiles/para.yaml:9:12: /: the blob has 304873 bytes; the kernel takes at most 262144
         9 |   machine: hyperv-vtl2
           |            ^
          hint: describe fewer processors or memory ranges
        1 problem"#]],
    );
}

/// A value in a layer is told where it stands, with the profile that it is wrong for.
#[test]
fn wrong_in_a_layer() {
    let layer = "arch: x86_64\ndevice-tree:\n  memory-ranges: [{base: 0x0, size: 4GiB}]";
    described(good(), "hyperv-vtl2", "").edit(super::BASE, "arch: x86_64", layer).bad(expect![[r#"
        profiles/demo.yaml:1:1: nothing sets `device-tree.machine`
         1 | description: A guest.
           | ^
          hint: write it in this file
        profiles/para.yaml:9:12: /interrupt-controller@fee00000: MMIO 0xfee00000..0xfee01000 overlaps RAM 0x0..0x100000000 of /memory@0
         9 |   machine: hyperv-vtl2
           |            ^
          profiles/layers/base.yaml:3:19: the other one
          hint: move one of them, or make it smaller; `cargo xtask fdt show --map` draws where everything is
        2 problems"#]]);
}
