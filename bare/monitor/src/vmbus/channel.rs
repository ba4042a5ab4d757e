//! The one channel that the host offers: pages, rings, and the service behind them.

use super::{
    gpadl::Gpadl,
    ring::{Broken, Ring, Sent},
    shutdown::{Outgoing, Service, Wish},
};
use crate::{
    Machine,
    json::Line,
    machine::{u16_at, u32_at},
};

/// Number of the channel, which is also its flag among the guest's event flags.
pub const RELID: u32 = 1;
/// Connection that the guest signals.
pub const EVENT_CONNECTION: u32 = 0x2001;

/// STATUS_UNSUCCESSFUL
const FAILED: u32 = 0xc000_0001;
/// The guest may go on writing while the host reads: after so many packets the rest waits for the next signal.
const PACKETS_MAX: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Open {
    /// Processor that wants the channel's interrupts.
    vp: u32,
    to_host: Ring,
    to_guest: Ring,
    service: Service,
}

/// What was worth a line already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Said {
    Pages,
    Opened,
    Closed,
    Broken,
    Negotiated,
    Asked,
    Answered,
}

#[derive(Clone, Copy, Debug)]
pub struct Channel {
    gpadl: Option<Gpadl>,
    open: Option<Open>,
    wish: Option<Wish>,
    said: u8,
}

/// A processor whose event flag is to be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    pub vp: u32,
}

impl Channel {
    pub const fn new() -> Channel {
        Channel { gpadl: None, open: None, wish: None, said: 0 }
    }

    /// As before the guest heard of it; what is wished for stays.
    pub fn reset(&mut self) {
        (self.gpadl, self.open) = (None, None);
    }

    fn say(&mut self, machine: &mut impl Machine, what: Said, mut line: Line) {
        let bit = 1 << what as u8;
        if self.said & bit == 0 {
            self.said |= bit;
            machine.report(line.end());
        }
    }

    /// GPADL_HEADER: the status to answer with, as soon as all pages are known.
    pub fn describe_pages(&mut self, machine: &mut impl Machine, message: &[u8]) -> Option<u32> {
        // The pages of an open channel are in use.
        if self.open.is_some() || u32_at(message, 8) != RELID {
            return Some(FAILED);
        }
        match Gpadl::begin(machine, message) {
            Ok(gpadl) => {
                self.gpadl = Some(gpadl);
                self.described(machine)
            }
            Err(status) => Some(status),
        }
    }

    /// GPADL_BODY: more pages of the one that isn't complete.
    pub fn describe_more(&mut self, machine: &mut impl Machine, message: &[u8]) -> Option<u32> {
        let handle = u32_at(message, 12);
        let gpadl = self.gpadl.as_mut().filter(|gpadl| gpadl.handle == handle && !gpadl.is_complete())?;
        match gpadl.go_on(machine, message) {
            Ok(()) => self.described(machine),
            Err(status) => {
                self.gpadl = None;
                Some(status)
            }
        }
    }

    fn described(&mut self, machine: &mut impl Machine) -> Option<u32> {
        let gpadl = self.gpadl.filter(Gpadl::is_complete)?;
        let line = Line::new("channel-pages").number("pages", gpadl.count() as u64);
        self.say(machine, Said::Pages, line.hex("gpadl", gpadl.handle.into()));
        Some(0)
    }

    /// GPADL_TEARDOWN
    pub fn forget_pages(&mut self, handle: u32) {
        if self.gpadl.is_some_and(|gpadl| gpadl.handle == handle) {
            self.reset();
        }
    }

    /// OPENCHANNEL: the status, and the processor to signal since the first message is in its ring.
    pub fn open(&mut self, machine: &mut impl Machine, message: &[u8]) -> (u32, Option<Signal>) {
        let (relid, handle) = (u32_at(message, 8), u32_at(message, 16));
        let (vp, offset) = (u32_at(message, 20), u32_at(message, 24) as usize);
        let gpadl = self.gpadl.filter(|gpadl| gpadl.handle == handle && gpadl.is_complete());
        let (Some(gpadl), RELID, None) = (gpadl, relid, self.open) else { return (FAILED, None) };
        let ring = |first, count| gpadl.part(first, count).and_then(Ring::new);
        let behind = gpadl.count().checked_sub(offset);
        let rings = behind.and_then(|behind| Some((ring(0, offset)?, ring(offset, behind)?)));
        let Some((to_host, to_guest)) = rings else { return (FAILED, None) };
        let (service, first) = Service::begin();
        self.open = Some(Open { vp, to_host, to_guest, service });
        let line = Line::new("channel-opened").number("vp", vp.into());
        self.say(machine, Said::Opened, line.number("to_host_pages", offset as u64));
        (0, self.send(machine, &first))
    }

    /// MODIFYCHANNEL: another processor takes the interrupts.
    pub fn move_to(&mut self, vp: u32) {
        if let Some(open) = &mut self.open {
            open.vp = vp;
        }
    }

    /// CLOSECHANNEL
    pub fn close(&mut self, machine: &mut impl Machine) {
        if self.open.take().is_some() {
            self.say(machine, Said::Closed, Line::new("channel-closed"));
        }
    }

    /// The guest has written packets.
    pub fn signalled(&mut self, machine: &mut impl Machine) -> Option<Signal> {
        for _ in 0..PACKETS_MAX {
            let open = self.open.as_mut()?;
            match open.to_host.take(machine) {
                Ok(None) => break,
                Ok(Some(packet)) => {
                    let is_negotiation = u16_at(&packet.head, 12) == 0;
                    let said = if is_negotiation { Said::Negotiated } else { Said::Answered };
                    if let Some(line) = open.service.take(&packet) {
                        self.say(machine, said, line);
                    }
                }
                Err(Broken) => {
                    self.break_down(machine);
                    break;
                }
            }
        }
        self.ask(machine)
    }

    /// What the guest is to be asked, now or as soon as it can be.
    pub fn wish(&mut self, machine: &mut impl Machine, wish: Wish) -> Option<Signal> {
        self.wish = Some(wish);
        self.ask(machine)
    }

    fn ask(&mut self, machine: &mut impl Machine) -> Option<Signal> {
        let (Some(open), Some(wish)) = (&mut self.open, self.wish) else { return None };
        let message = open.service.ask(wish)?;
        self.wish = None;
        let text = if wish == Wish::Restart { "restart" } else { "power-off" };
        self.say(machine, Said::Asked, Line::new("shutdown-asked").text("wish", text));
        self.send(machine, &message)
    }

    fn send(&mut self, machine: &mut impl Machine, message: &Outgoing) -> Option<Signal> {
        let open = self.open.as_mut()?;
        let (vp, bytes) = (open.vp, message.payload_bytes);
        match open.to_guest.send(machine, message.transaction, message.head(), bytes) {
            Ok(Sent::Signal) => Some(Signal { vp }),
            Ok(Sent::Quiet) => None,
            // A ring without room for the first two messages is as useless as a broken one.
            Ok(Sent::NoRoom) | Err(Broken) => {
                self.break_down(machine);
                None
            }
        }
    }

    /// The guest may close it and open it again.
    fn break_down(&mut self, machine: &mut impl Machine) {
        self.open = None;
        self.say(machine, Said::Broken, Line::new("channel-broken"));
    }
}
