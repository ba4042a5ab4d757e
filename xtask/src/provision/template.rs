//! Templates of scripts: `{{name}}` stands for a text. Both sides are ours, so a marker without a text, or a text
//! without a marker, is a mistake in this program.

/// In one pass: what a text brings is never taken for a marker.
pub fn fill(template: &str, texts: &[(&str, String)]) -> String {
    let mut parts = template.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_string();
    let mut used = Vec::new();
    for part in parts {
        let (name, rest) = part.split_once("}}").expect("a marker ends");
        let (_, text) =
            texts.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no text for {name}"));
        used.push(name);
        filled += text;
        filled += rest;
    }
    let unused = texts.iter().find(|(name, _)| !used.contains(name));
    assert!(unused.is_none(), "the template doesn't use {unused:?}");
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_not_read_for_markers() {
        let texts = [("a", "{{b}} $a".to_string()), ("b", "2".to_string())];
        assert_eq!(fill("x {{a}}-{{b}}{{a}}", &texts), "x {{b}} $a-2{{b}} $a");
    }
}
