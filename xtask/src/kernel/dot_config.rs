//! The kernel's final configuration, the .config that conf wrote. A machine's file, so reading is plain;
//! what a line says is `fragment`'s grammar without its rules for people.

use std::{collections::BTreeMap, sync::Arc};

use document::{Origin, Problem, Problems};

use super::Value;

/// Every symbol of a .config, with its prefix. A symbol that is `n` may also be absent: conf leaves out
/// what the tree's conditions make invisible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DotConfig {
    values: BTreeMap<String, Value>,
}

impl DotConfig {
    /// Fails on lines that conf does not write.
    pub fn parse(file: &Arc<str>, text: &str) -> Result<DotConfig, Problems> {
        let mut problems = Problems::default();
        let mut values = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            match setting(line) {
                Ok(Some((symbol, value))) => drop(values.insert(symbol.to_string(), value)),
                Ok(None) => {}
                Err(message) => {
                    let hint = "this file is conf's output; do not edit it, change a fragment";
                    let problem = Problem::new(Origin::new(file, number, 1), message);
                    problems.push(problem.excerpt(line).hint(hint));
                }
            }
        }
        problems.into_result(DotConfig { values })
    }

    /// The value of `symbol` (with prefix); `None` if the file does not mention it.
    pub fn get(&self, symbol: &str) -> Option<&Value> {
        self.values.get(symbol)
    }

    pub fn values(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.values.iter().map(|(symbol, value)| (symbol.as_str(), value))
    }
}

fn setting(line: &str) -> Result<Option<(&str, Value)>, &'static str> {
    if let Some(comment) = line.strip_prefix('#') {
        let symbol = comment.strip_prefix(' ').and_then(|comment| comment.strip_suffix(" is not set"));
        let symbol = symbol.filter(|symbol| symbol.starts_with("CONFIG_") && !symbol.contains(' '));
        return Ok(symbol.map(|symbol| (symbol, Value::No)));
    }
    if line.is_empty() {
        return Ok(None);
    }
    let (symbol, text) = line.split_once('=').ok_or("neither a comment nor a symbol with its value")?;
    if !symbol.starts_with("CONFIG_") {
        return Err("the name does not start with CONFIG_");
    }
    // A symbol of type hex whose default is written without 0x comes out as it stands in the Kconfig file.
    let bare_hex = || u64::from_str_radix(text, 16).ok().filter(|_| !text.starts_with('+')).map(Value::Hex);
    let value = Value::parse(text).ok().or_else(bare_hex).ok_or("not a value")?;
    Ok(Some((symbol, value)))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: Expect) {
        let shown = match DotConfig::parse(&"build/.config".into(), text) {
            Ok(config) => config.values().map(|(symbol, value)| format!("{symbol}={value}\n")).collect(),
            Err(problems) => problems.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn values_of_all_types() {
        let text = r#"#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 7.3.4 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="gcc (Debian 12.2.0-14) \"12\""
CONFIG_GCC_VERSION=120200
CONFIG_SMP=y
CONFIG_EXT4_FS=m
# CONFIG_MTRR is not set
CONFIG_PANIC_TIMEOUT=-1
CONFIG_PHYSICAL_START=0x1000000
CONFIG_BARE=dead0
CONFIG_LOCALVERSION=""

#
# General setup
#
# end of General setup
"#;
        check(
            text,
            expect![[r#"
                CONFIG_BARE=0xdead0
                CONFIG_CC_VERSION_TEXT="gcc (Debian 12.2.0-14) \"12\""
                CONFIG_EXT4_FS=m
                CONFIG_GCC_VERSION=120200
                CONFIG_LOCALVERSION=""
                CONFIG_MTRR=n
                CONFIG_PANIC_TIMEOUT=-1
                CONFIG_PHYSICAL_START=0x1000000
                CONFIG_SMP=y
            "#]],
        );
    }

    #[test]
    fn not_a_dot_config() {
        check(
            "CONFIG_A=y\n<<<<<<< HEAD\nSMP=y\nCONFIG_B=maybe\n",
            expect![[r#"
                build/.config:2:1: neither a comment nor a symbol with its value
                 2 | <<<<<<< HEAD
                   | ^
                  hint: this file is conf's output; do not edit it, change a fragment
                build/.config:3:1: the name does not start with CONFIG_
                 3 | SMP=y
                   | ^
                  hint: this file is conf's output; do not edit it, change a fragment
                build/.config:4:1: not a value
                 4 | CONFIG_B=maybe
                   | ^
                  hint: this file is conf's output; do not edit it, change a fragment
                3 problems"#]],
        );
    }
}
