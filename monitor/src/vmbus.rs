//! A VMBus host with nothing to offer: it agrees on a version, says that all offers are delivered, and lets go.
//!
//! Messages as the guest's driver has them (Linux, include/linux/hyperv.h); TLFS doesn't describe VMBus.

use crate::{
    json::Line,
    machine::{u16_at, u32_at, u64_at},
    synic::Message,
};

/// Connection ids of the host's message port. The guest uses the last one from VTL2, to reach the host's VMBus
/// relay for that level.
pub const CONNECTION: u32 = 1;
pub const CONNECTION_4: u32 = 4;
pub const CONNECTION_VTL2: u32 = 0x80_0074;

/// Type of messages in both directions, as the hypervisor sees them.
const CHANNEL_MESSAGE: u32 = 1;

const REQUEST_OFFERS: u32 = 3;
const ALL_OFFERS_DELIVERED: u32 = 4;
const INITIATE_CONTACT: u32 = 14;
const VERSION_RESPONSE: u32 = 15;
const UNLOAD: u32 = 16;
const UNLOAD_RESPONSE: u32 = 17;

/// 4.0 (Windows 10) to 6.0, newest first.
const VERSIONS: [u32; 7] = [0x6_0000, 0x5_0003, 0x5_0002, 0x5_0001, 0x5_0000, 0x4_0001, 0x4_0000];
const VERSION_5_0: u32 = 0x5_0000;
const DEFAULT_SINT: u8 = 2;

#[derive(Clone, Copy, Debug, Default)]
pub struct Host {
    /// What was agreed on, once it is.
    version: Option<u32>,
    /// Where answers go.
    vp: u32,
    sint: u8,
}

/// What a message leads to.
pub struct Answer {
    pub vp: u32,
    pub message: Option<Message>,
    pub line: Line,
}

impl Host {
    pub const fn new() -> Host {
        Host { version: None, vp: 0, sint: DEFAULT_SINT }
    }

    /// Takes a message that was posted to `connection`, one of those above. One that is too short has zeros.
    pub fn take(&mut self, connection: u32, payload: &[u8]) -> Answer {
        let kind = u32_at(payload, 0);
        let line = Line::new("vmbus").hex("connection", connection.into());
        match kind {
            INITIATE_CONTACT => self.initiate_contact(connection, payload, line),
            REQUEST_OFFERS => {
                let line = line.text("message", "request-offers").number("offers", 0);
                self.answer(line, Some((ALL_OFFERS_DELIVERED, &[])))
            }
            UNLOAD => {
                self.version = None;
                let line = line.text("message", "unload");
                self.answer(line, Some((UNLOAD_RESPONSE, &[])))
            }
            other => self.answer(line.text("message", "other").number("type", other.into()), None),
        }
    }

    fn initiate_contact(&mut self, connection: u32, payload: &[u8], line: Line) -> Answer {
        let version = u32_at(payload, 8);
        self.vp = u32_at(payload, 12);
        // From 5.0 on the place of the old interrupt page says which SINT answers go to.
        let sint = u64_at(payload, 16) as u8;
        self.sint = if version >= VERSION_5_0 && sint < 16 { sint } else { DEFAULT_SINT };
        let supported = VERSIONS.contains(&version);
        self.version = supported.then_some(version);
        let line = line
            .text("message", "initiate-contact")
            .number("major", (version >> 16).into())
            .number("minor", u16_at(payload, 8).into())
            .number("vtl", (u64_at(payload, 16) >> 8 & 0xff) * u64::from(version >= VERSION_5_0))
            .text("answer", if supported { "accepted" } else { "refused" });
        let mut body = [0; 8];
        body[0] = supported.into();
        body[4..].copy_from_slice(&connection.to_le_bytes());
        self.answer(line, Some((VERSION_RESPONSE, &body)))
    }

    fn answer(&self, line: Line, message: Option<(u32, &[u8])>) -> Answer {
        let message = message.map(|(kind, body)| {
            // Header: type u32, padding u32.
            let mut payload = [0; 16];
            payload[..4].copy_from_slice(&kind.to_le_bytes());
            payload[8..8 + body.len()].copy_from_slice(body);
            Message::new(self.sint, CHANNEL_MESSAGE, &payload[..8 + body.len()])
        });
        Answer { vp: self.vp, message, line }
    }
}
