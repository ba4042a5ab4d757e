//! CPUs and NUMA nodes: each CPU once, with an id that its architecture has; all of a kind on nodes, or none.

use std::collections::BTreeMap;

use super::{Problem, ProblemKind, names};
use crate::decode;
use crate::regions;
use crate::tree::{Node, Tree, Value};

/// Affinity fields of MPIDR_EL1 (arm/cpus.yaml).
const MPIDR_AFFINITIES: u64 = 0xff_00ff_ffff;

/// `1 << NODES_SHIFT` of the largest kernels (arch/x86/Kconfig, arch/arm64/Kconfig).
const NUMA_NODES_MAX: u32 = 1024;

pub(super) fn problems(tree: &Tree) -> Vec<Problem> {
    let root = &tree.root;
    let mut problems = Vec::new();
    let mut numa = Vec::new();
    for cpus in root.children.iter().filter(|node| node.name == "cpus") {
        let mut ids = BTreeMap::new();
        let counts = cpus.counts();
        for cpu in cpus.children.iter().filter(|node| names::base(&node.name) == "cpu") {
            let path = || format!("/cpus/{}", cpu.name);
            numa.push(("/cpus", cpu));
            let Some(id) = decode::reg(cpu, counts).and_then(|entries| Some(entries.first()?.base)) else {
                continue;
            };
            if let Some(other) = ids.insert(id, &cpu.name) {
                let other = format!("/cpus/{other}");
                problems.push(Problem::new(&path(), Some("reg"), ProblemKind::CpuIdTwice { id, other }));
            }
            if is_aarch64(cpu) && id & !MPIDR_AFFINITIES != 0 {
                problems.push(Problem::new(&path(), Some("reg"), ProblemKind::NoMpidr { id }));
            }
        }
    }
    let memory = root.children.iter().filter(|node| regions::is_memory(node));
    numa.extend(memory.map(|node| ("", node)));
    problems.extend(numa_nodes(&numa));
    problems
}

fn is_aarch64(cpu: &Node) -> bool {
    cpu.get("enable-method").is_some()
        || matches!(cpu.get("compatible"), Some(Value::Strings(s)) if s.iter().any(|s| s.starts_with("arm,")))
}

/// Documentation/devicetree/bindings/numa.txt. A kernel that finds some on nodes and others not, takes node 0 for
/// those without, which is seldom meant.
fn numa_nodes(all: &[(&str, &Node)]) -> Vec<Problem> {
    let number = |node: &Node| node.get("numa-node-id").and_then(Value::as_u32);
    let mut problems = Vec::new();
    let path = |(above, node): &(&str, &Node)| format!("{above}/{}", node.name);
    let Some(first) = all.iter().find(|(_, node)| number(node).is_some()) else { return problems };
    for placed in all {
        match number(placed.1) {
            None => {
                problems.push(Problem::new(
                    &path(placed),
                    None,
                    ProblemKind::NoNumaNode { other: path(first) },
                ));
            }
            Some(node) if node >= NUMA_NODES_MAX => {
                let kind = ProblemKind::NumaNode { node, max: NUMA_NODES_MAX - 1 };
                problems.push(Problem::new(&path(placed), Some("numa-node-id"), kind));
            }
            Some(_) => {}
        }
    }
    problems
}
