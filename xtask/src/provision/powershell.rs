//! Words for PowerShell (about_Quoting_Rules; PowerShell language specification, 2.3.5.2 String literals).

/// A literal whose value is `text`. Within single quotes everything stands for itself but single quotes, which are doubled;
/// and the typographic ones, U+2018 to U+201B, are single quotes to PowerShell.
pub fn quote(text: &str) -> String {
    let mut quoted = String::from("'");
    for character in text.chars() {
        quoted.push(character);
        if matches!(character, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(character);
        }
    }
    quoted + "'"
}

/// A script as Windows PowerShell reads it: without the mark it takes UTF-8 for the system's old code page.
pub fn file(script: &str) -> Vec<u8> {
    format!("\u{feff}{script}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_of_all_kinds_are_doubled() {
        assert_eq!(quote("a `$b`"), "'a `$b`'");
        assert_eq!(quote("it's ‘so’ ‚‛ \"x\""), "'it''s ‘‘so’’ ‚‚‛‛ \"x\"'");
        assert_eq!(quote(""), "''");
    }
}
