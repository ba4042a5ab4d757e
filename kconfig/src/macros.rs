//! The macro language: variables, `$(name)`, `$(function,argument,…)`
//! (Documentation/kbuild/kconfig-macro-language.rst).

use rustc_hash::FxHashMap;

use crate::{
    host::Probes,
    message::{Message, Severity},
    number::unsigned,
};

/// References inside references inside references.
const NESTING_LIMIT: usize = 500;
/// Variables of variables: conf stops at as many of one name.
const RECURSION_LIMIT: usize = 200;
/// All text that expansion may read and make in reading one tree, in bytes.
const WORK_LIMIT: usize = 1 << 26;
/// A function's name and arguments.
const PARTS_LIMIT: usize = 16;
/// conf reads as much of a command's output.
const SHELL_LIMIT: usize = 4095;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// `=`: expanded at each use.
    Recursive,
    /// `:=`: expanded once.
    Simple,
    /// `+=`.
    Append,
}

#[derive(Debug)]
struct Variable {
    value: String,
    flavor: Flavor,
    in_use: usize,
}

/// Expansion can't go on; conf stops at once.
#[derive(Debug)]
pub(crate) struct Stop(pub String);

/// Where the text stands that is expanded.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub file: &'a str,
    pub line: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Macros {
    variables: FxHashMap<String, Variable>,
    /// What `info` and `warning-if` said.
    said: Vec<(Severity, String)>,
    work: usize,
}

impl Macros {
    pub(crate) fn assign(
        &mut self,
        name: &str,
        value: &str,
        flavor: Flavor,
        at: At,
        probes: &mut dyn Probes,
    ) -> Result<(), Stop> {
        let known = self.variables.get(name);
        let appends = flavor == Flavor::Append && known.is_some();
        let flavor = match (flavor, known) {
            (Flavor::Append, Some(known)) => known.flavor,
            (Flavor::Append, None) => Flavor::Recursive,
            (flavor, _) => flavor,
        };
        let value = match flavor {
            Flavor::Simple => self.expand(value, &[], 0, at, probes)?,
            _ => value.to_string(),
        };
        match self.variables.get_mut(name) {
            Some(variable) if appends => {
                variable.value.push(' ');
                variable.value.push_str(&value);
            }
            Some(variable) => (variable.value, variable.flavor) = (value, flavor),
            None => _ = self.variables.insert(name.to_string(), Variable { value, flavor, in_use: 0 }),
        }
        Ok(())
    }

    /// Counts text, so that short files can't make endless work (variables that are twice others, and so on).
    fn charge(&mut self, text: &str) -> Result<(), Stop> {
        self.work += text.len() + 1;
        match self.work > WORK_LIMIT {
            true => Err(Stop("expansion makes too much text".into())),
            false => Ok(()),
        }
    }

    /// What functions have said since the last time, all of it here.
    pub(crate) fn tell(&mut self, at: At) -> impl Iterator<Item = Message> {
        self.said.drain(..).map(move |(severity, text)| {
            let text = match severity {
                Severity::Info => text,
                _ => format!("{}:{}: {text}", at.file, at.line),
            };
            Message::plain(severity, text)
        })
    }

    /// Expands the reference that `text` begins with, the `$` being read already. How many bytes of `text` that took,
    /// and what it came to.
    pub(crate) fn expand_dollar(
        &mut self,
        text: &str,
        at: At,
        probes: &mut dyn Probes,
    ) -> Result<(usize, String), Stop> {
        let (taken, expansion) = self.dollar(text, &[], 0, at, probes)?;
        self.charge(&expansion)?;
        Ok((taken, expansion))
    }

    /// Expands a word with references in it, up to the first byte that can't be part of one.
    pub(crate) fn expand_word(
        &mut self,
        text: &str,
        at: At,
        probes: &mut dyn Probes,
    ) -> Result<(usize, String), Stop> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let mut word = String::new();
        let mut position = 0;
        while let Some(&byte) = text.as_bytes().get(position) {
            if byte == b'$' {
                let (taken, expansion) = self.expand_dollar(&text[position + 1..], at, probes)?;
                word.push_str(&expansion);
                position += 1 + taken;
            } else if is_part(byte) {
                word.push(char::from(byte));
                position += 1;
            } else {
                break;
            }
        }
        Ok((position, word))
    }

    fn expand(
        &mut self,
        text: &str,
        arguments: &[String],
        depth: usize,
        at: At,
        probes: &mut dyn Probes,
    ) -> Result<String, Stop> {
        self.charge(text)?;
        let mut result = String::new();
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            result.push_str(&rest[..dollar]);
            let (taken, expansion) = self.dollar(&rest[dollar + 1..], arguments, depth, at, probes)?;
            result.push_str(&expansion);
            self.charge(&expansion)?;
            rest = &rest[dollar + 1 + taken..];
        }
        result.push_str(rest);
        Ok(result)
    }

    fn dollar(
        &mut self,
        text: &str,
        arguments: &[String],
        depth: usize,
        at: At,
        probes: &mut dyn Probes,
    ) -> Result<(usize, String), Stop> {
        let Some(inner) = text.strip_prefix('(') else {
            return Ok((0, "$".into()));
        };
        if depth > NESTING_LIMIT {
            return Err(Stop("references are nested too deeply".into()));
        }
        let mut nesting = 0_usize;
        for (position, byte) in inner.bytes().enumerate() {
            match byte {
                b'(' => nesting += 1,
                b')' if nesting == 0 => {
                    let value = self.clause(&inner[..position], arguments, depth + 1, at, probes)?;
                    return Ok((position + 2, value));
                }
                b')' => nesting -= 1,
                _ => {}
            }
        }
        Err(Stop(format!("unterminated reference to '{inner}': missing ')'")))
    }

    /// What stands between the brackets.
    fn clause(
        &mut self,
        clause: &str,
        arguments: &[String],
        depth: usize,
        at: At,
        probes: &mut dyn Probes,
    ) -> Result<String, Stop> {
        // Blanks before the number and a sign are the C library's to take.
        let number = unsigned(clause, 10).and_then(|number| usize::try_from(number).ok());
        if let Some(argument) = number.and_then(|number| arguments.get(number.checked_sub(1)?)) {
            return Ok(argument.clone());
        }
        let parts = split(clause);
        if parts.len() > PARTS_LIMIT {
            return Err(Stop("too many function arguments".into()));
        }
        let name = self.expand(parts[0], arguments, depth, at, probes)?;
        let mut own = Vec::new();
        for part in &parts[1..] {
            own.push(self.expand(part, arguments, depth, at, probes)?);
        }
        if let Some(value) = self.variable(&name, &own, depth, at, probes)? {
            return Ok(value);
        }
        if let Some(value) = self.function(&name, &own, at, probes)? {
            return Ok(value);
        }
        let is_variable = own.is_empty() && !name.is_empty();
        Ok(is_variable.then(|| probes.variable(&name)).flatten().unwrap_or_default())
    }

    fn variable(
        &mut self,
        name: &str,
        arguments: &[String],
        depth: usize,
        at: At,
        probes: &mut dyn Probes,
    ) -> Result<Option<String>, Stop> {
        let Some(variable) = self.variables.get_mut(name) else {
            return Ok(None);
        };
        if arguments.is_empty() && variable.in_use > 0 {
            return Err(Stop(format!("Recursive variable '{name}' references itself (eventually)")));
        }
        if variable.in_use > RECURSION_LIMIT {
            return Err(Stop("Too deep recursive expansion".into()));
        }
        let value = variable.value.clone();
        if variable.flavor == Flavor::Simple {
            return Ok(Some(value));
        }
        variable.in_use += 1;
        let expanded = self.expand(&value, arguments, depth + 1, at, probes);
        if let Some(variable) = self.variables.get_mut(name) {
            variable.in_use -= 1;
        }
        expanded.map(Some)
    }

    fn function(
        &mut self,
        name: &str,
        arguments: &[String],
        at: At,
        probes: &mut dyn Probes,
    ) -> Result<Option<String>, Stop> {
        let count = match name {
            "filename" | "lineno" => 0,
            "info" | "shell" => 1,
            "error-if" | "warning-if" => 2,
            _ => return Ok(None),
        };
        if arguments.len() != count {
            let how = if arguments.len() < count { "few" } else { "many" };
            return Err(Stop(format!("too {how} function arguments passed to '{name}'")));
        }
        Ok(Some(match name {
            "filename" => at.file.to_string(),
            "lineno" => at.line.to_string(),
            "shell" => tidy(probes.shell(&arguments[0])),
            "info" => {
                self.said.push((Severity::Info, arguments[0].clone()));
                String::new()
            }
            "error-if" if arguments[0] == "y" => return Err(Stop(arguments[1].clone())),
            "warning-if" if arguments[0] == "y" => {
                self.said.push((Severity::Warning, arguments[1].clone()));
                String::new()
            }
            _ => String::new(),
        }))
    }
}

/// At commas outside brackets.
fn split(clause: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut nesting) = (0, 0_i64);
    for (position, byte) in clause.bytes().enumerate() {
        match byte {
            b',' if nesting == 0 => {
                parts.push(&clause[start..position]);
                start = position + 1;
            }
            b'(' => nesting += 1,
            b')' => nesting -= 1,
            _ => {}
        }
    }
    parts.push(&clause[start..]);
    parts
}

/// A command's output as a value: one line.
fn tidy(mut output: Vec<u8>) -> String {
    output.truncate(SHELL_LIMIT);
    if let Some(end) = output.iter().position(|&byte| byte == 0) {
        output.truncate(end);
    }
    while output.last() == Some(&b'\n') {
        output.pop();
    }
    String::from_utf8_lossy(&output).replace('\n', " ")
}
