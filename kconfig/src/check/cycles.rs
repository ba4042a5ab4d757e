//! Symbols that depend on themselves. The search walks without recursion, since chains of dependencies can be long.

use crate::{
    expr::ExprId,
    graph::{Graph, PropertyKind, SymbolId},
    message::{Message, Severity},
};

/// In what way a symbol depends on the next one of a chain.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Depends,
    Selected,
    Implied,
    /// A condition of a statement of this kind.
    Visible(PropertyKind),
    /// The value of a default.
    Default,
    /// Nothing was followed yet.
    Start,
}

/// A symbol whose dependencies are being followed.
struct Frame {
    symbol: SymbolId,
    edges: Vec<(Way, SymbolId)>,
    /// How many edges were followed.
    done: usize,
    /// The way that the edge being followed goes.
    way: Way,
    then: Then,
}

/// What is left to do when a frame's edges have been followed.
enum Then {
    Nothing,
    /// The symbol is complete.
    Finish,
    /// The members of a choice, after the choice's own conditions: the one at this number is next.
    Members(Vec<SymbolId>, usize),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    /// On the chain that is being followed.
    Open,
    Done,
}

pub(super) struct Search<'g> {
    graph: &'g Graph,
    marks: Vec<Mark>,
    frames: Vec<Frame>,
}

impl<'g> Search<'g> {
    pub(super) fn new(graph: &'g Graph) -> Search<'g> {
        Search { graph, marks: vec![Mark::New; graph.symbols.len()], frames: Vec::new() }
    }

    /// Follows everything that `root` depends on; one cycle at most is reported.
    pub(super) fn search(&mut self, root: SymbolId, messages: &mut Vec<Message>) {
        if self.enter(root, messages) {
            return;
        }
        while let Some(frame) = self.frames.last_mut() {
            if let Some(&(way, symbol)) = frame.edges.get(frame.done) {
                frame.done += 1;
                frame.way = way;
                if self.enter(symbol, messages) {
                    return;
                }
                continue;
            }
            self.leave();
        }
    }

    /// Whether `symbol` closes a cycle. If so, the search is over.
    fn enter(&mut self, symbol: SymbolId, messages: &mut Vec<Message>) -> bool {
        match self.marks[symbol.index()] {
            Mark::Done => return false,
            Mark::Open => {
                messages.push(Message::plain(Severity::Error, self.describe(symbol)));
                // What was begun counts as checked: the next search reports other cycles.
                for mark in self.marks.iter_mut().filter(|mark| **mark == Mark::Open) {
                    *mark = Mark::Done;
                }
                self.frames.clear();
                return true;
            }
            Mark::New => {}
        }
        let own_choice = self.graph.symbol(symbol).choice;
        if let Some(choice) = own_choice.and_then(|choice| self.graph.entry(choice).symbol) {
            // A member's value is decided by the choice.
            self.push(symbol, vec![(Way::Start, choice)], Then::Nothing);
            return false;
        }
        self.marks[symbol.index()] = Mark::Open;
        let edges = self.edges(symbol);
        let choice = self.graph.symbol(symbol).entries.first().filter(|_| self.graph.is_choice(symbol));
        match choice {
            Some(&choice) => {
                let members: Vec<SymbolId> =
                    self.graph.below(choice).filter_map(|entry| self.graph.entry(entry).symbol).collect();
                for member in &members {
                    self.marks[member.index()] = Mark::Open;
                }
                self.push(symbol, Vec::new(), Then::Members(members, 0));
                self.push(symbol, edges, Then::Nothing);
            }
            None => self.push(symbol, edges, Then::Finish),
        }
        false
    }

    fn push(&mut self, symbol: SymbolId, edges: Vec<(Way, SymbolId)>, then: Then) {
        self.frames.push(Frame { symbol, edges, done: 0, way: Way::Start, then });
    }

    /// The last frame's edges have all been followed.
    fn leave(&mut self) {
        let frame = self.frames.last_mut().expect("there is a frame");
        let symbol = frame.symbol;
        match &mut frame.then {
            Then::Members(members, next) if *next < members.len() => {
                let member = members[*next];
                *next += 1;
                let edges = self.edges(member);
                self.push(member, edges, Then::Nothing);
                return;
            }
            Then::Members(members, _) => {
                for member in std::mem::take(members) {
                    self.marks[member.index()] = Mark::Done;
                }
                self.marks[symbol.index()] = Mark::Done;
            }
            Then::Finish => self.marks[symbol.index()] = Mark::Done,
            Then::Nothing => {}
        }
        self.frames.pop();
    }

    /// Every symbol that `id` depends on, in the order in which conf looks at them.
    fn edges(&self, id: SymbolId) -> Vec<(Way, SymbolId)> {
        let mut edges = Vec::new();
        let symbol = self.graph.symbol(id);
        let mut add = |way: Way, e: Option<ExprId>| {
            if let Some(e) = e {
                self.graph.exprs.symbols(e, &mut |mentioned| edges.push((way, mentioned)));
            }
        };
        for &depends in &symbol.depends {
            add(Way::Depends, Some(depends));
        }
        for reverse in &symbol.selected_by {
            add(Way::Selected, Some(reverse.condition));
        }
        for reverse in &symbol.implied_by {
            add(Way::Implied, Some(reverse.condition));
        }
        for &property in &symbol.properties {
            let property = self.graph.property(property);
            if matches!(property.kind, PropertyKind::Select | PropertyKind::Imply) {
                continue;
            }
            add(Way::Visible(property.kind), property.visible);
            if property.kind == PropertyKind::Default && symbol.name.is_some() {
                add(Way::Default, property.value);
            }
        }
        edges
    }

    /// The cycle that `symbol` closes.
    fn describe(&self, symbol: SymbolId) -> String {
        let graph = self.graph;
        let mut chain: Vec<(SymbolId, Way)> =
            self.frames.iter().map(|frame| (frame.symbol, frame.way)).collect();
        let mut last = symbol;
        let choice = graph.symbol(symbol).choice;
        if let Some(choice) = choice.and_then(|choice| graph.entry(choice).symbol) {
            chain.push((symbol, Way::Start));
            last = choice;
        }
        let Some(start) = chain.iter().rposition(|&(symbol, _)| symbol == last) else {
            return "unexpected recursive dependency error".into();
        };
        let mut text = String::new();
        for (number, &(symbol, way)) in chain.iter().enumerate().skip(start) {
            let next = chain.get(number + 1).map_or(last, |&(next, _)| next);
            if symbol == last {
                text.push_str("error: recursive dependency detected!\n");
            }
            let (name, next_name) = (graph.name(symbol), graph.name(next));
            text.push_str(&match way {
                _ if graph.is_choice(next) => {
                    let place = graph.symbol(next).entries.first().map(|&entry| graph.entry(entry).place);
                    let place = place.map(|place| graph.show_place(place)).unwrap_or_default();
                    format!("\tsymbol {name} is part of choice block at {place}\n")
                }
                Way::Depends => format!("\tsymbol {name} depends on {next_name}\n"),
                Way::Selected => format!("\tsymbol {name} is selected by {next_name}\n"),
                Way::Implied => format!("\tsymbol {name} is implied by {next_name}\n"),
                Way::Default => format!("\tsymbol {name} default value contains {next_name}\n"),
                Way::Visible(kind) => {
                    format!("\tsymbol {name} {} is visible depending on {next_name}\n", kind.as_str())
                }
                Way::Start => format!("\tsymbol {name} unknown is visible depending on {next_name}\n"),
            });
        }
        text.push_str(
            "For a resolution refer to Documentation/kbuild/kconfig-language.rst\n\
             subsection \"Kconfig recursive dependency limitations\"\n",
        );
        text
    }
}
