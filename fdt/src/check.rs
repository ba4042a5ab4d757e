//! What is wrong with a tree, all of it at once. It judges form (Devicetree Specification 0.4, and what dtc warns of)
//! and address ranges; which properties a device must have is for the bindings' own schemas.

mod alignment;
mod blob;
mod cpus;
mod gic;
mod interrupts;
mod names;
mod nodes;
mod overlaps;
mod problem;
mod subject;

use std::collections::BTreeMap;

pub(crate) use gic::REDISTRIBUTOR_SIZE;
pub use problem::{Problem, ProblemKind, Problems, RegionUse};

use blob::BlobSize;

use crate::encode;
use crate::phandles::Phandles;
use crate::tree::{CellCounts, Node, Tree, Value};

/// Linux unflattens no deeper (`FDT_MAX_DEPTH`), and neither do we look.
pub(crate) const DEPTH_MAX: usize = 64;

/// Nobody reads more of any kind, and trees of strangers must not make the list large.
const PROBLEMS_MAX: usize = 1000;

/// The problems of a tree in tree order, those of the whole tree last, a thousand of each family at most; none means
/// that it can be emitted.
pub fn check(tree: &Tree) -> Vec<Problem> {
    let phandles = Phandles::assign(&tree.root);
    let mut walk = Walk {
        phandles: &phandles,
        path: Vec::new(),
        labels: BTreeMap::new(),
        numbers: BTreeMap::new(),
        blob: BlobSize::default(),
        problems: Vec::new(),
    };
    if !tree.root.name.is_empty() {
        walk.report(None, ProblemKind::RootNamed);
    }
    if tree.root.label.is_some() {
        walk.report(None, ProblemKind::RootLabelled);
    }
    walk.visit(&tree.root, None);
    let size_bytes = walk.blob.total(tree.memory_reservations.len());
    let mut problems = walk.problems;
    problems.extend(required_nodes(&tree.root));
    let more = [
        overlaps::overlaps(tree),
        gic::too_few_redistributors(&tree.root),
        cpus::problems(tree),
        interrupts::outside_controller(tree),
        alignment::problems(tree),
    ];
    problems.extend(more.into_iter().flat_map(|list| list.into_iter().take(PROBLEMS_MAX)));
    // Two CPUs with one id have one name as well; one message is enough.
    let twice = |problem: &Problem| matches!(problem.kind, ProblemKind::CpuIdTwice { .. });
    let same_cpu: Vec<String> = problems.iter().filter(|p| twice(p)).map(|p| p.path.clone()).collect();
    problems.retain(|p| p.kind != ProblemKind::DuplicateNode || !same_cpu.contains(&p.path));
    let max_bytes = tree.size_max_bytes;
    if size_bytes > max_bytes {
        problems.push(Problem::new("/", None, ProblemKind::TooLarge { size_bytes, max_bytes }));
    }
    subject::locate(tree, &mut problems);
    problems
}

/// The state of one walk over the tree.
struct Walk<'a> {
    phandles: &'a Phandles<'a>,
    /// Names from below the root to the current node.
    path: Vec<&'a str>,
    labels: BTreeMap<&'a str, String>,
    numbers: BTreeMap<u32, String>,
    blob: BlobSize<'a>,
    problems: Vec<Problem>,
}

/// What a node's parent says about it.
#[derive(Clone, Copy)]
struct Above {
    counts: CellCounts,
}

impl<'a> Walk<'a> {
    fn path(&self) -> String {
        format!("/{}", self.path.join("/"))
    }

    fn report(&mut self, property: Option<&str>, kind: ProblemKind) {
        if self.problems.len() >= PROBLEMS_MAX {
            return;
        }
        let problem = Problem::new(&self.path(), property, kind);
        self.problems.push(problem);
    }

    fn visit(&mut self, node: &'a Node, above: Option<Above>) {
        if self.path.len() >= DEPTH_MAX {
            return self.report(None, ProblemKind::TooDeep { max: DEPTH_MAX });
        }
        self.blob.node(node);
        self.names(node);
        self.phandle(node);
        let counts = node.counts();
        self.values(node, above, counts);
        if let Some(above) = above {
            self.address(node, above);
        }
        self.counts(node);
        for child in &node.children {
            self.path.push(&child.name);
            self.visit(child, Some(Above { counts }));
            self.path.pop();
        }
    }

    /// Labels and phandles name one node each.
    fn phandle(&mut self, node: &'a Node) {
        if let Some(label) = &node.label {
            if !names::is_label(label) {
                self.report(None, ProblemKind::InvalidLabel { label: label.clone() });
            }
            if let Some(other) = self.labels.insert(label, self.path()) {
                let label = label.clone();
                self.report(None, ProblemKind::DuplicateLabel { label, other });
            }
        }
        if self.phandles.implicit(node).is_some() {
            self.blob.property("phandle", size_of::<u32>());
        }
        let Some(value) = node.get("phandle") else { return };
        match value.as_u32() {
            // 0 and -1 are taken: no node, and a node that lost its number (2.3.3).
            None | Some(0 | u32::MAX) => self.report(Some("phandle"), ProblemKind::InvalidPhandle),
            Some(phandle) => {
                if let Some(other) = self.numbers.insert(phandle, self.path()) {
                    self.report(Some("phandle"), ProblemKind::DuplicatePhandle { phandle, other });
                }
            }
        }
    }

    /// Every value has bytes, and those of the structure's own properties have their shape.
    fn values(&mut self, node: &'a Node, above: Option<Above>, own: CellCounts) {
        let parent = above.map_or(crate::tree::DEFAULT_CELL_COUNTS, |above| above.counts);
        let context = encode::Context { parent, own, phandles: self.phandles };
        for property in &node.properties {
            let name = Some(property.name.as_str());
            match encode::bytes(&property.value, &context) {
                Err(kind) => self.report(name, kind),
                Ok(bytes) => {
                    self.blob.property(&property.name, bytes.len());
                    if let Some(kind) =
                        nodes::shape(&property.name, bytes.len(), parent, own, above.is_some())
                    {
                        self.report(name, kind);
                    }
                }
            }
            if let Value::Strings(strings) = &property.value
                && strings.is_empty()
            {
                self.report(name, ProblemKind::NoStrings);
            }
        }
        for name in ["#address-cells", "#size-cells"] {
            match node.get(name).map(Value::as_u32) {
                Some(None) => self.report(Some(name), ProblemKind::NotACell),
                Some(Some(count)) if count > encode::CELL_COUNT_MAX => {
                    self.report(Some(name), ProblemKind::CellCount { count });
                }
                Some(Some(_)) | None => {}
            }
        }
    }
}

/// What the root of every tree has to have (3.1), and a CPU to run on.
fn required_nodes(root: &Node) -> Vec<Problem> {
    let has = |node: &Node, base: &str| node.children.iter().any(|child| names::base(&child.name) == base);
    let cpus = root.children.iter().find(|child| child.name == "cpus");
    let mut missing = Vec::new();
    match cpus {
        None => missing.push(("/", "cpus")),
        Some(cpus) if !has(cpus, "cpu") => missing.push(("/cpus", "cpu@…")),
        Some(_) => {}
    }
    if !has(root, "memory") {
        missing.push(("/", "memory@…"));
    }
    let problem =
        |(path, name): (&str, &'static str)| Problem::new(path, None, ProblemKind::MissingNode { name });
    missing.into_iter().map(problem).collect()
}
