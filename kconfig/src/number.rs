//! Numbers as the C library reads them: from the front, as far as they go.

use crate::tristate::Kind;

/// What a text begins with.
#[derive(Clone, Copy, Debug)]
struct Read {
    magnitude: u64,
    is_negative: bool,
    overflows: bool,
    /// The whole text was read, and it ends in a digit.
    is_all: bool,
}

fn read(text: &str, base: u32) -> Read {
    let bytes = text.as_bytes();
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\x0b' | b'\x0c' | b'\r');
    let mut at = bytes.iter().take_while(|byte| is_blank(byte)).count();
    let is_negative = bytes.get(at) == Some(&b'-');
    if matches!(bytes.get(at), Some(b'-' | b'+')) {
        at += 1;
    }
    let has_prefix =
        matches!(bytes.get(at..at + 3), Some([b'0', b'x' | b'X', digit]) if digit.is_ascii_hexdigit());
    let base = match base {
        0 if has_prefix => 16,
        0 if bytes.get(at) == Some(&b'0') => 8,
        0 => 10,
        base => base,
    };
    if base == 16 && has_prefix {
        at += 2;
    }
    let (mut magnitude, mut overflows) = (0_u64, false);
    let start = at;
    while let Some(digit) = bytes.get(at).and_then(|&byte| char::from(byte).to_digit(base)) {
        let next = magnitude.checked_mul(u64::from(base)).and_then(|m| m.checked_add(u64::from(digit)));
        overflows |= next.is_none();
        magnitude = next.unwrap_or(u64::MAX);
        at += 1;
    }
    Read { magnitude, is_negative, overflows, is_all: at == bytes.len() && at > start }
}

/// Clamped to what 64 bits hold.
fn signed(read: Read) -> (i64, bool) {
    match (i64::try_from(read.magnitude), read.is_negative) {
        (Ok(value), false) => (value, read.overflows),
        (Ok(value), true) => (-value, read.overflows),
        (Err(_), true) if read.magnitude == 1 << 63 && !read.overflows => (i64::MIN, false),
        (Err(_), true) => (i64::MIN, true),
        (Err(_), false) => (i64::MAX, true),
    }
}

/// The number that `text` begins with, zero if none; `base` 10 or 16.
pub(crate) fn leading(text: &str, base: u32) -> i64 {
    signed(read(text, base)).0
}

/// What the C library's strtoul makes of `text`, if that is all of it and fits: a minus wraps around.
pub(crate) fn unsigned(text: &str, base: u32) -> Option<u64> {
    whole_unsigned(read(text, base))
}

fn whole_unsigned(read: Read) -> Option<u64> {
    let value = if read.is_negative { read.magnitude.wrapping_neg() } else { read.magnitude };
    (read.is_all && !read.overflows).then_some(value)
}

/// A text as something to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparable {
    Text,
    Signed(i64),
    Unsigned(u64),
}

/// How a value of `kind` is compared.
pub(crate) fn comparable(text: &str, kind: Kind) -> Comparable {
    let is_hex = kind == Kind::Hex;
    match kind {
        Kind::Bool | Kind::Tristate => {
            return Comparable::Signed(match text {
                "n" => 0,
                "m" => 1,
                "y" => 2,
                _ => -1,
            });
        }
        Kind::Int | Kind::Hex | Kind::Unknown | Kind::String => {}
    }
    let base = match kind {
        Kind::Int => 10,
        Kind::Hex => 16,
        _ => 0,
    };
    let read = read(text, base);
    if is_hex {
        return whole_unsigned(read).map_or(Comparable::Text, Comparable::Unsigned);
    }
    match signed(read) {
        (value, false) if read.is_all => Comparable::Signed(value),
        _ => Comparable::Text,
    }
}

impl Comparable {
    /// The bits, as C's union shows them.
    pub(crate) fn bits(self) -> u64 {
        match self {
            Comparable::Text => 0,
            Comparable::Signed(value) => value.cast_unsigned(),
            Comparable::Unsigned(value) => value,
        }
    }
}
