//! Which step runs when.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{atomic::Ordering, mpsc},
};

use anyhow::{Context as _, Result, anyhow};

use super::{Again, Cancelled, Context, LastBuild, Outcome, Outcomes, run};
use crate::{
    digest::Digest,
    host::identity::Subject,
    plan::{KeyParts, Plan, Source, Step, Weight, key},
    store::StepRecord,
};

/// A store whose entries turn out damaged one after the other is not worth more tries than this.
const DAMAGE_LIMIT: usize = 8;

/// More downloads at a time than this make none of them faster.
const LIGHT_LIMIT: usize = 8;

/// How often `recover` is worth a try with this plan: each step may turn out not to be had from elsewhere.
pub fn tries(plan: &Plan) -> usize {
    plan.steps.len() + DAMAGE_LIMIT
}

/// Brings every step of `plan` about.
///
/// A damaged entry of the store is thrown away and built again.
pub fn execute(context: &Context, plan: &Plan, last: &mut LastBuild) -> Result<Outcomes> {
    context.tools.check(plan)?;
    context.store.sweep()?;
    let mut result = attempt(context, plan, last);
    for _ in 0..tries(plan) {
        match result {
            Err(error) => match recover(context, error) {
                Ok(()) => result = attempt(context, plan, last),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            },
            Ok(_) => break,
        }
    }
    context.memo.save();
    context.tools.save();
    last.save();
    result
}

/// Sees to it that another try goes better, if the error is of that kind: a damaged entry of the store is thrown away, so
/// that its step runs again. Other errors are handed back.
pub fn recover(context: &Context, error: anyhow::Error) -> Result<()> {
    match error.downcast_ref::<Again>() {
        Some(Again::Damaged { step, key }) => discard(context, step, key),
        Some(Again::NotToBeHad { .. }) => Ok(()),
        None => Err(error),
    }
}

fn discard(context: &Context, step: &str, key: &Digest) -> Result<()> {
    context.reporter.note(&format!(
        "  damage the store's copy of `{step}` has changed since it was made; making it again"
    ));
    // Nobody else may be about to put a new one there.
    let _lock = context.store.lock(key, || {})?;
    context.store.discard(key)
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
    let (mut forecasts, mut look): (Vec<Forecast>, _) = (Vec::new(), Look::default());
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
            let parts = look.key_parts(context, step, record_of)?;
            let key = key(&parts);
            match context.store.get(&key)? {
                Some(record) => Forecast::Reuse { key, record },
                None => Forecast::Run { key, why: last.why(&step.name, &parts) },
            }
        });
    }
    Ok(forecasts)
}

/// What was seen in one walk over the plan: a folder or a tool that several steps need is looked at once. Each walk looks
/// anew, because things may change while steps run.
#[derive(Default)]
struct Look<'p> {
    /// By path in the project.
    project: BTreeMap<&'p str, Digest>,
    tools: BTreeMap<&'p Subject, Digest>,
}

impl<'p> Look<'p> {
    /// The parts of a step's key, given the records of the steps before it.
    fn key_parts<'r>(
        &mut self,
        context: &Context,
        step: &'p Step,
        record_of: impl Fn(usize) -> Option<&'r StepRecord>,
    ) -> Result<KeyParts> {
        let mut inputs = BTreeMap::new();
        for (role, source) in &step.inputs {
            let digest = match source {
                Source::Output { step, output } => {
                    let record = record_of(*step).expect("steps run after what they read");
                    record.output(output).with_context(|| format!("no output {output}"))?.sha256
                }
                Source::File(path) | Source::Folder(path) => self.at(context, source, path)?,
                // Stands for "whatever is there": such a step is never looked up.
                Source::Local(path) => Digest::of(path.as_bytes()),
            };
            inputs.insert(role.clone(), digest);
        }
        let mut tools = BTreeMap::new();
        for tool in &step.tools {
            tools.insert(tool.name(), self.tool(context, tool)?);
        }
        Ok(KeyParts::new(step, inputs, tools))
    }

    fn at(&mut self, context: &Context, source: &Source, path: &'p str) -> Result<Digest> {
        if let Some(known) = self.project.get(path) {
            return Ok(*known);
        }
        let digest =
            run::project_digest(context, source)?.with_context(|| format!("{path} has no digest"))?;
        self.project.insert(path, digest);
        Ok(digest)
    }

    fn tool(&mut self, context: &Context, tool: &'p Subject) -> Result<Digest> {
        if let Some(known) = self.tools.get(tool) {
            return Ok(*known);
        }
        let digest = context.tools.digest(tool)?;
        self.tools.insert(tool, digest);
        Ok(digest)
    }
}

/// How far a build is.
struct Running {
    /// Cores that may be kept busy, at least one.
    jobs: usize,
    outcomes: Vec<Option<Outcome>>,
    started: Vec<bool>,
    /// Cores kept busy now.
    busy: usize,
    /// Light steps that run now.
    light: usize,
    exclusive: bool,
    /// Steps that run now.
    count: usize,
}

impl Running {
    fn new(steps: usize, jobs: usize) -> Running {
        let (outcomes, started) = (vec![None; steps], vec![false; steps]);
        Running { jobs: jobs.max(1), outcomes, started, busy: 0, light: 0, exclusive: false, count: 0 }
    }

    /// Whether the step waits for nothing but its turn.
    fn is_ready(&self, plan: &Plan, number: usize) -> bool {
        !self.started[number] && plan.steps[number].upstream().all(|before| self.outcomes[before].is_some())
    }

    fn may_run(&self, weight: Weight) -> bool {
        match weight {
            Weight::Light => self.light < LIGHT_LIMIT,
            Weight::OneCore => self.busy < self.jobs && !self.exclusive,
            Weight::AllCores => self.busy == 0,
        }
    }

    fn begin(&mut self, number: usize, weight: Weight) {
        self.started[number] = true;
        self.count += 1;
        self.busy += self.cores(weight);
        self.light += usize::from(weight == Weight::Light);
        self.exclusive |= weight == Weight::AllCores;
    }

    fn end(&mut self, weight: Weight) {
        self.count -= 1;
        self.busy -= self.cores(weight);
        self.light -= usize::from(weight == Weight::Light);
        self.exclusive &= weight != Weight::AllCores;
    }

    fn cores(&self, weight: Weight) -> usize {
        match weight {
            Weight::Light => 0,
            Weight::OneCore => 1,
            Weight::AllCores => self.jobs,
        }
    }
}

type Message = (usize, Result<Outcome>);

fn attempt(context: &Context, plan: &Plan, last: &mut LastBuild) -> Result<Outcomes> {
    let mut state = Running::new(plan.steps.len(), context.jobs);
    let (sender, receiver) = mpsc::channel::<Message>();
    let mut failure = None;
    std::thread::scope(|scope| -> Result<()> {
        loop {
            if failure.is_none() && !context.cancelled.load(Ordering::Relaxed) {
                while let Some((number, parts)) = next(context, plan, &mut state, last)? {
                    let why = last.why(&plan.steps[number].name, &parts);
                    state.begin(number, plan.steps[number].action.weight());
                    let (sender, records) = (sender.clone(), upstream(&state, &plan.steps[number]));
                    scope.spawn(move || {
                        let step = || run::step(context, plan, number, parts, &why, &records);
                        // A message in any case: without one the build would wait for ever.
                        let outcome = catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| {
                            Err(anyhow!("step `{}` panicked: that is a mistake of this tool; please report it with what is written above", plan.steps[number].name))
                        });
                        // The receiver outlives the scope's threads.
                        let _ = sender.send((number, outcome));
                    });
                }
            }
            if state.count == 0 {
                return Ok(());
            }
            let (number, outcome) = receiver.recv().context("a step's thread vanished")?;
            state.end(plan.steps[number].action.weight());
            match outcome {
                Ok(outcome) => {
                    last.remember(&plan.steps[number].name, &outcome.key, &outcome.parts);
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
    let mut look = Look::default();
    for (number, step) in plan.steps.iter().enumerate() {
        if !state.is_ready(plan, number) {
            continue;
        }
        let record_of = |number: usize| state.outcomes[number].as_ref().map(|outcome| &outcome.record);
        let parts = look.key_parts(context, step, record_of)?;
        if step.is_hermetic() {
            let key = key(&parts);
            if let Some(record) = context.known(&key, &parts)? {
                context.reporter.step_reused(&step.name, &key.to_string());
                last.remember(&step.name, &key, &parts);
                state.started[number] = true;
                state.outcomes[number] = Some(Outcome { key, parts, record, ran: None });
                continue;
            }
        }
        if state.may_run(step.action.weight()) {
            return Ok(Some((number, parts)));
        }
    }
    Ok(None)
}

fn upstream(state: &Running, step: &Step) -> BTreeMap<usize, (Digest, StepRecord)> {
    let done = |number: usize| state.outcomes[number].as_ref().expect("steps run after what they read");
    step.upstream().map(|number| (number, (done(number).key, done(number).record.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use Weight::{AllCores, Light, OneCore};

    /// Starts what may start, in order, and ends one of the running steps, chosen by `pick`, until all have
    /// run. A step waits for those named beside it.
    fn simulate(steps: &[(Weight, &[usize])], jobs: usize, mut pick: impl FnMut(usize) -> usize) {
        let mut state = Running::new(steps.len(), jobs);
        let (mut running, mut done) = (Vec::new(), vec![false; steps.len()]);
        loop {
            for (number, (weight, upstream)) in steps.iter().enumerate() {
                let is_ready = !state.started[number] && upstream.iter().all(|&before| done[before]);
                if is_ready && state.may_run(*weight) {
                    state.begin(number, *weight);
                    running.push(number);
                }
            }
            let count = |wanted: Weight| running.iter().filter(|&&number| steps[number].0 == wanted).count();
            assert!(count(OneCore) <= jobs.max(1), "{running:?}");
            assert!(count(AllCores) <= 1, "{running:?}");
            assert!(count(Light) <= LIGHT_LIMIT, "{running:?}");
            assert!(count(AllCores) == 0 || count(OneCore) == 0, "{running:?}");
            assert_eq!(state.count, running.len());
            if running.is_empty() {
                break;
            }
            let ended = running.remove(pick(running.len()));
            state.end(steps[ended].0);
            done[ended] = true;
        }
        assert!(done.iter().all(|&done| done), "nothing runs, and not everything has run: {done:?}");
        assert_eq!((state.busy, state.exclusive), (0, false));
    }

    /// Whatever ends first: all of it runs, and never more at a time than the machine was given for.
    #[test]
    fn everything_gets_its_turn() {
        let kernels: &[(Weight, &[usize])] = &[
            (Light, &[]),
            (OneCore, &[0]),
            (OneCore, &[1]),
            (AllCores, &[1, 2]),
            (OneCore, &[]),
            (OneCore, &[1]),
            (AllCores, &[1, 5]),
            (Light, &[3, 4]),
            (Light, &[6, 4]),
            (OneCore, &[]),
            (AllCores, &[]),
        ];
        let many = vec![(Light, &[] as &[usize]); 3 * LIGHT_LIMIT];
        simulate(&many, 2, |below| below - 1);
        let mut state = 1_u32;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % below
        };
        for jobs in [0, 1, 2, 3, 64] {
            simulate(kernels, jobs, |_| 0);
            simulate(kernels, jobs, |below| below - 1);
            for _ in 0..200 {
                simulate(kernels, jobs, &mut random);
            }
        }
    }
}
