//! A line between an upload and the service that can be slow, that can break, once or for good, and that can change what it
//! carries. Counts what goes up.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    service: u16,
    up_bytes: AtomicU64,
    /// Connections are cut when that many bytes have gone up.
    cut_at: AtomicU64,
    /// And no new ones are made then.
    for_good: AtomicBool,
    is_down: AtomicBool,
    /// After each 64 KiB.
    pause_ms: AtomicU64,
    /// The byte that goes up behind so many others becomes another.
    damage_at: AtomicU64,
    /// The service's answers that something was made say that they got this.
    answers_digest: AtomicBool,
}

/// Of nothing.
const OTHER_MD5: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";
const MADE: &[u8] = b"HTTP/1.1 201 Created\r\n";

impl Proxy {
    /// To a port of this machine.
    pub fn start(service: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let state = Arc::new(State {
            service,
            up_bytes: AtomicU64::new(0),
            cut_at: AtomicU64::new(u64::MAX),
            for_good: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
            pause_ms: AtomicU64::new(0),
            damage_at: AtomicU64::new(u64::MAX),
            answers_digest: AtomicBool::new(false),
        });
        let proxy = Proxy { port: listener.local_addr().unwrap().port(), state: state.clone() };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if state.is_down.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(service) = TcpStream::connect(("127.0.0.1", state.service)) else { continue };
                carry(client, service, &state);
            }
        });
        proxy
    }

    pub fn up_bytes(&self) -> u64 {
        self.state.up_bytes.load(Ordering::Relaxed)
    }

    /// Cuts what is open when so many more bytes have gone up.
    pub fn cut_after(&self, bytes: u64, for_good: bool) {
        self.state.for_good.store(for_good, Ordering::Relaxed);
        self.state.cut_at.store(self.up_bytes() + bytes, Ordering::Relaxed);
    }

    pub fn mend(&self) {
        self.state.cut_at.store(u64::MAX, Ordering::Relaxed);
        self.state.is_down.store(false, Ordering::Relaxed);
    }

    /// Changes one byte, when so many more have gone up.
    pub fn damage_after(&self, bytes: u64) {
        self.state.damage_at.store(self.up_bytes() + bytes, Ordering::Relaxed);
    }

    /// From now on the service says that it got something else.
    pub fn answer_with_another_digest(&self, does: bool) {
        self.state.answers_digest.store(does, Ordering::Relaxed);
    }

    pub fn slow_down(&self, pause_ms: u64) {
        self.state.pause_ms.store(pause_ms, Ordering::Relaxed);
    }
}

fn carry(client: TcpStream, service: TcpStream, state: &Arc<State>) {
    let (up, down) = ((client.try_clone(), service.try_clone()), (service, client));
    let (Ok(from), Ok(to)) = up else { return };
    let state = state.clone();
    let of_answers = state.clone();
    thread::spawn(move || pass(from, to, &state, true));
    thread::spawn(move || pass(down.0, down.1, &of_answers, false));
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: &State, goes_up: bool) {
    let mut buffer = vec![0; 64 << 10];
    let mut pass = || -> io::Result<()> {
        loop {
            let count = from.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            if goes_up {
                thread::sleep(Duration::from_millis(state.pause_ms.load(Ordering::Relaxed)));
                let up = state.up_bytes.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
                if up >= state.cut_at.load(Ordering::Relaxed) {
                    state.is_down.store(state.for_good.load(Ordering::Relaxed), Ordering::Relaxed);
                    if !state.is_down.load(Ordering::Relaxed) {
                        state.cut_at.store(u64::MAX, Ordering::Relaxed);
                    }
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                let damaged = state.damage_at.load(Ordering::Relaxed).wrapping_sub(up - count as u64);
                if let Some(byte) = usize::try_from(damaged).ok().and_then(|at| buffer[..count].get_mut(at)) {
                    *byte ^= 1;
                }
            } else if state.answers_digest.load(Ordering::Relaxed) && buffer[..count].starts_with(MADE) {
                to.write_all(MADE)?;
                to.write_all(format!("Content-MD5: {OTHER_MD5}\r\n").as_bytes())?;
                to.write_all(&buffer[MADE.len()..count])?;
                continue;
            }
            to.write_all(&buffer[..count])?;
        }
    };
    let _ = pass();
    for stream in [&from, &to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
