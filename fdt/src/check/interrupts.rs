//! References that lead nowhere, and interrupts against the controller that they are for (Devicetree Specification 2.4;
//! interrupt-controller/arm,gic-v3.yaml for what its three cells hold).

use super::{Problem, ProblemKind};
use crate::references::References;
use crate::tree::{Node, Tree, Value};

/// The largest numbers of each kind, by the first cell, and what the binding calls them.
const GIC_KINDS: [(&str, u32); 4] = [("SPI", 987), ("PPI", 15), ("extended SPI", 1023), ("extended PPI", 63)];

/// Vectors below are exceptions (Intel SDM 3A, 6.2); there are 256.
const VECTOR_MIN: u32 = 32;
const VECTOR_MAX: u32 = 255;

pub(super) fn outside_controller(tree: &Tree) -> Vec<Problem> {
    let references = References::of(tree);
    let mut walk = Walk { references, path: Vec::new(), problems: Vec::new() };
    walk.visit(&tree.root, None);
    walk.problems
}

struct Walk<'a> {
    references: References<'a>,
    path: Vec<&'a str>,
    problems: Vec<Problem>,
}

impl<'a> Walk<'a> {
    fn report(&mut self, property: &str, kind: ProblemKind) {
        self.problems.push(Problem::new(&format!("/{}", self.path.join("/")), Some(property), kind));
    }

    /// `controller` is what the interrupts of this node arrive at unless it says otherwise.
    fn visit(&mut self, node: &'a Node, above: Option<&'a Node>) {
        if self.path.len() > super::DEPTH_MAX {
            return;
        }
        for property in &node.properties {
            self.reference(&property.name, &property.value);
        }
        let mut controller = above;
        if let Some(value) = node.get("interrupt-parent") {
            let phandle = self.references.cells(value).filter(|cells| cells.len() == 1).map(|cells| cells[0]);
            controller = phandle.and_then(|phandle| self.references.node(phandle));
        }
        if let Some(value) = node.get("interrupts") {
            match controller {
                Some(controller) => self.interrupts(value, controller),
                None if node.get("interrupt-parent").is_none() => {
                    self.report("interrupts", ProblemKind::NoInterruptParent);
                }
                None => {}
            }
        }
        for child in &node.children {
            self.path.push(&child.name);
            // A controller's or nexus' children interrupt that node (2.4).
            let own = node.get("interrupt-controller").is_some() || node.get("interrupt-map").is_some();
            self.visit(child, if own { Some(node) } else { controller });
            self.path.pop();
        }
    }

    /// 0 and -1 are no nodes but places left empty.
    fn reference(&mut self, name: &str, value: &Value) {
        let found = self.references.in_property(name, value).unwrap_or_default();
        for phandle in
            found.into_iter().filter_map(Result::err).filter(|phandle| ![0, u32::MAX].contains(phandle))
        {
            self.report(name, ProblemKind::DanglingPhandle { phandle });
        }
    }

    fn interrupts(&mut self, value: &Value, controller: &Node) {
        let Some(width) = controller.get("#interrupt-cells").and_then(Value::as_u32) else {
            return self.report("interrupts", ProblemKind::NoInterruptCells);
        };
        let Some(cells) = self.references.cells(value) else { return };
        if width == 0 || cells.is_empty() || !cells.len().is_multiple_of(width as usize) {
            return self.report("interrupts", ProblemKind::InterruptCells { length: cells.len(), width });
        }
        for row in cells.chunks_exact(width as usize) {
            for kind in wrong(row, controller) {
                self.report("interrupts", kind);
            }
        }
    }
}

/// What is wrong with one interrupt; nothing at a controller that isn't known here.
fn wrong(row: &[u32], controller: &Node) -> Vec<ProblemKind> {
    match row {
        [kind, number, flags, ..] if controller.is_compatible("arm,gic-v3") => gic(*kind, *number, *flags),
        [vector, _]
            if controller.get("compatible").is_none() && !(VECTOR_MIN..=VECTOR_MAX).contains(vector) =>
        {
            vec![ProblemKind::Vector { vector: *vector, min: VECTOR_MIN, max: VECTOR_MAX }]
        }
        _ => Vec::new(),
    }
}

fn gic(kind: u32, number: u32, flags: u32) -> Vec<ProblemKind> {
    let mut problems = Vec::new();
    match GIC_KINDS.get(kind as usize) {
        None => problems.push(ProblemKind::InterruptKind { kind }),
        Some((kind, max)) if number > *max => {
            problems.push(ProblemKind::InterruptNumber { kind, number, max: *max });
        }
        Some(_) => {}
    }
    // One of the four triggers; the bits above were for CPU masks of older controllers.
    if !matches!(flags & 0xf, 1 | 2 | 4 | 8) {
        problems.push(ProblemKind::InterruptTrigger { flags });
    }
    problems
}
