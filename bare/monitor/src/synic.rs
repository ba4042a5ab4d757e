//! The synthetic interrupt controller of one processor (TLFS, "Inter-Partition Communication"): message slots in a
//! page of the guest's, and a queue for what doesn't fit there yet.

use crate::{Machine, register};

pub const SINTS: usize = 16;
/// Size of a message slot, header included (TLFS, "SIM Page").
pub const MESSAGE_BYTES: usize = 256;
/// Header: type u32, payload size u8, flags u8, two reserved bytes, sender u64.
pub const HEADER_BYTES: usize = 16;
pub const PAYLOAD_BYTES_MAX: usize = MESSAGE_BYTES - HEADER_BYTES;
/// Event flags of a SINT, a bit each (TLFS, "SIEFP Register").
const EVENT_FLAG_BYTES: usize = 256;

/// Messages that wait until the guest has emptied the slot.
const QUEUE_LENGTH: usize = 4;
/// Flag in a message's header: another one waits, so write EOM after reading this one.
const MESSAGE_PENDING: u8 = 1;
const MASKED: u64 = 1 << 16;
const ENABLED: u64 = 1;
const PAGE_MASK: u64 = !0xfff;

#[derive(Clone, Copy, Debug)]
pub struct Message {
    pub sint: u8,
    bytes: [u8; MESSAGE_BYTES],
}

impl Message {
    /// A message of type `kind`; a payload beyond the longest is cut.
    pub fn new(sint: u8, kind: u32, payload: &[u8]) -> Message {
        let payload = &payload[..payload.len().min(PAYLOAD_BYTES_MAX)];
        let mut bytes = [0; MESSAGE_BYTES];
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[4] = payload.len() as u8;
        bytes[HEADER_BYTES..HEADER_BYTES + payload.len()].copy_from_slice(payload);
        Message { sint, bytes }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Synic {
    scontrol: u64,
    siefp: u64,
    simp: u64,
    sints: [u64; SINTS],
    queue: [Option<Message>; QUEUE_LENGTH],
}

impl Default for Synic {
    fn default() -> Synic {
        Synic::new()
    }
}

impl Synic {
    pub const fn new() -> Synic {
        Synic { scontrol: 0, siefp: 0, simp: 0, sints: [MASKED; SINTS], queue: [None; QUEUE_LENGTH] }
    }

    pub fn get(&self, name: u32) -> Option<u64> {
        Some(match name {
            register::SINT0..=register::SINT15 => self.sints[(name - register::SINT0) as usize],
            register::SCONTROL => self.scontrol,
            register::SVERSION => 1,
            register::SIEFP => self.siefp,
            register::SIMP => self.simp,
            register::EOM => 0,
            _ => return None,
        })
    }

    pub fn set(&mut self, machine: &mut impl Machine, vp: u32, name: u32, value: u64) -> Option<()> {
        match name {
            register::SINT0..=register::SINT15 => self.sints[(name - register::SINT0) as usize] = value,
            register::SCONTROL => self.scontrol = value,
            register::SIEFP => self.siefp = value,
            register::SIMP => self.simp = value,
            register::EOM => {}
            _ => return None,
        }
        // Any of them may be what a waiting message waited for.
        self.deliver(machine, vp);
        Some(())
    }

    /// Queues a message and delivers what can be; false if the queue is full.
    pub fn post(&mut self, machine: &mut impl Machine, vp: u32, message: Message) -> bool {
        let Some(free) = self.queue.iter_mut().find(|entry| entry.is_none()) else { return false };
        *free = Some(message);
        self.deliver(machine, vp);
        true
    }

    /// How many messages can wait still.
    pub fn room(&self) -> usize {
        self.queue.iter().filter(|entry| entry.is_none()).count()
    }

    /// Raises an event flag of a SINT (TLFS, "SIEFP Register"); false if the guest has not set that up.
    pub fn signal(&self, machine: &mut impl Machine, vp: u32, sint: u8, flag: u32) -> bool {
        let sint = usize::from(sint) % SINTS;
        if self.scontrol & ENABLED == 0 || self.siefp & ENABLED == 0 || self.sints[sint] & MASKED != 0 {
            return false;
        }
        let at = (self.siefp & PAGE_MASK) + (sint * EVENT_FLAG_BYTES) as u64 + u64::from(flag / 8);
        let mut flags = [0];
        if flag as usize >= EVENT_FLAG_BYTES * 8 || machine.read(at, &mut flags).is_err() {
            return false;
        }
        // The guest may clear flags meanwhile; the one channel's is alone in its byte.
        let _ = machine.write(at, &[flags[0] | 1 << (flag % 8)]);
        machine.interrupt(vp, (self.sints[sint] & 0xff) as u32);
        true
    }

    /// Puts the oldest message of each SINT into its slot, if that is empty (TLFS, \"EOM Register\").
    fn deliver(&mut self, machine: &mut impl Machine, vp: u32) {
        for number in 0..QUEUE_LENGTH {
            let Some(message) = self.queue[number] else { continue };
            if self.queue[..number].iter().flatten().any(|earlier| earlier.sint == message.sint) {
                continue;
            }
            if self.place(machine, vp, &message) {
                self.queue[number] = None;
            }
        }
        // The queue keeps its order.
        let mut kept = self.queue.into_iter().flatten();
        self.queue = core::array::from_fn(|_| kept.next());
    }

    fn place(&self, machine: &mut impl Machine, vp: u32, message: &Message) -> bool {
        let sint = usize::from(message.sint) % SINTS;
        if self.scontrol & ENABLED == 0 || self.simp & ENABLED == 0 || self.sints[sint] & MASKED != 0 {
            return false;
        }
        let slot = (self.simp & PAGE_MASK) + (sint * MESSAGE_BYTES) as u64;
        let mut header = [0; HEADER_BYTES];
        if machine.read(slot, &mut header).is_err() {
            return false;
        }
        if header[..4] != [0; 4] {
            // In use: the flag asks the guest to say when it isn't any more.
            let _ = machine.write(slot + 5, &[header[5] | MESSAGE_PENDING]);
            return false;
        }
        // The type goes last: the guest takes the slot for empty until then.
        let (kind, rest) = message.bytes.split_at(4);
        if machine.write(slot + 4, rest).is_err() || machine.write(slot, kind).is_err() {
            return false;
        }
        machine.interrupt(vp, (self.sints[sint] & 0xff) as u32);
        true
    }
}
