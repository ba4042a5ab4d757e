//! Solutions as files: .config, the minimal defconfig.

use std::fmt::Write as _;

use crate::{
    graph::{Entry, EntryId, EntryKind, Graph, PropertyKind, SymbolId},
    solve::Solution,
    tristate::{Kind, Tristate},
};

impl Solution<'_> {
    /// The .config that conf writes, byte for byte.
    pub fn dot_config(&self) -> String {
        let graph = self.graph();
        let mut out =
            format!("#\n# Automatically generated file; DO NOT EDIT.\n# {}\n#\n", graph.title(Graph::ROOT));
        let mut written = vec![false; graph.symbols.len()];
        // A menu has just ended: its end and the next symbol are kept apart.
        let mut gap = false;
        let mut next = graph.entry(Graph::ROOT).first_child;
        while let Some(id) = next {
            let entry = graph.entry(id);
            match entry.symbol {
                None if self.is_shown(id) => {
                    let _ = write!(out, "\n#\n# {}\n#\n", graph.title(id));
                    gap = false;
                }
                None => {}
                Some(symbol) => {
                    let known = std::mem::replace(&mut written[symbol.index()], true);
                    if entry.kind != EntryKind::Choice && !known && self.is_written(symbol) {
                        if std::mem::take(&mut gap) {
                            out.push('\n');
                        }
                        self.write_line(symbol, &mut out);
                    }
                }
            }
            next = entry.first_child.or_else(|| self.leave(id, &mut out, &mut gap));
        }
        out
    }

    /// The entry after `id` and all that is below it, with the ends of the menus that are left.
    fn leave(&self, mut id: EntryId, out: &mut String, gap: &mut bool) -> Option<EntryId> {
        let graph = self.graph();
        loop {
            let entry = graph.entry(id);
            if id != Graph::ROOT && entry.symbol.is_none() && self.is_shown(id) && is_menu(graph, entry) {
                let _ = writeln!(out, "# end of {}", graph.title(id));
                *gap = true;
            }
            if entry.next.is_some() {
                return entry.next;
            }
            id = entry.parent?;
        }
    }

    /// Whether a person sees the entry.
    pub fn is_shown(&self, id: EntryId) -> bool {
        let graph = self.graph();
        let entry = graph.entry(id);
        let Some(prompt) = entry.prompt else { return false };
        let holds = |e| self.evaluate(e) != Tristate::No;
        if !entry.visibility.is_none_or(holds) {
            return false;
        }
        if graph.property(prompt).visible.is_none_or(holds) {
            return true;
        }
        // Below a symbol that is on there may be something to see.
        let is_on = entry.symbol.is_some_and(|symbol| self.logical(symbol) != Tristate::No);
        is_on && graph.children(id).any(|child| self.is_shown(child))
    }

    fn write_line(&self, symbol: SymbolId, out: &mut String) {
        let graph = self.graph();
        let (name, value) = (graph.name(symbol), self.value(symbol));
        let _ = match graph.symbol(symbol).kind {
            Kind::Unknown => Ok(()),
            Kind::Bool | Kind::Tristate if value == "n" => writeln!(out, "# CONFIG_{name} is not set"),
            Kind::String => writeln!(out, "CONFIG_{name}={}", quote(value)),
            _ => writeln!(out, "CONFIG_{name}={value}"),
        };
    }

    /// The symbol's line of a .config, without the newline.
    pub fn line(&self, symbol: SymbolId) -> String {
        let mut line = String::new();
        self.write_line(symbol, &mut line);
        line.truncate(line.trim_end_matches('\n').len());
        line
    }

    /// What a person would be asked next, with what it is now (`listnewconfig`).
    pub fn new_symbols(&self) -> String {
        let graph = self.graph();
        let mut out = String::new();
        let mut pending = vec![Graph::ROOT];
        while let Some(id) = pending.pop() {
            if !self.is_shown(id) {
                continue;
            }
            let below: Vec<EntryId> = graph.children(id).collect();
            pending.extend(below.into_iter().rev());
            let Some(symbol) = graph.entry(id).symbol else { continue };
            if self.request().wanted(symbol).is_some() || !self.is_changeable(symbol) {
                continue;
            }
            match self.value(symbol) {
                "n" if graph.symbol(symbol).kind.is_logical() => {
                    let _ = writeln!(out, "CONFIG_{}=n", graph.name(symbol));
                }
                _ => self.write_line(symbol, &mut out),
            }
        }
        out
    }

    /// Only what differs from the defaults (`savedefconfig`).
    pub fn defconfig(&self) -> String {
        let graph = self.graph();
        let mut out = String::new();
        let mut seen = vec![false; graph.symbols.len()];
        for entry in graph.below(Graph::ROOT) {
            let Some(symbol) = graph.entry(entry).symbol else { continue };
            if std::mem::replace(&mut seen[symbol.index()], true) {
                continue;
            }
            let is_own = self.is_written(symbol) && self.is_changeable(symbol);
            if !is_own || self.value(symbol) == self.default_value(symbol) {
                continue;
            }
            let choice = graph.symbol(symbol).choice;
            let is_default = |choice| self.choice_default(choice) == Some(symbol);
            if choice.is_some_and(is_default) && self.logical(symbol) == Tristate::Yes {
                continue;
            }
            self.write_line(symbol, &mut out);
        }
        out
    }
}

fn is_menu(graph: &Graph, entry: &Entry) -> bool {
    entry.prompt.is_some_and(|prompt| graph.property(prompt).kind == PropertyKind::Menu)
}

/// As a string stands in a .config.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// What conf warns of where a symbol is selected though what it depends on doesn't hold.
pub fn unmet_warning(solution: &Solution, id: SymbolId) -> String {
    let graph = solution.graph();
    let with_value = |symbol: SymbolId, text: &mut String| {
        text.push_str(graph.name(symbol));
        if graph.symbol(symbol).kind != Kind::Unknown {
            let _ = write!(text, " [={}]", solution.value(symbol));
        }
    };
    let symbol = graph.symbol(id);
    let level = if solution.dependencies(id) == Tristate::Module { 'm' } else { 'n' };
    let mut text = format!(
        "\nWARNING: unmet direct dependencies detected for {}\n  Depends on [{level}]: ",
        graph.name(id)
    );
    for (number, &depends) in symbol.depends.iter().enumerate() {
        if number > 0 {
            text.push_str(" || ");
        }
        graph.write_expr(depends, &mut text, &with_value);
    }
    text.push('\n');
    for value in [Tristate::Yes, Tristate::Module] {
        let mut title = format!("  Selected by [{value}]:\n");
        for reverse in symbol.selected_by.iter().filter(|r| solution.evaluate(r.condition) == value) {
            text.push_str(&std::mem::take(&mut title));
            text.push_str("  - ");
            graph.write_expr(reverse.condition, &mut text, &with_value);
            text.push('\n');
        }
    }
    text
}
