//! Ring buffers of a channel: a page with indices and flags, then data, written by one side and read by the other.
//!
//! The guest writes what it likes there at any time. So each side's own index is kept here and never read back, the
//! other's is checked each time, and no amount of packets keeps the host for longer than a ring is large.

use core::sync::atomic::{Ordering, fence};

use super::gpadl::{PAGE_BYTES, Pages};
use crate::{Machine, machine::u16_at};

// Offsets in the first page (Linux, include/linux/hyperv.h, struct hv_ring_buffer).
const WRITE_INDEX: u32 = 0;
const READ_INDEX: u32 = 4;
const INTERRUPT_MASK: u32 = 8;

/// Type, offset of the payload and length in units of 8 bytes, flags, transaction id.
const DESCRIPTOR_BYTES: u32 = 16;
/// Behind each packet: where it begins, which nobody reads.
const TRAILER_BYTES: u32 = 8;
const IN_BAND: u16 = 6;

/// The guest's part of a ring makes no sense: the channel is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// First bytes of a packet's payload: all that any packet here says.
pub const HEAD_BYTES: usize = 64;

/// A packet from the guest.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    pub is_in_band: bool,
    /// Zeros behind the payload's end.
    pub head: [u8; HEAD_BYTES],
    pub payload_bytes: u32,
}

/// One direction of a channel.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    pages: Pages,
    /// The host's own index: where it reads next, or writes.
    index: u32,
}

impl Ring {
    /// Both indices are to be zero at the start; `None` without a page for data.
    pub fn new(pages: Pages) -> Option<Ring> {
        (u64::from(pages.bytes()) >= 2 * PAGE_BYTES).then_some(Ring { pages, index: 0 })
    }

    fn data_bytes(&self) -> u32 {
        self.pages.bytes() - PAGE_BYTES as u32
    }

    fn word(&self, machine: &impl Machine, offset: u32) -> Result<u32, Broken> {
        let mut bytes = [0; 4];
        self.pages.read(machine, offset, &mut bytes).ok_or(Broken)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// An index that the guest wrote.
    fn index(&self, machine: &impl Machine, offset: u32) -> Result<u32, Broken> {
        let index = self.word(machine, offset)?;
        if index < self.data_bytes() && index.is_multiple_of(8) { Ok(index) } else { Err(Broken) }
    }

    /// Reads data at an index below the end, going on at the start behind it.
    fn copy_out(&self, machine: &impl Machine, at: u32, to: &mut [u8]) -> Result<(), Broken> {
        let first = to.len().min((self.data_bytes() - at) as usize);
        let (head, tail) = to.split_at_mut(first);
        self.pages.read(machine, PAGE_BYTES as u32 + at, head).ok_or(Broken)?;
        self.pages.read(machine, PAGE_BYTES as u32, tail).ok_or(Broken)
    }

    fn copy_in(&self, machine: &mut impl Machine, at: u32, from: &[u8]) -> Result<(), Broken> {
        let first = from.len().min((self.data_bytes() - at) as usize);
        let (head, tail) = from.split_at(first);
        self.pages.write(machine, PAGE_BYTES as u32 + at, head).ok_or(Broken)?;
        self.pages.write(machine, PAGE_BYTES as u32, tail).ok_or(Broken)
    }

    fn after(&self, at: u32, bytes: u32) -> u32 {
        (at + bytes) % self.data_bytes()
    }

    /// Takes the oldest packet of the guest's, if there is one.
    pub fn take(&mut self, machine: &mut impl Machine) -> Result<Option<Packet>, Broken> {
        let data = self.data_bytes();
        let written = (self.index(machine, WRITE_INDEX)? + data - self.index) % data;
        if written == 0 {
            return Ok(None);
        }
        // Indices before data.
        fence(Ordering::Acquire);
        let mut descriptor = [0; DESCRIPTOR_BYTES as usize];
        self.copy_out(machine, self.index, &mut descriptor)?;
        let begin = u32::from(u16_at(&descriptor, 2)) * 8;
        let end = u32::from(u16_at(&descriptor, 4)) * 8;
        if begin < DESCRIPTOR_BYTES || end < begin || end + TRAILER_BYTES > written {
            return Err(Broken);
        }
        let mut head = [0; HEAD_BYTES];
        let length = (end - begin).min(HEAD_BYTES as u32) as usize;
        self.copy_out(machine, self.after(self.index, begin), &mut head[..length])?;
        self.index = self.after(self.index, end + TRAILER_BYTES);
        self.pages.write(machine, READ_INDEX, &self.index.to_le_bytes()).ok_or(Broken)?;
        // The guest signals into an empty ring alone: whoever looks again has to see what it wrote meanwhile.
        fence(Ordering::SeqCst);
        let is_in_band = u16_at(&descriptor, 0) == IN_BAND;
        Ok(Some(Packet { is_in_band, head, payload_bytes: end - begin }))
    }

    /// Sends a packet: `head`, then zeros up to `payload_bytes`. Says whether it fits and the guest wants to hear of it.
    pub fn send(
        &mut self,
        machine: &mut impl Machine,
        transaction: u64,
        head: &[u8],
        payload_bytes: u32,
    ) -> Result<Sent, Broken> {
        let data = self.data_bytes();
        let payload_bytes = payload_bytes.max(head.len() as u32);
        let padded = payload_bytes.next_multiple_of(8);
        let total = DESCRIPTOR_BYTES + padded + TRAILER_BYTES;
        let waiting = (self.index + data - self.index(machine, READ_INDEX)?) % data;
        // A full ring would look like an empty one.
        if total >= data - waiting {
            return Ok(Sent::NoRoom);
        }
        let mut descriptor = [0; DESCRIPTOR_BYTES as usize];
        descriptor[..2].copy_from_slice(&IN_BAND.to_le_bytes());
        descriptor[2..4].copy_from_slice(&((DESCRIPTOR_BYTES / 8) as u16).to_le_bytes());
        descriptor[4..6].copy_from_slice(&(((DESCRIPTOR_BYTES + padded) / 8) as u16).to_le_bytes());
        descriptor[8..].copy_from_slice(&transaction.to_le_bytes());
        self.copy_in(machine, self.index, &descriptor)?;
        let mut at = self.after(self.index, DESCRIPTOR_BYTES);
        self.copy_in(machine, at, head)?;
        at = self.after(at, head.len() as u32);
        let mut left = padded - head.len() as u32;
        while left > 0 {
            let length = left.min(HEAD_BYTES as u32);
            self.copy_in(machine, at, &[0; HEAD_BYTES][..length as usize])?;
            at = self.after(at, length);
            left -= length;
        }
        self.copy_in(machine, at, &(u64::from(self.index) << 32).to_le_bytes())?;
        self.index = self.after(at, TRAILER_BYTES);
        // Data before indices, indices before the question.
        fence(Ordering::Release);
        self.pages.write(machine, WRITE_INDEX, &self.index.to_le_bytes()).ok_or(Broken)?;
        fence(Ordering::SeqCst);
        Ok(if self.word(machine, INTERRUPT_MASK)? == 0 { Sent::Signal } else { Sent::Quiet })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The guest wants to be told.
    Signal,
    /// It looks by itself.
    Quiet,
    NoRoom,
}
