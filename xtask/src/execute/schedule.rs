//! Which step runs when.

use std::{collections::BTreeMap, sync::atomic::Ordering, sync::mpsc};

use anyhow::{Context as _, Result};

use super::{Cancelled, Context, Damaged, LastBuild, Outcome, Outcomes, run};
use crate::{
    digest::Digest,
    plan::{KeyParts, Plan, Source, Step, Weight, key},
    store::StepRecord,
};

/// A store whose entries turn out damaged one after the other is not worth more tries than this.
const DAMAGE_LIMIT: usize = 8;

/// Brings every step of `plan` about.
///
/// A damaged entry of the store is thrown away and built again.
pub fn execute(context: &Context, plan: &Plan, last: &mut LastBuild) -> Result<Outcomes> {
    context.tools.check(plan)?;
    context.store.sweep()?;
    let mut result = attempt(context, plan, last);
    for _ in 0..DAMAGE_LIMIT {
        let Some(damaged) = result.as_ref().err().and_then(|error| error.downcast_ref::<Damaged>()) else {
            break;
        };
        let name = &plan.steps[damaged.step].name;
        context.reporter.note(&format!(
            "  damage the store's copy of `{name}` has changed since it was made; making it again"
        ));
        context.store.discard(&damaged.key)?;
        result = attempt(context, plan, last);
    }
    context.memo.save();
    context.tools.save();
    last.save();
    result
}

/// What `execute` would find for one step, as far as it can be known without running anything.
#[derive(Clone, Debug)]
pub enum Forecast {
    Reuse {
        key: Digest,
        record: StepRecord,
    },
    Run {
        key: Digest,
        why: Vec<String>,
    },
    /// Reads an output that isn't there yet; may still turn out to be in the store.
    Unknown,
    /// Reads a local tree: runs every time.
    Always,
}

/// Looks every step up without effects.
pub fn forecast(context: &Context, plan: &Plan, last: &LastBuild) -> Result<Vec<Forecast>> {
    let mut forecasts: Vec<Forecast> = Vec::new();
    for step in &plan.steps {
        let record_of = |number: usize| match &forecasts[number] {
            Forecast::Reuse { record, .. } => Some(record),
            _ => None,
        };
        forecasts.push(if !step.is_hermetic() {
            Forecast::Always
        } else if step.upstream().any(|number| record_of(number).is_none()) {
            Forecast::Unknown
        } else {
            let parts = key_parts(context, step, record_of)?;
            let key = key(&parts);
            match context.store.get(&key)? {
                Some(record) => Forecast::Reuse { key, record },
                None => Forecast::Run { key, why: last.why(&step.name, &parts) },
            }
        });
    }
    Ok(forecasts)
}

/// The parts of a step's key, given the records of the steps before it.
fn key_parts<'a>(
    context: &Context,
    step: &Step,
    record_of: impl Fn(usize) -> Option<&'a StepRecord>,
) -> Result<KeyParts> {
    let mut inputs = BTreeMap::new();
    for (role, source) in &step.inputs {
        let digest = match source {
            Source::Output { step, output } => {
                let record = record_of(*step).expect("steps run after what they read");
                record.output(output).with_context(|| format!("no output {output}"))?.sha256
            }
            Source::File(path) => {
                let path = context.root.join(path);
                context.memo.digest(&path).with_context(|| format!("can't read {}", path.display()))?.0
            }
            Source::Folder(path) => run::folder_digest(context, path)?,
            // Stands for "whatever is there": such a step is never looked up.
            Source::Local(path) => Digest::of(path.as_bytes()),
        };
        inputs.insert(role.clone(), digest);
    }
    let mut tools = BTreeMap::new();
    for tool in &step.tools {
        tools.insert(tool.name(), context.tools.digest(tool)?);
    }
    Ok(KeyParts::new(step, inputs, tools))
}

struct Running {
    outcomes: Vec<Option<Outcome>>,
    started: Vec<bool>,
    /// Cores kept busy now.
    busy: usize,
    exclusive: bool,
    count: usize,
}

type Message = (usize, Result<Outcome>);

fn attempt(context: &Context, plan: &Plan, last: &mut LastBuild) -> Result<Outcomes> {
    let mut state = Running {
        outcomes: vec![None; plan.steps.len()],
        started: vec![false; plan.steps.len()],
        busy: 0,
        exclusive: false,
        count: 0,
    };
    let (sender, receiver) = mpsc::channel::<Message>();
    let mut failure = None;
    std::thread::scope(|scope| -> Result<()> {
        loop {
            if failure.is_none() && !context.cancelled.load(Ordering::Relaxed) {
                while let Some((number, parts)) = next(context, plan, &mut state, last)? {
                    let why = last.why(&plan.steps[number].name, &parts);
                    begin(plan, &mut state, number, context.jobs);
                    let (sender, records) = (sender.clone(), upstream(&state, &plan.steps[number]));
                    scope.spawn(move || {
                        let outcome = run::step(context, plan, number, parts, &why, &records);
                        // The receiver outlives the scope's threads.
                        let _ = sender.send((number, outcome));
                    });
                }
            }
            if state.count == 0 {
                return Ok(());
            }
            let (number, outcome) = receiver.recv().context("a step's thread vanished")?;
            end(plan, &mut state, number, context.jobs);
            match outcome {
                Ok(outcome) => {
                    last.remember(&plan.steps[number].name, &outcome.parts);
                    state.outcomes[number] = Some(outcome);
                }
                // The first failure is the one to tell; what runs beside it is let finish.
                Err(error) => _ = failure.get_or_insert(error),
            }
        }
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    if context.cancelled.load(Ordering::Relaxed) {
        return Err(Cancelled.into());
    }
    Ok(Outcomes(state.outcomes.into_iter().map(|outcome| outcome.expect("every step has run")).collect()))
}

/// Marks every step that the store has as done, and returns one that has to run and may run now.
fn next(
    context: &Context,
    plan: &Plan,
    state: &mut Running,
    last: &mut LastBuild,
) -> Result<Option<(usize, KeyParts)>> {
    for (number, step) in plan.steps.iter().enumerate() {
        if state.started[number] || step.upstream().any(|before| state.outcomes[before].is_none()) {
            continue;
        }
        let record_of = |number: usize| state.outcomes[number].as_ref().map(|outcome| &outcome.record);
        let parts = key_parts(context, step, record_of)?;
        if step.is_hermetic() {
            let key = key(&parts);
            if let Some(record) = context.store.get(&key)? {
                context.reporter.step_reused(&step.name, &key.to_string());
                last.remember(&step.name, &parts);
                state.started[number] = true;
                state.outcomes[number] = Some(Outcome { key, parts, record, ran: None });
                continue;
            }
        }
        if may_run(state, step.action.weight(), context.jobs) {
            return Ok(Some((number, parts)));
        }
    }
    Ok(None)
}

fn may_run(state: &Running, weight: Weight, jobs: usize) -> bool {
    match weight {
        Weight::Light => true,
        Weight::OneCore => state.busy < jobs.max(1) && !state.exclusive,
        Weight::AllCores => state.busy == 0,
    }
}

fn begin(plan: &Plan, state: &mut Running, number: usize, jobs: usize) {
    state.started[number] = true;
    state.count += 1;
    state.busy += cores(plan.steps[number].action.weight(), jobs);
    state.exclusive |= plan.steps[number].action.weight() == Weight::AllCores;
}

fn end(plan: &Plan, state: &mut Running, number: usize, jobs: usize) {
    state.count -= 1;
    state.busy -= cores(plan.steps[number].action.weight(), jobs);
    state.exclusive &= plan.steps[number].action.weight() != Weight::AllCores;
}

fn cores(weight: Weight, jobs: usize) -> usize {
    match weight {
        Weight::Light => 0,
        Weight::OneCore => 1,
        Weight::AllCores => jobs.max(1),
    }
}

fn upstream(state: &Running, step: &Step) -> BTreeMap<usize, (Digest, StepRecord)> {
    let done = |number: usize| state.outcomes[number].as_ref().expect("steps run after what they read");
    step.upstream().map(|number| (number, (done(number).key, done(number).record.clone()))).collect()
}
