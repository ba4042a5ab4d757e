//! A store that several machines share: finished steps are looked up there when this machine's own store lacks them, and
//! their outputs fetched when something needs them. It saves work and decides nothing: without it, or when it turns out
//! unreachable, damaged or wrong, the build does the same here, after one warning.

mod archive;
mod client;

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use release::remote::{Answer, Archive, ENTRY_LIMIT_BYTES, Entry, FORMAT, Request};

use client::Client;

use crate::{
    digest::Digest,
    execute::{Outcomes, Tools},
    plan::{Action, KeyParts, Plan},
    report::{Reporter, bytes},
    store::{FileMemo, OutputKind, StepRecord, Store, WorkDir},
};

/// Where steps are shared.
#[derive(Args, Clone, Debug, Default)]
pub struct RemoteOptions {
    /// Take finished steps from there: az://CONTAINER/PATH, s3://BUCKET/PATH, a folder, or `none` [default: $VTLFORGE_REMOTE]
    #[arg(long = "remote", value_name = "URL", conflicts_with = "offline")]
    address: Option<String>,
    /// Also put there what it lacks [default: if $VTLFORGE_REMOTE_WRITE is 1]
    #[arg(long = "remote-write")]
    write: bool,
}

pub struct Remote {
    writes: bool,
    reporter: Arc<Reporter>,
    state: Mutex<State>,
}

/// The store as a whole, as opposed to something in it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unusable(String);

#[derive(Default)]
struct State {
    /// None: not used, or not any more.
    client: Option<Client>,
    /// What the remote store has said of steps.
    entries: HashMap<Digest, Entry>,
    /// Steps whose outputs can't be had there, whatever it says.
    unavailable: HashSet<Digest>,
}

impl RemoteOptions {
    /// The remote store, where one is named and may be used; with a warning where it can't.
    ///
    /// # Errors
    /// The address can't be one.
    pub fn open(&self, offline: bool, tools: &Tools, reporter: &Arc<Reporter>) -> Result<Option<Remote>> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (given, from) = match &self.address {
            Some(given) => (given.clone(), "--remote"),
            None => match variable("VTLFORGE_REMOTE") {
                Some(given) => (given, "VTLFORGE_REMOTE"),
                None => return Ok(None),
            },
        };
        if given == "none" || offline {
            return Ok(None);
        }
        let address = address(&given).with_context(|| from.to_owned())?;
        let writes = self.write || variable("VTLFORGE_REMOTE_WRITE").is_some_and(|value| value == "1");
        let remote = Remote { writes, reporter: reporter.clone(), state: Mutex::default() };
        match Client::start(tools, &address, reporter) {
            Ok(client) => remote.state().client = Some(client),
            Err(why) => remote.warn(&format!("not used, everything is made here: {address}: {why:#}")),
        }
        Ok(Some(remote))
    }
}

/// The address as the program wants it: absolute, and fit to be seen by others.
fn address(given: &str) -> Result<String> {
    let Some((_, rest)) = given.split_once("://") else {
        return Ok(std::path::absolute(given)?.to_string_lossy().into_owned());
    };
    let host = rest.split('/').next().unwrap_or_default();
    if rest.contains('?') || host.contains('@') {
        // Not shown: that is the point.
        bail!(
            "the address of a remote store has no secret in it: others see it in the list of processes\n  \
             hint: put tokens into AZURE_STORAGE_SAS_TOKEN, AWS_SECRET_ACCESS_KEY …, or into the file that \
             VTLFORGE_REMOTE_SECRETS names"
        );
    }
    Ok(given.to_owned())
}

impl Remote {
    /// What the remote store says that a step made. Of its outputs nothing is here yet.
    pub fn record(&self, store: &Store, key: &Digest, parts: &KeyParts) -> Option<StepRecord> {
        let mut state = self.state();
        if !state.entries.contains_key(key) {
            if state.client.is_none() || state.unavailable.contains(key) {
                return None;
            }
            match self.entry(&mut state, store, key, parts) {
                Ok(Some(entry)) => _ = state.entries.insert(*key, entry),
                Ok(None) => _ = state.unavailable.insert(*key),
                Err(why) => {
                    state.unavailable.insert(*key);
                    self.trouble(&mut state, &why);
                }
            }
        }
        serde_json::from_value(state.entries.get(key)?.record.clone()).ok()
    }

    fn entry(
        &self,
        state: &mut State,
        store: &Store,
        key: &Digest,
        parts: &KeyParts,
    ) -> Result<Option<Entry>> {
        let work = store.work_dir("remote")?;
        let path = work.scratch().join("entry");
        let name = Entry::name(key);
        let wrong = |what: &str| anyhow::anyhow!("the entry {name} {what}");
        match state.ask(&Request::Get {
            name: name.clone(),
            to: text(&path),
            limit_bytes: ENTRY_LIMIT_BYTES,
        })? {
            Answer::Done => {}
            Answer::Absent => return Ok(None),
            Answer::TooLarge | Answer::Failed { .. } => return Err(wrong("is too large to be one")),
        }
        let entry: Entry = serde_json::from_slice(&fs::read(&path)?).map_err(|_| wrong("is damaged"))?;
        if entry.format != FORMAT || entry.key != *key || entry.parts != serde_json::to_value(parts)? {
            return Err(wrong("is that of another step"));
        }
        let record: StepRecord =
            serde_json::from_value(entry.record.clone()).map_err(|_| wrong("is damaged"))?;
        let is_plain = |name: &str| release::sums::is_plain(name) && !name.contains('/');
        match record.outputs.iter().all(|output| is_plain(&output.name)) {
            true => Ok(Some(entry)),
            false => Err(wrong("names outputs that no step has")),
        }
    }

    /// Fetches a step's outputs into the store. False: they can't be had, and the step has to run.
    pub fn bring(&self, store: &Store, memo: &FileMemo, key: &Digest) -> Result<bool> {
        let _lock = store.lock(key, || {})?;
        if store.get(key)?.is_some() {
            return Ok(true);
        }
        let mut state = self.state();
        let archive = state.entries.get(key).and_then(|entry| entry.archive);
        let brought = match archive {
            Some(archive) => self.fetch(&mut state, store, memo, key, archive),
            None => Ok(false),
        };
        let brought = brought.unwrap_or_else(|why| {
            self.trouble(&mut state, &why);
            false
        });
        if !brought {
            state.entries.remove(key);
            state.unavailable.insert(*key);
        }
        Ok(brought)
    }

    fn fetch(
        &self,
        state: &mut State,
        store: &Store,
        memo: &FileMemo,
        key: &Digest,
        archive: Archive,
    ) -> Result<bool> {
        let work = store.work_dir("remote")?;
        let (path, name) = (work.scratch().join("archive"), archive.name());
        match state.ask(&Request::Get {
            name: name.clone(),
            to: text(&path),
            limit_bytes: archive.size_bytes,
        })? {
            Answer::Done => {}
            Answer::Absent => return Ok(false),
            Answer::TooLarge | Answer::Failed { .. } => bail!("{name} is larger than its entry says"),
        }
        if Digest::of_file(&path)? != (archive.sha256, archive.size_bytes) {
            bail!("{name} is damaged: it has another digest than its entry says");
        }
        let record = &state.entries[key].record;
        let record: StepRecord = serde_json::from_value(record.clone())?;
        archive::unpack(&path, &work.out()).with_context(|| format!("{name} can't be unpacked"))?;
        check(&work, memo, &record).with_context(|| format!("{name} is not what its entry says"))?;
        let from = work.out();
        store.commit(key, work, &record)?;
        memo.adopt(&from, &store.step_dir(key).join("out"), &record.outputs);
        Ok(true)
    }

    /// Puts there what it lacks of these steps.
    pub fn share(&self, store: &Store, plan: &Plan, outcomes: &Outcomes) {
        if !self.writes {
            return;
        }
        let mut state = self.state();
        let (mut steps, mut size_bytes) = (0, 0);
        for (step, outcome) in plan.steps.iter().zip(&outcomes.0).filter(|(step, _)| step.is_hermetic()) {
            if state.client.is_none() || state.entries.contains_key(&outcome.key) {
                continue;
            }
            let archived = is_worth_fetching(&step.action);
            match put(&mut state, store, &outcome.key, &outcome.parts, &outcome.record, archived) {
                Ok(Some(sent)) => (steps, size_bytes) = (steps + 1, size_bytes + sent),
                Ok(None) => {}
                Err(why) => self.trouble(&mut state, &why),
            }
        }
        if steps > 0 {
            self.reporter.note(&format!("  remote {steps} steps put there, {}", bytes(size_bytes)));
        }
    }

    /// One warning. What is wrong with one entry makes that one unusable; a store that can't be reached, or refuses, is not
    /// asked again, as if there were none.
    fn trouble(&self, state: &mut State, why: &anyhow::Error) {
        if !why.is::<Unusable>() {
            return self.warn(&format!("not used, and made here instead: {why:#}"));
        }
        if state.client.take().is_some() {
            self.warn(&format!("not used any further, what is missing is made here: {why:#}"));
        }
        state.entries.clear();
    }

    fn warn(&self, text: &str) {
        self.reporter.note(&format!("  remote warning: {text}"));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked left at worst an answer unread, which the next request will trip over.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    /// An answer that is none of failure: that makes the store unusable.
    fn ask(&mut self, request: &Request) -> Result<Answer> {
        let client = self.client.as_mut().ok_or_else(|| Unusable("it is not in use".to_owned()))?;
        match client.ask(request) {
            Ok(Answer::Failed { why }) => Err(Unusable(why).into()),
            Ok(answer) => Ok(answer),
            Err(error) => Err(Unusable(format!("{error:#}")).into()),
        }
    }
}

/// What a step downloads or unpacks is as quickly had from where it came from.
fn is_worth_fetching(action: &Action) -> bool {
    !matches!(
        action,
        Action::FetchDeb(_)
            | Action::FetchUrl { .. }
            | Action::FetchGit { .. }
            | Action::UnpackSource { .. }
            | Action::UnpackDebs
    )
}

/// Returns how many bytes that took, or None if it was there.
fn put(
    state: &mut State,
    store: &Store,
    key: &Digest,
    parts: &KeyParts,
    record: &StepRecord,
    archived: bool,
) -> Result<Option<u64>> {
    let exists = |state: &mut State, name: String| {
        Ok::<bool, anyhow::Error>(state.ask(&Request::Exists { name })? == Answer::Done)
    };
    let send =
        |state: &mut State, name: String, from: &Path| state.ask(&Request::Put { name, from: text(from) });
    if exists(state, Entry::name(key))? {
        return Ok(None);
    }
    let work = store.work_dir("remote")?;
    let mut sent = 0;
    let mut archive = None;
    if archived {
        let path = work.scratch().join("archive");
        archive::pack(&store.step_dir(key).join("out"), record, &path)?;
        let (sha256, size_bytes) = Digest::of_file(&path)?;
        let packed = Archive { sha256, size_bytes };
        if !exists(state, packed.name())? {
            send(state, packed.name(), &path)?;
            sent += size_bytes;
        }
        archive = Some(packed);
    }
    let entry = Entry {
        format: FORMAT,
        key: *key,
        parts: serde_json::to_value(parts)?,
        record: serde_json::to_value(record)?,
        archive,
    };
    let path = work.scratch().join("entry");
    fs::write(&path, serde_json::to_vec(&entry)?)?;
    send(state, Entry::name(key), &path)?;
    Ok(Some(sent))
}

/// Every output is there with its digest, and nothing else.
fn check(work: &WorkDir, memo: &FileMemo, record: &StepRecord) -> Result<()> {
    for output in &record.outputs {
        let path = work.out().join(&output.name);
        let is_link = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
        let found = match output.kind {
            _ if is_link => Err(io::Error::other("a symbolic link")),
            OutputKind::File => Digest::of_file(&path),
            OutputKind::Tree => memo.tree_digest(&path),
        };
        if found.with_context(|| format!("output {}", output.name))? != (output.sha256, output.size_bytes) {
            bail!("output {} has another digest", output.name);
        }
    }
    match fs::read_dir(work.out())?.count() == record.outputs.len() {
        true => Ok(()),
        false => bail!("there are more outputs than the step has"),
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_secrets_are_refused_without_being_repeated() {
        for bad in [
            "https://a.blob.core.windows.net/c?sv=1&sig=hunter2",
            "s3://KEY:hunter2@bucket/path",
            "az://container/path?hunter2",
        ] {
            let told = format!("{:#}", address(bad).unwrap_err());
            assert!(told.contains("has no secret in it") && !told.contains("hunter2"), "{told}");
        }
        for good in ["az://container/path", "s3://bucket", "/srv/steps", "file:///srv/steps"] {
            assert_eq!(address(good).unwrap(), good);
        }
        assert!(address("steps").unwrap().starts_with('/'));
    }
}
