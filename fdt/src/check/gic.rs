//! A GICv3 against the CPUs: each has its redistributor, or the kernel does not bring it up.

use super::{Problem, ProblemKind, names};
use crate::decode;
use crate::tree::{Node, Value};

/// A GICv3 redistributor without virtual LPIs: two frames of 64 KiB (GIC architecture, IHI 0069, 12.10).
pub(crate) const REDISTRIBUTOR_SIZE: u64 = 0x2_0000;

/// For each GICv3 below the root whose regions are too small (interrupt-controller/arm,gic-v3.yaml).
pub(super) fn too_few_redistributors(root: &Node) -> Vec<Problem> {
    let cpus = root.children.iter().filter(|node| node.name == "cpus");
    let cpus =
        cpus.flat_map(|node| &node.children).filter(|node| names::base(&node.name) == "cpu").count() as u64;
    let controllers = root.children.iter().filter(|node| node.is_compatible("arm,gic-v3"));
    let problem = |node: &Node| {
        let room = room(node, root)?;
        let kind = ProblemKind::TooFewRedistributors { room, cpus };
        (room < cpus).then(|| Problem::new(&format!("/{}", node.name), None, kind))
    };
    controllers.filter_map(problem).collect()
}

/// How many redistributors fit; None if `reg` or the stride are not of the form they must have.
fn room(gic: &Node, root: &Node) -> Option<u64> {
    let regions = gic.get("#redistributor-regions").map_or(Some(1), Value::as_u32)?;
    let stride = match gic.get("redistributor-stride") {
        Some(value) => value.as_u64()?,
        None => REDISTRIBUTOR_SIZE,
    };
    let frames = decode::reg(gic, root.counts())?;
    // The distributor comes first; behind the redistributors there may be the CPU interface's frames.
    let redistributors = frames.iter().skip(1).take(usize::try_from(regions).ok()?);
    redistributors.map(|region| region.size.checked_div(stride)).sum()
}
