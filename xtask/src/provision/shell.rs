//! Words for POSIX shells (POSIX.1-2017, Shell Command Language, 2.2 Quoting).

/// The word whose value is `text`, whatever is in it.
pub fn quote(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:,=+@%".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => text.to_string(),
        // Within single quotes everything stands for itself, and a single quote can't stand.
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

pub fn words(texts: &[String]) -> String {
    texts.iter().map(|text| quote(text)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_takes_every_word_for_what_it_was() {
        let hard = [
            "",
            "plain",
            "two words",
            "it's",
            "'",
            "''",
            "\"$HOME\" `id` $(id) \\ !",
            "*",
            "~",
            "#x",
            "a\nb",
            "ä=ü",
            "-n",
        ];
        let hard: Vec<String> = hard.map(str::to_string).to_vec();
        let script = format!("printf '%s|' {}", words(&hard));
        let said = Command::new("sh").args(["-c", &script]).output().unwrap().stdout;
        assert_eq!(
            String::from_utf8(said).unwrap(),
            hard.iter().map(|word| format!("{word}|")).collect::<String>()
        );
    }
}
