//! Blobs that others made, as trees (Devicetree Specification 5, versions 16 and 17).
//!
//! Whatever the bytes, it ends soon and does not panic: everything is read once, from front to back, nothing is
//! followed, and what comes back is no larger than a small multiple of the input. vm-fdt, which writes our blobs,
//! does not read; the readers there are on crates.io walk a blob in place and panic, or allow anything, on bad ones.
//!
//! A blob has bytes only, so types are guessed: text that looks like strings is strings, whole cells are cells. The
//! bytes of each value are kept exactly.

use crate::check::DEPTH_MAX;
use crate::tree::{Cell, Node, Property, Range, Reservation, Tree, Value, X86_SIZE_MAX_BYTES};

/// Why a blob can't be read, and at which byte of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset:#x}: {kind}")]
pub struct ReadError {
    pub offset: usize,
    pub kind: ReadErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadErrorKind {
    #[error("no device tree blob: it begins with d00dfeed")]
    Magic,
    #[error("version {version} is read by programs for {compatible} or later; this one knows 16 and 17")]
    Version { version: u32, compatible: u32 },
    #[error("the blob ends here, in the middle of something")]
    Truncated,
    #[error("the header says {total} bytes, and there are {present}")]
    TotalSize { total: usize, present: usize },
    #[error("a name without its final NUL")]
    UnterminatedName,
    #[error("a name that is longer than {max} bytes")]
    LongName { max: usize },
    #[error("a name that is no text")]
    NameNotText,
    #[error("{token:#x} is no token")]
    Token { token: u32 },
    #[error("a property behind a child, or outside of any node")]
    MisplacedProperty,
    #[error("more nodes end than begin")]
    UnbalancedEnd,
    #[error("a node whose path is longer than {max} bytes")]
    LongPath { max: usize },
    #[error("nodes lie more than {max} levels deep")]
    Depth { max: usize },
    #[error("there is no root node")]
    NoRoot,
    #[error("a second root node")]
    SecondRoot,
}

/// Far more than the 31 characters that are allowed, and little enough for a blob full of them.
const NAME_MAX: usize = 255;

/// Problems and differences name nodes by path: deep trees of long names must not make those large.
const PATH_MAX: usize = 1024;

const MAGIC: u32 = 0xd00d_feed;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// The tree in a blob; what lies behind the size in its header is not looked at.
///
/// # Errors
/// The first thing that keeps it from being read. What can be read may still be wrong: [`crate::check()`] says so.
pub fn read_dtb(blob: &[u8]) -> Result<Tree, ReadError> {
    let header = Header::read(blob)?;
    let blob = &blob[..header.total_size];
    let memory_reservations = reservations(blob, header.reservations)?;
    let mut reader =
        Reader { blob, at: header.structure, end: header.structure_end, strings: header.strings };
    let root = reader.tree()?;
    Ok(Tree {
        memory_reservations,
        boot_cpu: header.boot_cpu,
        size_max_bytes: X86_SIZE_MAX_BYTES.max(blob.len()),
        root,
    })
}

/// The header's fields, checked against the blob: offsets lie inside.
struct Header {
    total_size: usize,
    structure: usize,
    structure_end: usize,
    strings: (usize, usize),
    reservations: usize,
    boot_cpu: u32,
}

impl Header {
    fn read(blob: &[u8]) -> Result<Header, ReadError> {
        let field = |index: usize| word(blob, index * 4);
        if field(0)? != MAGIC {
            return Err(ReadError { offset: 0, kind: ReadErrorKind::Magic });
        }
        let (version, compatible) = (field(5)?, field(6)?);
        if version < 16 || compatible > 17 {
            return Err(ReadError { offset: 20, kind: ReadErrorKind::Version { version, compatible } });
        }
        let total_size = field(1)? as usize;
        if total_size > blob.len() {
            let kind = ReadErrorKind::TotalSize { total: total_size, present: blob.len() };
            return Err(ReadError { offset: 4, kind });
        }
        // Version 16 does not say how long the structure is: it ends with its own token.
        let structure_size = if version >= 17 { field(9)? as usize } else { usize::MAX };
        let inside = |index: usize, size: usize| {
            let start = field(index)? as usize;
            let truncated = ReadError { offset: index * 4, kind: ReadErrorKind::Truncated };
            match start.saturating_add(size).min(total_size.max(start)) {
                _ if start > total_size => Err(truncated),
                end if size != usize::MAX && end != start.saturating_add(size) => Err(truncated),
                end => Ok((start, end)),
            }
        };
        let (structure, structure_end) = inside(2, structure_size)?;
        Ok(Header {
            total_size,
            structure,
            structure_end,
            strings: inside(3, field(8)? as usize)?,
            reservations: inside(4, 0)?.0,
            boot_cpu: field(7)?,
        })
    }
}

/// `/memreserve/`: pairs of 64-bit numbers up to a pair of zeros (5.3).
fn reservations(blob: &[u8], mut at: usize) -> Result<Vec<Reservation>, ReadError> {
    let mut entries = Vec::new();
    loop {
        let number = |at| Ok(u64::from(word(blob, at)?) << 32 | u64::from(word(blob, at + 4)?));
        let range = Range::new(number(at)?, number(at + 8)?);
        if range == Range::new(0, 0) {
            return Ok(entries);
        }
        entries.push(range.into());
        at += 16;
    }
}

fn word(blob: &[u8], at: usize) -> Result<u32, ReadError> {
    let bytes = at.checked_add(4).and_then(|end| blob.get(at..end));
    match bytes {
        Some(bytes) => Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
        None => Err(ReadError { offset: at.min(blob.len()), kind: ReadErrorKind::Truncated }),
    }
}

struct Reader<'a> {
    blob: &'a [u8],
    at: usize,
    end: usize,
    strings: (usize, usize),
}

impl<'a> Reader<'a> {
    /// One pass over the tokens, with the nodes that are open on a stack: the root at its bottom.
    fn tree(&mut self) -> Result<Node, ReadError> {
        let mut open: Vec<Node> = Vec::new();
        let mut path_bytes = 0;
        let mut root = None;
        loop {
            let offset = self.at;
            let fail = |kind| Err(ReadError { offset, kind });
            match self.token()? {
                NOP => {}
                BEGIN_NODE if open.is_empty() && root.is_some() => return fail(ReadErrorKind::SecondRoot),
                BEGIN_NODE if open.len() > DEPTH_MAX => {
                    return fail(ReadErrorKind::Depth { max: DEPTH_MAX });
                }
                BEGIN_NODE => {
                    let name = self.name(self.at, self.end)?;
                    self.skip(name.len() + 1)?;
                    path_bytes += name.len() + 1;
                    if path_bytes > PATH_MAX {
                        return fail(ReadErrorKind::LongPath { max: PATH_MAX });
                    }
                    open.push(Node::new(name));
                }
                PROP => {
                    let property = self.property()?;
                    match open.last_mut() {
                        Some(node) if node.children.is_empty() => node.properties.push(property),
                        _ => return fail(ReadErrorKind::MisplacedProperty),
                    }
                }
                END_NODE => match open.pop() {
                    None => return fail(ReadErrorKind::UnbalancedEnd),
                    Some(node) => {
                        path_bytes -= node.name.len() + 1;
                        match open.last_mut() {
                            Some(parent) => parent.children.push(node),
                            None => root = Some(node),
                        }
                    }
                },
                END if open.is_empty() => {
                    return root.ok_or(ReadError { offset, kind: ReadErrorKind::NoRoot });
                }
                END => return fail(ReadErrorKind::Truncated),
                token => return fail(ReadErrorKind::Token { token }),
            }
        }
    }

    fn token(&mut self) -> Result<u32, ReadError> {
        let token = word(&self.blob[..self.end], self.at)?;
        self.at += 4;
        Ok(token)
    }

    /// Length, offset of the name in the strings block, value.
    fn property(&mut self) -> Result<Property, ReadError> {
        let (length, name) = (self.token()? as usize, self.token()? as usize);
        let (start, end) = self.strings;
        let name = self.name(start.saturating_add(name), end)?.to_owned();
        let value = self.at.checked_add(length).and_then(|end| self.blob[..self.end].get(self.at..end));
        let truncated = ReadError { offset: self.at, kind: ReadErrorKind::Truncated };
        let value = guess(value.ok_or(truncated)?);
        self.skip(length)?;
        Ok(Property { name, value })
    }

    /// The text up to the next NUL before `end`.
    fn name(&self, at: usize, end: usize) -> Result<&'a str, ReadError> {
        let fail = |kind| ReadError { offset: at.min(self.blob.len()), kind };
        let bytes = self.blob.get(at..end).ok_or(fail(ReadErrorKind::Truncated))?;
        let bytes = &bytes[..bytes.len().min(NAME_MAX + 1)];
        let length = bytes.iter().position(|byte| *byte == 0).ok_or(fail(match bytes.len() > NAME_MAX {
            true => ReadErrorKind::LongName { max: NAME_MAX },
            false => ReadErrorKind::UnterminatedName,
        }))?;
        std::str::from_utf8(&bytes[..length]).map_err(|_| fail(ReadErrorKind::NameNotText))
    }

    /// Goes over bytes and the padding to the next token.
    fn skip(&mut self, bytes: usize) -> Result<(), ReadError> {
        let padded = bytes.checked_next_multiple_of(4);
        let next = padded.and_then(|padded| self.at.checked_add(padded)).filter(|next| *next <= self.end);
        self.at = next.ok_or(ReadError { offset: self.at, kind: ReadErrorKind::Truncated })?;
        Ok(())
    }
}

/// A value of the most telling type that has these bytes.
fn guess(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Empty;
    }
    if let Some(strings) = strings(bytes) {
        return Value::Strings(strings);
    }
    let cells = bytes.chunks_exact(4);
    if !cells.remainder().is_empty() {
        return Value::Bytes(bytes.to_vec());
    }
    let cell = |bytes: &[u8]| Cell::U32(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    Value::Cells(vec![cells.map(cell).collect()])
}

/// Strings of printable characters, none of them empty, each with its NUL.
fn strings(bytes: &[u8]) -> Option<Vec<String>> {
    let text = bytes.strip_suffix(&[0])?;
    let parts = text.split(|byte| *byte == 0);
    let string = |part: &[u8]| {
        let printable = !part.is_empty() && part.iter().all(|byte| matches!(byte, b' '..=b'~'));
        printable.then(|| part.iter().map(|byte| char::from(*byte)).collect())
    };
    parts.map(string).collect()
}
