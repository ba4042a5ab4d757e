//! IGVM files: headers, and the pages that they place in a guest's memory.
//!
//! Source: crate igvm_defs 0.5, the format's own definition. Its twenty seconds of compilation are not worth the four
//! numbers that are looked at here.

use std::collections::BTreeMap;

use crate::walk::{Aspect, Part, Walk};

/// IGVM_VHT_PAGE_DATA.
const PAGE_DATA: u32 = 0x302;
const PAGE_BYTES: usize = 4096;
/// Pages that are told; the rest of a file that is shifted says nothing more.
const PAGES_LIMIT: usize = 8;

pub fn igvm(walk: &mut Walk<'_>, ours: &[u8], theirs: &[u8]) {
    let (Some(a), Some(b)) = (headers(ours), headers(theirs)) else { return };
    walk.field("IGVM headers", Aspect::Bytes, a.others.len(), b.others.len());
    for ((number, (kind, one)), (other_kind, other)) in a.others.iter().enumerate().zip(&b.others) {
        if kind != other_kind || one != other {
            walk.within(Part::IgvmHeader(number), |walk| walk.bytes(one, other));
        }
    }
    let before = walk.count();
    let places = |headers: &Headers<'_>| -> Vec<String> {
        headers.pages.keys().map(|gpa| format!("{gpa:#x}")).collect()
    };
    let place = |text: &str| {
        Part::IgvmPage(u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_default())
    };
    walk.presence(&places(&a), &places(&b), place);
    for (gpa, one) in &a.pages {
        if walk.count() - before >= PAGES_LIMIT {
            break;
        }
        if let Some(other) = b.pages.get(gpa).filter(|other| *other != one) {
            walk.within(Part::IgvmPage(*gpa), |walk| walk.bytes(one, other));
        }
    }
    walk.field("IGVM checksum", Aspect::Checksum, a.checksum, b.checksum);
}

struct Headers<'b> {
    /// Guest physical address → content, shorter than a page where zeros follow.
    pages: BTreeMap<u64, &'b [u8]>,
    /// Kind and bytes of every other variable header, in order.
    others: Vec<(u32, &'b [u8])>,
    checksum: u32,
}

/// None for a file that isn't one.
fn headers(bytes: &[u8]) -> Option<Headers<'_>> {
    let number = |place: usize| Some(u32::from_le_bytes(bytes.get(place..place + 4)?.try_into().ok()?));
    let mut place = number(8)? as usize;
    let end = place.checked_add(number(12)? as usize)?;
    let mut headers = Headers { pages: BTreeMap::new(), others: Vec::new(), checksum: number(20)? };
    while place < end {
        let (kind, length) = (number(place)?, number(place + 4)? as usize);
        let data = bytes.get(place + 8..place + 8 + length)?;
        if kind == PAGE_DATA {
            let gpa = u64::from_le_bytes(data.get(..8)?.try_into().ok()?);
            // Offset zero stands for a page of zeros.
            let content = match number(place + 8 + 12)? as usize {
                0 => &[][..],
                offset => bytes.get(offset..bytes.len().min(offset + PAGE_BYTES))?,
            };
            headers.pages.insert(gpa, content);
        } else {
            headers.others.push((kind, data));
        }
        place += 8 + length.next_multiple_of(8);
    }
    Some(headers)
}
