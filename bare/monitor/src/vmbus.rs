//! A VMBus host with one channel: it agrees on a version, offers the shutdown service, and lets go.
//!
//! Messages as the guest's driver has them (Linux, include/linux/hyperv.h); TLFS doesn't describe VMBus.

mod channel;
mod gpadl;
mod ring;
mod shutdown;

use crate::{
    Machine,
    json::Line,
    machine::{u16_at, u32_at, u64_at},
    synic::Message,
};
use channel::Channel;

pub use channel::{EVENT_CONNECTION, RELID, Signal};
pub use shutdown::Wish;

/// Connection ids of the host's message port. The guest uses the last one from VTL2, to reach the host's VMBus
/// relay for that level.
pub const CONNECTION: u32 = 1;
pub const CONNECTION_4: u32 = 4;
pub const CONNECTION_VTL2: u32 = 0x80_0074;

/// Type of messages in both directions, as the hypervisor sees them.
const CHANNEL_MESSAGE: u32 = 1;

const OFFER: u32 = 1;
const REQUEST_OFFERS: u32 = 3;
const ALL_OFFERS_DELIVERED: u32 = 4;
const OPEN: u32 = 5;
const OPEN_RESULT: u32 = 6;
const CLOSE: u32 = 7;
const GPADL_HEADER: u32 = 8;
const GPADL_BODY: u32 = 9;
const GPADL_CREATED: u32 = 10;
const GPADL_TEARDOWN: u32 = 11;
const GPADL_TORNDOWN: u32 = 12;
const RELID_RELEASED: u32 = 13;
const INITIATE_CONTACT: u32 = 14;
const VERSION_RESPONSE: u32 = 15;
const UNLOAD: u32 = 16;
const UNLOAD_RESPONSE: u32 = 17;
const MODIFY: u32 = 22;
const MODIFY_RESPONSE: u32 = 24;

/// 4.0 (Windows 10) to 6.0, newest first.
const VERSIONS: [u32; 7] = [0x6_0000, 0x5_0003, 0x5_0002, 0x5_0001, 0x5_0000, 0x4_0001, 0x4_0000];
const VERSION_5_0: u32 = 0x5_0000;
/// From here on a moved channel is answered.
const VERSION_5_3: u32 = 0x5_0003;
const DEFAULT_SINT: u8 = 2;

/// Most messages that one of the guest's is answered with.
pub const ANSWERS_MAX: usize = 2;
/// Longest answer: an offer.
const OFFER_BYTES: usize = 196;

#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// What was agreed on, once it is.
    version: Option<u32>,
    /// Where answers go.
    vp: u32,
    sint: u8,
    channel: Channel,
}

/// What a message leads to.
pub struct Answer {
    pub vp: u32,
    pub messages: [Option<Message>; ANSWERS_MAX],
    /// The channel's event flag, for another processor perhaps.
    pub signal: Option<Signal>,
    pub line: Line,
}

impl Answer {
    fn and(mut self, message: Message) -> Answer {
        if let Some(free) = self.messages.iter_mut().find(|message| message.is_none()) {
            *free = Some(message);
        }
        self
    }
}

impl Default for Host {
    fn default() -> Host {
        Host::new()
    }
}

impl Host {
    pub const fn new() -> Host {
        Host { version: None, vp: 0, sint: DEFAULT_SINT, channel: Channel::new() }
    }

    /// Where answers and event flags go, as the guest last said.
    pub fn vp(&self) -> u32 {
        self.vp
    }

    pub fn sint(&self) -> u8 {
        self.sint
    }

    /// Takes a message that was posted to `connection`, one of those above. One that is too short has zeros.
    pub fn take(&mut self, machine: &mut impl Machine, connection: u32, payload: &[u8]) -> Answer {
        let line = Line::new("vmbus").hex("connection", connection.into());
        let relid = u32_at(payload, 8);
        match u32_at(payload, 0) {
            INITIATE_CONTACT => self.initiate_contact(connection, payload, line),
            REQUEST_OFFERS => {
                let answer = self.answer(line.text("message", "request-offers").number("offers", 1));
                answer.and(self.message(OFFER, &offer())).and(self.message(ALL_OFFERS_DELIVERED, &[]))
            }
            GPADL_HEADER => {
                let created = self.channel.describe_pages(machine, payload);
                self.pages_answer(line.text("message", "gpadl-header"), relid, payload, created)
            }
            GPADL_BODY => {
                let created = self.channel.describe_more(machine, payload);
                // It names no channel: there is one.
                self.pages_answer(line.text("message", "gpadl-body"), RELID, payload, created)
            }
            GPADL_TEARDOWN => {
                let handle = u32_at(payload, 12);
                self.channel.forget_pages(handle);
                let answer = self.answer(line.text("message", "gpadl-teardown"));
                answer.and(self.message(GPADL_TORNDOWN, &handle.to_le_bytes()))
            }
            OPEN => {
                let (status, signal) = self.channel.open(machine, payload);
                let line = line.text("message", "open-channel").hex("status", status.into());
                let result = words::<3, 12>([relid, u32_at(payload, 12), status]);
                let answer = Answer { signal, ..self.answer(line) };
                answer.and(self.message(OPEN_RESULT, &result))
            }
            CLOSE => {
                self.channel.close(machine);
                self.answer(line.text("message", "close-channel"))
            }
            RELID_RELEASED => self.answer(line.text("message", "relid-released")),
            MODIFY => {
                self.channel.move_to(u32_at(payload, 12));
                let answer = self.answer(line.text("message", "modify-channel"));
                match self.version {
                    Some(VERSION_5_3..) => {
                        answer.and(self.message(MODIFY_RESPONSE, &words::<2, 8>([relid, 0])))
                    }
                    _ => answer,
                }
            }
            UNLOAD => {
                self.version = None;
                self.channel.reset();
                self.answer(line.text("message", "unload")).and(self.message(UNLOAD_RESPONSE, &[]))
            }
            other => self.answer(line.text("message", "other").number("type", other.into())),
        }
    }

    /// The guest signalled a connection: `Some` if it is the channel's.
    pub fn signalled(&mut self, machine: &mut impl Machine, connection: u32) -> Option<Option<Signal>> {
        (connection == EVENT_CONNECTION).then(|| self.channel.signalled(machine))
    }

    /// Asks the guest to go, now or as soon as it listens.
    pub fn wish(&mut self, machine: &mut impl Machine, wish: Wish) -> Option<Signal> {
        self.channel.wish(machine, wish)
    }

    fn initiate_contact(&mut self, connection: u32, payload: &[u8], line: Line) -> Answer {
        let version = u32_at(payload, 8);
        self.vp = u32_at(payload, 12);
        // From 5.0 on the place of the old interrupt page says which SINT answers go to.
        let sint = u64_at(payload, 16) as u8;
        self.sint = if version >= VERSION_5_0 && sint < 16 { sint } else { DEFAULT_SINT };
        let supported = VERSIONS.contains(&version);
        self.version = supported.then_some(version);
        self.channel.reset();
        let line = line
            .text("message", "initiate-contact")
            .number("major", (version >> 16).into())
            .number("minor", u16_at(payload, 8).into())
            .number("vtl", (u64_at(payload, 16) >> 8 & 0xff) * u64::from(version >= VERSION_5_0))
            .text("answer", if supported { "accepted" } else { "refused" });
        self.answer(line).and(self.message(VERSION_RESPONSE, &words::<2, 8>([supported.into(), connection])))
    }

    /// An answer once all pages are known, or refused.
    fn pages_answer(&self, line: Line, relid: u32, payload: &[u8], created: Option<u32>) -> Answer {
        let Some(status) = created else { return self.answer(line) };
        let body = words::<3, 12>([relid, u32_at(payload, 12), status]);
        self.answer(line.hex("status", status.into())).and(self.message(GPADL_CREATED, &body))
    }

    fn answer(&self, line: Line) -> Answer {
        Answer { vp: self.vp, messages: [None; ANSWERS_MAX], signal: None, line }
    }

    /// Header: type u32, padding u32.
    fn message(&self, kind: u32, body: &[u8]) -> Message {
        let mut payload = [0; OFFER_BYTES];
        payload[..4].copy_from_slice(&kind.to_le_bytes());
        payload[8..8 + body.len()].copy_from_slice(body);
        Message::new(self.sint, CHANNEL_MESSAGE, &payload[..8 + body.len()])
    }
}

/// The offer behind its header (struct vmbus_channel_offer_channel).
fn offer() -> [u8; OFFER_BYTES - 8] {
    /// b6650ff7-33bc-4840-8048-e0676786f393: which one of its kind doesn't matter, as there is one.
    const INSTANCE: [u8; 16] =
        [0xf7, 0x0f, 0x65, 0xb6, 0xbc, 0x33, 0x40, 0x48, 0x80, 0x48, 0xe0, 0x67, 0x67, 0x86, 0xf3, 0x93];
    const DEDICATED_INTERRUPT: u16 = 1;
    let mut offer = [0; OFFER_BYTES - 8];
    offer[..16].copy_from_slice(&shutdown::INTERFACE);
    offer[16..32].copy_from_slice(&INSTANCE);
    offer[176..180].copy_from_slice(&RELID.to_le_bytes());
    offer[182..184].copy_from_slice(&DEDICATED_INTERRUPT.to_le_bytes());
    offer[184..].copy_from_slice(&EVENT_CONNECTION.to_le_bytes());
    offer
}

/// Little-endian words, side by side.
fn words<const COUNT: usize, const BYTES: usize>(words: [u32; COUNT]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}
