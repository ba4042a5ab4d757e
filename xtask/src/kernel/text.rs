//! What every file of Kconfig's family must be before its lines are read: UTF-8 with plain line ends.

use std::sync::Arc;

use document::{Origin, Problem};

/// U+FEFF in UTF-8, which some editors put before the text.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text of a file, or the place of the first byte that belongs to none.
pub fn utf8<'a>(file: &Arc<str>, bytes: &'a [u8]) -> Result<&'a str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid_up_to = error.valid_up_to();
        let before = String::from_utf8_lossy(&bytes[..valid_up_to]);
        let line = before.matches('\n').count() as u32 + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u32 + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = bytes[start..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |at| start + at);
        Problem::new(Origin::new(file, line, column), "not UTF-8 text")
            .excerpt(String::from_utf8_lossy(&bytes[start..end]))
            .hint("save the file in UTF-8")
    })
}

/// One problem a file: its lines all end the same way.
pub fn carriage_returns(file: &Arc<str>, text: &str) -> Option<Problem> {
    let (index, line) = text.split('\n').enumerate().find(|(_, line)| line.ends_with('\r'))?;
    let line = line.trim_end_matches('\r');
    let origin = Origin::new(file, index as u32 + 1, line.chars().count() as u32 + 1);
    let problem = Problem::new(origin, "lines end in carriage return and line feed (DOS line ends)");
    Some(problem.excerpt(line).hint(format!("convert the file: sed -i 's/\\r$//' {file}")))
}
