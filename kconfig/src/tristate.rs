//! The three values of logic that Kconfig reckons with, and the types of symbols.

use std::fmt;

/// `n`, `m` or `y`, in that order: conjunction is the minimum, disjunction the maximum
/// (Documentation/kbuild/kconfig-language.rst, "Menu dependencies").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Tristate {
    #[default]
    No,
    Module,
    Yes,
}

impl Tristate {
    pub const fn as_str(self) -> &'static str {
        match self {
            Tristate::No => "n",
            Tristate::Module => "m",
            Tristate::Yes => "y",
        }
    }

    /// 2 − value.
    #[must_use]
    pub const fn negated(self) -> Tristate {
        match self {
            Tristate::No => Tristate::Yes,
            Tristate::Module => Tristate::Module,
            Tristate::Yes => Tristate::No,
        }
    }
}

impl fmt::Display for Tristate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a symbol is declared as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Mentioned, but declared nowhere; its value is its own name.
    #[default]
    Unknown,
    Bool,
    Tristate,
    Int,
    Hex,
    String,
}

impl Kind {
    /// Whether values are `n`, `m` and `y`.
    pub const fn is_logical(self) -> bool {
        matches!(self, Kind::Bool | Kind::Tristate)
    }

    /// The name that conf uses in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Unknown => "unknown",
            Kind::Bool => "bool",
            Kind::Tristate => "tristate",
            Kind::Int => "integer",
            Kind::Hex => "hex",
            Kind::String => "string",
        }
    }

    /// Whether `text` can be a value of this kind at all; ranges are another matter.
    pub fn accepts(self, text: &str) -> bool {
        let bytes = text.as_bytes();
        match self {
            Kind::Unknown => false,
            Kind::String => true,
            Kind::Bool | Kind::Tristate => {
                matches!(bytes.first(), Some(b'y' | b'Y' | b'm' | b'M' | b'n' | b'N'))
            }
            Kind::Int => {
                let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
                let leading_zero = digits.len() > 1 && digits[0] == b'0';
                !digits.is_empty() && !leading_zero && digits.iter().all(u8::is_ascii_digit)
            }
            Kind::Hex => {
                let digits = bytes.strip_prefix(b"0x").or_else(|| bytes.strip_prefix(b"0X")).unwrap_or(bytes);
                !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit)
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
