//! Lost symbols as a table for people.

use std::fmt;

use super::{FinalValue, Law, LostSymbol, LostSymbols, bare};
use crate::kernel::{
    Value,
    kconfig_text::{Definition, Prompt, Selector},
};

const HEADS: [&str; 4] = ["symbol", "wanted", "got", "asked for by"];

impl fmt::Display for LostSymbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lost, requested) = (self.lost.len(), self.requested);
        writeln!(
            f,
            "{lost} of {requested} requested symbols did not survive the kernel's own configuration"
        )?;
        let rows: Vec<[String; 4]> = self.lost.iter().map(cells).collect();
        let widths: [usize; 4] = std::array::from_fn(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([HEADS[column].len()]).max().unwrap_or_default()
        });
        row(f, &HEADS.map(String::from), widths)?;
        for (symbol, cells) in self.lost.iter().zip(&rows) {
            row(f, cells, widths)?;
            if let Some(law) = &symbol.law {
                write_law(f, symbol, law)?;
            }
        }
        Ok(())
    }
}

fn cells(lost: &LostSymbol) -> [String; 4] {
    let got = lost.got.as_ref().map_or("absent".into(), Value::to_string);
    [lost.symbol.clone(), lost.wanted.to_string(), got, lost.fragment.clone()]
}

fn row(f: &mut fmt::Formatter<'_>, cells: &[String; 4], widths: [usize; 4]) -> fmt::Result {
    let padded: Vec<String> =
        cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    writeln!(f, "  {}", padded.join("  ").trim_end())
}

fn write_law(f: &mut fmt::Formatter<'_>, lost: &LostSymbol, law: &Law) -> fmt::Result {
    match law {
        Law::Unknown { did_you_mean: None } => writeln!(f, "      this kernel has no such symbol"),
        Law::Unknown { did_you_mean: Some(close) } => {
            writeln!(f, "      this kernel has no such symbol; did you mean {close}?")
        }
        Law::Elsewhere { place } => {
            writeln!(f, "      only {place} defines it, which this architecture does not read")
        }
        Law::Defined { definitions, selected_by, chosen, values } => {
            for definition in definitions {
                write_definition(f, definition)?;
            }
            write_values(f, values)?;
            for selector in selected_by {
                write_selector(f, selector)?;
            }
            if let Some(chosen) = chosen {
                writeln!(f, "      one of a choice, in which CONFIG_{chosen} is on")?;
            }
            if matches!((&lost.wanted, &lost.got), (Value::Module, Some(Value::Yes))) {
                writeln!(f, "      m needs CONFIG_MODULES=y and a symbol of type tristate")?;
            }
            Ok(())
        }
    }
}

fn write_definition(f: &mut fmt::Formatter<'_>, definition: &Definition) -> fmt::Result {
    write!(f, "      {}:{}", definition.file, definition.line)?;
    match definition.kind {
        Some(kind) => writeln!(f, " ({kind})")?,
        None => writeln!(f)?,
    }
    for range in &definition.ranges {
        writeln!(f, "        range {range}")?;
    }
    for condition in &definition.depends_on {
        writeln!(f, "        depends on {condition}")?;
    }
    match &definition.prompt {
        Prompt::Always => Ok(()),
        Prompt::None => {
            writeln!(f, "        has no prompt: a fragment cannot set it, only defaults and `select` do")
        }
        Prompt::If(conditions) => {
            for condition in conditions {
                writeln!(f, "        can be set only if {condition}")?;
            }
            Ok(())
        }
    }
}

fn write_values(f: &mut fmt::Formatter<'_>, values: &[FinalValue]) -> fmt::Result {
    if values.is_empty() {
        return Ok(());
    }
    let values: Vec<String> =
        values.iter().map(|FinalValue { symbol, value }| format!("{symbol}={value}")).collect();
    writeln!(f, "      where {}", values.join(", "))
}

fn write_selector(f: &mut fmt::Formatter<'_>, selector: &Selector) -> fmt::Result {
    let symbol = bare(&selector.symbol);
    match &selector.condition {
        Some(condition) => writeln!(f, "      selected by {symbol} if {condition}"),
        None => writeln!(f, "      selected by {symbol}"),
    }
}
