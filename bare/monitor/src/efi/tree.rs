//! A flattened device tree, read and written anew with what the guest is to be told (Devicetree Specification 0.4, 5). Pure.

/// Bytes of tree that can be handled; a profile's are a few KiB.
pub const TREE_BYTES_MAX: usize = 64 * 1024;
const HEADER_BYTES: usize = 40;
const MAGIC: u32 = 0xd00d_feed;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// Ranges of memory that a tree can have.
pub const MEMORY_MAX: usize = 8;

/// What the loader has to know of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub cpus: u32,
    /// Start and end.
    pub memory: [(u64, u64); MEMORY_MAX],
    pub memory_count: usize,
}

impl Facts {
    pub fn memory(&self) -> &[(u64, u64)] {
        &self.memory[..self.memory_count]
    }
}

/// What a guest on 64-bit Arm reads in its tree.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    pub command_line: &'a [u8],
    pub initramfs: (u64, u64),
    /// Memory that isn't the guest's though the tree has it; empty where there is none.
    pub reserved: (u64, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Begin(&'a [u8]),
    End,
    Property(&'a [u8], &'a [u8]),
}

struct Reader<'a> {
    structure: &'a [u8],
    strings: &'a [u8],
    at: usize,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The text at `at` without its NUL.
fn text(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    rest.get(..rest.iter().position(|byte| *byte == 0)?)
}

impl<'a> Reader<'a> {
    fn new(tree: &'a [u8]) -> Option<Reader<'a>> {
        if word(tree, 0)? != MAGIC || word(tree, 4)? as usize > tree.len() {
            return None;
        }
        let part =
            |start: u32, size: u32| tree.get(start as usize..(start as usize).checked_add(size as usize)?);
        let structure = part(word(tree, 8)?, word(tree, 36)?)?;
        Some(Reader { structure, strings: part(word(tree, 12)?, word(tree, 32)?)?, at: 0 })
    }

    /// `None` at the end; `Some(None)` where the tree makes no sense.
    fn next(&mut self) -> Option<Option<Token<'a>>> {
        loop {
            let Some(kind) = word(self.structure, self.at) else { return Some(None) };
            self.at += 4;
            return match kind {
                NOP => continue,
                END => None,
                END_NODE => Some(Some(Token::End)),
                BEGIN_NODE => Some(text(self.structure, self.at).map(|name| {
                    self.at = (self.at + name.len() + 1).next_multiple_of(4);
                    Token::Begin(name)
                })),
                PROPERTY => Some(self.property()),
                _ => Some(None),
            };
        }
    }

    fn property(&mut self) -> Option<Token<'a>> {
        let length = word(self.structure, self.at)? as usize;
        let name = text(self.strings, word(self.structure, self.at + 4)? as usize)?;
        let start = self.at + 8;
        let value = self.structure.get(start..start.checked_add(length)?)?;
        self.at = (start + length).next_multiple_of(4);
        Some(Token::Property(name, value))
    }
}

/// Whether a node's name is `name` or `name@…`.
fn is_named(node: &[u8], name: &[u8]) -> bool {
    node.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest[0] == b'@')
}

/// Reads processors and memory. Addresses and sizes in the root have two cells each, as all of ours have.
pub fn facts(tree: &[u8]) -> Option<Facts> {
    let mut reader = Reader::new(tree)?;
    let mut facts = Facts::default();
    let (mut depth, mut in_cpus, mut in_memory) = (0_usize, false, false);
    while let Some(token) = reader.next() {
        match token? {
            Token::Begin(name) => {
                depth += 1;
                if depth == 2 {
                    (in_cpus, in_memory) = (name == b"cpus", is_named(name, b"memory"));
                }
                facts.cpus += u32::from(depth == 3 && in_cpus && is_named(name, b"cpu"));
            }
            Token::End => depth = depth.checked_sub(1)?,
            Token::Property(b"reg", value) if depth == 2 && in_memory => {
                for range in value.chunks_exact(16) {
                    let cells =
                        |at: usize| Some(u64::from(word(range, at)?) << 32 | u64::from(word(range, at + 4)?));
                    let (start, size) = (cells(0)?, cells(8)?);
                    *facts.memory.get_mut(facts.memory_count)? = (start, start.checked_add(size)?);
                    facts.memory_count += 1;
                }
            }
            Token::Property(..) => {}
        }
    }
    (facts.memory_count > 0 && facts.cpus > 0).then_some(facts)
}

/// Where a tree is written.
struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.at..self.at.checked_add(bytes.len())?)?.copy_from_slice(bytes);
        self.at += bytes.len();
        Some(())
    }

    fn align(&mut self) -> Option<()> {
        let padding = self.at.next_multiple_of(4) - self.at;
        self.put(&[0; 4][..padding])
    }

    fn property(&mut self, name: u32, value: &[u8]) -> Option<()> {
        self.put(&PROPERTY.to_be_bytes())?;
        self.put(&(value.len() as u32).to_be_bytes())?;
        self.put(&name.to_be_bytes())?;
        self.put(value)?;
        self.align()
    }
}

/// Names that are added, behind the tree's own.
const NAMES: &[u8] = b"bootargs\0linux,initrd-start\0linux,initrd-end\0";
const REPLACED: [&[u8]; 3] = [b"bootargs", b"linux,initrd-start", b"linux,initrd-end"];

/// Writes the tree with other content of /chosen and one reserved range. Returns its length; `None` where the tree
/// makes no sense, has no /chosen, or has no room in `to`.
pub fn rewrite(tree: &[u8], told: &Told, to: &mut [u8]) -> Option<usize> {
    let mut reader = Reader::new(tree)?;
    let strings = reader.strings;
    let mut writer = Writer { bytes: to, at: HEADER_BYTES };
    // The tree's own reservations, then one more and the end.
    let mut at = word(tree, 16)? as usize;
    while tree.get(at..at + 16)? != [0; 16] {
        writer.put(&tree[at..at + 16])?;
        at += 16;
    }
    if told.reserved.0 != told.reserved.1 {
        writer.put(&told.reserved.0.to_be_bytes())?;
        writer.put(&(told.reserved.1 - told.reserved.0).to_be_bytes())?;
    }
    writer.put(&[0; 16])?;
    let structure = writer.at;
    let own = strings.len() as u32;
    let (mut depth, mut in_chosen, mut is_told) = (0_usize, false, false);
    let mut before = reader.at;
    while let Some(token) = reader.next() {
        let token = token?;
        let raw = &reader.structure[before..reader.at];
        before = reader.at;
        match token {
            Token::Begin(name) => {
                depth += 1;
                in_chosen = depth == 2 && name == b"chosen";
                writer.put(raw)?;
                if in_chosen {
                    is_told = true;
                    let mut line = [0; 2048];
                    line.get_mut(..told.command_line.len())?.copy_from_slice(told.command_line);
                    writer.property(own, line.get(..told.command_line.len() + 1)?)?;
                    writer.property(own + 9, &told.initramfs.0.to_be_bytes())?;
                    writer.property(own + 28, &told.initramfs.1.to_be_bytes())?;
                }
            }
            Token::Property(name, _) if in_chosen && depth == 2 && REPLACED.contains(&name) => {}
            Token::Property(..) => writer.put(raw)?,
            Token::End => {
                depth = depth.checked_sub(1)?;
                writer.put(raw)?;
            }
        }
    }
    writer.put(&END.to_be_bytes())?;
    let strings_at = writer.at;
    writer.put(strings)?;
    writer.put(NAMES)?;
    writer.align()?;
    let total = writer.at;
    let mut header = Writer { bytes: writer.bytes, at: 0 };
    let sizes = [strings.len() + NAMES.len(), strings_at - structure];
    let words = [
        MAGIC,
        total as u32,
        structure as u32,
        strings_at as u32,
        HEADER_BYTES as u32,
        17,
        16,
        word(tree, 28)?,
    ];
    words
        .into_iter()
        .chain(sizes.map(|size| size as u32))
        .try_for_each(|word| header.put(&word.to_be_bytes()))?;
    (is_told && depth == 0).then_some(total)
}
