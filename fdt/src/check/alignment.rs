//! Ranges that have to begin and end where pages do, and an initrd that has to be in RAM.

use super::{Problem, ProblemKind};
use crate::decode;
use crate::regions;
use crate::tree::{CellCounts, Node, Range, Tree, Value};

/// The smallest page of both architectures, and Hyper-V's (TLFS 3.1).
const PAGE: u64 = 0x1000;

/// interrupt-controller/arm,gic-v3.yaml: redistributor-stride.
const STRIDE_UNIT: u64 = 0x1_0000;

pub(super) fn problems(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    let counts = tree.root.counts();
    for node in &tree.root.children {
        let path = format!("/{}", node.name);
        if regions::is_memory(node) {
            problems.extend(pages(&path, "reg", "RAM", decode::reg(node, counts)));
        }
        if node.is_compatible("arm,gic-v3") {
            problems.extend(pages(&path, "reg", "GIC registers", decode::reg(node, counts)));
            if let Some(stride) = node.get("redistributor-stride").and_then(Value::as_u64)
                && (stride == 0 || !stride.is_multiple_of(STRIDE_UNIT))
            {
                let kind = ProblemKind::Misaligned { what: "stride", number: stride, unit: STRIDE_UNIT };
                problems.push(Problem::new(&path, Some("redistributor-stride"), kind));
            }
        }
        let own = node.counts();
        // CPUs are many, and have no addresses.
        for child in node.children.iter().filter(|_| own.size > 0) {
            let path = format!("{path}/{}", child.name);
            problems.extend(below(node, child, own, &path));
        }
    }
    problems.extend(initrd(tree));
    problems
}

fn below(node: &Node, child: &Node, counts: CellCounts, path: &str) -> Vec<Problem> {
    if child.is_compatible("microsoft,vmbus") {
        let windows = decode::ranges(child, counts)
            .map(|mappings| mappings.iter().map(|m| Range::new(m.parent, m.size)).collect());
        return pages(path, "ranges", "VMBus window", windows);
    }
    if node.name != "reserved-memory" {
        return Vec::new();
    }
    let ranges = decode::reg(child, counts);
    if child.is_compatible("intel,wakeup-mailbox") {
        let mut problems = pages(path, "reg", "wakeup mailbox", ranges.clone());
        // arch/x86/kernel/devicetree.c, dtb_wakeup_mailbox_setup: any other size is ignored.
        let size = ranges.and_then(|ranges| Some(ranges.first()?.size));
        if let Some(size) = size.filter(|size| *size != PAGE) {
            problems.push(Problem::new(path, Some("reg"), ProblemKind::MailboxSize { size }));
        }
        return problems;
    }
    match child.get("no-map") {
        // The kernel can leave out whole pages only.
        Some(_) => pages(path, "reg", "range that isn't mapped", ranges),
        None => Vec::new(),
    }
}

fn pages(path: &str, property: &str, what: &'static str, ranges: Option<Vec<Range>>) -> Vec<Problem> {
    let numbers = ranges.into_iter().flatten().flat_map(|range| [range.base, range.size]);
    let wrong = numbers.filter(|number| !number.is_multiple_of(PAGE));
    let problem =
        |number| Problem::new(path, Some(property), ProblemKind::Misaligned { what, number, unit: PAGE });
    wrong.map(problem).collect()
}

/// chosen.yaml: the loader puts it there, so there has to be memory.
fn initrd(tree: &Tree) -> Option<Problem> {
    let chosen = tree.root.children.iter().find(|node| node.name == "chosen")?;
    let number = |name| chosen.get(name).and_then(|value| value.as_u64().or(value.as_u32().map(u64::from)));
    let (start, end) = (number("linux,initrd-start")?, number("linux,initrd-end")?);
    let counts = tree.root.counts();
    let memory = tree.root.children.iter().filter(|node| regions::is_memory(node));
    let mut ram = memory.filter_map(|node| decode::reg(node, counts)).flatten();
    let inside = |range: Range| range.base <= start && range.end().is_some_and(|ram_end| end <= ram_end);
    let problem = |kind| Some(Problem::new("/chosen", Some("linux,initrd-start"), kind));
    match () {
        () if end <= start => problem(ProblemKind::EmptyRange { range: Range::new(start, 0) }),
        () if !ram.any(inside) => problem(ProblemKind::OutsideRam { range: Range::new(start, end - start) }),
        () => None,
    }
}
