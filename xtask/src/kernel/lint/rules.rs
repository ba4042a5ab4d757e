//! Rules in order: every one wants something, can apply, has its reason, and contradicts no other. Two can't be left
//! out: a VTL0 kernel never has HYPERV_VTL_MODE, a VTL2 kernel always does.

use std::fmt;

use document::{Node, Origin, Problem, Problems};
use serde::{Serialize, Serializer};

use super::{
    subject::Series,
    written::{RulesFile, Severity, WrittenRule},
};
use crate::{
    kernel::Value,
    profile::{Arch, LinuxSeries, Symbol, Vtl},
};

/// What tells the two kinds of kernel apart (drivers/hv/Kconfig).
const VTL_MODE: &str = "CONFIG_HYPERV_VTL_MODE";

/// The rules of configs/rules.yaml, or those of them that one kernel has to keep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub section: Section,
    pub scope: Scope,
    /// Must all hold for the rule to apply.
    pub when: Vec<Condition>,
    /// At least one.
    pub wants: Vec<Want>,
    pub severity: Severity,
    pub reason: String,
    /// What to do, where it isn't what the want says.
    pub fix: Option<String>,
    pub origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    TrustLevel,
    Determinism,
}

impl Section {
    const ALL: [Section; 2] = [Section::TrustLevel, Section::Determinism];

    /// Its key in the file.
    pub fn name(self) -> &'static str {
        match self {
            Section::TrustLevel => "trust-level",
            Section::Determinism => "determinism",
        }
    }
}

/// Which kernels a rule is for; None is all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    pub arch: Option<Arch>,
    pub vtl: Option<Vtl>,
    pub since: Option<Series>,
    pub before: Option<Series>,
    pub only_foreign: bool,
}

/// `SYMBOL=value`, or `SYMBOL!=value`; the symbol has its prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub symbol: String,
    pub is: bool,
    pub value: Value,
}

/// One thing that must be so. Symbols have their prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// y or m.
    On(String),
    /// n or absent.
    Off(String),
    Exactly(String, Value),
    /// A string without an absolute path in it.
    RelativePath(String),
    /// On the command line.
    Option(String),
    /// Not on the command line.
    NoOption(String),
    /// At least this version.
    Linux(Series),
}

impl Rules {
    /// Takes the rules from the document that `file` was made from, and reports what is wrong with them.
    pub fn new(file: RulesFile, document: &Node, problems: &mut Problems) -> Rules {
        let mut rules = Vec::new();
        for (section, written) in Section::ALL.into_iter().zip([file.trust_level, file.determinism]) {
            for (index, written) in written.into_iter().enumerate() {
                let node = document.at(&format!("{}.{index}", section.name())).unwrap_or(document);
                rules.push(rule(section, written, node, problems));
            }
        }
        let rules = Rules(rules);
        rules.check_contradictions(problems);
        rules.check_vtl_mode(&document.origin, problems);
        rules
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    /// The rules that this tool's own build of such a kernel has to keep.
    pub fn for_build(&self, arch: Arch, vtl: Vtl) -> Rules {
        let applies = |rule: &&Rule| rule.scope.covers(arch, vtl) && !rule.scope.only_foreign;
        Rules(self.iter().filter(applies).cloned().collect())
    }

    /// A file that lost one of these two would let this project's worst mistake pass.
    fn check_vtl_mode(&self, origin: &Origin, problems: &mut Problems) {
        for (vtl, want, key) in
            [(Vtl::Vtl0, Want::Off(VTL_MODE.into()), "off"), (Vtl::Vtl2, Want::On(VTL_MODE.into()), "on")]
        {
            let everywhere =
                Scope { arch: None, vtl: Some(vtl), since: None, before: None, only_foreign: false };
            let is_it = |rule: &Rule| {
                rule.scope == everywhere
                    && rule.when.is_empty()
                    && rule.severity == Severity::Error
                    && rule.wants.contains(&want)
            };
            if !self.iter().any(is_it) {
                let message = format!(
                    "the rule is missing that HYPERV_VTL_MODE is {key} in every kernel for VTL{}: it decides what the \
                     kernel is",
                    vtl.number()
                );
                let hint = format!(
                    "a rule with `vtl: {}` and `{key}: [HYPERV_VTL_MODE]`, and no other condition, has to stay",
                    vtl.number()
                );
                problems.push(Problem::new(Origin::file(&origin.file), message).hint(hint));
            }
        }
    }

    /// Wants that no kernel could keep at once.
    fn check_contradictions(&self, problems: &mut Problems) {
        let unconditional = self.iter().filter(|rule| rule.when.is_empty());
        let wants: Vec<_> =
            unconditional.flat_map(|rule| rule.wants.iter().map(move |want| (rule, want))).collect();
        for (index, (rule, want)) in wants.iter().enumerate() {
            let against = wants[..index]
                .iter()
                .filter(|(other, against)| rule.scope.meets(&other.scope) && want.contradicts(against));
            for (other, against) in against {
                let message = format!("no kernel can have both {against} and {want}");
                let problem = Problem::new(rule.origin.clone(), message);
                let problem = match rule.origin == other.origin {
                    true => problem,
                    false => problem.related(other.origin.clone(), format!("here {against} is wanted")),
                };
                problems.push(problem.hint("remove one, or say with other keys which kernels it is for"));
            }
        }
    }
}

/// A rule from its written form; what is wrong with it is reported.
fn rule(section: Section, written: WrittenRule, node: &Node, problems: &mut Problems) -> Rule {
    let WrittenRule { arch, vtl, since, before, when, only_foreign, severity, .. } = &written;
    let series = |version: &Option<_>| {
        version.as_ref().map(|version: &LinuxSeries| {
            Series::parse(version.as_str()).expect("the pattern allows nothing else")
        })
    };
    let scope = Scope {
        arch: *arch,
        vtl: *vtl,
        since: series(since),
        before: series(before),
        only_foreign: only_foreign.unwrap_or(false),
    };
    let when = when.iter().flatten().map(|condition| condition_of(condition.as_str())).collect();
    let mut report = |key: &str, message: &str, hint: &str| {
        let place = node.at(key).unwrap_or(node);
        problems.push(Problem::new(place.origin.clone(), message).hint(hint));
    };
    if let (Some(since), Some(before)) = (scope.since, scope.before)
        && since >= before
    {
        let message = format!("no version is both {since} or later and before {before}");
        report("before", &message, "exchange the two");
    }
    if written.reason.trim().is_empty() {
        report("reason", "a rule without a reason can't be argued with", "say what goes wrong otherwise");
    }
    let wants = wants(&written, series(&written.needs_linux));
    if wants.is_empty() {
        let hint = "give it `on`, `off`, `exactly`, `relative-path`, `command-line`, `not-on-command-line` or `needs-linux`";
        report("", "the rule wants nothing", hint);
    }
    check_prefixes(node, problems);
    Rule {
        section,
        scope,
        when,
        wants,
        severity: severity.unwrap_or(Severity::Error),
        reason: written.reason,
        fix: written.fix,
        origin: node.origin.clone(),
    }
}

fn check_prefixes(node: &Node, problems: &mut Problems) {
    for key in ["when", "on", "off", "exactly", "relative-path"] {
        for item in node.get(key).into_iter().flat_map(Node::items) {
            if let Some(bare) = item.text().and_then(|text| text.strip_prefix("CONFIG_")) {
                let problem = Problem::new(item.origin.clone(), "symbols stand here without CONFIG_");
                problems.push(problem.hint(format!("write {bare}")));
            }
        }
    }
}

fn wants(written: &WrittenRule, needs_linux: Option<Series>) -> Vec<Want> {
    let prefixed = |symbol: &Symbol| format!("CONFIG_{symbol}");
    let exactly = written.exactly.iter().flatten().map(|setting| {
        let Condition { symbol, value, .. } = condition_of(setting.as_str());
        Want::Exactly(symbol, value)
    });
    let on = written.on.iter().flatten().map(|symbol| Want::On(prefixed(symbol)));
    let off = written.off.iter().flatten().map(|symbol| Want::Off(prefixed(symbol)));
    let paths = written.relative_path.iter().flatten().map(|symbol| Want::RelativePath(prefixed(symbol)));
    let there = written.command_line.iter().flatten().map(|option| Want::Option(option.to_string()));
    let gone = written.not_on_command_line.iter().flatten().map(|option| Want::NoOption(option.to_string()));
    on.chain(off)
        .chain(exactly)
        .chain(paths)
        .chain(there)
        .chain(gone)
        .chain(needs_linux.map(Want::Linux))
        .collect()
}

/// `text` has matched its pattern.
fn condition_of(text: &str) -> Condition {
    let (symbol, value) = text.split_once('=').expect("the pattern wants an =");
    let (symbol, is) = match symbol.strip_suffix('!') {
        Some(symbol) => (symbol, false),
        None => (symbol, true),
    };
    let value = Value::parse(value).expect("the pattern allows nothing else");
    Condition { symbol: format!("CONFIG_{symbol}"), is, value }
}

impl Scope {
    pub fn covers(&self, arch: Arch, vtl: Vtl) -> bool {
        self.arch.is_none_or(|own| own == arch) && self.vtl.is_none_or(|own| own == vtl)
    }

    /// Whether some kernel is in both.
    fn meets(&self, other: &Scope) -> bool {
        fn agree<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
            one.is_none() || other.is_none() || one == other
        }
        let apart = |first: &Scope, then: &Scope| {
            first.before.zip(then.since).is_some_and(|(before, since)| before <= since)
        };
        agree(self.arch, other.arch)
            && agree(self.vtl, other.vtl)
            && !apart(self, other)
            && !apart(other, self)
    }
}

impl Want {
    fn contradicts(&self, other: &Want) -> bool {
        match (self, other) {
            (Want::On(one), Want::Off(other)) | (Want::Off(one), Want::On(other)) => one == other,
            (Want::Option(one), Want::NoOption(other)) | (Want::NoOption(one), Want::Option(other)) => {
                one == other
            }
            (Want::Exactly(one, value), Want::Exactly(other, different)) => {
                one == other && value != different
            }
            (Want::Exactly(one, value), Want::Off(other)) | (Want::Off(other), Want::Exactly(one, value)) => {
                one == other && *value != Value::No
            }
            (Want::Exactly(one, value), Want::On(other)) | (Want::On(other), Want::Exactly(one, value)) => {
                one == other && !matches!(value, Value::Yes | Value::Module)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Want::On(symbol) => write!(f, "{symbol}=y"),
            Want::Off(symbol) => write!(f, "{symbol}=n"),
            Want::Exactly(symbol, value) => write!(f, "{symbol}={value}"),
            Want::RelativePath(symbol) => write!(f, "a path inside the source tree in {symbol}"),
            Want::Option(option) => write!(f, "`{option}` on the command line"),
            Want::NoOption(option) => write!(f, "no `{option}` on the command line"),
            Want::Linux(series) => write!(f, "Linux {series} or later"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.symbol, if self.is { "=" } else { "!=" }, self.value)
    }
}

/// One line, without what only explains: `error, x86_64, VTL2, when CONFIG_A=y: CONFIG_B=n`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { scope, when, wants, severity, .. } = self;
        f.write_str(severity.name())?;
        scope.arch.map_or(Ok(()), |arch| write!(f, ", {}", arch.name()))?;
        scope.vtl.map_or(Ok(()), |vtl| write!(f, ", VTL{}", vtl.number()))?;
        scope.since.map_or(Ok(()), |since| write!(f, ", since {since}"))?;
        scope.before.map_or(Ok(()), |before| write!(f, ", before {before}"))?;
        when.iter().try_for_each(|condition| write!(f, ", when {condition}"))?;
        let wants: Vec<String> = wants.iter().map(Want::to_string).collect();
        write!(f, ": {}", wants.join(", "))
    }
}

/// A text of one line a rule, sorted: what stands in keys. Reasons and the order in the file decide nothing.
impl Serialize for Rules {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut lines: Vec<String> = self.iter().map(|rule| format!("{rule}\n")).collect();
        lines.sort();
        to.collect_str(&lines.concat())
    }
}
