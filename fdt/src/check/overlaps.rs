//! Address ranges against each other.

use super::{Problem, ProblemKind, RegionUse};
use crate::regions::{self, Region};
use crate::tree::Tree;

pub(super) fn overlaps(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for space in regions::spaces(tree) {
        problems.extend(space.iter().filter_map(malformed).take(super::PROBLEMS_MAX));
        let sound = |region: &&Region| malformed(region).is_none();
        let not_reserved = |region: &&Region| region.use_ != RegionUse::Reserved;
        problems.extend(sweep(space.iter().filter(sound).filter(not_reserved)));
        // Reserved ranges lie in RAM, so RAM is not in their way.
        let not_ram = |region: &&Region| region.use_ != RegionUse::Ram;
        let mut second = sweep(space.iter().filter(sound).filter(not_ram));
        second.retain(|problem| !is_mmio_only(problem));
        problems.extend(second);
    }
    problems
}

fn malformed(region: &Region) -> Option<Problem> {
    let range = region.range;
    let kind = if range.end().is_none() {
        ProblemKind::RangeWraps { range }
    } else if range.size == 0 {
        ProblemKind::EmptyRange { range }
    } else {
        return None;
    };
    Some(Problem::new(&region.path, None, kind))
}

/// Each region that begins inside an earlier one, with the earlier one that ends last.
fn sweep<'a, 'n: 'a>(regions: impl Iterator<Item = &'a Region<'n>>) -> Vec<Problem> {
    let mut sorted: Vec<&Region> = regions.collect();
    sorted.sort_by_key(|region| region.range);
    let mut problems = Vec::new();
    let mut last: Option<&Region> = None;
    for region in sorted {
        if let Some(other) = last
            && Some(region.range.base) < other.range.end()
            && problems.len() < super::PROBLEMS_MAX
        {
            let kind = ProblemKind::Overlap {
                use_: region.use_,
                range: region.range,
                other_use: other.use_,
                other_range: other.range,
                other: other.path.to_string(),
            };
            problems.push(Problem::new(&region.path, None, kind));
        }
        if last.is_none_or(|other| region.range.end() > other.range.end()) {
            last = Some(region);
        }
    }
    problems
}

/// Such a pair is found in the sweep without reserved ranges already.
fn is_mmio_only(problem: &Problem) -> bool {
    matches!(problem.kind, ProblemKind::Overlap { use_: RegionUse::Mmio, other_use: RegionUse::Mmio, .. })
}
