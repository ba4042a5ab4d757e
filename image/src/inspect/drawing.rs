//! A disk drawn to scale for a terminal: what lies where, and where there is data.

use super::{Report, TableKind};

const CELLS: u64 = 78;
const WIDTH: usize = 80;

/// Lines of at most 80 columns; none if there is no disk.
pub fn drawing(report: &Report) -> String {
    let Some(disk_bytes) = report.disk_bytes.filter(|bytes| *bytes > 0) else { return String::new() };
    let scale = Scale { disk_bytes };
    let mut drawing = String::new();
    let mut line = |text: String| {
        drawing.extend(text.chars().take(WIDTH));
        drawing.push('\n');
    };
    let end = size(disk_bytes);
    line(format!(" 0{end:>width$}", width = CELLS as usize - 1));
    line(format!("[{}]", places(report, &scale)));
    line(format!("[{}]", data(report, &scale)));
    let sum: u64 = report.data.iter().map(|range| range.end - range.start).sum();
    line(format!(" #: data, +: some ({} in all), blank: none", size(sum)));
    let Some(table) = &report.table else { return drawing };
    if table.kind == TableKind::Gpt {
        line(" =: partition table, .: free".to_owned());
    }
    for partition in &table.partitions {
        let (start, length) = (size(partition.start_bytes), size(partition.size_bytes));
        let name = match partition.name.as_str() {
            "" => String::new(),
            name => format!(" {:?}", name),
        };
        line(format!(" {}: {length} from {start}, {}{name}", symbol(partition.number), partition.type_name));
    }
    drawing
}

struct Scale {
    disk_bytes: u64,
}

impl Scale {
    /// The cell of a byte.
    fn cell(&self, offset: u64) -> u64 {
        (u128::from(offset) * u128::from(CELLS) / u128::from(self.disk_bytes)).min(u128::from(CELLS) - 1)
            as u64
    }

    /// Where a cell begins.
    fn start(&self, cell: u64) -> u64 {
        (u128::from(cell) * u128::from(self.disk_bytes) / u128::from(CELLS)) as u64
    }
}

fn symbol(number: u32) -> char {
    char::from_digit(number, 36).unwrap_or('?')
}

fn places(report: &Report, scale: &Scale) -> String {
    let mut cells = vec!['.'; CELLS as usize];
    let Some(table) = &report.table else { return cells.iter().map(|_| ' ').collect() };
    if table.kind == TableKind::Gpt {
        (cells[0], cells[CELLS as usize - 1]) = ('=', '=');
    }
    for partition in &table.partitions {
        let first = scale.cell(partition.start_bytes);
        let last = scale.cell(partition.end_bytes().max(partition.start_bytes + 1) - 1);
        for cell in first..=last {
            // The table keeps its cells unless a partition would be nowhere.
            if cells[cell as usize] != '=' || first == last {
                cells[cell as usize] = symbol(partition.number);
            }
        }
    }
    cells.into_iter().collect()
}

fn data(report: &Report, scale: &Scale) -> String {
    let mut used = vec![0_u64; CELLS as usize];
    for range in &report.data {
        for cell in scale.cell(range.start)..=scale.cell(range.end - 1) {
            let start = range.start.max(scale.start(cell));
            let end = range.end.min(scale.start(cell + 1));
            used[cell as usize] += end.saturating_sub(start);
        }
    }
    let symbol = |(cell, used): (u64, u64)| {
        let room = scale.start(cell + 1) - scale.start(cell);
        match used {
            0 => ' ',
            used if used.saturating_mul(2) > room => '#',
            _ => '+',
        }
    };
    (0..).zip(used).map(symbol).collect()
}

/// In the largest unit that gives a number of at least one, with one decimal where it isn't whole.
pub fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let Some((unit, bits)) = UNITS.into_iter().find(|(_, bits)| bytes >> bits != 0) else {
        return format!("{bytes} B");
    };
    let tenths = (u128::from(bytes) * 10) >> bits;
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        tenth => format!("{}.{tenth} {unit}", tenths / 10),
    }
}
