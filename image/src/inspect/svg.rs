//! A disk drawn to scale for people, as SVG 1.1: what lies where, where there is data, and what the files and programs in it
//! consist of. The same report gives the same bytes.

use std::fmt::Write as _;
use std::ops::Range;

use super::{Report, TableKind, size};

const WIDTH: u64 = 960;
const MARGIN: u64 = 24;
const BAR: u64 = WIDTH - 2 * MARGIN;
/// A character in tenths of a pixel, whichever fixed font there is.
const CHARACTER: u64 = 74;
/// Rows of a legend; what is more is counted.
const ROWS: usize = 24;

const COLOURS: [&str; 8] =
    ["#9ecae1", "#a1d99b", "#fdd0a2", "#c7b9e2", "#f4b6c2", "#d9d9a3", "#a8ddd5", "#cfcfcf"];
const TABLE_COLOUR: &str = "#555555";
const DATA_COLOUR: &str = "#2b6ca3";
const SOME_DATA_COLOUR: &str = "#8fb8d8";

/// `name` is what the file is called.
pub fn svg(report: &Report, name: &str) -> String {
    let mut page = Page { body: String::new(), y: MARGIN };
    page.y += 8;
    page.text(MARGIN, "title", name);
    page.y += 18;
    let disk_bytes = report.disk_bytes.filter(|bytes| *bytes > 0);
    let kind = match disk_bytes {
        Some(bytes) => format!("{}, disk of {}", report.container.name(), size(bytes)),
        None => format!("{} of {}", report.container.name(), size(report.file_bytes)),
    };
    let is_program = report.disk_bytes.is_none() && !report.programs.is_empty();
    page.text(MARGIN, "quiet", if is_program { "program for UEFI" } else { &kind });
    page.y += 22;
    if let Some(disk_bytes) = disk_bytes {
        disk(&mut page, report, disk_bytes);
    }
    for at in &report.volumes {
        let place = at.partition.map(|number| format!(" in partition {number}")).unwrap_or_default();
        let heading = format!("FAT{}{place}, {:?}: its files", at.volume.fat_bits, at.volume.label);
        let parts = at.volume.files.iter().map(|file| (file.path.clone(), file.size_bytes.into()));
        page.parts(&heading, parts.collect());
    }
    for program in &report.programs {
        let signed = if program.is_signed { "signed" } else { "not signed" };
        let heading = format!("{}, {}, {signed}: its sections", program.path, program.machine);
        let parts = program.sections.iter().map(|section| (section.name.clone(), section.file_bytes.into()));
        page.parts(&heading, parts.collect());
    }
    for finding in report.findings.iter().take(ROWS) {
        page.text(MARGIN, "wrong", &finding.to_string());
        page.y += 18;
    }
    page.more(report.findings.len());
    page.whole(name)
}

/// Both bars of a disk, the scale between them, and the partitions' names.
fn disk(page: &mut Page, report: &Report, disk_bytes: u64) {
    let scale = Scale { disk_bytes };
    page.rectangle(0..BAR, 44, "url(#free)", "free");
    if let Some(table) = &report.table {
        if table.kind == TableKind::Gpt {
            // Protective MBR, header and 128 entries, and as much but the MBR at the end (UEFI 2.10, 5.3).
            let entries_bytes = (128 * 128_u64).div_ceil(table.sector_bytes) * table.sector_bytes;
            let table_bytes = (entries_bytes + table.sector_bytes).min(disk_bytes);
            let first = scale.range(0..(table_bytes + table.sector_bytes).min(disk_bytes));
            page.rectangle(first, 44, TABLE_COLOUR, "partition table");
            let backup = scale.range(disk_bytes - table_bytes..disk_bytes);
            page.rectangle(backup, 44, TABLE_COLOUR, "backup of the partition table");
        }
        for (index, partition) in table.partitions.iter().enumerate() {
            let range = scale.range(partition.start_bytes..partition.end_bytes());
            let label = format!("{} {}", partition.number, partition.name);
            page.rectangle(range.clone(), 44, COLOURS[index % COLOURS.len()], &label);
            page.label(&range, 26, &label);
        }
    }
    page.y += 48;
    page.rectangle(0..BAR, 18, "#ffffff", "no data");
    for (range, colour) in data(report, &scale) {
        page.rectangle(range, 18, colour, "data");
    }
    page.y += 32;
    for quarter in 0..=4 {
        let (x, anchor) = match quarter {
            0 => (MARGIN, "start"),
            4 => (MARGIN + BAR, "end"),
            _ => (MARGIN + BAR * quarter / 4, "middle"),
        };
        let at = (u128::from(disk_bytes) * u128::from(quarter) / 4) as u64;
        let y = page.y;
        let text = if at == 0 { "0".to_owned() } else { size(at) };
        page.put(&format!(r#"<text x="{x}" y="{y}" class="quiet" text-anchor="{anchor}">{text}</text>"#));
    }
    page.y += 20;
    let sum = report.data.iter().map(|range| range.end - range.start).sum();
    let legend = format!(
        "above: partitions, hatched where nothing is, dark: partition table; below: {} of data, pale: some, white: none",
        size(sum)
    );
    page.text(MARGIN, "quiet", &legend);
    page.y += 22;
    let partitions = report.table.iter().flat_map(|table| &table.partitions);
    let rows = partitions.map(|partition| {
        let (start, length) = (size(partition.start_bytes), size(partition.size_bytes));
        format!("{} {:?}: {length} from {start}, {}", partition.number, partition.name, partition.type_name)
    });
    page.legend(&rows.collect::<Vec<_>>());
    page.y += 12;
}

struct Scale {
    disk_bytes: u64,
}

impl Scale {
    fn place(&self, offset: u64) -> u64 {
        (u128::from(offset.min(self.disk_bytes)) * u128::from(BAR) / u128::from(self.disk_bytes)) as u64
    }

    /// At least a pixel wide, within the bar.
    fn range(&self, bytes: Range<u64>) -> Range<u64> {
        let start = self.place(bytes.start).min(BAR - 1);
        start..self.place(bytes.end).clamp(start + 1, BAR)
    }
}

/// Runs of pixels with data, and their colour: a pixel of which most is data, or some.
fn data(report: &Report, scale: &Scale) -> Vec<(Range<u64>, &'static str)> {
    let offset = |pixel: u64| (u128::from(pixel) * u128::from(scale.disk_bytes) / u128::from(BAR)) as u64;
    let mut used = [0_u64; BAR as usize];
    for data in &report.data {
        for pixel in scale.range(data.clone()) {
            let (start, end) = (data.start.max(offset(pixel)), data.end.min(offset(pixel + 1)));
            // A disk may have fewer bytes than there are pixels.
            used[pixel as usize] += end.saturating_sub(start).max(1);
        }
    }
    let mut runs: Vec<(Range<u64>, &str)> = Vec::new();
    for (pixel, used) in (0..).zip(used).filter(|(_, used)| *used > 0) {
        let is_most = used.saturating_mul(2) > offset(pixel + 1) - offset(pixel);
        let colour = if is_most { DATA_COLOUR } else { SOME_DATA_COLOUR };
        match runs.last_mut() {
            Some((run, same)) if run.end == pixel && *same == colour => run.end += 1,
            _ => runs.push((pixel..pixel + 1, colour)),
        }
    }
    runs
}

struct Page {
    body: String,
    /// Where the next thing goes.
    y: u64,
}

impl Page {
    fn put(&mut self, element: &str) {
        self.body += element;
        self.body.push('\n');
    }

    /// As much of a line as fits.
    fn text(&mut self, x: u64, class: &str, text: &str) {
        let room = (WIDTH - MARGIN - x) * 10 / CHARACTER;
        let (y, text) = (self.y, escaped(&clipped(text, room)));
        self.put(&format!(r#"<text x="{x}" y="{y}" class="{class}">{text}</text>"#));
    }

    /// A part of the bar that begins here; whoever points at it is told what it is.
    fn rectangle(&mut self, part: Range<u64>, height: u64, fill: &str, what: &str) {
        let (x, y, width) = (MARGIN + part.start, self.y, part.end - part.start);
        let what = escaped(what);
        self.put(&format!(
            r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}" class="part"><title>{what}</title></rect>"#
        ));
    }

    /// In a part of the bar, if at least its beginning has room there.
    fn label(&mut self, part: &Range<u64>, down: u64, text: &str) {
        let room = (part.end - part.start).saturating_sub(8) * 10 / CHARACTER;
        if room < 3 {
            return;
        }
        let (x, y, text) = (MARGIN + part.start + 4, self.y + down, escaped(&clipped(text, room)));
        self.put(&format!(r#"<text x="{x}" y="{y}">{text}</text>"#));
    }

    /// A bar of parts, to the scale of their sum, and what they are; the largest first.
    fn parts(&mut self, heading: &str, mut parts: Vec<(String, u64)>) {
        parts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let sum: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
        self.y += 8;
        self.text(MARGIN, "heading", heading);
        self.y += 10;
        let scale = Scale { disk_bytes: sum.max(1) };
        let mut start = 0;
        for (index, (name, bytes)) in parts.iter().enumerate().filter(|(_, (_, bytes))| *bytes > 0) {
            let part = scale.range(start..start + bytes);
            let name = name.rsplit('/').next().unwrap_or_default();
            // What has no row would be small as well.
            if index < ROWS {
                self.rectangle(part.clone(), 24, COLOURS[index % COLOURS.len()], name);
                self.label(&part, 16, name);
            }
            start += bytes;
        }
        self.y += 42;
        let rows: Vec<_> = parts.iter().map(|(name, bytes)| format!("{name}: {}", size(*bytes))).collect();
        self.legend(&rows);
        self.y += 12;
    }

    /// A row for each, beside its colour.
    fn legend(&mut self, rows: &[String]) {
        for (index, row) in rows.iter().take(ROWS).enumerate() {
            let y = self.y - 10;
            self.put(&format!(
                r#"<rect x="{MARGIN}" y="{y}" width="12" height="12" fill="{}" class="part"/>"#,
                COLOURS[index % COLOURS.len()]
            ));
            self.text(MARGIN + 20, "row", row);
            self.y += 18;
        }
        self.more(rows.len());
    }

    fn more(&mut self, count: usize) {
        if count > ROWS {
            self.text(MARGIN + 20, "quiet", &format!("and {} more", count - ROWS));
            self.y += 18;
        }
    }

    fn whole(self, name: &str) -> String {
        let (height, name) = (self.y + MARGIN, escaped(name));
        let mut svg = String::new();
        let _ = write!(
            svg,
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">
<title>{name}</title>
<style>
text {{ font: 12px monospace; fill: #222222; }}
.title {{ font-size: 18px; font-weight: bold; }}
.heading {{ font-weight: bold; }}
.quiet {{ fill: #666666; }}
.wrong {{ fill: #b00020; }}
.part {{ stroke: #444444; stroke-width: 0.5; }}
</style>
<defs>
<pattern id="free" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect width="6" height="6" fill="#f4f4f4"/>
<rect width="1" height="6" fill="#c8c8c8"/>
</pattern>
</defs>
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
"##
        );
        svg + &self.body + "</svg>\n"
    }
}

/// So many characters.
fn clipped(text: &str, room: u64) -> String {
    let room = room as usize;
    match text.chars().nth(room) {
        None => text.to_owned(),
        Some(_) => text.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// As content of XML 1.0, which knows characters that it can't have (2.2).
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            character if character.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            character => escaped.push(character),
        }
    }
    escaped
}
