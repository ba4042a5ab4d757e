//! Lost symbols as a table for people.

use std::fmt;

use super::{LostSymbol, LostSymbols};
use crate::kernel::Value;

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
            if let Some(place) = &symbol.elsewhere {
                writeln!(f, "      declared at {place}, which this architecture does not read")?;
            } else if let Some(why) = &symbol.why {
                // The row above says what the first line says.
                for line in why.to_string().lines().skip(1) {
                    writeln!(f, "    {line}")?;
                }
            }
        }
        match &self.remedy {
            Some(remedy) => writeln!(f, "  {}", remedy.to_string().replace('\n', "\n  ")),
            None => Ok(()),
        }
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
