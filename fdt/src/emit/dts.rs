//! Source text for people, in the order of the tree, that dtc compiles to the same tree.
//!
//! A tree with problems is shown as it is: a reference to nothing stays a reference, a number that is too wide for its
//! cells is written in full, and dtc refuses both.

use std::fmt::Write;

use crate::encode;
use crate::phandles::Phandles;
use crate::tree::{Cell, CellCounts, DEFAULT_CELL_COUNTS, Mapping, Node, Range, Reservation, Tree, Value};

/// The tree as DTS, version 1. Equal trees have equal text.
pub fn to_dts(tree: &Tree) -> String {
    let phandles = Phandles::assign(&tree.root);
    let mut out = String::from("/dts-v1/;\n\n");
    for Reservation { range, comment, .. } in &tree.memory_reservations {
        write_comment(&mut out, comment.as_deref(), "");
        push(&mut out, format_args!("/memreserve/ {:#x} {:#x};\n", range.base, range.size));
    }
    if !tree.memory_reservations.is_empty() {
        out.push('\n');
    }
    write_node(&mut out, &tree.root, DEFAULT_CELL_COUNTS, &phandles, 0);
    out
}

fn write_node(out: &mut String, node: &Node, parent: CellCounts, phandles: &Phandles, depth: usize) {
    let indent = "\t".repeat(depth);
    write_comment(out, node.comment.as_deref(), &indent);
    let name = if depth == 0 { "/" } else { &node.name };
    let label = node.label.as_ref().map_or(String::new(), |label| format!("{label}: "));
    push(out, format_args!("{indent}{label}{name} {{\n"));
    let own = node.counts();
    for property in &node.properties {
        let name = &property.name;
        match value_text(&property.value, own, parent) {
            None => push(out, format_args!("{indent}\t{name};\n")),
            Some(value) => push(out, format_args!("{indent}\t{name} = {value};\n")),
        }
    }
    // Said outright, so that dtc gives the nodes the numbers that the blob has.
    if let Some(phandle) = phandles.implicit(node) {
        push(out, format_args!("{indent}\tphandle = <{phandle:#x}>;\n"));
    }
    for (index, child) in node.children.iter().enumerate() {
        if index > 0 || !node.properties.is_empty() {
            out.push('\n');
        }
        write_node(out, child, own, phandles, depth + 1);
    }
    push(out, format_args!("{indent}}};\n"));
}

/// A comment can't hold its own end, and control characters have no business in a text for people.
fn write_comment(out: &mut String, comment: Option<&str>, indent: &str) {
    let Some(comment) = comment else { return };
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = comment.replace("*/", "* /").chars().map(visible).collect();
    push(out, format_args!("{indent}/* {} */\n", text.trim()));
}

fn push(out: &mut String, text: std::fmt::Arguments) {
    out.write_fmt(text).expect("writing to a String does not fail");
}

/// The value as source, given the cell counts of its node and of the one above; None for one without bytes.
pub fn value_text(value: &Value, own: CellCounts, parent: CellCounts) -> Option<String> {
    match value {
        Value::Empty => None,
        Value::U64(number) => Some(format!("/bits/ 64 <{number:#x}>")),
        Value::Bytes(bytes) => {
            let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            (!bytes.is_empty()).then(|| format!("[{}]", digits.join(" ")))
        }
        Value::Strings(strings) => list(strings.iter().map(|string| quoted(string))),
        Value::Cells(rows) => rows_text(rows),
        Value::Reg(entries) => list(reg_text(entries, parent)),
        Value::Ranges(mappings) => list(ranges_text(mappings, own, parent)),
    }
}

fn list(items: impl IntoIterator<Item = String>) -> Option<String> {
    let items: Vec<String> = items.into_iter().collect();
    (!items.is_empty()).then(|| items.join(", "))
}

fn brackets(words: impl Iterator<Item = String>) -> String {
    format!("<{}>", words.collect::<Vec<_>>().join(" "))
}

/// One number alone is a count, a frequency or a speed, and reads best in decimal; in a row only small ones do.
fn rows_text(rows: &[Vec<Cell>]) -> Option<String> {
    if let [row] = rows
        && let [Cell::U32(number)] = row.as_slice()
    {
        return Some(format!("<{number}>"));
    }
    list(rows.iter().map(|row| brackets(row.iter().map(cell_text))))
}

fn cell_text(cell: &Cell) -> String {
    match cell {
        Cell::U32(number @ 0..=15) => number.to_string(),
        Cell::U32(number) => format!("{number:#x}"),
        Cell::Phandle(label) => format!("&{label}"),
    }
}

fn reg_text(entries: &[Range], parent: CellCounts) -> Vec<String> {
    match encode::reg_rows(entries, parent) {
        Ok(rows) => rows.into_iter().map(hex).collect(),
        Err(_) => entries.iter().map(|entry| hex([entry.base, entry.size])).collect(),
    }
}

fn ranges_text(mappings: &[Mapping], own: CellCounts, parent: CellCounts) -> Vec<String> {
    match encode::ranges_rows(mappings, own, parent) {
        Ok(rows) => rows.into_iter().map(hex).collect(),
        Err(_) => mappings.iter().map(|m| hex([m.child, m.parent, m.size])).collect(),
    }
}

fn hex<N: std::fmt::LowerHex>(words: impl IntoIterator<Item = N>) -> String {
    brackets(words.into_iter().map(|word| format!("{word:#x}")))
}

/// A C-like string literal; dtc's escapes take at most two hexadecimal digits, so nothing can run into them.
fn quoted(string: &str) -> String {
    let mut text = String::from("\"");
    for byte in string.bytes() {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(byte));
            }
            b' '..=b'~' => text.push(char::from(byte)),
            _ => push(&mut text, format_args!("\\x{byte:02x}")),
        }
    }
    text.push('"');
    text
}
