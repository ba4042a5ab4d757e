//! Answers that cost time (digests of tools, their version lines), remembered for as long as the files they
//! were read from look untouched: same device, inode, size, modification and change time.
//!
//! A memo is never the truth: a damaged or foreign file counts as empty, and `--paranoid` asks everything
//! anew. One line of text an item, because a build without work has two milliseconds for reading it.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const HEADER: &str = "vtlforge memo 1";

/// Files that changed this recently are not trusted: a second change may fall on the same time stamp.
const SETTLING: Duration = Duration::from_secs(2);

/// Whether remembered answers may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    TimeStamps,
    /// `--paranoid`: every byte is read again, and the memo is written afresh.
    Nothing,
}

pub struct Memo {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
    changed: bool,
}

struct Entry {
    value: String,
    watched: Vec<(PathBuf, Stamp)>,
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
        let text = match trust {
            Trust::TimeStamps => std::fs::read_to_string(path).unwrap_or_default(),
            Trust::Nothing => String::new(),
        };
        let entries = parse(&text).unwrap_or_default();
        Memo { path: path.to_owned(), entries, changed: false }
    }

    /// The remembered answer, or the one that `compute` gives, remembered if it is one line.
    pub fn get<E>(
        &mut self,
        key: &str,
        compute: impl FnOnce(&mut Watch) -> Result<String, E>,
    ) -> Result<String, E> {
        let holds = |entry: &&Entry| entry.watched.iter().all(|(path, stamp)| Stamp::of(path) == *stamp);
        if let Some(entry) = self.entries.get(key).filter(holds) {
            return Ok(entry.value.clone());
        }
        let mut watch = Watch::default();
        let value = compute(&mut watch)?;
        self.changed |= self.entries.remove(key).is_some();
        let settled = SystemTime::now() - SETTLING;
        if watch.0.iter().all(|(path, stamp)| stamp.is_before(settled) && is_plain(&path.to_string_lossy()))
            && is_plain(key)
            && is_plain(&value)
        {
            self.entries.insert(key.to_owned(), Entry { value: value.clone(), watched: watch.0 });
            self.changed = true;
        }
        Ok(value)
    }

    /// Remembers that something happened now.
    pub fn note(&mut self, event: &str, now: SystemTime) {
        let value = seconds(now).to_string();
        self.entries.insert(format!("event {event}"), Entry { value, watched: Vec::new() });
        self.changed = true;
    }

    /// Did it happen within this time before now?
    pub fn noted(&self, event: &str, within: Duration, now: SystemTime) -> bool {
        let entry = self.entries.get(&format!("event {event}"));
        let at = entry.and_then(|entry| entry.value.parse().ok());
        at.is_some_and(|at: u64| seconds(now).checked_sub(at).is_some_and(|age| age < within.as_secs()))
    }

    /// Writes the memo if anything is new, in one piece: readers see the old file or the new one.
    pub fn save(&mut self) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(self.render().as_bytes())?;
        file.persist(&self.path).map_err(|error| error.error)?;
        self.changed = false;
        Ok(())
    }

    fn render(&self) -> String {
        let mut text = format!("{HEADER}\n");
        for (key, entry) in &self.entries {
            text.push_str(&format!("={key}\t{}\n", entry.value));
            for (path, stamp) in &entry.watched {
                text.push_str(&format!("-{}\t{}\n", path.display(), stamp.render()));
            }
        }
        // The last line tells a whole file from one that lost its end.
        text.push_str(".\n");
        text
    }
}

fn parse(text: &str) -> Option<BTreeMap<String, Entry>> {
    let body = text.strip_prefix(HEADER)?.strip_prefix('\n')?.strip_suffix(".\n")?;
    let mut entries = BTreeMap::new();
    let mut current: Option<(String, Entry)> = None;
    for line in body.lines() {
        let (head, tail) = line.get(1..)?.split_once('\t')?;
        match (line.as_bytes()[0], &mut current) {
            (b'=', _) => {
                let next = (head.to_owned(), Entry { value: tail.to_owned(), watched: Vec::new() });
                entries.extend(current.replace(next));
            }
            (b'-', Some((_, entry))) => entry.watched.push((PathBuf::from(head), Stamp::parse(tail)?)),
            _ => return None,
        }
    }
    entries.extend(current);
    Some(entries)
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

    fn parse(text: &str) -> Option<Stamp> {
        if text == "absent" {
            return Some(Stamp::Absent);
        }
        let mut words = text.split(' ');
        let stamp = Stamp::Present {
            device: words.next()?.parse().ok()?,
            inode: words.next()?.parse().ok()?,
            size: words.next()?.parse().ok()?,
            modified: (words.next()?.parse().ok()?, words.next()?.parse().ok()?),
            changed: (words.next()?.parse().ok()?, words.next()?.parse().ok()?),
        };
        words.next().is_none().then_some(stamp)
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
