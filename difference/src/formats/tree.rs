//! Device trees.

use crate::walk::{Aspect, Part, Walk};

pub fn device_tree(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    let (Ok(a), Ok(b)) = (fdt::read_dtb(ours), fdt::read_dtb(theirs)) else { return };
    for difference in fdt::differences(&a, &b) {
        walk.within(Part::DtbNode(difference.path), |walk| {
            let (left, right) = (difference.left.unwrap_or_default(), difference.right.unwrap_or_default());
            match difference.property {
                Some(property) => {
                    walk.within(Part::DtbProperty(property), |walk| walk.found(Aspect::Text, left, right));
                }
                None => walk.found(Aspect::Presence, left, right),
            }
        });
    }
}
