//! Kconfig files by chance: a handful of symbols that mention each other in every statement that there is.

use std::collections::BTreeSet;

use super::{
    harness::Random,
    question::{Mode, Question},
};

const SYMBOLS: u64 = 12;
const TYPES: [&str; 5] = ["bool", "tristate", "int", "hex", "string"];

struct Tree<'r> {
    random: &'r mut Random,
    text: String,
    /// Type of each symbol.
    types: Vec<&'static str>,
    /// The next symbol to declare.
    next: usize,
    /// Symbols below this one may be mentioned without making a circle.
    known: usize,
    members: BTreeSet<usize>,
}

pub fn tree(random: &mut Random) -> String {
    let mut tree =
        Tree { random, text: String::new(), types: Vec::new(), next: 0, known: 0, members: BTreeSet::new() };
    for _ in 0..SYMBOLS {
        let kind = [0, 0, 0, 1, 1, 2, 3, 4][tree.below(8)];
        tree.types.push(TYPES[kind]);
    }
    if tree.one_in(3) {
        tree.line("mainmenu \"A tree\"");
    }
    match tree.below(4) {
        0 => {}
        1 => tree.line("config MODULES\n\tdef_bool y\n\tmodules"),
        _ => tree.line("config MODULES\n\tbool \"Modules\"\n\tmodules"),
    }
    while tree.next < tree.types.len() {
        tree.block(0);
    }
    tree.text
}

/// What is asked of the tree: something for each symbol, or nothing.
pub fn question(random: &mut Random, number: usize) -> Question {
    let mode =
        [Mode::OldDefault, Mode::AllYes, Mode::OldDefault, Mode::AllMod, Mode::SaveDefault, Mode::AllNo];
    let mode = match number % 8 {
        6 => Mode::ListNew,
        7 => Mode::AllDef,
        number => mode[number],
    };
    let mut text = String::new();
    for symbol in 0..SYMBOLS {
        text += &match random.below(9) {
            0 | 1 => format!("CONFIG_S{symbol}=y\n"),
            2 => format!("CONFIG_S{symbol}=m\n"),
            3 => format!("# CONFIG_S{symbol} is not set\n"),
            4 => format!("CONFIG_S{symbol}={}\n", random.below(40)),
            5 => format!("CONFIG_S{symbol}=0x{:x}\n", random.below(40)),
            6 => format!("CONFIG_S{symbol}=\"text {symbol}\"\n"),
            _ => String::new(),
        };
    }
    if random.below(2) == 0 {
        text += ["CONFIG_MODULES=y\n", "# CONFIG_MODULES is not set\n", "CONFIG_OTHER=y\n"]
            [usize::try_from(random.below(3)).unwrap()];
    }
    let is_asked = mode == Mode::ListNew || random.below(4) > 0;
    Question::new(mode, is_asked.then(|| text.into_bytes()))
}

impl Tree<'_> {
    fn below(&mut self, limit: u64) -> usize {
        usize::try_from(self.random.below(limit)).unwrap()
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.random.below(chances) == 0
    }

    fn line(&mut self, text: &str) {
        self.text += text;
        self.text.push('\n');
    }

    fn block(&mut self, depth: usize) {
        self.known = self.next;
        match self.below(if depth < 3 { 12 } else { 6 }) {
            0..=5 => self.config(depth, false),
            6 | 7 => {
                let condition = self.condition();
                self.line(&format!("if {condition}"));
                self.blocks(depth);
                self.line("endif");
            }
            8 => {
                self.line("menu \"Menu\"");
                if self.one_in(2) {
                    self.dependency();
                }
                if self.one_in(3) {
                    let condition = self.condition();
                    self.line(&format!("\tvisible if {condition}"));
                }
                self.blocks(depth);
                self.line("endmenu");
            }
            9 | 10 => self.choice(),
            _ => {
                self.line("comment \"Comment\"");
                if self.one_in(2) {
                    self.dependency();
                }
            }
        }
    }

    fn blocks(&mut self, depth: usize) {
        for _ in 0..=self.below(3) {
            self.block(depth + 1);
        }
    }

    fn choice(&mut self) {
        self.line("choice");
        let condition = self.maybe_condition();
        self.line(&format!("\tprompt \"Choice\"{condition}"));
        let first = self.next;
        let count = 1 + self.below(4);
        if self.one_in(3) {
            let (member, condition) = (first + self.below(count as u64), self.maybe_condition());
            self.line(&format!("\tdefault S{member}{condition}"));
        }
        if self.one_in(3) {
            self.dependency();
        }
        for _ in 0..count {
            if self.next < self.types.len() {
                self.types[self.next] = "bool";
                self.config(1, true);
            }
        }
        self.line("endchoice");
    }

    fn config(&mut self, depth: usize, is_member: bool) {
        // Now and then another declaration of an earlier symbol.
        let earlier = if depth == 0 && self.next > 0 && self.one_in(8) {
            self.below(self.next as u64)
        } else {
            self.next
        };
        let is_new = earlier >= self.next || (self.members.contains(&earlier) && !self.one_in(20));
        let number = if is_new { self.next } else { earlier };
        if is_new && number >= self.types.len() {
            return;
        }
        self.next += usize::from(is_new);
        if is_member {
            self.members.insert(number);
        } else {
            self.known = number;
        }
        let kind = self.types[number];
        let has_prompt = is_member || self.below(4) > 0;
        let keyword = if !is_member && has_prompt && self.one_in(5) { "menuconfig" } else { "config" };
        self.line(&format!("{keyword} S{number}"));
        let condition = if self.one_in(3) { self.maybe_condition() } else { String::new() };
        match has_prompt {
            true => self.line(&format!("\t{kind} \"Symbol {number}\"{condition}")),
            false => self.line(&format!("\t{kind}")),
        }
        if !is_member && self.one_in(60) {
            self.line("\ttransitional");
        }
        for _ in 0..self.below(4) {
            self.option(kind, is_member);
        }
        if self.one_in(6) {
            self.line("\thelp\n\t  Some help.\n");
        }
    }

    fn option(&mut self, kind: &str, is_member: bool) {
        let condition = self.maybe_condition();
        match self.below(8) {
            0..=2 if !is_member => {
                let value = self.value(kind);
                self.line(&format!("\tdefault {value}{condition}"));
            }
            3 => self.dependency(),
            4 | 5 if matches!(kind, "bool" | "tristate") => {
                let verb = if self.one_in(3) { "imply" } else { "select" };
                // Forward most of the time, so that few trees have circles.
                let target = match self.one_in(12) {
                    true => self.below(SYMBOLS),
                    false => self.next + self.below(SYMBOLS),
                };
                self.line(&format!("\t{verb} S{target}{condition}"));
            }
            6 if matches!(kind, "int" | "hex") => {
                let (low, high) = (self.value(kind), self.value(kind));
                self.line(&format!("\trange {low} {high}{condition}"));
            }
            _ => {}
        }
    }

    fn value(&mut self, kind: &str) -> String {
        if self.one_in(3) {
            let symbol = self.mentioned();
            // conf has no text for the value of a bool, and may crash.
            if matches!(kind, "bool" | "tristate") || !self.is_logical(&symbol) {
                return symbol;
            }
        }
        match kind {
            "int" => self.below(40).to_string(),
            "hex" => format!("0x{:x}", self.below(40)),
            "string" => format!("\"text {}\"", self.below(9)),
            _ => ["y", "m", "n", "y"][self.below(4)].to_string(),
        }
    }

    fn is_logical(&self, symbol: &str) -> bool {
        let number = symbol.strip_prefix('S').and_then(|number| number.parse::<usize>().ok());
        number.is_none_or(|number| matches!(self.types[number], "bool" | "tristate"))
    }

    fn dependency(&mut self) {
        let (what, condition) = (self.condition(), self.maybe_condition());
        let condition = if self.one_in(3) { condition } else { String::new() };
        self.line(&format!("\tdepends on {what}{condition}"));
    }

    fn maybe_condition(&mut self) -> String {
        match self.one_in(2) {
            true => format!(" if {}", self.condition()),
            false => String::new(),
        }
    }

    /// An earlier symbol, so that conditions make no circles; now and then any.
    fn mentioned(&mut self) -> String {
        let limit = if self.one_in(150) { SYMBOLS } else { self.known as u64 };
        match limit {
            0 => "MODULES".into(),
            limit => format!("S{}", self.below(limit)),
        }
    }

    fn condition(&mut self) -> String {
        let mut text = self.term();
        while self.one_in(3) {
            let (operator, term) = (["&&", "||"][self.below(2)], self.term());
            text = match self.one_in(2) {
                true => format!("{text} {operator} {term}"),
                false => format!("({text}) {operator} {term}"),
            };
        }
        text
    }

    fn term(&mut self) -> String {
        let symbol = self.mentioned();
        match self.below(12) {
            0..=4 => symbol,
            5 => format!("!{symbol}"),
            6 => format!("{symbol}={}", ["y", "m", "n", "UNKNOWN", "\"text 1\"", "7"][self.below(6)]),
            // conf takes the symbol of a bool that is compared with `!=y` for an expression, and reads at random.
            7 => format!("{symbol}!={}", ["n", "m", "n", "\"\"", "0x10"][self.below(5)]),
            8 => {
                let operator = ["<", "<=", ">", ">=", "="][self.below(5)];
                let other = if self.one_in(2) { self.mentioned() } else { self.below(40).to_string() };
                format!("{symbol} {operator} {other}")
            }
            9 => ["y", "m", "n"][self.below(3)].to_string(),
            10 => format!("!({})", self.term()),
            _ => "UNKNOWN".into(),
        }
    }
}
