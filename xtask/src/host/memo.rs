//! Answers that cost time (digests of tools, their version lines), remembered for as long as the files they
//! were read from look untouched: same device, inode, size, modification and change time.
//!
//! A memo is never the truth: a damaged or foreign file counts as empty, and `--paranoid` asks everything
//! anew.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::table::Table;

const HEADER: &str = "vtlforge memo 2";

/// Files that changed this recently are not trusted: a second change may fall on the same time stamp.
const SETTLING: Duration = Duration::from_secs(2);

/// Whether remembered answers may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    TimeStamps,
    /// `--paranoid`: every byte is read again, and the memo is written afresh.
    Nothing,
}

/// By question: the answer, then path and stamp of each file that it was read from, between tabs.
pub struct Memo {
    table: Table,
}

/// What a file looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    Absent,
    Present { device: u64, inode: u64, size: u64, modified: (i64, i64), changed: (i64, i64) },
}

/// The files an answer is made from, each noted before it is read.
#[derive(Default)]
pub struct Watch(Vec<(PathBuf, Stamp)>);

impl Watch {
    /// The answer holds as long as this file, or its absence, stays the same. Symbolic links are followed.
    pub fn on(&mut self, path: &Path) {
        self.0.push((path.to_owned(), Stamp::of(path)));
    }
}

impl Memo {
    /// Reads the memo; whatever is wrong with the file, the result is then an empty memo.
    pub fn load(path: &Path, trust: Trust) -> Memo {
        let table = match trust {
            Trust::TimeStamps => Table::load(path, HEADER),
            Trust::Nothing => Table::empty(path, HEADER),
        };
        Memo { table }
    }

    /// The remembered answer, or the one that `compute` gives, remembered if it is one line.
    pub fn get<E>(
        &mut self,
        key: &str,
        compute: impl FnOnce(&mut Watch) -> Result<String, E>,
    ) -> Result<String, E> {
        if let Some(value) = self.table.get(key).and_then(if_it_holds) {
            return Ok(value.to_owned());
        }
        let mut watch = Watch::default();
        let value = compute(&mut watch)?;
        self.table.remove(key);
        let settled = SystemTime::now() - SETTLING;
        let is_settled =
            |(path, stamp): &(PathBuf, Stamp)| stamp.is_before(settled) && is_plain(&path.to_string_lossy());
        if watch.0.iter().all(is_settled) && is_plain(&value) {
            let files =
                watch.0.iter().map(|(path, stamp)| format!("\t{}\t{}", path.display(), stamp.render()));
            self.table.set(key, value.clone() + &files.collect::<String>());
        }
        Ok(value)
    }

    /// Remembers that something happened now.
    pub fn note(&mut self, event: &str, now: SystemTime) {
        self.table.set(&format!("event {event}"), seconds(now).to_string());
    }

    /// Did it happen within this time before now?
    pub fn noted(&self, event: &str, within: Duration, now: SystemTime) -> bool {
        let at = self.table.get(&format!("event {event}")).and_then(|at| at.parse().ok());
        at.is_some_and(|at: u64| seconds(now).checked_sub(at).is_some_and(|age| age < within.as_secs()))
    }

    /// Writes the memo if anything is new.
    pub fn save(&mut self) -> io::Result<()> {
        self.table.save(|_| true)
    }
}

/// The answer of a line, if its files look as they did.
fn if_it_holds(line: &str) -> Option<&str> {
    let mut words = line.split('\t');
    let value = words.next()?;
    while let Some(path) = words.next() {
        if Stamp::of(Path::new(path)).render() != words.next()? {
            return None;
        }
    }
    Some(value)
}

impl Stamp {
    fn of(path: &Path) -> Stamp {
        path.metadata().map_or(Stamp::Absent, |meta| Stamp::from_metadata(&meta))
    }

    fn from_metadata(meta: &Metadata) -> Stamp {
        Stamp::Present {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    fn is_before(&self, settled: SystemTime) -> bool {
        match self {
            Stamp::Absent => true,
            Stamp::Present { changed, .. } => u64::try_from(changed.0).is_ok_and(|at| at < seconds(settled)),
        }
    }

    fn render(&self) -> String {
        match self {
            Stamp::Absent => "absent".to_owned(),
            Stamp::Present { device, inode, size, modified, changed } => {
                format!("{device} {inode} {size} {} {} {} {}", modified.0, modified.1, changed.0, changed.1)
            }
        }
    }
}

fn is_plain(text: &str) -> bool {
    !text.contains(['\n', '\t', '\r', char::REPLACEMENT_CHARACTER])
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
