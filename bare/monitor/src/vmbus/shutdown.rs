//! The shutdown integration service: the host asks, the guest's hv_utils driver answers and goes (Linux,
//! drivers/hv/hv_util.c; messages in include/linux/hyperv.h).

use super::ring::Packet;
use crate::{
    json::Line,
    machine::{u16_at, u32_at},
};

/// Interface of the service: 0e0b6031-5213-4934-818b-38d90ced39db.
pub const INTERFACE: [u8; 16] =
    [0x31, 0x60, 0x0b, 0x0e, 0x13, 0x52, 0x34, 0x49, 0x81, 0x8b, 0x38, 0xd9, 0x0c, 0xed, 0x39, 0xdb];

// Header of the pipe, of an integration message, of a negotiation.
const PIPE_BYTES: usize = 8;
const HEADER_BYTES: usize = 20;
const BODY: usize = PIPE_BYTES + HEADER_BYTES;
const NEGOTIATE_BYTES: usize = 8;

const NEGOTIATE: u16 = 0;
const SHUTDOWN: u16 = 3;
const TRANSACTION: u8 = 1;
const REQUEST: u8 = 2;
const RESPONSE: u8 = 4;

/// Versions that the host has, oldest first: major, minor.
const FRAMEWORK: [(u16, u16); 2] = [(1, 0), (3, 0)];
const MESSAGES: [(u16, u16); 4] = [(1, 0), (3, 0), (3, 1), (3, 2)];

/// Reason, seconds, flags, and a text of 2 KiB that is shown to nobody.
const REQUEST_BYTES: u32 = 12 + 2048;
/// SHTDN_REASON_FLAG_PLANNED
const PLANNED: u32 = 0x8000_0000;
const RESTART: u32 = 2;

/// What the guest is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    PowerOff,
    Restart,
}

/// A message to send.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    head: [u8; 64],
    head_bytes: usize,
    /// Zeros behind the head belong to it.
    pub payload_bytes: u32,
    pub transaction: u64,
}

impl Outgoing {
    fn new(kind: u16, versions: [(u16, u16); 2], body_bytes: u32, transaction: u8) -> Outgoing {
        let mut head = [0; 64];
        let payload_bytes = BODY as u32 + body_bytes;
        head[4..8].copy_from_slice(&(HEADER_BYTES as u32 + body_bytes).to_le_bytes());
        let [framework, message] = versions;
        put_version(&mut head, PIPE_BYTES, framework);
        head[12..14].copy_from_slice(&kind.to_le_bytes());
        put_version(&mut head, 14, message);
        head[18..20].copy_from_slice(&(body_bytes as u16).to_le_bytes());
        (head[24], head[25]) = (transaction, TRANSACTION | REQUEST);
        Outgoing { head, head_bytes: BODY, payload_bytes, transaction: transaction.into() }
    }

    pub fn head(&self) -> &[u8] {
        &self.head[..self.head_bytes]
    }
}

fn put_version(head: &mut [u8; 64], at: usize, (major, minor): (u16, u16)) {
    head[at..at + 2].copy_from_slice(&major.to_le_bytes());
    head[at + 2..at + 4].copy_from_slice(&minor.to_le_bytes());
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Versions were offered.
    Negotiating,
    /// Framework and message version that the guest chose.
    Ready([(u16, u16); 2]),
    Asked([(u16, u16); 2]),
    Answered,
    /// No version in common.
    Refused,
}

#[derive(Clone, Copy, Debug)]
pub struct Service {
    state: State,
}

impl Service {
    /// With the first message, which goes out when the channel opens.
    pub fn begin() -> (Service, Outgoing) {
        let count = FRAMEWORK.len() + MESSAGES.len();
        let body_bytes = NEGOTIATE_BYTES + count * 4;
        let mut message = Outgoing::new(NEGOTIATE, [(0, 0); 2], body_bytes as u32, 1);
        message.head[BODY..BODY + 2].copy_from_slice(&(FRAMEWORK.len() as u16).to_le_bytes());
        message.head[BODY + 2..BODY + 4].copy_from_slice(&(MESSAGES.len() as u16).to_le_bytes());
        for (number, version) in FRAMEWORK.into_iter().chain(MESSAGES).enumerate() {
            put_version(&mut message.head, BODY + NEGOTIATE_BYTES + number * 4, version);
        }
        message.head_bytes = BODY + body_bytes;
        (Service { state: State::Negotiating }, message)
    }

    /// The request, once versions are agreed on; it is made once.
    pub fn ask(&mut self, wish: Wish) -> Option<Outgoing> {
        let State::Ready(versions) = self.state else { return None };
        self.state = State::Asked(versions);
        let mut message = Outgoing::new(SHUTDOWN, versions, REQUEST_BYTES, 2);
        message.head[BODY..BODY + 4].copy_from_slice(&PLANNED.to_le_bytes());
        let flags = if wish == Wish::Restart { RESTART } else { 0 };
        message.head[BODY + 8..BODY + 12].copy_from_slice(&flags.to_le_bytes());
        message.head_bytes = BODY + 12;
        Some(message)
    }

    /// Takes an answer of the guest's; a line for the report where it leads to something.
    pub fn take(&mut self, packet: &Packet) -> Option<Line> {
        let kind = u16_at(&packet.head, 12);
        let is_answer = packet.is_in_band
            && packet.payload_bytes as usize >= BODY
            && packet.head[25] & RESPONSE != 0
            && matches!((kind, packet.head[24]), (NEGOTIATE, 1) | (SHUTDOWN, 2));
        let status = u32_at(&packet.head, 20);
        match (self.state, kind) {
            (State::Negotiating, NEGOTIATE) if is_answer => Some(self.negotiated(packet)),
            (State::Asked(_), SHUTDOWN) if is_answer => {
                self.state = State::Answered;
                let answer = if status == 0 { "accepted" } else { "refused" };
                let line = Line::new("shutdown-answered").text("answer", answer);
                Some(line.hex("status", status.into()))
            }
            _ => None,
        }
    }

    fn negotiated(&mut self, packet: &Packet) -> Line {
        let version = |at: usize| (u16_at(&packet.head, at), u16_at(&packet.head, at + 2));
        let counts = version(BODY);
        let versions = [version(BODY + NEGOTIATE_BYTES), version(BODY + NEGOTIATE_BYTES + 4)];
        let is_known = FRAMEWORK.contains(&versions[0]) && MESSAGES.contains(&versions[1]);
        let is_agreed = counts == (1, 1) && is_known && packet.payload_bytes as usize >= BODY + 16;
        self.state = if is_agreed { State::Ready(versions) } else { State::Refused };
        let [framework, message] = versions;
        Line::new("shutdown-negotiated")
            .text("answer", if is_agreed { "accepted" } else { "refused" })
            .number("framework_major", framework.0.into())
            .number("framework_minor", framework.1.into())
            .number("major", message.0.into())
            .number("minor", message.1.into())
    }
}
