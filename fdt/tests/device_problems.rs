//! Wrong devices: interrupts, CPUs, NUMA nodes, alignment, reserved memory, and everything that is said about each.

mod wrong;

use expect_test::expect;
use fdt::{Mapping, Node, Range, Reservation, Tree, check};
use wrong::{base, bus, device, memory, problems, with};

/// A GICv3 with everything that devices need of it.
fn gic() -> Node {
    Node::at("interrupt-controller", 0x9000_0000)
        .label("intc")
        .string("compatible", "arm,gic-v3")
        .reg([Range::new(0x9000_0000, 0x1_0000), Range::new(0x9010_0000, 0x10_0000)])
        .flag("interrupt-controller")
        .u32("#interrupt-cells", 3)
}

fn interrupting(interrupts: &[u32]) -> Tree {
    let rows = interrupts.iter().map(|cell| [*cell]);
    let device = Node::new("device").phandles("interrupt-parent", ["intc"]).cells("interrupts", rows);
    Tree::new(base().child(gic()).child(device))
}

#[test]
fn interrupts_outside_the_controller() {
    problems(&interrupting(&[0, 987, 4, 1, 15, 8, 2, 1023, 1, 3, 63, 1]), expect![]);
    problems(
        &interrupting(&[0, 988, 4, 1, 16, 4, 2, 1024, 1, 3, 64, 1, 4, 0, 4, 0, 0, 3]),
        expect![[r#"
        /device: interrupts: SPI 988 is outside the interrupt controller: it has 0 to 987
        /device: interrupts: PPI 16 is outside the interrupt controller: it has 0 to 15
        /device: interrupts: extended SPI 1024 is outside the interrupt controller: it has 0 to 1023
        /device: interrupts: extended PPI 64 is outside the interrupt controller: it has 0 to 63
        /device: interrupts: 4 is no kind of interrupt: 0 is an SPI, 1 a PPI, 2 and 3 their extended ranges
        /device: interrupts: 0x3 is no trigger: 1 rising edge, 2 falling edge, 4 high level, 8 low level
    "#]],
    );
    problems(
        &interrupting(&[0, 1]),
        expect![[r#"
        /device: interrupts: 2 cells; the interrupt controller takes 3 for each interrupt
    "#]],
    );
}

#[test]
fn interrupts_without_a_controller() {
    problems(
        &with(Node::new("device").cells("interrupts", [[1, 2, 3]])),
        expect![[r#"
        /device: interrupts: interrupts arrive nowhere: neither this node nor one above has an interrupt-parent
    "#]],
    );
    problems(
        &with(Node::new("device").u32("interrupt-parent", 7).cells("interrupts", [[1]])),
        expect![[r#"
        /device: interrupt-parent: refers to phandle 0x7, which no node has
    "#]],
    );
    let silent = Node::new("silent").label("silent");
    let device = Node::new("device").phandles("interrupt-parent", ["silent"]).cells("interrupts", [[1]]);
    problems(
        &Tree::new(base().child(silent).child(device)),
        expect![[r#"
        /device: interrupts: the interrupt controller does not say how many cells an interrupt takes
    "#]],
    );
}

#[test]
fn references_to_nothing() {
    let clock = Node::new("clock").u32("#clock-cells", 1).u32("phandle", 5);
    let device = |clocks: &[u32]| Node::new("device").cells("clocks", clocks.iter().map(|cell| [*cell]));
    let tree = |clocks: &[u32]| Tree::new(base().child(clock.clone()).child(device(clocks)));
    problems(&tree(&[5, 0, 5, 1]), expect![]);
    problems(
        &tree(&[5, 6, 6, 1]),
        expect![[r#"
        /device: clocks: refers to phandle 0x6, which no node has
    "#]],
    );
    problems(
        &with(Node::new("device").u32("memory-region", 9)),
        expect![[r#"
        /device: memory-region: refers to phandle 0x9, which no node has
    "#]],
    );
    problems(&with(Node::new("device").u32("msi-parent", 0)), expect![]);
}

#[test]
fn vectors_outside_the_local_apic() {
    let apic = Node::new("interrupt-controller")
        .label("apic")
        .flag("interrupt-controller")
        .u32("#interrupt-cells", 2);
    let device = |vector| {
        Node::new("device").phandles("interrupt-parent", ["apic"]).cells("interrupts", [[vector, 1]])
    };
    problems(&Tree::new(base().child(apic.clone()).child(device(0xf3))), expect![]);
    problems(
        &Tree::new(base().child(apic.clone()).child(device(14))),
        expect![[r#"
        /device: interrupts: vector 0xe is outside the local APIC: it delivers 0x20 to 0xff
    "#]],
    );
    problems(
        &Tree::new(base().child(apic).child(device(256))),
        expect![[r#"
        /device: interrupts: vector 0x100 is outside the local APIC: it delivers 0x20 to 0xff
    "#]],
    );
}

#[test]
fn cpu_ids() {
    let cpu = |name: &str, id| Node::new(name).string("device_type", "cpu").reg([Range::new(id, 0)]);
    let tree = |ids: Vec<Node>| {
        Tree::new(
            Node::new("")
                .cell_counts(2, 2)
                .child(Node::new("cpus").cell_counts(2, 0).children(ids))
                .child(memory(0, 0x8000_0000)),
        )
    };
    problems(
        &tree(vec![cpu("cpu@1", 1), cpu("cpu@2", 1)]),
        expect![[r#"
        /cpus/cpu@2: unit address is "2", but the first address is 1
        /cpus/cpu@2: reg: CPU id 0x1 is already that of /cpus/cpu@1
    "#]],
    );
    problems(
        &tree(vec![cpu("cpu@1", 1), cpu("cpu@1", 1)]),
        expect![[r#"
        /cpus/cpu@1: reg: CPU id 0x1 is already that of /cpus/cpu@1
    "#]],
    );
    let arm = cpu("cpu@80000000", 0x8000_0000).string("enable-method", "psci");
    problems(
        &tree(vec![arm]),
        expect![[r#"
        /cpus/cpu@80000000: reg: CPU id 0x80000000 has bits outside the affinity fields of MPIDR_EL1 (39:32 and 23:0)
    "#]],
    );
}

#[test]
fn numa_nodes() {
    let somewhere = Node::at("memory", 0x1_0000_0000)
        .string("device_type", "memory")
        .reg([Range::new(0x1_0000_0000, 0x1000)]);
    problems(
        &with(somewhere.clone().u32("numa-node-id", 0)),
        expect![[r#"
        /cpus/cpu@0: is on no NUMA node, though /memory@100000000 is: either all CPUs and memory are, or none
        /memory@0: is on no NUMA node, though /memory@100000000 is: either all CPUs and memory are, or none
    "#]],
    );
    let cpu = Node::at("cpu", 0).string("device_type", "cpu").reg([Range::new(0, 0)]).u32("numa-node-id", 1);
    let root = Node::new("")
        .cell_counts(2, 2)
        .child(Node::new("cpus").cell_counts(1, 0).child(cpu))
        .child(somewhere.u32("numa-node-id", 1024));
    problems(
        &Tree::new(root),
        expect![[r#"
        /memory@100000000: numa-node-id: there is no NUMA node 1024: kernels count them up to 1023
    "#]],
    );
}

#[test]
fn alignment() {
    problems(
        &with(memory(0x1_0000_0800, 0x1000)),
        expect![[r#"
        /memory@100000800: reg: RAM: 0x100000800 is no multiple of 0x1000
    "#]],
    );
    problems(
        &with(memory(0x1_0000_0000, 0x1001)),
        expect![[r#"
        /memory@100000000: reg: RAM: 0x1001 is no multiple of 0x1000
    "#]],
    );
    let window = Mapping { child: 0x9000_0100, parent: 0x9000_0100, size: 0x1000 };
    let vmbus = Node::at("vmbus", 0x9000_0100)
        .string("compatible", "microsoft,vmbus")
        .cell_counts(2, 1)
        .ranges([window]);
    problems(
        &with(bus([vmbus])),
        expect![[r#"
        /bus/vmbus@90000100: ranges: VMBus window: 0x90000100 is no multiple of 0x1000
    "#]],
    );
    let mut stride = gic();
    stride.properties.retain(|property| property.name != "reg");
    let stride = stride
        .reg([Range::new(0x9000_0000, 0x1_0000), Range::new(0x9010_0000, 0x10_0800)])
        .u64("redistributor-stride", 0x1_8000);
    problems(
        &with(stride),
        expect![[r#"
        /interrupt-controller@90000000: reg: GIC registers: 0x100800 is no multiple of 0x1000
        /interrupt-controller@90000000: redistributor-stride: stride: 0x18000 is no multiple of 0x10000
    "#]],
    );
}

#[test]
fn reserved_memory() {
    let reserved =
        |child: Node| with(Node::new("reserved-memory").cell_counts(2, 2).flag("ranges").child(child));
    problems(
        &reserved(device(0x2000, 0x800).flag("no-map")),
        expect![[r#"
        /reserved-memory/device@2000: reg: range that isn't mapped: 0x800 is no multiple of 0x1000
    "#]],
    );
    let mailbox = |base, size| {
        Node::at("mailbox", base).string("compatible", "intel,wakeup-mailbox").reg([Range::new(base, size)])
    };
    problems(&reserved(mailbox(0x2000, 0x1000)), expect![]);
    problems(
        &reserved(mailbox(0x2800, 0x2000)),
        expect![[r#"
        /reserved-memory/mailbox@2800: reg: wakeup mailbox: 0x2800 is no multiple of 0x1000
        /reserved-memory/mailbox@2800: reg: a wakeup mailbox is one page, and 0x2000 bytes are ignored by the kernel
    "#]],
    );
}

#[test]
fn initrd() {
    let chosen =
        |start, end| with(Node::new("chosen").u64("linux,initrd-start", start).u64("linux,initrd-end", end));
    problems(&chosen(0x1000, 0x2000), expect![]);
    problems(
        &chosen(0x7fff_0000, 0x8000_1000),
        expect![[r#"
        /chosen: linux,initrd-start: 0x7fff0000..0x80001000 is not in RAM
    "#]],
    );
    problems(
        &chosen(0x2000, 0x2000),
        expect![[r#"
        /chosen: linux,initrd-start: 0x2000..0x2000 is empty
    "#]],
    );
}

/// Whoever described the machine is told in his own words, of both sides.
#[test]
fn problems_say_what_was_described() {
    let about = |node: Node, subject: &str| node.about(subject.to_owned(), None);
    let mut tree = with(bus([
        about(device(0x9000_0000, 0x2000), "first"),
        about(device(0x9000_1000, 0x1000), "second"),
    ]));
    tree.memory_reservations =
        vec![Reservation { range: Range::new(0x1000, 0), subject: Some("kept".to_owned()), comment: None }];
    let found: Vec<_> =
        check(&tree).into_iter().map(|problem| (problem.subject, problem.other_subject)).collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(found, [(some("kept"), None), (some("second"), some("first"))]);
}
