//! What a problem is about, in the words of the description that the tree was made from.

use super::{Problem, ProblemKind};
use crate::regions::MEMRESERVE;
use crate::tree::{Node, Range, Tree};

/// Fills in `subject` and `other_subject` of every problem.
pub(super) fn locate(tree: &Tree, problems: &mut [Problem]) {
    // Trees that nobody described have none, and may have very many problems.
    let described = tree.root.children.iter().flat_map(|node| std::iter::once(node).chain(&node.children));
    if !described.into_iter().any(|node| node.subject.is_some()) {
        return;
    }
    for problem in problems {
        let (range, other) = match &problem.kind {
            ProblemKind::Overlap { range, other_range, other, .. } => {
                (Some(*range), Some((other.as_str(), *other_range)))
            }
            ProblemKind::EmptyRange { range } | ProblemKind::RangeWraps { range } => (Some(*range), None),
            ProblemKind::DuplicatePhandle { other, .. }
            | ProblemKind::DuplicateLabel { other, .. }
            | ProblemKind::CpuIdTwice { other, .. }
            | ProblemKind::NoNumaNode { other } => (None, Some((other.as_str(), Range::new(0, 0)))),
            ProblemKind::DuplicateNode => (None, Some((problem.path.as_str(), Range::new(0, 0)))),
            _ => (None, None),
        };
        let other_subject = other.and_then(|(path, range)| subject(tree, path, Some(range), Which::First));
        let own = subject(tree, &problem.path, range, Which::Last);
        problem.other_subject = other_subject.filter(|other| own.as_ref() != Some(other));
        problem.subject = own;
    }
}

/// Of several nodes with the same path, the later one is the one too many.
#[derive(Clone, Copy)]
enum Which {
    First,
    Last,
}

fn subject(tree: &Tree, path: &str, range: Option<Range>, which: Which) -> Option<String> {
    if path == MEMRESERVE {
        let mut same = tree.memory_reservations.iter().filter(|entry| Some(entry.range) == range);
        let entry = match which {
            Which::First => same.next(),
            Which::Last => same.next_back(),
        };
        return entry?.subject.clone();
    }
    let mut node = &tree.root;
    let mut found = None;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let mut same = node.children.iter().filter(|child: &&Node| child.name == name);
        let child = match which {
            Which::First => same.next(),
            Which::Last => same.next_back(),
        };
        let Some(child) = child else { break };
        node = child;
        found = node.subject.clone().or(found);
    }
    found
}
