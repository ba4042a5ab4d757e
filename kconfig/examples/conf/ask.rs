//! Questions, one a line, as conf asks them.

use std::io::{self, BufRead as _, Write as _};

use kconfig::{EntryId, EntryKind, Graph, Kind, PropertyKind, Request, Solution, SymbolId, Tristate, Wanted};

/// Asks about everything.
pub fn everything(request: Request) -> Solution {
    let mut dialog = Dialog::new(request, true);
    dialog.entry(Graph::ROOT);
    dialog.is_thorough = false;
    dialog.until_nothing_is_new()
}

/// Asks about what has no value yet.
pub fn what_is_new(request: Request) -> Solution {
    Dialog::new(request, false).until_nothing_is_new()
}

struct Dialog<'g> {
    graph: &'g Graph,
    request: Request<'g>,
    solution: Solution<'g>,
    /// Asks about what is known too.
    is_thorough: bool,
    indent: usize,
    root: EntryId,
    restarts: usize,
}

impl<'g> Dialog<'g> {
    fn new(request: Request<'g>, is_thorough: bool) -> Dialog<'g> {
        let (graph, solution) = (request.graph(), request.clone().solve());
        let request = solution.request().clone();
        Dialog { graph, request, solution, is_thorough, indent: 1, root: Graph::ROOT, restarts: 0 }
    }

    fn until_nothing_is_new(mut self) -> Solution<'g> {
        loop {
            self.restarts = 0;
            self.look_for_new(Graph::ROOT);
            if self.restarts == 0 {
                return self.solution;
            }
        }
    }

    fn want(&mut self, symbol: SymbolId, wanted: Wanted) {
        self.request.want(symbol, wanted);
        self.solution = self.request.clone().solve();
        self.request = self.solution.request().clone();
    }

    fn is_new(&self, symbol: SymbolId) -> bool {
        self.request.wanted(symbol).is_none()
    }

    fn look_for_new(&mut self, entry: EntryId) {
        if !self.solution.is_shown(entry) {
            return;
        }
        let symbol = self.graph.entry(entry).symbol;
        if symbol.is_some_and(|symbol| self.is_new(symbol) && self.solution.is_changeable(symbol)) {
            if self.restarts == 0 {
                println!("*\n* Restart config...\n*");
            }
            self.restarts += 1;
            self.root = self.menu_of(entry);
            self.entry(self.root);
        }
        let children: Vec<EntryId> = self.graph.children(entry).collect();
        for child in children {
            self.look_for_new(child);
        }
    }

    /// The menu that the entry is in, or is.
    fn menu_of(&self, mut entry: EntryId) -> EntryId {
        while entry != Graph::ROOT {
            let prompt = self.graph.entry(entry).prompt;
            if prompt.is_some_and(|prompt| self.graph.property(prompt).kind == PropertyKind::Menu) {
                break;
            }
            entry = self.graph.parent(entry).unwrap_or(Graph::ROOT);
        }
        entry
    }

    fn entry(&mut self, id: EntryId) {
        if !self.solution.is_shown(id) {
            return;
        }
        let entry = self.graph.entry(id);
        let kind = entry.prompt.map(|prompt| self.graph.property(prompt).kind);
        if kind == Some(PropertyKind::Menu) && !self.is_thorough && self.root != id {
            self.look_for_new(id);
            return;
        }
        if matches!(kind, Some(PropertyKind::Menu | PropertyKind::Comment)) {
            let indent = self.indent;
            println!("{:>indent$}\n{:>indent$} {}\n{:>indent$}", '*', '*', self.graph.title(id), '*');
        }
        let Some(symbol) = entry.symbol else {
            self.children(id);
            return;
        };
        if entry.kind == EntryKind::Choice {
            self.choice(id);
            return;
        }
        match self.graph.symbol(symbol).kind {
            Kind::Int | Kind::Hex | Kind::String => self.text(id, symbol),
            _ => self.logical(id, symbol),
        }
        self.indent += 2;
        self.children(id);
        self.indent -= 2;
    }

    fn children(&mut self, id: EntryId) {
        let children: Vec<EntryId> = self.graph.children(id).collect();
        for child in children {
            self.entry(child);
        }
    }

    /// The answer, or `None` if there is nothing to ask.
    fn answer(&mut self, symbol: SymbolId, value: &str) -> Option<String> {
        if self.is_new(symbol) {
            print!("(NEW) ");
        }
        if !self.solution.is_changeable(symbol) || (!self.is_thorough && !self.is_new(symbol)) {
            println!("{value}");
            return None;
        }
        Some(read_line())
    }

    fn text(&mut self, id: EntryId, symbol: SymbolId) {
        loop {
            let value = self.solution.value(symbol).to_string();
            print!(
                "{:1$}{2} ({3}) [{value}] ",
                "",
                self.indent - 1,
                self.graph.title(id),
                self.graph.name(symbol)
            );
            let Some(answer) = self.answer(symbol, &value) else { return };
            let answer = if answer.is_empty() { value } else { answer };
            if self.solution.accepts(symbol, &answer) {
                let has_prefix = answer.starts_with("0x") || answer.starts_with("0X");
                let is_bare_hex = self.graph.symbol(symbol).kind == Kind::Hex && !has_prefix;
                let answer = if is_bare_hex { format!("0x{answer}") } else { answer };
                self.want(symbol, Wanted::Text(answer.into()));
                return;
            }
        }
    }

    fn logical(&mut self, id: EntryId, symbol: SymbolId) {
        loop {
            let old = self.solution.logical(symbol);
            print!("{:1$}{2} ({3}) [", "", self.indent - 1, self.graph.title(id), self.graph.name(symbol));
            print!("{}", old.as_str().to_uppercase());
            for other in [Tristate::No, Tristate::Module, Tristate::Yes] {
                if other != old && self.solution.accepts(symbol, other.as_str()) {
                    print!("/{other}");
                }
            }
            print!("/?] ");
            let Some(answer) = self.answer(symbol, old.as_str()) else { return };
            let value = match answer.trim() {
                "" => old,
                "n" | "N" | "no" | "No" => Tristate::No,
                "m" | "M" => Tristate::Module,
                "y" | "Y" | "yes" | "Yes" => Tristate::Yes,
                _ => continue,
            };
            if self.solution.accepts(symbol, value.as_str()) {
                self.want(symbol, Wanted::Logical(value));
                return;
            }
        }
    }

    fn choice(&mut self, id: EntryId) {
        let indent = self.indent;
        let mut is_new = false;
        loop {
            println!("{:1$}{2}", "", indent - 1, self.graph.title(id));
            let mut shown = Vec::new();
            let mut default = 1;
            let children: Vec<EntryId> = self.graph.children(id).collect();
            for child in children.into_iter().filter(|&child| self.solution.is_shown(child)) {
                let Some(symbol) = self.graph.entry(child).symbol else {
                    println!("{:>indent$} {}", '*', self.graph.title(child));
                    continue;
                };
                shown.push(symbol);
                let is_on = self.solution.logical(symbol) == Tristate::Yes;
                if is_on {
                    default = shown.len();
                }
                let mark = if is_on { '>' } else { ' ' };
                print!(
                    "{mark:>indent$} {}. {} ({})",
                    shown.len(),
                    self.graph.title(child),
                    self.graph.name(symbol)
                );
                if self.is_new(symbol) {
                    is_new = true;
                    print!(" (NEW)");
                }
                println!();
            }
            print!("{:1$}choice", "", indent - 1);
            let number = if shown.len() == 1 {
                println!("[1]: 1");
                1
            } else {
                print!("[1-{}?]: ", shown.len());
                if !self.is_thorough && !is_new {
                    println!("{default}");
                    default
                } else {
                    match read_line().trim() {
                        "" => default,
                        answer => answer.parse().unwrap_or(0),
                    }
                }
            };
            let Some(&chosen) = number.checked_sub(1).and_then(|n: usize| shown.get(n)) else { continue };
            for member in shown {
                let value = if member == chosen { Tristate::Yes } else { Tristate::No };
                self.request.want(member, Wanted::Logical(value));
            }
            self.want(chosen, Wanted::Logical(Tristate::Yes));
            return;
        }
    }
}

/// A line of standard input, echoed as a terminal would.
fn read_line() -> String {
    let _ = io::stdout().flush();
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    if !read.is_ok_and(|length| length > 0) {
        eprintln!("\nError in reading or end of file.");
        println!();
    }
    print!("{line}");
    line.trim_end_matches('\n').to_string()
}
