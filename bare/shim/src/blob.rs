//! Flattened device trees (Devicetree Specification 0.4, chapter 5), read and written token by token, in place.
//!
//! The rules are those of vtlforge's fdt crate: versions 16 and 17, properties before children, one root, names with an
//! end, a bound on depth. A blob is read from front to back; nothing in it is followed.

use core::fmt::{self, Display};

/// Levels of nodes.
pub const DEPTH_MAX: usize = 16;
pub const HEADER_BYTES: usize = 40;

const MAGIC: u32 = 0xd00d_feed;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// Why a blob can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    NoTree,
    Version,
    Truncated,
    Name,
    Token,
    Structure,
    Depth,
    /// A value that isn't of the form that its property has.
    Value(&'static str),
    TooMany(&'static str),
}

impl Display for Bad {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Bad::NoTree => to.write_str("there is none"),
            Bad::Version => to.write_str("its version isn't known"),
            Bad::Truncated => to.write_str("it ends in the middle of something"),
            Bad::Name => to.write_str("a name without an end, or that is no text"),
            Bad::Token => to.write_str("something that is no token"),
            Bad::Structure => to.write_str("nodes and properties that are not nested as they must be"),
            Bad::Depth => to.write_str("nodes too deep"),
            Bad::Value(property) => write!(to, "the value of `{property}`"),
            Bad::TooMany(what) => write!(to, "more {what} than there is room for"),
        }
    }
}

/// A blob whose header is sound.
#[derive(Clone, Copy, Debug)]
pub struct Blob<'a> {
    structure: &'a [u8],
    pub strings: &'a [u8],
    /// Entries of `/memreserve/` with the pair of zeros that ends them.
    pub reservations: &'a [u8],
    pub boot_cpu: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    Begin(&'a str),
    Property { name: &'a str, name_offset: u32, value: &'a [u8] },
    End,
}

/// The tokens of a blob, as far as they are sound.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    blob: Blob<'a>,
    at: usize,
    depth: usize,
    /// Whether a property may come.
    takes_properties: bool,
    had_root: bool,
}

fn word(bytes: &[u8], at: usize) -> Result<u32, Bad> {
    let bytes = at.checked_add(4).and_then(|end| bytes.get(at..end)).ok_or(Bad::Truncated)?;
    Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

impl<'a> Blob<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Blob<'a>, Bad> {
        let field = |number: usize| word(bytes, number * 4);
        if field(0)? != MAGIC {
            return Err(Bad::NoTree);
        }
        if field(5)? < 16 || field(6)? > 17 {
            return Err(Bad::Version);
        }
        let bytes = bytes.get(..field(1)? as usize).ok_or(Bad::Truncated)?;
        let part = |start: u32, size: Option<u32>| {
            let start = start as usize;
            let end = match size {
                Some(size) => start.checked_add(size as usize).ok_or(Bad::Truncated)?,
                None => bytes.len(),
            };
            bytes.get(start..end).ok_or(Bad::Truncated)
        };
        // Version 16 doesn't say how long the structure is: it ends with its own token.
        let structure_size = if field(5)? >= 17 { Some(field(9)?) } else { None };
        let after = part(field(4)?, None)?;
        let mut entries = after.chunks_exact(16);
        let number = entries.position(|entry| entry.iter().all(|byte| *byte == 0)).ok_or(Bad::Truncated)?;
        Ok(Blob {
            structure: part(field(2)?, structure_size)?,
            strings: part(field(3)?, Some(field(8)?))?,
            reservations: &after[..(number + 1) * 16],
            boot_cpu: field(7)?,
        })
    }

    pub fn tokens(&self) -> Tokens<'a> {
        Tokens { blob: *self, at: 0, depth: 0, takes_properties: false, had_root: false }
    }
}

impl<'a> Tokens<'a> {
    /// Nodes that are open.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The next token; nothing at the end.
    pub fn token(&mut self) -> Result<Option<Token<'a>>, Bad> {
        loop {
            let token = word(self.blob.structure, self.at)?;
            self.at += 4;
            match token {
                NOP => {}
                BEGIN_NODE => return self.begin().map(Some),
                PROP => return self.property().map(Some),
                END_NODE => {
                    self.depth = self.depth.checked_sub(1).ok_or(Bad::Structure)?;
                    self.takes_properties = false;
                    return Ok(Some(Token::End));
                }
                END if self.depth == 0 && self.had_root => return Ok(None),
                END => return Err(Bad::Structure),
                _ => return Err(Bad::Token),
            }
        }
    }

    /// Goes over the rest of the node that has just begun.
    pub fn skip_node(&mut self) -> Result<(), Bad> {
        let outside = self.depth - 1;
        while self.depth > outside {
            self.token()?.ok_or(Bad::Structure)?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<Token<'a>, Bad> {
        if self.depth == 0 && self.had_root {
            return Err(Bad::Structure);
        }
        if self.depth == DEPTH_MAX {
            return Err(Bad::Depth);
        }
        let name = text(&self.blob.structure[self.at..])?;
        self.advance(name.len() + 1)?;
        self.depth += 1;
        self.had_root = true;
        self.takes_properties = true;
        Ok(Token::Begin(name))
    }

    fn property(&mut self) -> Result<Token<'a>, Bad> {
        if !self.takes_properties {
            return Err(Bad::Structure);
        }
        let (length, name_offset) =
            (word(self.blob.structure, self.at)?, word(self.blob.structure, self.at + 4)?);
        self.at += 8;
        let end = self.at.checked_add(length as usize).ok_or(Bad::Truncated)?;
        let value = self.blob.structure.get(self.at..end).ok_or(Bad::Truncated)?;
        self.advance(length as usize)?;
        let name = text(self.blob.strings.get(name_offset as usize..).ok_or(Bad::Name)?)?;
        Ok(Token::Property { name, name_offset, value })
    }

    fn advance(&mut self, bytes: usize) -> Result<(), Bad> {
        let next = self.at.checked_add(bytes).and_then(|next| next.checked_next_multiple_of(4));
        self.at = next.filter(|next| *next <= self.blob.structure.len()).ok_or(Bad::Truncated)?;
        Ok(())
    }
}

/// Text up to its NUL.
fn text(bytes: &[u8]) -> Result<&str, Bad> {
    const NAME_MAX: usize = 255;
    let near = &bytes[..bytes.len().min(NAME_MAX + 1)];
    let length = near.iter().position(|byte| *byte == 0).ok_or(Bad::Name)?;
    core::str::from_utf8(&near[..length]).map_err(|_| Bad::Name)
}

/// Numbers of a value, each of so many cells.
pub fn numbers<'a>(
    value: &'a [u8],
    cells: u32,
    property: &'static str,
) -> Result<impl Iterator<Item = u64> + 'a, Bad> {
    let bytes = match cells {
        1 | 2 => cells as usize * 4,
        _ => return Err(Bad::Value(property)),
    };
    if !value.len().is_multiple_of(bytes) {
        return Err(Bad::Value(property));
    }
    Ok(value.chunks_exact(bytes).map(|number| number.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))))
}

/// The number that a value is, of one cell.
pub fn cell(value: &[u8], property: &'static str) -> Result<u32, Bad> {
    value.try_into().map(u32::from_be_bytes).map_err(|_| Bad::Value(property))
}

/// Writes a blob, version 17, in place.
pub struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    structure: usize,
}

/// There is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut [u8], reservations: &[u8]) -> Result<Writer<'a>, Full> {
        let mut writer = Writer { out, at: HEADER_BYTES, structure: 0 };
        writer.put(reservations)?;
        writer.structure = writer.at;
        Ok(writer)
    }

    pub fn begin(&mut self, name: &[u8]) -> Result<(), Full> {
        self.word(BEGIN_NODE)?;
        self.put(name)?;
        self.put(&[0])?;
        self.pad()
    }

    pub fn end(&mut self) -> Result<(), Full> {
        self.word(END_NODE)
    }

    pub fn property(&mut self, name_offset: u32, value: &[u8]) -> Result<(), Full> {
        self.property_head(name_offset, value.len())?;
        self.put(value)?;
        self.pad()
    }

    /// Numbers of two cells each.
    pub fn wide(&mut self, name_offset: u32, numbers: &[u64]) -> Result<(), Full> {
        self.property_head(name_offset, numbers.len() * 8)?;
        numbers.iter().try_for_each(|number| self.put(&number.to_be_bytes()))
    }

    fn property_head(&mut self, name_offset: u32, bytes: usize) -> Result<(), Full> {
        self.word(PROP)?;
        self.word(bytes as u32)?;
        self.word(name_offset)
    }

    /// Ends the structure, appends the strings, and fills in the header. Returns the blob's size.
    pub fn finish(mut self, strings: [&[u8]; 2], boot_cpu: u32) -> Result<usize, Full> {
        self.word(END)?;
        let structure_bytes = self.at - self.structure;
        let strings_start = self.at;
        strings.iter().try_for_each(|strings| self.put(strings))?;
        let strings_bytes = self.at - strings_start;
        self.pad()?;
        let total = self.at;
        let header = [
            MAGIC,
            total as u32,
            self.structure as u32,
            strings_start as u32,
            HEADER_BYTES as u32,
            17,
            16,
            boot_cpu,
            strings_bytes as u32,
            structure_bytes as u32,
        ];
        self.at = 0;
        header.iter().try_for_each(|field| self.word(*field))?;
        Ok(total)
    }

    fn word(&mut self, word: u32) -> Result<(), Full> {
        self.put(&word.to_be_bytes())
    }

    fn pad(&mut self) -> Result<(), Full> {
        self.put(&[0; 4][..self.at.next_multiple_of(4) - self.at])
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.at.checked_add(bytes.len()).ok_or(Full)?;
        self.out.get_mut(self.at..end).ok_or(Full)?.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }
}
