//! Getting hold of the place where the blob is to be: made if there is none, kept if it is what an earlier upload of the same
//! file left, refused if it is something else; and leased, so that nobody else writes to it meanwhile.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use release::{Digest, upload::Event};
use ring::rand::{SecureRandom as _, SystemRandom};
use uuid::Builder;

use crate::{
    blob::{Blob, Marks, Properties, State},
    refusal::{End, end},
    request::Trouble,
    source::{Scan, Source},
};

/// An upload that is killed leaves its lease behind for that long.
pub const LEASE: Duration = Duration::from_secs(30);
/// A lease that is held longer than that is renewed by somebody.
const WAIT: Duration = Duration::from_secs(35);
const SLICE: Duration = Duration::from_millis(250);
/// Somebody may change the blob between a look and the lease, but not for ever.
const TRIES: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Zeros.
    New,
    /// Some of the source may be there.
    Resumed,
    /// All of it was there and compared.
    Complete,
}

pub struct Claim {
    pub standing: Standing,
    pub lease: String,
    /// None for a new one, where all is sent as it is read.
    pub scan: Option<Scan>,
}

/// Where the data goes.
struct Place {
    standing: Standing,
    etag: String,
    is_leased_for_good: bool,
}

/// What is to be done about a blob that is there.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    GoOn(Standing),
    /// It is something else, because.
    Other(String),
}

pub struct Claimant<'a> {
    pub blob: &'a Blob<'a>,
    pub source: &'a Source,
    pub stop: &'a AtomicBool,
    pub say: &'a dyn Fn(Event),
}

impl Claimant<'_> {
    pub fn claim(&self, replace: bool) -> Result<Claim, End> {
        let (lease, mut replace) = (lease_id()?, replace);
        // Most often there is nothing yet, and no look is needed to see that.
        let mut next = self.place_if_free()?;
        let mut scan = None;
        for _ in 0..TRIES {
            let place = match next.take() {
                Some(place) => Some(place),
                None => self.place(replace, &mut scan)?,
            };
            let Some(Place { standing, etag, is_leased_for_good }) = place else { continue };
            // What is there now is ours.
            replace &= standing != Standing::New;
            // Nobody else writes any more; somebody may have until now.
            if self.lease(&lease, is_leased_for_good)? == etag {
                let scan = scan.filter(|_| standing != Standing::New);
                return Ok(Claim { standing, lease, scan });
            }
            let _ = self.blob.release(&lease);
        }
        let address = &self.blob.access().address;
        Err(End::Failed(format!("{address} changes all the time: somebody else writes to it")))
    }

    /// None: something is there, or nothing may be. A look tells which.
    fn place_if_free(&self) -> Result<Option<Place>, End> {
        let new = |etag| Place { standing: Standing::New, etag, is_leased_for_good: false };
        match self.blob.create(self.source.size_bytes, &self.marks(), None) {
            Ok(etag) => Ok(Some(new(etag))),
            Err(Trouble::Refused(_)) => Ok(None),
            Err(trouble) => Err(self.end("can't create", trouble)),
        }
    }

    /// What is there, or is made in its place. None: it changes just now.
    fn place(&self, replace: bool, scan: &mut Option<Scan>) -> Result<Option<Place>, End> {
        let there = self.look()?;
        if !replace && there.is_some() && scan.is_none() {
            *scan = Some(self.source.scan().map_err(End::Failed)?);
        }
        let found = |there| judge(there, self.source, scan.as_ref().map(|scan| scan.identity));
        let is_leased_for_good = there.as_ref().is_some_and(|there| there.is_leased_for_good);
        let place = |standing, etag| Place { standing, etag, is_leased_for_good };
        match there.as_ref().map(|there| (found(there), &there.etag)) {
            Some((Found::GoOn(standing), etag)) if !replace => Ok(Some(place(standing, etag.clone()))),
            Some((Found::Other(why), _)) if !replace => Err(self.other(&why)),
            _ => Ok(self.create(there.as_ref())?.map(|etag| place(Standing::New, etag))),
        }
    }

    fn look(&self) -> Result<Option<Properties>, End> {
        self.blob.properties().map_err(|trouble| self.end("can't look at", trouble))
    }

    fn other(&self, why: &str) -> End {
        let address = &self.blob.access().address;
        End::Failed(format!("there is another blob at {address}: {why}\nhint: --replace overwrites it"))
    }

    /// The new blob's tag. None: somebody was faster.
    fn create(&self, there: Option<&Properties>) -> Result<Option<String>, End> {
        let instead_of = there.map(|properties| &properties.etag[..]);
        match self.blob.create(self.source.size_bytes, &self.marks(), instead_of) {
            Ok(etag) => Ok(Some(etag)),
            Err(trouble) if is(&trouble, &["ConditionNotMet", "BlobAlreadyExists"]) => Ok(None),
            Err(trouble) => Err(self.end("can't create", trouble)),
        }
    }

    /// The tag of what is leased.
    fn lease(&self, lease: &str, is_leased_for_good: bool) -> Result<String, End> {
        let started = Instant::now();
        let mut is_told = false;
        loop {
            let trouble = match self.blob.acquire(lease, LEASE.as_secs()) {
                Ok(etag) => return Ok(etag),
                Err(trouble) => trouble,
            };
            let may_end = is(&trouble, &["LeaseAlreadyPresent"]) && !is_leased_for_good;
            if !may_end || started.elapsed() > WAIT {
                return Err(self.end("can't take the lease of", trouble));
            }
            if !is_told {
                let text = "another upload holds the blob, or did so when it was cut off; waiting for its lease to end";
                (self.say)(Event::Note { text: format!("{text}, {} s at most", WAIT.as_secs()) });
                is_told = true;
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(End::Stopped);
            }
            sleep(SLICE);
        }
    }

    fn marks(&self) -> Marks {
        Marks { state: State::Uploading, source: self.source.sketch }
    }

    fn end(&self, doing: &str, trouble: Trouble) -> End {
        end(doing, trouble, self.blob.access())
    }
}

/// `identity` is the source's.
fn judge(there: &Properties, source: &Source, identity: Option<Digest>) -> Found {
    let other = |why: String| Found::Other(why);
    if !there.is_page_blob {
        return other("it is no page blob".to_owned());
    }
    if there.size_bytes != source.size_bytes {
        return other(format!("it has {} bytes, the file has {}", there.size_bytes, source.size_bytes));
    }
    match &there.marks {
        None => other("it is as large as the file, but no upload of this tool made it".to_owned()),
        Some(Marks { state: State::Uploading, source: sketch }) => match *sketch == source.sketch {
            true => Found::GoOn(Standing::Resumed),
            false => other("it is the beginning of another file".to_owned()),
        },
        Some(marks) => match Some(marks.source) == identity {
            true => Found::GoOn(Standing::Complete),
            false => other("it is another file".to_owned()),
        },
    }
}

fn is(trouble: &Trouble, codes: &[&str]) -> bool {
    matches!(trouble, Trouble::Refused(refusal) if codes.contains(&&refusal.code[..]))
}

/// A random GUID. Chosen here, so that asking twice for the lease gives it once.
fn lease_id() -> Result<String, End> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| End::Failed("this machine gives no random bytes".to_owned()))?;
    Ok(Builder::from_random_bytes(bytes).into_uuid().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_file_goes_on() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1024).unwrap();
        let source = Source::open(file.path()).unwrap();
        let identity = source.scan().unwrap().identity;
        let marks = |state, source| Some(Marks { state, source });
        let other = Digest::of(b"other");
        for (is_page_blob, size_bytes, marks, wanted) in [
            (true, 1024, marks(State::Uploading, source.sketch), Ok(Standing::Resumed)),
            (true, 1024, marks(State::Complete, identity), Ok(Standing::Complete)),
            (true, 1024, marks(State::Uploading, other), Err("the beginning of another file")),
            (true, 1024, marks(State::Complete, other), Err("is another file")),
            (true, 1024, None, Err("no upload of this tool")),
            (true, 2048, marks(State::Complete, identity), Err("has 2048 bytes, the file has 1024")),
            (false, 1024, None, Err("no page blob")),
        ] {
            let etag = "x".to_owned();
            let there = Properties { etag, is_page_blob, size_bytes, is_leased_for_good: false, marks };
            match (judge(&there, &source, Some(identity)), wanted) {
                (Found::GoOn(found), Ok(wanted)) => assert_eq!(found, wanted),
                (Found::Other(why), Err(wanted)) => assert!(why.contains(wanted), "{why}"),
                (found, wanted) => panic!("{found:?} instead of {wanted:?}"),
            }
        }
    }
}
