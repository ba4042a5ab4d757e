//! SHA-256 digests of bytes, files and canonical JSON: the names by which steps and artifacts are known.

use std::{
    borrow::Cow,
    cell::RefCell,
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
    str::FromStr,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const BUFFER_BYTES: usize = 256 << 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A SHA-256 digest (FIPS 180-4), shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// Digest of a value's canonical JSON: keys sorted, no white space.
    ///
    /// Values handed here are our own types with string keys, so serialisation can't fail.
    pub fn of_json<T: Serialize>(value: &T) -> Digest {
        Digest::of(canonical_json(value).as_bytes())
    }

    /// Digest and length in bytes of a file's content.
    pub fn of_file(path: &Path) -> io::Result<(Digest, u64)> {
        Digest::of_reader(&mut File::open(path)?)
    }

    /// Digest and length in bytes of all that there is to read.
    pub fn of_reader(reader: &mut dyn Read) -> io::Result<(Digest, u64)> {
        let mut hasher = Sha256::new();
        let mut size_bytes = 0;
        // A kernel tree has a hundred thousand small files: the buffer stays.
        BUFFER.with_borrow_mut(|buffer| {
            buffer.resize(BUFFER_BYTES, 0);
            loop {
                match reader.read(buffer) {
                    Ok(0) => return Ok(()),
                    Ok(count) => {
                        hasher.update(&buffer[..count]);
                        size_bytes += count as u64;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        })?;
        Ok((Digest(hasher.finalize().into()), size_bytes))
    }

    /// The first 12 digits: enough to tell digests apart on a screen.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_string()
    }
}

/// JSON with sorted keys and no white space, so that equal values have equal text.
pub fn canonical_json<T: Serialize>(value: &T) -> String {
    let mut value = serde_json::to_value(value).expect("our own types serialise");
    value.sort_all_objects();
    value.to_string()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        // A build that finds nothing to do shows and reads thousands of digests.
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).expect("digits are ASCII"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

/// A text that isn't 64 lower-case hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a SHA-256 digest (64 lower-case hexadecimal digits)")]
pub struct NotADigest(String);

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Digest, NotADigest> {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let wrong = || NotADigest(text.to_string());
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| wrong())?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let (Some(high), Some(low)) = (value(pair[0]), value(pair[1])) else { return Err(wrong()) };
            *byte = high << 4 | low;
        }
        Ok(Digest(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Digest, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> Cow<'static, str> {
        "Sha256".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A SHA-256 digest: 64 lower-case hexadecimal digits.",
            "type": "string",
            "pattern": "^[0-9a-f]{64}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_round_trip_and_refuse_other_text() {
        let digest = Digest::of(b"abc");
        // FIPS 180-4, example B.1.
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        for wrong in ["", "ba78", &"g".repeat(64), &"A".repeat(64)] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_is_known_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        for content in [&b""[..], b"abc", &[7; 3 << 20]] {
            let path = folder.path().join("file");
            std::fs::write(&path, content).unwrap();
            assert_eq!(Digest::of_file(&path).unwrap(), (Digest::of(content), content.len() as u64));
        }
    }

    #[test]
    fn canonical_json_does_not_depend_on_order() {
        let one = serde_json::json!({"b": [1, {"y": 1, "x": 2}], "a": 1});
        let other = serde_json::json!({"a": 1, "b": [1, {"x": 2, "y": 1}]});
        assert_eq!(canonical_json(&one), canonical_json(&other));
        assert_eq!(canonical_json(&one), r#"{"a":1,"b":[1,{"x":2,"y":1}]}"#);
    }
}
