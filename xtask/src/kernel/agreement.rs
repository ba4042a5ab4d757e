//! Two .config files for the same requests, one by this tool's engine and one by the kernel's own conf: they must be
//! the same, to the byte.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use thiserror::Error;

/// More differences than this would not say more.
const ROWS: usize = 20;

/// The engine and conf came to different ends.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Disagreement {
    /// Symbol with prefix, and its value by the engine and by conf; `None`: not mentioned.
    symbols: Vec<(String, Option<String>, Option<String>)>,
    /// The first line that differs, by the engine and by conf, where all values are the same.
    line: Option<(String, String)>,
}

pub fn check(ours: &str, confs: &str) -> Result<(), Disagreement> {
    if ours == confs {
        return Ok(());
    }
    let (one, other) = (values(ours), values(confs));
    let names: BTreeSet<&str> = one.keys().chain(other.keys()).copied().collect();
    let value = |of: &BTreeMap<&str, &str>, name: &str| of.get(name).map(ToString::to_string);
    let rows = names.into_iter().map(|name| (name.to_string(), value(&one, name), value(&other, name)));
    let symbols: Vec<_> = rows.filter(|(_, one, other)| one != other).collect();
    let line = symbols.is_empty().then(|| first_difference(ours, confs));
    Err(Disagreement { symbols, line })
}

/// Values as they are written.
fn values(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(value).collect()
}

fn value(line: &str) -> Option<(&str, &str)> {
    if let Some(name) = line.strip_prefix("# ").and_then(|line| line.strip_suffix(" is not set")) {
        return Some((name, "n"));
    }
    line.split_once('=').filter(|(name, _)| name.starts_with("CONFIG_"))
}

fn first_difference(one: &str, other: &str) -> (String, String) {
    let (mut one, mut other) = (one.split('\n'), other.split('\n'));
    loop {
        match (one.next(), other.next()) {
            (Some(one), Some(other)) if one == other => {}
            (None, None) => return Default::default(),
            (one, other) => return (one.unwrap_or("").to_string(), other.unwrap_or("").to_string()),
        }
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "this tool and the kernel's own conf make different configurations of the same requests"
        )?;
        if let Some((ours, confs)) = &self.line {
            writeln!(f, "  this tool writes  {ours}\n  conf writes       {confs}")?;
        }
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".into());
        let head = ["symbol".to_string(), "this tool".to_string(), "conf".to_string()];
        let rows = self.symbols.iter().take(ROWS);
        let rows: Vec<_> =
            rows.map(|(name, ours, confs)| [name.clone(), shown(ours), shown(confs)]).collect();
        let rows: Vec<_> = (!rows.is_empty()).then_some(head).into_iter().chain(rows).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (first, second) = (width(0), width(1));
        for [name, ours, confs] in &rows {
            writeln!(f, "  {name:first$}  {ours:second$}  {confs}")?;
        }
        if self.symbols.len() > ROWS {
            writeln!(f, "  … and {} more", self.symbols.len() - ROWS)?;
        }
        f.write_str(
            "  reason: a mistake of this tool, which reads the kernel's Kconfig files otherwise than conf does\n  \
             hint: please report it with this table and what `cargo xtask plan PROFILE --format json` prints",
        )
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn told(ours: &str, confs: &str, expected: Expect) {
        expected.assert_eq(&check(ours, confs).unwrap_err().to_string());
    }

    #[test]
    fn the_same_is_agreed() {
        assert_eq!(check("# CONFIG_A is not set\n", "# CONFIG_A is not set\n"), Ok(()));
    }

    #[test]
    fn symbols_that_differ() {
        told(
            "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_SAME=\"x\"\n",
            "# CONFIG_A is not set\nCONFIG_LONGER=12\nCONFIG_SAME=\"x\"\n",
            expect![[r#"
                this tool and the kernel's own conf make different configurations of the same requests
                  symbol         this tool  conf
                  CONFIG_A       y          n
                  CONFIG_B       n          absent
                  CONFIG_LONGER  absent     12
                  reason: a mistake of this tool, which reads the kernel's Kconfig files otherwise than conf does
                  hint: please report it with this table and what `cargo xtask plan PROFILE --format json` prints"#]],
        );
    }

    #[test]
    fn a_line_that_says_nothing_differs() {
        told(
            "#\n# Net\n#\nCONFIG_A=y\n",
            "#\n# Network\n#\nCONFIG_A=y\n",
            expect![[r#"
                this tool and the kernel's own conf make different configurations of the same requests
                  this tool writes  # Net
                  conf writes       # Network
                  reason: a mistake of this tool, which reads the kernel's Kconfig files otherwise than conf does
                  hint: please report it with this table and what `cargo xtask plan PROFILE --format json` prints"#]],
        );
    }

    #[test]
    fn a_long_table_is_cut() {
        let ours: String = (10..40).map(|number| format!("CONFIG_N{number}=y\n")).collect();
        let shown = check(&ours, "").unwrap_err().to_string();
        assert!(shown.contains("CONFIG_N29") && !shown.contains("CONFIG_N30"), "{shown}");
        assert!(shown.contains("… and 10 more"), "{shown}");
    }
}
