//! One pass over Kconfig files, line by line: enough of Documentation/kbuild/kconfig-language.rst to tell
//! entries, their attributes, blocks and help texts apart.

use std::collections::{BTreeMap, BTreeSet};

use super::{Definition, Prompt, Selector, SymbolType};

pub struct Scan<'a> {
    files: &'a BTreeMap<String, String>,
    source_arch: &'a str,
    pub definitions: BTreeMap<String, Vec<Definition>>,
    pub selectors: BTreeMap<String, Vec<Selector>>,
    /// Members of each choice.
    pub choices: Vec<Vec<String>>,
    /// Files read so far.
    pub read: BTreeSet<String>,
}

/// An open `if`, `menu` or `choice` and the conditions that hold for what is in it.
#[derive(Default)]
struct Block {
    conditions: Vec<String>,
    /// Its number, if it is a choice.
    choice: Option<usize>,
}

/// What the attributes on the following lines belong to.
enum Entry {
    Symbol {
        name: String,
        definition: Definition,
    },
    /// A menu or choice: its `depends on` counts for the block that it opened.
    Block,
    /// A comment, or nothing.
    Other,
}

impl<'a> Scan<'a> {
    pub fn new(files: &'a BTreeMap<String, String>, source_arch: &'a str) -> Self {
        Scan {
            files,
            source_arch,
            definitions: BTreeMap::new(),
            selectors: BTreeMap::new(),
            choices: Vec::new(),
            read: BTreeSet::new(),
        }
    }

    /// Scans `file` as if it stood where all of `outer` holds. Files that are not there, or that were read
    /// before, are passed over: conf has accepted this tree already.
    pub fn file(&mut self, file: &str, outer: &[String]) {
        let Some(text) = self.files.get(file) else { return };
        if !self.read.insert(file.into()) {
            return;
        }
        let mut blocks = vec![Block { conditions: outer.to_vec(), choice: None }];
        let mut entry = Entry::Other;
        for (line, statement) in statements(text) {
            let (keyword, rest) = split_keyword(&statement);
            match keyword {
                "config" | "menuconfig" => {
                    self.finish(std::mem::replace(&mut entry, Entry::Other));
                    let definition = Definition {
                        file: file.into(),
                        line,
                        depends_on: conditions(&blocks),
                        prompt: Prompt::None,
                        kind: None,
                        ranges: Vec::new(),
                        choice: blocks.iter().rev().find_map(|block| block.choice),
                    };
                    entry = Entry::Symbol { name: rest.into(), definition };
                }
                "if" | "menu" | "choice" => {
                    self.finish(std::mem::replace(&mut entry, Entry::Block));
                    let conditions = if keyword == "if" { vec![rest.into()] } else { Vec::new() };
                    let choice = (keyword == "choice").then(|| {
                        self.choices.push(Vec::new());
                        self.choices.len() - 1
                    });
                    blocks.push(Block { conditions, choice });
                }
                "endif" | "endmenu" | "endchoice" => {
                    self.finish(std::mem::replace(&mut entry, Entry::Other));
                    if blocks.len() > 1 {
                        blocks.pop();
                    }
                }
                "source" => {
                    self.finish(std::mem::replace(&mut entry, Entry::Other));
                    let path = rest.trim_matches('"').replace("$(SRCARCH)", self.source_arch);
                    self.file(&path, &conditions(&blocks));
                }
                "comment" | "mainmenu" => self.finish(std::mem::replace(&mut entry, Entry::Other)),
                _ => self.attribute(&mut entry, &mut blocks, keyword, rest),
            }
        }
        self.finish(entry);
    }

    fn finish(&mut self, entry: Entry) {
        if let Entry::Symbol { name, definition } = entry {
            if let Some(choice) = definition.choice {
                self.choices[choice].push(name.clone());
            }
            self.definitions.entry(name).or_default().push(definition);
        }
    }

    fn attribute(&mut self, entry: &mut Entry, blocks: &mut [Block], keyword: &str, rest: &str) {
        let kind = symbol_type(keyword);
        let condition = rest.strip_prefix("on").filter(|_| keyword == "depends").map(str::trim);
        match entry {
            Entry::Symbol { definition, .. } if kind.is_some() => {
                definition.kind = kind;
                // `def_bool value` has a default where others have a prompt.
                if !keyword.starts_with("def_") {
                    prompt(&mut definition.prompt, rest);
                }
            }
            Entry::Symbol { name, definition } => match keyword {
                "range" => definition.ranges.push(rest.into()),
                "depends" => definition.depends_on.extend(condition.map(String::from)),
                "prompt" => prompt(&mut definition.prompt, rest),
                "select" => {
                    let (target, condition) = split_if(rest);
                    let selector = Selector { symbol: name.clone(), condition: condition.map(String::from) };
                    self.selectors.entry(target.into()).or_default().push(selector);
                }
                _ => {}
            },
            Entry::Block => {
                if let (Some(block), Some(condition)) = (blocks.last_mut(), condition) {
                    block.conditions.push(condition.into());
                }
            }
            Entry::Other => {}
        }
    }
}

fn symbol_type(keyword: &str) -> Option<SymbolType> {
    Some(match keyword {
        "bool" | "def_bool" => SymbolType::Bool,
        "tristate" | "def_tristate" => SymbolType::Tristate,
        "int" => SymbolType::Int,
        "hex" => SymbolType::Hex,
        "string" => SymbolType::String,
        _ => return None,
    })
}

fn conditions(blocks: &[Block]) -> Vec<String> {
    blocks.iter().flat_map(|block| block.conditions.iter().cloned()).collect()
}

/// `rest` follows a type or `prompt`: nothing, or `"text"`, or `"text" if condition`.
fn prompt(prompt: &mut Prompt, rest: &str) {
    let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else { return };
    // The condition, if any, comes after the last quote that `if` follows; prompts hold no ` if ` after one.
    let Some(end) = rest[1..].find(quote) else { return };
    let after = rest[end + 2..].trim();
    match (after.strip_prefix("if"), &mut *prompt) {
        (Some(condition), Prompt::If(conditions)) => conditions.push(condition.trim().into()),
        (Some(condition), Prompt::None) => *prompt = Prompt::If(vec![condition.trim().into()]),
        (Some(_), Prompt::Always) => {}
        (None, _) => *prompt = Prompt::Always,
    }
}

fn split_if(rest: &str) -> (&str, Option<&str>) {
    match rest.split_once(char::is_whitespace) {
        Some((target, after)) => (target, after.trim().strip_prefix("if").map(str::trim)),
        None => (rest, None),
    }
}

/// Every `config` and `menuconfig` of a file with its line.
pub fn names(text: &str) -> impl Iterator<Item = (&str, u32)> {
    (1..).zip(text.lines()).filter_map(|(line, text)| {
        let (keyword, rest) = text.split_once(char::is_whitespace)?;
        matches!(keyword, "config" | "menuconfig").then(|| (rest.trim(), line))
    })
}

/// Lines that say something: comments, blank lines and help texts are left out, continued lines joined.
fn statements(text: &str) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let mut help = None;
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        let trimmed = line.trim();
        if trimmed.is_empty() || (help.is_none() && trimmed.starts_with('#')) {
            continue;
        }
        let indent = indentation(line);
        match help {
            // The first line of a help text sets its indentation; a line with less ends it.
            Some(0) if indent > 0 => {
                help = Some(indent);
                continue;
            }
            Some(text) if text > 0 && indent >= text => continue,
            Some(_) => help = None,
            None => {}
        }
        if trimmed.starts_with('#') {
            continue;
        }
        let mut statement = trimmed.to_string();
        while let Some(start) = statement.strip_suffix('\\') {
            let Some((_, next)) = lines.next() else { break };
            statement = format!("{} {}", start.trim_end(), next.trim());
        }
        let statement = without_comment(&statement).to_string();
        if matches!(statement.as_str(), "help" | "---help---") {
            help = Some(0);
        } else {
            found.push((number, statement));
        }
    }
    found
}

/// Columns before the first character, with tab stops of 8 as conf counts them.
fn indentation(line: &str) -> usize {
    line.chars().take_while(|c| c.is_whitespace()).fold(0, |column, c| match c {
        '\t' => column / 8 * 8 + 8,
        _ => column + 1,
    })
}

fn without_comment(statement: &str) -> &str {
    let mut quote = None;
    for (at, c) in statement.char_indices() {
        match (quote, c) {
            (None, '#') => return statement[..at].trim_end(),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    statement
}

fn split_keyword(statement: &str) -> (&str, &str) {
    let end = statement.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(statement.len());
    (&statement[..end], statement[end..].trim())
}
