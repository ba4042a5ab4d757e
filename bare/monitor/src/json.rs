//! One line of the report: a JSON object in a buffer of fixed size.

/// Longest line. One that would be longer keeps its event and says `"truncated":true`.
pub const LINE_BYTES_MAX: usize = 512;

/// Room for `,"truncated":true}`.
const TAIL_BYTES: usize = 20;

/// A line that is being written.
pub struct Line {
    buffer: [u8; LINE_BYTES_MAX],
    length: usize,
    truncated: bool,
}

impl Line {
    /// `{"event":"…"`
    pub fn new(event: &str) -> Line {
        let line = Line { buffer: [0; LINE_BYTES_MAX], length: 0, truncated: false };
        let mut line = line.raw("{\"event\":\"");
        line.escaped(event);
        line.raw("\"")
    }

    #[must_use]
    pub fn text(self, name: &str, value: &str) -> Line {
        let before = self.length;
        let mut line = self.raw(",\"").raw(name).raw("\":\"");
        line.escaped(value);
        line.raw("\"").or_back_to(before)
    }

    #[must_use]
    pub fn number(self, name: &str, value: u64) -> Line {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = value;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let before = self.length;
        let mut line = self.raw(",\"").raw(name).raw("\":");
        line.bytes(&digits[at..]);
        line.or_back_to(before)
    }

    /// A number as a string, `"0x1f"`: JSON's own numbers lose the upper bits of 64 in many readers.
    #[must_use]
    pub fn hex(self, name: &str, value: u64) -> Line {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let width = (64 - value.leading_zeros()).div_ceil(4).max(1);
        let before = self.length;
        let mut line = self.raw(",\"").raw(name).raw("\":\"0x");
        for digit in (0..width).rev() {
            line.bytes(&[DIGITS[(value >> (digit * 4) & 0xf) as usize]]);
        }
        line.raw("\"").or_back_to(before)
    }

    /// The whole line, without line end.
    pub fn end(&mut self) -> &str {
        if self.truncated {
            self.truncated = false;
            self.tail(b",\"truncated\":true}");
        } else if self.buffer[..self.length].last() != Some(&b'}') {
            self.tail(b"}");
        }
        core::str::from_utf8(&self.buffer[..self.length]).unwrap_or("{}")
    }

    fn tail(&mut self, bytes: &[u8]) {
        self.buffer[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn raw(mut self, text: &str) -> Line {
        self.bytes(text.as_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.truncated || self.length + bytes.len() > LINE_BYTES_MAX - TAIL_BYTES {
            self.truncated = true;
            return;
        }
        self.tail(bytes);
    }

    /// Takes a field back that didn't fit, so that what stays is JSON.
    fn or_back_to(mut self, length: usize) -> Line {
        if self.truncated {
            self.length = length;
        }
        self
    }

    fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '"' => self.bytes(b"\\\""),
                '\\' => self.bytes(b"\\\\"),
                // Control characters have no business in a report.
                c if c.is_control() => self.bytes(b"?"),
                c => {
                    let mut bytes = [0; 4];
                    self.bytes(c.encode_utf8(&mut bytes).as_bytes());
                }
            }
        }
    }
}
