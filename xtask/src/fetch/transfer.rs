//! One attempt to get the missing rest of a file from one location, and the unfinished file itself.
//! What to do after a failure is decided in `download`.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use reqwest::{
    Url,
    blocking::{Client, Response},
    header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_RANGE, LAST_MODIFIED, RANGE},
};
use sha2::{Digest, Sha256};

use super::{Control, Location, hex};

/// How often a wait looks whether it was cancelled.
const POLL: Duration = Duration::from_millis(50);

/// A file that is being downloaded: `NAME.part` beside its final place. It outlives failed runs.
pub struct Part {
    path: PathBuf,
    file: File,
    digest: Sha256,
    len: u64,
    /// Number of the location that gave all of it so far; `None` if it is of mixed or unknown origin.
    origin: Option<usize>,
    /// The location that gave the last piece, and the `ETag` or `Last-Modified` of its file.
    validator: Option<(usize, String)>,
    /// How much of it an earlier run had left.
    inherited: u64,
}

impl Part {
    /// Opens the unfinished file of `dest`, reading what an earlier run left behind.
    pub fn open(dest: &Path) -> io::Result<Part> {
        let mut name = dest.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut digest = Sha256::new();
        let len = io::copy(&mut file, &mut digest)?;
        Ok(Part { path, file, digest, len, origin: None, validator: None, inherited: len })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn inherited(&self) -> u64 {
        self.inherited
    }

    /// SHA-256 in hexadecimal digits of what is there.
    pub fn sha256(&self) -> String {
        hex(&self.digest.clone().finalize())
    }

    /// Whether some of it may have come from elsewhere than from location number `index`.
    pub fn is_foreign_to(&self, index: usize) -> bool {
        self.len > 0 && self.origin != Some(index)
    }

    pub fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        (self.digest, self.len, self.inherited) = (Sha256::new(), 0, 0);
        (self.origin, self.validator) = (None, None);
        Ok(())
    }

    /// Puts the complete file in its final place, surviving a power cut.
    pub fn finish(self, dest: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, dest)?;
        match dest.parent() {
            Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
            _ => Ok(()),
        }
    }

    /// Removes the file: nothing of it is worth keeping.
    pub fn discard(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }
}

/// Why an attempt ended without the whole file.
#[derive(Debug)]
pub enum Failure {
    /// The same again may work.
    Transient(String),
    /// The location says that it does not have the file.
    Gone(String),
    /// The location will not give the file, or has another one.
    Refused(String),
    /// What is there cannot be continued; from the beginning it may work.
    StartOver(String),
    Cancelled,
    /// Writing the part failed.
    Disk(io::Error),
}

/// What an attempt needs to know beside the location.
pub struct Attempt<'a> {
    pub location: &'a Location,
    /// Number of the location, kept in the part.
    pub index: usize,
    /// Exact size, where it is known.
    pub size: Option<u64>,
    /// Never write more.
    pub limit: u64,
    pub control: &'a Control<'a>,
}

impl Attempt<'_> {
    /// Appends to `part` until the location has no more.
    pub fn ask_server(&self, client: &Client, url: &Url, part: &mut Part) -> Result<(), Failure> {
        let validator = part.validator.as_ref().filter(|(index, _)| *index == self.index);
        let messages = request(client, url, part.len, validator.map(|(_, validator)| validator.as_str()));
        let Message::Head(head) = self.receive(&messages)? else {
            return Err(Failure::Transient("no answer".to_owned()));
        };
        let remote_size = self.judge(&head, part)?;
        self.begin(remote_size, head.validator, part)?;
        loop {
            match self.receive(&messages)? {
                Message::Data(bytes) => self.append(&bytes, remote_size, part)?,
                Message::Head(_) | Message::End => return self.end(remote_size, part),
            }
        }
    }

    pub fn copy_file(&self, path: &Path, part: &mut Part) -> Result<(), Failure> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Failure::Gone("no such file".to_owned()),
            _ => Failure::Refused(error.to_string()),
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(Failure::Refused("not a regular file".to_owned()));
        }
        self.begin(Some(metadata.len()), None, part)?;
        file.seek(SeekFrom::Start(part.len)).map_err(unreadable)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            if self.control.cancelled() {
                return Err(Failure::Cancelled);
            }
            match file.read(&mut buffer).map_err(unreadable)? {
                0 => return self.end(Some(metadata.len()), part),
                count => self.append(&buffer[..count], Some(metadata.len()), part)?,
            }
        }
    }

    /// Looks at status and range; clears the part where the server starts from the beginning. Answers the
    /// size of the whole file, if the server says it.
    fn judge(&self, head: &Head, part: &mut Part) -> Result<Option<u64>, Failure> {
        let status = head.status_line.clone();
        match head.status {
            200 => {
                if part.len > 0 {
                    part.clear().map_err(Failure::Disk)?;
                }
                Ok(head.length)
            }
            206 if head.range_start == Some(part.len) => Ok(head.range_total),
            206 => Err(Failure::StartOver("it continues at another place than asked for".to_owned())),
            416 => Err(Failure::StartOver(status)),
            404 | 410 => Err(Failure::Gone(status)),
            408 | 425 | 429 | 500..=599 => Err(Failure::Transient(status)),
            _ => Err(Failure::Refused(status)),
        }
    }

    fn begin(&self, size: Option<u64>, validator: Option<String>, part: &mut Part) -> Result<(), Failure> {
        match (size, self.size) {
            (Some(remote), Some(pinned)) if remote != pinned => {
                return Err(Failure::Refused(format!("has a file of {remote} bytes instead of {pinned}")));
            }
            (Some(remote), _) if remote > self.limit => return Err(self.too_large()),
            (Some(remote), _) if remote < part.len => {
                return Err(Failure::StartOver("it has less than what is already there".to_owned()));
            }
            _ => {}
        }
        part.origin = (!part.is_foreign_to(self.index)).then_some(self.index);
        part.validator = validator.map(|validator| (self.index, validator));
        Ok(())
    }

    fn append(&self, bytes: &[u8], remote_size: Option<u64>, part: &mut Part) -> Result<(), Failure> {
        if part.len + bytes.len() as u64 > self.size.unwrap_or(self.limit) {
            part.clear().map_err(Failure::Disk)?;
            return Err(self.too_large());
        }
        part.append(bytes).map_err(Failure::Disk)?;
        (self.control.progress)(part.len, self.size.or(remote_size));
        Ok(())
    }

    fn end(&self, remote_size: Option<u64>, part: &Part) -> Result<(), Failure> {
        match self.size.or(remote_size) {
            Some(size) if part.len < size => {
                Err(Failure::Transient(format!("the connection ended after {} of {size} bytes", part.len)))
            }
            _ => Ok(()),
        }
    }

    fn too_large(&self) -> Failure {
        let limit = self.size.unwrap_or(self.limit);
        Failure::Refused(format!("has a file of more than {limit} bytes"))
    }

    fn receive(&self, messages: &Receiver<Result<Message, Failure>>) -> Result<Message, Failure> {
        loop {
            if self.control.cancelled() {
                return Err(Failure::Cancelled);
            }
            match messages.recv_timeout(POLL) {
                Ok(message) => return message,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::Transient("the transfer died".to_owned()));
                }
            }
        }
    }
}

enum Message {
    Head(Head),
    Data(Vec<u8>),
    End,
}

/// What matters of an answer's status line and header fields.
struct Head {
    status: u16,
    status_line: String,
    length: Option<u64>,
    range_start: Option<u64>,
    range_total: Option<u64>,
    validator: Option<String>,
}

/// Asks for the file from `offset` on. The answer is read on a thread, because a blocking read can be
/// neither polled nor interrupted; the thread ends when the receiver is dropped or the server stalls.
fn request(
    client: &Client,
    url: &Url,
    offset: u64,
    validator: Option<&str>,
) -> Receiver<Result<Message, Failure>> {
    let mut request = client.get(url.clone());
    if offset > 0 {
        request = request.header(RANGE, format!("bytes={offset}-"));
        if let Some(validator) = validator {
            request = request.header(IF_RANGE, validator);
        }
    }
    let (sender, receiver) = sync_channel(16);
    thread::spawn(move || {
        let sent = match request.send() {
            Ok(response) => pump(response, &sender),
            Err(error) => Err(send_failure(&error)),
        };
        // The receiver may have lost interest.
        let _ = sender.send(sent.map(|()| Message::End));
    });
    receiver
}

fn send_failure(error: &reqwest::Error) -> Failure {
    let cause = root_cause(error);
    if error.is_redirect() {
        Failure::Refused(cause)
    } else if error.is_timeout() {
        Failure::Transient("no answer in time".to_owned())
    } else if error.is_connect() {
        Failure::Transient(format!("cannot connect: {cause}"))
    } else {
        Failure::Transient(format!("no answer: {cause}"))
    }
}

fn pump(mut response: Response, sender: &SyncSender<Result<Message, Failure>>) -> Result<(), Failure> {
    if sender.send(Ok(Message::Head(Head::of(&response)))).is_err() {
        return Ok(());
    }
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = response.read(&mut buffer).map_err(|error| {
            let reason = match error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
                Some(error) if error.is_timeout() => "the server has stalled".to_owned(),
                _ => format!("the connection broke: {}", root_cause(&error)),
            };
            Failure::Transient(reason)
        })?;
        if count == 0 || sender.send(Ok(Message::Data(buffer[..count].to_vec()))).is_err() {
            return Ok(());
        }
    }
}

/// The innermost cause: the layers of the HTTP client around it say nothing, but may repeat the address.
fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

impl Head {
    fn of(response: &Response) -> Head {
        let headers = response.headers();
        let range = text(headers, CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes "));
        let (range_start, range_total) = match range.and_then(|range| range.split_once('/')) {
            Some((range, total)) => {
                (range.split_once('-').and_then(|(start, _)| start.parse().ok()), total.parse().ok())
            }
            None => (None, None),
        };
        // A weak ETag says nothing about bytes and may not be used for ranges (RFC 9110, 13.1.5).
        let etag = text(headers, ETAG).filter(|etag| !etag.starts_with("W/"));
        Head {
            status: response.status().as_u16(),
            status_line: response.status().to_string(),
            length: text(headers, CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            range_start,
            range_total,
            validator: etag.or_else(|| text(headers, LAST_MODIFIED)).map(str::to_owned),
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
