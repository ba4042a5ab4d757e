//! Trees, maps, problems and differences as JSON. Addresses and sizes are text in hexadecimal: JSON's numbers don't
//! hold 64 bits everywhere.

use anyhow::Result;
use fdt::{
    Difference, Node, Problem, Range, Tree,
    check::RegionUse,
    emit::value_text,
    map::MemoryMap,
    tree::{CellCounts, DEFAULT_CELL_COUNTS},
    vtl::Violation,
};
use serde_json::{Value, json};

pub fn print(value: &Value) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

pub fn tree(tree: &Tree) -> Value {
    let reservations: Vec<_> = tree.memory_reservations.iter().map(|entry| range(entry.range)).collect();
    json!({
        "boot-cpu": tree.boot_cpu,
        "memory-reservations": reservations,
        "root": node(&tree.root, DEFAULT_CELL_COUNTS),
    })
}

/// Values as in source text; null for a property that is there and no more.
fn node(node: &Node, parent: CellCounts) -> Value {
    let own = node.counts();
    let property = |property: &fdt::Property| json!({"name": property.name, "value": value_text(&property.value, own, parent)});
    let properties: Vec<_> = node.properties.iter().map(property).collect();
    let children: Vec<_> = node.children.iter().map(|child| self::node(child, own)).collect();
    json!({
        "name": node.name,
        "label": node.label,
        "comment": node.comment,
        "properties": properties,
        "children": children,
    })
}

fn range(range: Range) -> Value {
    json!({"base": format!("{:#x}", range.base), "size": format!("{:#x}", range.size)})
}

pub fn map(map: &MemoryMap) -> Value {
    let entry = |entry: &fdt::map::MapEntry| {
        json!({
            "base": format!("{:#x}", entry.range.base),
            "size": format!("{:#x}", entry.range.size),
            "use": match entry.use_ {
                RegionUse::Ram => "ram",
                RegionUse::Mmio => "device",
                RegionUse::Reserved => "reserved",
            },
            "path": entry.path,
            "compatible": entry.compatible,
            "numa-node": entry.numa_node,
        })
    };
    map.entries.iter().map(entry).collect()
}

pub fn findings(problems: &[Problem], violations: &[Violation]) -> Value {
    let problem = |problem: &Problem| {
        json!({
            "path": problem.path,
            "property": problem.property,
            "message": problem.kind.to_string(),
            "why": null,
        })
    };
    let violation = |violation: &Violation| {
        json!({
            "path": violation.path,
            "property": null,
            "message": violation.message,
            "why": violation.why,
        })
    };
    problems.iter().map(problem).chain(violations.iter().map(violation)).collect()
}

pub fn differences(differences: &[Difference]) -> Value {
    let difference = |difference: &Difference| {
        json!({
            "path": difference.path,
            "property": difference.property,
            "left": difference.left,
            "right": difference.right,
        })
    };
    differences.iter().map(difference).collect()
}
