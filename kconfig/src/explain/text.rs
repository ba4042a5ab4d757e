//! Explanations as people read them: one line a cause, what causes it indented below.

use std::fmt::{self, Write as _};

use super::{Culprit, Provenance, Reason, Remedy, Source, Why};

/// Other symbols that are named; the rest is counted.
const NAME_LIMIT: usize = 20;

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        why(self, 0, &mut text);
        f.write_str(text.trim_end())
    }
}

fn indented(depth: usize, text: &mut String) -> &mut String {
    text.push_str(&"  ".repeat(depth));
    text
}

fn why(this: &Why, depth: usize, text: &mut String) {
    let Why { symbol, value, needed, asked, reasons } = this;
    let shown = if value.is_empty() { "empty" } else { value };
    let _ = write!(indented(depth, text), "{symbol} is {shown}");
    if let Some(needed) = needed {
        let _ = write!(text, ", has to be {needed}");
    }
    if let Some((at, value)) = asked {
        let _ = write!(text, "; {at} asks for {value}");
    }
    text.push('\n');
    // Who asks otherwise is in the line above.
    let is_told = |reason: &&Reason| asked.is_some() && matches!(reason, Reason::AskedOtherwise { .. });
    for reason in reasons.iter().filter(|reason| !is_told(reason)) {
        because(reason, depth + 1, text);
    }
}

fn because(reason: &Reason, depth: usize, text: &mut String) {
    let text = indented(depth, text);
    let _ = match reason {
        Reason::Unknown { did_you_mean } => {
            let _ = write!(text, "no Kconfig file of this kernel declares it for this architecture");
            match did_you_mean[..] {
                [] => writeln!(text),
                _ => writeln!(text, "; did you mean {}?", did_you_mean.join(", ")),
            }
        }
        Reason::Unmet { statement, condition, place, because } => {
            let _ = writeln!(text, "not met: {statement} {condition} ({place})");
            because.iter().for_each(|culprit| why(culprit, depth + 1, text));
            Ok(())
        }
        Reason::NoPrompt { place, selectors, more } => {
            let _ = write!(text, "nobody can ask for it (no prompt, {place}); ");
            match selectors[..] {
                [] => writeln!(text, "nothing selects it either"),
                _ => writeln!(text, "selected by {}{}", selectors.join(", "), and_more(*more)),
            }
        }
        Reason::Selected { by, more } => {
            let _ = writeln!(text, "selected by {}{}", list(by), and_more(*more));
            Ok(())
        }
        Reason::Default { place } => writeln!(text, "by default ({place})"),
        Reason::Chosen { choice, place, member, asked } => {
            let asked = asked.as_ref().map(|at| format!(", which {at} asks for")).unwrap_or_default();
            writeln!(text, "of the choice \"{choice}\" ({place}), {member} is on{asked}")
        }
        Reason::OutOfRange { low, high, place } => writeln!(text, "the range is {low} to {high} ({place})"),
        Reason::WrongType { kind } => writeln!(text, "it is of type {kind}"),
        Reason::NoModules => writeln!(text, "there are no modules (MODULES is n), or it can't be one"),
        Reason::AskedOtherwise { value, at } => writeln!(text, "{at} asks for {value}"),
        Reason::NotAsked => writeln!(text, "nobody asks for that; it could be"),
    };
}

fn and_more(more: usize) -> String {
    if more > 0 { format!(" and {more} more") } else { String::new() }
}

fn list(culprits: &[Culprit]) -> String {
    let one = |culprit: &Culprit| {
        let asked = culprit.asked.as_ref().map(|at| format!(", asked for at {at}")).unwrap_or_default();
        format!("{} ({}{asked})", culprit.symbol, culprit.place)
    };
    culprits.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remedy::Lines { lines, .. } if lines.is_empty() => write!(f, "nothing has to be added"),
            Remedy::Lines { lines, is_smallest } => {
                let how = if *is_smallest {
                    "the smallest change that makes it hold"
                } else {
                    "a change that makes it hold"
                };
                write!(f, "{how}:")?;
                lines.iter().try_for_each(|line| write!(f, "\n  {line}"))
            }
            Remedy::Impossible { because } => {
                write!(f, "no further lines can make it hold beside the other requests:")?;
                because.iter().try_for_each(|reason| write!(f, "\n  {reason}"))
            }
            Remedy::NotFound { tried } => {
                write!(f, "no change was found that makes it hold ({tried} configurations were tried)")
            }
        }
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if self.value.is_empty() { "empty" } else { &self.value };
        write!(f, "{} is {shown}", self.symbol)?;
        for source in &self.sources {
            write!(f, "\n  {source}")?;
        }
        let prompt = self.prompt.as_ref().map(|prompt| format!(" \"{prompt}\"")).unwrap_or_default();
        write!(f, "\n  {}{prompt}, declared at {}", self.kind, self.places.join(", "))?;
        for depends in &self.depends {
            write!(f, "\n  depends on {depends}")?;
        }
        let lost = [("requests", &self.requests_lost), ("other symbols", &self.symbols_lost)];
        for (what, names) in lost.into_iter().filter(|(_, names)| !names.is_empty()) {
            let more = and_more(names.len().saturating_sub(NAME_LIMIT));
            let shown = &names[..names.len().min(NAME_LIMIT)];
            write!(f, "\n  without it these {what} fall: {}{more}", shown.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Asked { at } => write!(f, "asked for at {at}"),
            Source::Fill => {
                write!(f, "nobody asks for it, and whatever nobody asks for is off where it can be")
            }
            Source::Default { place, condition: None } => write!(f, "by default ({place})"),
            Source::Default { place, condition: Some(condition) } => {
                write!(f, "by default, since {condition} ({place})")
            }
            Source::Selected { by } => write!(f, "selected by {}", list(by)),
            Source::Implied { by } => write!(f, "implied by {}", list(by)),
            Source::Choice { choice, place } => write!(f, "taken by the choice \"{choice}\" ({place})"),
            Source::Nothing => write!(f, "nobody asks for it, selects it, or makes it the default"),
        }
    }
}
