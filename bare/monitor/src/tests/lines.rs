//! Lines of the report are JSON, whatever goes in.

use crate::json::{LINE_BYTES_MAX, Line};

#[test]
fn numbers_and_text() {
    let mut line = Line::new("e").number("n", 0).number("m", u64::MAX).hex("h", 0).hex("x", 0x1f);
    assert_eq!(line.end(), r#"{"event":"e","n":0,"m":18446744073709551615,"h":"0x0","x":"0x1f"}"#);
    assert_eq!(line.end(), r#"{"event":"e","n":0,"m":18446744073709551615,"h":"0x0","x":"0x1f"}"#);
    let mut line = Line::new("e").text("t", "a\"b\\c\nd");
    assert_eq!(line.end(), r#"{"event":"e","t":"a\"b\\c?d"}"#);
}

#[test]
fn too_long() {
    for length in 0..2 * LINE_BYTES_MAX {
        let text = "\"".repeat(length);
        let mut line = Line::new("e").number("first", 1).text("t", &text).number("last", 2);
        let line = line.end();
        assert!(
            line.len() <= LINE_BYTES_MAX
                && line.starts_with(r#"{"event":"e","first":1"#)
                && line.ends_with('}')
        );
        let is_short = line.contains("last");
        assert_ne!(is_short, line.contains(r#""truncated":true"#), "{line}");
    }
}
