//! Wrong trees and everything that is said about each.

mod wrong;

use expect_test::expect;
use fdt::{Mapping, Node, Range, Tree};
use wrong::{base, bus, device, memory, problems, with};

#[test]
fn nothing_wrong() {
    problems(&Tree::new(base()), expect![]);
}

#[test]
fn root_named_and_empty() {
    problems(
        &Tree::new(Node::new("root").label("root")),
        expect![[r#"
        /: the root node has a name; it must be empty
        /: the root node has a label; source text has no place for one, so nothing can refer to the root
        /: required node cpus is missing
        /: required node memory@… is missing
    "#]],
    );
}

#[test]
fn no_cpu() {
    problems(
        &Tree::new(Node::new("").cell_counts(2, 2).child(Node::new("cpus"))),
        expect![[r#"
        /cpus: required node cpu@… is missing
        /: required node memory@… is missing
    "#]],
    );
}

#[test]
fn duplicate_nodes() {
    problems(
        &with(bus([Node::new("a"), Node::new("a"), Node::new("b")])),
        expect![[r#"
        /bus/a: two nodes of this name in the same parent
    "#]],
    );
}

#[test]
fn duplicate_properties() {
    problems(
        &with(Node::new("a").flag("x").u32("x", 1)),
        expect![[r#"
        /a: x: two properties of this name in the same node
    "#]],
    );
}

#[test]
fn duplicate_phandles() {
    problems(
        &with(bus([Node::new("a").u32("phandle", 1), Node::new("b").u32("phandle", 1)])),
        expect![[r#"
        /bus/b: phandle: phandle 0x1 is already that of /bus/a
    "#]],
    );
}

#[test]
fn reserved_phandles() {
    problems(
        &with(bus([
            Node::new("a").u32("phandle", 0),
            Node::new("b").u32("phandle", u32::MAX),
            Node::new("c").u64("phandle", 1),
        ])),
        expect![[r#"
            /bus/a: phandle: phandle must be one cell, neither 0 nor 0xffffffff
            /bus/b: phandle: phandle must be one cell, neither 0 nor 0xffffffff
            /bus/c: phandle: phandle must be one cell, neither 0 nor 0xffffffff
        "#]],
    );
}

#[test]
fn labels() {
    problems(
        &with(bus([Node::new("a").label("x"), Node::new("b").label("x"), Node::new("c").label("1-x")])),
        expect![[r#"
            /bus/b: label "x" is already that of /bus/a
            /bus/c: label "1-x" must be letters, digits and _, and not begin with a digit
        "#]],
    );
}

#[test]
fn dangling_references() {
    problems(
        &with(Node::new("a").phandles("clocks", ["nowhere"]).phandles("b", ["elsewhere"])),
        expect![[r#"
        /a: clocks: refers to label "nowhere", which no node has
        /a: b: refers to label "elsewhere", which no node has
    "#]],
    );
}

#[test]
fn unit_address_is_not_reg() {
    problems(
        &with(bus([
            Node::new("a@1000").reg([Range::new(0x9000_0000, 1)]),
            Node::new("b@0xa0000000").reg([Range::new(0xa000_0000, 1)]),
            Node::new("c@B0000000").reg([Range::new(0xb000_0000, 1)]),
        ])),
        expect![[r#"
            /bus/a@1000: unit address is "1000", but the first address is 90000000
            /bus/b@0xa0000000: unit address is "0xa0000000", but the first address is a0000000
            /bus/c@B0000000: unit address is "B0000000", but the first address is b0000000
        "#]],
    );
}

#[test]
fn unit_address_is_not_raw_reg() {
    problems(
        &with(Node::new("a@90000000").cells("reg", [[1, 0x9000_0000, 0, 1]])),
        expect![[r#"
        /a@90000000: unit address is "90000000", but the first address is 190000000
    "#]],
    );
}

#[test]
fn unit_address_is_not_ranges() {
    problems(
        &with(Node::new("a@0").cell_counts(1, 1).ranges([Mapping {
            child: 0,
            parent: 0x9000_0000,
            size: 1,
        }])),
        expect![[r#"
            /a@0: unit address is "0", but the first address is 90000000
        "#]],
    );
}

#[test]
fn unit_address_without_reg() {
    problems(
        &with(bus([Node::new("a@0"), Node::new("b@1").flag("ranges").cell_counts(2, 2)])),
        expect![[r#"
        /bus/a@0: name has unit address "0", but the node has neither reg nor a mapping in ranges
        /bus/b@1: name has unit address "1", but the node has neither reg nor a mapping in ranges
    "#]],
    );
}

#[test]
fn reg_without_unit_address() {
    problems(
        &with(Node::new("a").reg([Range::new(0x9000_0000, 1)])),
        expect![[r#"
        /a: node has an address, 0x90000000, but its name has no unit address
    "#]],
    );
}

#[test]
fn names_too_long() {
    problems(
        &with(
            Node::new("n234567890123456789012345678901")
                .child(Node::new("n2345678901234567890123456789012"))
                .flag("p2345678901234567890123456789012"),
        ),
        expect![[r#"
            /n234567890123456789012345678901: p2345678901234567890123456789012: property name is 32 characters; at most 31 are allowed
            /n234567890123456789012345678901/n2345678901234567890123456789012: name is 32 characters without the unit address; at most 31 are allowed
        "#]],
    );
}

#[test]
fn names_invalid() {
    problems(
        &with(bus([
            Node::new("1a"),
            Node::new("a b"),
            Node::new("a@0@1"),
            Node::new("ü"),
            Node::new("a/b"),
            Node::new("b@"),
            Node::new("c").flag("p p").flag(""),
        ])),
        expect![[r#"
            /bus/1a: node name must be letters, digits and ,._+- , begin with a letter, and have one @ at most
            /bus/a b: node name must be letters, digits and ,._+- , begin with a letter, and have one @ at most
            /bus/a@0@1: node name must be letters, digits and ,._+- , begin with a letter, and have one @ at most
            /bus/a@0@1: name has unit address "0@1", but the node has neither reg nor a mapping in ranges
            /bus/ü: node name must be letters, digits and ,._+- , begin with a letter, and have one @ at most
            /bus/a/b: node name must be letters, digits and ,._+- , begin with a letter, and have one @ at most
            /bus/b@: node name must be letters, digits and ,._+- , begin with a letter, and have one @ at most
            /bus/b@: name has unit address "", but the node has neither reg nor a mapping in ranges
            /bus/c: p p: property name must be letters, digits and ,._+?#-
            /bus/c: : property name must be letters, digits and ,._+?#-
        "#]],
    );
}

#[test]
fn reg_length() {
    problems(
        &with(bus([
            Node::new("a@90000000").cells("reg", [[0, 0x9000_0000, 1]]),
            Node::new("b@0").flag("reg"),
            Node::new("c@0").bytes("reg", [0; 17]),
        ])),
        expect![[r#"
            /bus/a@90000000: reg: 12 bytes; must be a multiple of 16, as the cell counts say, and not empty
            /bus/b@0: reg: 0 bytes; must be a multiple of 16, as the cell counts say, and not empty
            /bus/c@0: reg: 17 bytes; must be a multiple of 16, as the cell counts say, and not empty
        "#]],
    );
}

#[test]
fn ranges_length() {
    problems(
        &with(Node::new("a@90000000").cell_counts(1, 1).cells("ranges", [[0, 0, 0x9000_0000]])),
        expect![[r#"
            /a@90000000: ranges: 12 bytes; must be a multiple of 16, as the cell counts say, and not empty
        "#]],
    );
}

#[test]
fn ranges_not_identity() {
    problems(
        &with(Node::new("a").cell_counts(1, 1).flag("ranges")),
        expect![[r#"
        /a: ranges: empty, but the cell counts of this node and its parent differ, so the addresses can't be the same
    "#]],
    );
}

#[test]
fn does_not_fit() {
    problems(
        &with(
            Node::at("soc", 1 << 32)
                .cell_counts(1, 1)
                .ranges([Mapping { child: 0, parent: 1 << 32, size: 1 << 32 }])
                .child(device(1 << 32, 4)),
        ),
        expect![[r#"
            /soc@100000000: ranges: 0x100000000 does not fit into 1 cell(s)
            /soc@100000000/device@100000000: reg: 0x100000000 does not fit into 1 cell(s)
        "#]],
    );
}

#[test]
fn cpu_with_a_size() {
    problems(
        &with(Node::new("ids").cell_counts(1, 0).child(device(7, 1))),
        expect![[r#"
        /ids/device@7: reg: 0x1 does not fit into 0 cell(s)
    "#]],
    );
}

#[test]
fn cell_counts() {
    problems(
        &with(bus([
            Node::new("a").cell_counts(5, 1).child(device(0, 1)),
            Node::new("b").string("#size-cells", "1"),
        ])),
        expect![[r#"
            /bus/a: #address-cells: 5 cells an address or size; at most 4 are allowed
            /bus/a/device@0: reg: 5 cells an address or size; at most 4 are allowed
            /bus/b: #size-cells: must be exactly one cell
        "#]],
    );
}

#[test]
fn cell_counts_missing() {
    problems(
        &with(Node::new("a").child(device(1, 1)).child(device(2, 1))),
        expect![[r#"
        /a: #address-cells missing: children have addresses, and the default is not to be relied upon
        /a: #size-cells missing: children have addresses, and the default is not to be relied upon
    "#]],
    );
}

#[test]
fn strings() {
    problems(
        &with(Node::new("a").string("s", "a\0b").strings("t", Vec::<String>::new())),
        expect![[r#"
        /a: s: string has a NUL inside
        /a: t: list of strings is empty
    "#]],
    );
}

#[test]
fn ram_overlaps_ram() {
    problems(
        &with(memory(0x4000_0000, 0x8000_0000)),
        expect![[r#"
        /memory@40000000: RAM 0x40000000..0xc0000000 overlaps RAM 0x0..0x80000000 of /memory@0
    "#]],
    );
}

#[test]
fn mmio_overlaps_ram() {
    problems(
        &with(bus([device(0x7fff_f000, 0x2000)])),
        expect![[r#"
        /bus/device@7ffff000: MMIO 0x7ffff000..0x80001000 overlaps RAM 0x0..0x80000000 of /memory@0
    "#]],
    );
}

#[test]
fn mmio_overlaps_mmio() {
    problems(
        &with(bus([device(0x9000_0000, 0x2000), device(0x9000_1000, 0x1000), device(0x9000_2000, 0x1000)])),
        expect![[r#"
            /bus/device@90001000: MMIO 0x90001000..0x90002000 overlaps MMIO 0x90000000..0x90002000 of /bus/device@90000000
        "#]],
    );
}

#[test]
fn raw_mmio_overlaps_mmio() {
    problems(
        &with(bus([
            device(0x9000_0000, 0x2000),
            Node::new("raw@90001000").cells("reg", [[0, 0x9000_1000, 0, 0x10]]),
        ])),
        expect![[r#"
            /bus/raw@90001000: MMIO 0x90001000..0x90001010 overlaps MMIO 0x90000000..0x90002000 of /bus/device@90000000
        "#]],
    );
}

#[test]
fn window_overlaps_ram() {
    problems(
        &with(
            Node::at("soc", 0x1000)
                .cell_counts(1, 1)
                .ranges([Mapping { child: 0, parent: 0x1000, size: 0x1000 }])
                .child(device(0, 1)),
        ),
        expect![[r#"
            /soc@1000: MMIO 0x1000..0x2000 overlaps RAM 0x0..0x80000000 of /memory@0
        "#]],
    );
}

#[test]
fn inside_a_window() {
    problems(
        &with(
            Node::at("soc", 0x9000_0000)
                .cell_counts(1, 1)
                .ranges([Mapping { child: 0, parent: 0x9000_0000, size: 0x1000 }])
                .child(device(0, 0x20))
                .child(device(0x10, 0x20)),
        ),
        expect![[r#"
            /soc@90000000/device@10: MMIO 0x10..0x30 overlaps MMIO 0x0..0x20 of /soc@90000000/device@0
        "#]],
    );
}

#[test]
fn reserved_overlaps_mmio_and_reserved() {
    problems(
        &Tree {
            memory_reservations: [Range::new(0x1000, 0x1000), Range::new(0x1800, 0x1000)]
                .map(Into::into)
                .into(),
            ..with(
                Node::new("reserved-memory").cell_counts(2, 2).flag("ranges").child(device(0x2000, 0x1000)),
            )
        },
        expect![[r#"
            /memreserve/: reserved range 0x1800..0x2800 overlaps reserved range 0x1000..0x2000 of /memreserve/
            /reserved-memory/device@2000: reserved range 0x2000..0x3000 overlaps reserved range 0x1800..0x2800 of /memreserve/
        "#]],
    );
}

#[test]
fn reserved_overlaps_mmio() {
    problems(
        &Tree {
            memory_reservations: [Range::new(0x9000_0000, 0x1000)].map(Into::into).into(),
            ..with(device(0x9000_0800, 0x1000))
        },
        expect![[r#"
            /device@90000800: MMIO 0x90000800..0x90001800 overlaps reserved range 0x90000000..0x90001000 of /memreserve/
        "#]],
    );
}

#[test]
fn reserved_in_ram_is_right() {
    problems(
        &Tree {
            memory_reservations: [Range::new(0x1000, 0x1000)].map(Into::into).into(),
            ..with(
                Node::new("reserved-memory").cell_counts(2, 2).flag("ranges").child(device(0x2000, 0x1000)),
            )
        },
        expect![],
    );
}

#[test]
fn ranges_that_are_none() {
    problems(
        &Tree {
            memory_reservations: [Range::new(0x1000, 0)].map(Into::into).into(),
            ..with(bus([device(u64::MAX, 2), device(0x9000_0000, 0)]))
        },
        expect![[r#"
            /memreserve/: 0x1000..0x1000 is empty
            /bus/device@ffffffffffffffff: 0x2 bytes at 0xffffffffffffffff go beyond 64 bits
            /bus/device@90000000: 0x90000000..0x90000000 is empty
        "#]],
    );
}

#[test]
fn too_large_for_x86() {
    problems(
        &with(Node::new("a").bytes("blob", vec![0; 256 * 1024])),
        expect![[r#"
        /: the blob has 262484 bytes; the kernel takes at most 262144
    "#]],
    );
}

#[test]
fn too_deep() {
    problems(
        &with((0..63).fold(Node::new("n"), |below, _| Node::new("n").child(below))),
        expect![[r#"
        /n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n/n: node is 64 levels deep; the kernel goes no further
    "#]],
    );
}

#[test]
fn all_at_once() {
    problems(
        &with(bus([
            device(0x7fff_f000, 0x2000),
            Node::new("a@1").phandles("clocks", ["nowhere"]),
            Node::new("a@1"),
        ])),
        expect![[r#"
            /bus/a@1: two nodes of this name in the same parent
            /bus/a@1: clocks: refers to label "nowhere", which no node has
            /bus/a@1: name has unit address "1", but the node has neither reg nor a mapping in ranges
            /bus/a@1: name has unit address "1", but the node has neither reg nor a mapping in ranges
            /bus/device@7ffff000: MMIO 0x7ffff000..0x80001000 overlaps RAM 0x0..0x80000000 of /memory@0
        "#]],
    );
}
