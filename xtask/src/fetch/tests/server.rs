//! A web server on the loopback that misbehaves as told.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What the server does with one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// The file, or the range of it that is asked for.
    Give,
    /// The whole file, whatever range is asked for.
    GiveWhole,
    /// The file without saying how long it is.
    GiveUnsized,
    /// As `Give`, but other bytes of the same length.
    GiveWrong,
    /// As `Give`, but the connection breaks after so many bytes.
    Break(usize),
    /// As `Give`, but nothing more comes after so many bytes.
    Stall(usize),
    /// Says that a range is coming, but another one.
    WrongRange,
    Status(&'static str),
    Redirect(String),
}

/// Files by path, and for each path what is done with its requests in turn; the last act repeats.
pub type Site = Vec<(&'static str, Vec<u8>, Vec<Act>)>;

pub struct Server {
    pub base: String,
    /// Whether one of its acts is to stall.
    pub stalls: bool,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start(site: Site) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let stalls = site.iter().flat_map(|(.., acts)| acts).any(|act| matches!(act, Act::Stall(_)));
        let site = Arc::new(Mutex::new(site));
        let (shared, own) = (log.clone(), base.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (site, log, base) = (site.clone(), shared.clone(), own.clone());
                // A client that hangs up early is what some tests are about.
                thread::spawn(move || serve(stream, &site, &log, &base).ok());
            }
        });
        Server { base, stalls, log }
    }

    /// The requests so far, each `path` or `path range`.
    pub fn requests(&self) -> Vec<String> {
        self.log.lock().expect("no panic").clone()
    }
}

fn serve(
    mut stream: TcpStream,
    site: &Mutex<Site>,
    log: &Mutex<Vec<String>>,
    base: &str,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut range, mut condition) = (String::new(), None, None);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else { continue };
        match name.to_ascii_lowercase().as_str() {
            "range" => range = Some(value.to_owned()),
            "if-range" => condition = Some(value.to_owned()),
            _ => {}
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let shown = [Some(path.clone()), range.clone(), condition].into_iter().flatten();
    log.lock().expect("no panic").push(shown.collect::<Vec<_>>().join(" "));
    let (content, act) = {
        let mut site = site.lock().expect("no panic");
        match site.iter_mut().find(|(known, ..)| *known == path.split('?').next().unwrap_or_default()) {
            Some((_, content, acts)) if acts.len() > 1 => (content.clone(), acts.remove(0)),
            Some((_, content, acts)) => (content.clone(), acts[0].clone()),
            None => (Vec::new(), Act::Status("404 Not Found")),
        }
    };
    let offset = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let stalls = matches!(act, Act::Stall(_));
    answer(&mut stream, &content, offset, act, base)?;
    if !stalls {
        stream.shutdown(Shutdown::Write)?;
    }
    // One that stalls waits for the client to hang up, and closing with unread data would reset the connection under what was sent.
    reader.read_to_end(&mut Vec::new()).map(drop)
}

fn answer(
    stream: &mut TcpStream,
    content: &[u8],
    offset: Option<usize>,
    act: Act,
    base: &str,
) -> std::io::Result<()> {
    let len = content.len();
    let from = match act {
        Act::GiveWhole => 0,
        _ => offset.unwrap_or(0),
    };
    let body = content.get(from..).unwrap_or_default();
    let whole_or_range = |shown: usize| match offset {
        Some(_) if from > 0 || shown > 0 => {
            format!("206 Partial Content\r\nContent-Range: bytes {shown}-{}/{len}", len.max(1) - 1)
        }
        _ => "200 OK".to_owned(),
    };
    let head = |status: &str| format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    let sized = |shown: usize| {
        format!("{}ETag: \"one\"\r\nContent-Length: {}\r\n\r\n", head(&whole_or_range(shown)), body.len())
    };
    match act {
        Act::Status(status) => write!(stream, "{}Content-Length: 0\r\n\r\n", head(status)),
        Act::Redirect(to) => {
            let to = if to.starts_with('/') { format!("{base}{to}") } else { to };
            write!(stream, "{}Location: {to}\r\nContent-Length: 0\r\n\r\n", head("302 Found"))
        }
        _ if offset.is_some_and(|offset| offset >= len) && from > 0 => {
            write!(stream, "{}Content-Length: 0\r\n\r\n", head("416 Range Not Satisfiable"))
        }
        Act::GiveUnsized => {
            write!(stream, "{}\r\n", head("200 OK"))?;
            stream.write_all(content)
        }
        Act::WrongRange => {
            stream.write_all(sized(from + 1).as_bytes())?;
            stream.write_all(body)
        }
        Act::GiveWrong => {
            stream.write_all(sized(from).as_bytes())?;
            stream.write_all(&body.iter().map(|byte| !byte).collect::<Vec<_>>())
        }
        Act::Break(count) | Act::Stall(count) => {
            stream.write_all(sized(from).as_bytes())?;
            stream.write_all(&body[..count.min(body.len())])?;
            stream.flush()
        }
        Act::Give | Act::GiveWhole => {
            stream.write_all(sized(from).as_bytes())?;
            stream.write_all(body)
        }
    }
}
