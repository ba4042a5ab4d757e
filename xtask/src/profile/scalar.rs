//! The words that documents are made of: each type holds only well-formed text, and its JSON schema says
//! what that is. One pattern serves the editor, the checker and the type itself, so they can't disagree.
//!
//! Patterns stay inside what ECMA 262 (JSON schema) and `regex-lite` both read: no look-around.

use std::{borrow::Cow, fmt, sync::OnceLock};

use regex_lite::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A path segment that is neither empty nor `.` nor `..`, without backslash, white space or control characters.
macro_rules! segment {
    () => {
        r"([^/\\.\s\x00-\x1f][^/\\\s\x00-\x1f]*|\.[^/\\.\s\x00-\x1f][^/\\\s\x00-\x1f]*|\.\.[^/\\\s\x00-\x1f]+)"
    };
}

/// A value as a .config has it.
macro_rules! setting_value {
    () => {
        r#"(y|m|n|-?(0|[1-9][0-9]{0,17})|0x[0-9a-fA-F]{1,16}|"([^"\\\x00-\x1f]|\\["\\])*")"#
    };
}

/// Defines a text type: its doc comment, name, pattern, and what to tell someone whose text doesn't match.
macro_rules! text {
    ($($(#[doc = $doc:literal])+ $name:ident: $pattern:expr, $wanted:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub const PATTERN: &'static str = $pattern;
            /// What well-formed text is, to go behind "expected".
            pub const WANTED: &'static str = $wanted;

            /// The text as a value of this type, if it matches the pattern.
            pub fn parse(text: &str) -> Option<Self> {
                static REGEX: OnceLock<Regex> = OnceLock::new();
                let regex = REGEX.get_or_init(|| compile(Self::PATTERN));
                regex.is_match(text).then(|| $name(text.to_owned()))
            }

            #[allow(dead_code, reason = "of some types the text is only ever printed")]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fmt_text!();
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                Self::parse(&text).ok_or_else(|| de::Error::custom(format!("expected {}", Self::WANTED)))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                text_schema([$($doc),+].concat().trim(), Self::PATTERN, Self::WANTED)
            }
        }
    )+};
}

macro_rules! fmt_text {
    () => {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }
    };
}

text! {
    /// Name of a file without its extension, of a package, of an entry.
    Name: r"^[A-Za-z0-9]([A-Za-z0-9_+-]|\.[A-Za-z0-9_+-])*$",
        "a name: letters, digits and `-`, `_`, `+`, `.`, beginning with a letter or digit, without `..`";
    /// Relative path that stays below the folder it starts from.
    RelativePath: concat!(r"^", segment!(), r"(/", segment!(), r")*$"),
        "a relative path without `..`, `.`, backslashes or white space";
    /// Absolute path of a file in the initramfs.
    InstallPath: concat!(r"^(/", segment!(), r")+$"),
        "an absolute path such as `/usr/bin/tool`, without `..`, a `/` at its end, or white space";
    /// What a symbolic link holds.
    LinkTarget: r"^[^\s\x00-\x1f]+$",
        "the text of a symbolic link: a path without white space";
    /// Path on this machine, absolute or relative to the project.
    LocalPath: r"^[^~\s\x00-\x1f]([^\x00-\x1f]*[^\s\x00-\x1f])?$",
        "a path, absolute or relative to the project (`~` is expanded by shells, not here)";
    /// Full id of a Git commit.
    GitRevision: r"^([0-9a-f]{40}|[0-9a-f]{64})$",
        "a full commit id, 40 or 64 lower-case hexadecimal digits (`git rev-parse TAG^{commit}` prints it)";
    /// SHA-256 digest.
    Sha256: r"^[0-9a-f]{64}$",
        "a SHA-256 digest: 64 lower-case hexadecimal digits and nothing else (`sha256sum FILE` prints it)";
    /// Time stamp of the permanent archive.
    Snapshot: r"^20[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]Z$",
        "a UTC time stamp in the form YYYYMMDDTHHMMSSZ, such as 20260131T093000Z";
    /// Address of a file to download.
    Url: r"^(https?://[^\s/@]+/[^\s?#]*|file:///[^\s]+)$",
        "the address of a file: http://HOST/…, https://HOST/… or file:///…, without user name, password or query, \
         since it goes into the manifest";
    /// Address of a Git repository.
    GitUrl: r"^((https?|git)://[^\s/@]+/[^\s]*|ssh://[^\s/]+/[^\s]*|file:///[^\s]+)$",
        "the address of a repository: https://, http://, git://, ssh:// or file:///, without a password";
    /// One option of the kernel's command line.
    KernelOption: r"^[!-~]+$",
        "one option of the kernel command line: printable ASCII without spaces; a list item for each";
    /// Linux version.
    LinuxVersion: r"^[0-9]{1,3}\.[0-9]{1,3}(\.[0-9]{1,5})?(-rc[0-9]{1,2})?$",
        "a Linux version such as 7.3.4 or 7.4-rc1";
    /// Linux version by its first two numbers.
    LinuxSeries: r"^[0-9]{1,3}\.[0-9]{1,3}$",
        "a Linux version by its first two numbers, in quotes, such as \"6.16\"";
    /// Name of a Kconfig symbol without CONFIG_.
    Symbol: r"^[A-Za-z0-9_]+$",
        "a Kconfig symbol without its prefix, such as `HYPERV_VTL_MODE`";
    /// A Kconfig symbol and its value as a .config has them, without CONFIG_.
    Setting: concat!(r"^[A-Za-z0-9_]+=", setting_value!(), "$"),
        "a Kconfig symbol without its prefix and a value, such as `SMP=y`, `NR_CPUS=64` or `LOCALVERSION=\"\"`";
    /// A Kconfig symbol and the value that it has or, with `!=`, hasn't.
    Condition: concat!(r"^[A-Za-z0-9_]+!?=", setting_value!(), "$"),
        "a Kconfig symbol without its prefix, `=` or `!=`, and a value, such as `SMP=y` or `LOCALVERSION!=\"\"`";
    /// Version of a Debian package (Debian Policy 5.6.12).
    DebVersion: r"^([0-9]+:)?[0-9][A-Za-z0-9.+~-]*$",
        "the version of a Debian package such as 7.3.4-1~bpo13+1";
    /// Volume label of a FAT file system.
    VolumeLabel: r"^[A-Z0-9_-]{1,11}$",
        "a volume label: at most 11 characters of A-Z, 0-9, `_` and `-`";
    /// An item of `compatible` (Devicetree Specification 2.3.1).
    Compatible: r"^[A-Za-z0-9][A-Za-z0-9,._+-]*$",
        "a value of `compatible` such as `arm,cortex-a72`: letters, digits and `,`, `.`, `_`, `+`, `-`";
    /// Name of a node, without an address (Devicetree Specification 2.2.1).
    NodeName: r"^[A-Za-z][A-Za-z0-9,._+-]*$",
        "the name of a node: letters, digits and `,`, `.`, `_`, `+`, `-`, beginning with a letter";
    /// Feature of a cargo package.
    CargoFeature: r"^[A-Za-z0-9_][A-Za-z0-9_+.-]*(/[A-Za-z0-9_][A-Za-z0-9_+.-]*)?$",
        "the name of a cargo feature, such as `log` or `serde/derive`";
}

/// A number of bytes: a plain number, or a number with KiB, MiB or GiB (powers of 1024).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl ByteSize {
    pub const PATTERN: &'static str = "^[0-9]{1,9}(KiB|MiB|GiB)$";
    pub const WANTED: &'static str =
        "a size: a number with KiB, MiB or GiB such as `256MiB`, or a number of bytes";

    /// Parses a number with a unit.
    pub fn parse(text: &str) -> Option<Self> {
        let (unit, factor) = UNITS.into_iter().find(|(unit, _)| text.ends_with(unit))?;
        let digits = &text[..text.len() - unit.len()];
        let short = digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = short.then(|| digits.parse().ok())??;
        number.checked_mul(factor).map(ByteSize)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.into_iter().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(ByteSize::WANTED)
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                ByteSize::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of bytes, or a number with KiB, MiB or GiB.",
            "type": ["string", "integer"],
            "minimum": 0,
            "pattern": Self::PATTERN,
            "patternErrorMessage": format!("expected {}", Self::WANTED),
        })
    }
}

/// An address, or an id that is written like one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(pub u64);

impl Address {
    pub const PATTERN: &'static str = "^0x[0-9a-f]{1,16}$";
    pub const WANTED: &'static str = "an address of at most 64 bits, such as 0x40000000";
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:#x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Address;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(Address::WANTED)
            }

            fn visit_u64<E: de::Error>(self, address: u64) -> Result<Address, E> {
                Ok(Address(address))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
                let digits = text.strip_prefix("0x").filter(|digits| digits.len() <= 16);
                let address = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
                address.map(Address).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for Address {
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An address, as a number or in quotes.",
            "type": ["string", "integer"],
            "minimum": 0,
            "pattern": Self::PATTERN,
            "patternErrorMessage": format!("expected {}", Self::WANTED),
        })
    }
}

/// Permission bits of a file. In documents four octal digits in quotes: YAML reads 0644 without them as 644.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileMode(pub u32);

impl FileMode {
    /// What programs and folders get.
    pub const PROGRAM: FileMode = FileMode(0o755);

    pub const PATTERN: &'static str = "^[0-7]{4}$";
    pub const WANTED: &'static str = "a file mode: four octal digits in quotes such as \"0644\"";

    pub fn parse(text: &str) -> Option<Self> {
        let octal = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        octal.then(|| u32::from_str_radix(text, 8).ok().map(FileMode))?
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:04o}", self.0))
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        FileMode::parse(&text).ok_or_else(|| de::Error::custom(format!("expected {}", Self::WANTED)))
    }
}

impl JsonSchema for FileMode {
    fn schema_name() -> Cow<'static, str> {
        "FileMode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        text_schema("Permission bits of a file, octal, in quotes.", Self::PATTERN, Self::WANTED)
    }
}

fn text_schema(description: &str, pattern: &str, wanted: &str) -> Schema {
    json_schema!({
        "description": description,
        "type": "string",
        "pattern": pattern,
        // Read by the checker, and by editors that know it (VS Code's YAML and JSON support).
        "patternErrorMessage": format!("expected {wanted}"),
    })
}

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("patterns of this module are valid: a test compiles every one")
}
