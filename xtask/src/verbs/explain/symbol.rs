//! A kernel symbol: who asks for it, what it became and through whom, what falls without it, and what would have to be
//! asked for so that it were otherwise.

use std::{fmt::Write as _, sync::Arc};

use anyhow::Result;
use kconfig::{
    Fill, Tristate, Wanted,
    explain::{
        Asked, Provenance, Remedy, Requests, Search, Why, did_you_mean, is_honoured, provenance, remedy, why,
    },
};
use serde::Serialize;

use crate::{
    execute::{self, Forecast, KernelTree},
    kernel::{
        asked::{self, bare},
        elsewhere::declared_anywhere,
        engine::Engine,
        fragment::Request,
    },
    plan::{Action, ProfileInput},
    profile::{self, Project, types::KernelSource},
    report::Reporter,
    verbs::{Access, Session, SessionOptions},
};

/// Everything that is known of a symbol in one profile.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    pub profile: String,
    /// With prefix.
    pub symbol: String,
    /// What the fragments ask for, and where.
    pub asked: Option<(String, String)>,
    /// The same of earlier fragments, which the one above overrides.
    pub overridden: Vec<(String, String)>,
    #[serde(flatten)]
    known: Known,
    /// What other pinned kernels make of the same requests, where this one can't honour them and their sources are in
    /// the store.
    other_kernels: Vec<OtherKernel>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct OtherKernel {
    pin: String,
    /// Where it declares the symbol.
    places: Vec<String>,
    /// Whether the symbol has, or could have, the value that is asked for (`y` if none is).
    possible: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "is")]
enum Known {
    /// The kernel's source isn't in the store yet.
    SourceMissing,
    /// This kernel has no such symbol for this architecture.
    Undeclared { did_you_mean: Vec<String>, elsewhere: Option<String> },
    Declared {
        now: Box<Provenance>,
        /// Why it isn't what the fragments ask for.
        lost: Option<Why>,
        /// What would make it so; where nobody asks for the symbol and it is off: what would turn it on.
        remedy: Option<Remedy>,
    },
}

pub fn explain(
    session: &Session,
    profile: &ProfileInput,
    symbol: &str,
    options: &SessionOptions,
) -> Result<Answer> {
    let request = profile.composed.get(symbol);
    let told = |request: &Request| (request.value.to_string(), request.origin.to_string());
    let (asked, overridden) = (request.map(told), profile.composed.overridden(symbol).map(told).collect());
    let known = match engine(session)? {
        None => Known::SourceMissing,
        Some((engine, tree)) => known(profile, &engine, &tree, bare(symbol)),
    };
    let is_hopeless = match &known {
        Known::SourceMissing => false,
        Known::Undeclared { .. } => true,
        Known::Declared { remedy, .. } => matches!(remedy, Some(Remedy::Impossible { .. })),
    };
    let other_kernels = if is_hopeless { other_kernels(profile, bare(symbol), options)? } else { Vec::new() };
    let (profile, symbol) = (profile.spec.name.to_string(), symbol.to_string());
    Ok(Answer { profile, symbol, asked, overridden, known, other_kernels })
}

/// The same question to every other pinned kernel that is in the store and may be used with the profile.
fn other_kernels(profile: &ProfileInput, name: &str, options: &SessionOptions) -> Result<Vec<OtherKernel>> {
    let project = Project::find()?;
    let own = match &profile.spec.kernel.source {
        KernelSource::Pin(pin) => Some(pin.to_string()),
        _ => None,
    };
    let mut found = Vec::new();
    for pin in profile::kernel_pins(&project)?.into_iter().filter(|pin| Some(pin) != own.as_ref()) {
        let Ok(spec) = profile::with_kernel(&project, &profile.spec, &pin) else { continue };
        let input = ProfileInput { spec, composed: profile.composed.clone() };
        let reporter = Arc::new(Reporter::new(false));
        let session = Session::with(project.clone(), vec![input], options, Access::Look, reporter)?;
        let Some((engine, tree)) = engine(&session)? else { continue };
        if let Known::Declared { now, remedy, .. } = known(profile, &engine, &tree, name) {
            let possible = !matches!(remedy, Some(Remedy::Impossible { .. }));
            found.push(OtherKernel { pin, places: now.places, possible });
        }
    }
    Ok(found)
}

/// The engine for the profile's kernel, if its source is there.
fn engine(session: &Session) -> Result<Option<(Engine, KernelTree)>> {
    let (plan, context) = (&session.plan, &session.context);
    let forecasts = execute::forecast(context, plan, &session.last)?;
    let made_by = |number: usize| match &forecasts[number] {
        Forecast::Reuse { key, record } => Some((*key, record)),
        _ => None,
    };
    let resolves = |action: &Action| action.config_arch();
    let found = plan.steps.iter().find_map(|step| Some((step, resolves(&step.action)?)));
    let Some((step, arch)) = found else { return Ok(None) };
    let Some(tree) = execute::kernel_tree(context, plan, step, made_by)? else { return Ok(None) };
    Ok(Some((execute::engine(context, &tree, arch)?, tree)))
}

fn known(profile: &ProfileInput, engine: &Engine, tree: &KernelTree, name: &str) -> Known {
    let graph = engine.graph();
    let Some(symbol) = graph.declared(name) else {
        let (did_you_mean, elsewhere) = (did_you_mean(graph, name), declared_anywhere(&tree.path, name));
        return Known::Undeclared { did_you_mean, elsewhere };
    };
    let requests = asked::requests(graph, &profile.composed);
    let solution = requests.solve();
    let now = Box::new(provenance(&requests, &solution, symbol));
    let (lost, remedy) = match requests.get(symbol) {
        Some(asked) if is_honoured(&solution, symbol, &asked.wanted) => (None, None),
        Some(asked) => (
            Some(why(&requests, &solution, symbol, &asked.wanted)),
            Some(remedy(&requests, &[symbol], Search::default())),
        ),
        None if solution.logical(symbol) == Tristate::No && solution.kind(symbol).is_logical() => {
            let on = Wanted::Logical(Tristate::Yes);
            let question = Asked { symbol, wanted: on, origin: "this question".into() };
            let asked = requests.asked().cloned().chain([question]).collect();
            (None, Some(to_turn_on(&Requests::new(graph, Fill::No, asked), symbol)))
        }
        None => (None, None),
    };
    Known::Declared { now, lost, remedy }
}

/// All lines that turn a symbol on which nobody asks for yet, its own among them.
fn to_turn_on(requests: &Requests, symbol: kconfig::SymbolId) -> Remedy {
    let own = kconfig::explain::fragment_line(requests.graph(), symbol, &Wanted::Logical(Tristate::Yes));
    match remedy(requests, &[symbol], Search::default()) {
        Remedy::Lines { mut lines, is_smallest } => {
            lines.push(own);
            Remedy::Lines { lines, is_smallest }
        }
        other => other,
    }
}

impl Answer {
    pub fn text(&self) -> String {
        let Answer { profile, symbol, asked, overridden, known, other_kernels } = self;
        let mut text = match asked {
            Some((value, at)) => format!("{symbol}: asked for as {value}, {at}\n"),
            None => format!("{symbol}: no fragment of {profile} asks for it\n"),
        };
        for (value, at) in overridden {
            let _ = writeln!(text, "  that overrides {value}, {at}");
        }
        let _ = match known {
            Known::SourceMissing => writeln!(
                text,
                "the kernel's source isn't in the store yet: `cargo xtask config check {profile}` brings it"
            ),
            Known::Undeclared { did_you_mean, elsewhere } => {
                let _ = match elsewhere {
                    Some(place) => {
                        writeln!(text, "declared at {place}, which this architecture does not read")
                    }
                    None => writeln!(text, "this kernel has no such symbol"),
                };
                match did_you_mean.is_empty() {
                    true => Ok(()),
                    false => writeln!(text, "  hint: did you mean {}?", did_you_mean.join(", ")),
                }
            }
            Known::Declared { now, lost, remedy } => {
                let _ = writeln!(text, "{now}");
                if let Some(lost) = lost {
                    let _ = writeln!(text, "{lost}");
                }
                match (remedy, lost) {
                    (Some(remedy @ Remedy::Lines { .. }), None) => {
                        writeln!(text, "to turn it on, {remedy}")
                    }
                    (Some(remedy), _) => writeln!(text, "{remedy}"),
                    (None, _) => Ok(()),
                }
            }
        };
        for OtherKernel { pin, places, possible } in other_kernels {
            let how = if *possible { "there it could be" } else { "but can't give it that value either" };
            let _ = writeln!(text, "{pin} has it ({}), {how}", places.join(", "));
        }
        text
    }
}
