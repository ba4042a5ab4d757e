//! Pages of the guest's that it describes to the host once and names by a handle afterwards (GPADL).
//!
//! Each page is checked to be RAM when it is described, and each access checks again by itself.

use crate::{
    Machine,
    machine::{u16_at, u32_at, u64_at},
};

pub const PAGE_BYTES: u64 = 4096;
/// Most pages; the rings of integration services have eight.
pub const PAGES_MAX: usize = 64;

/// STATUS_INVALID_PARAMETER and STATUS_INSUFFICIENT_RESOURCES, as hosts send them.
const INVALID: u32 = 0xc000_000d;
const TOO_MUCH: u32 = 0xc000_009a;

#[derive(Clone, Copy, Debug)]
pub struct Gpadl {
    pub handle: u32,
    /// Frame numbers.
    pages: [u64; PAGES_MAX],
    /// How many there are to be, and how many have come.
    count: usize,
    known: usize,
}

impl Gpadl {
    /// Reads a header message: one range of whole pages, with as many frame numbers as fit.
    ///
    /// # Errors
    /// The status for the guest.
    pub fn begin(machine: &impl Machine, message: &[u8]) -> Result<Gpadl, u32> {
        let (handle, ranges) = (u32_at(message, 12), u16_at(message, 18));
        let (bytes, offset) = (u64::from(u32_at(message, 20)), u32_at(message, 24));
        if handle == 0 || ranges != 1 || offset != 0 || bytes == 0 || bytes % PAGE_BYTES != 0 {
            return Err(INVALID);
        }
        if bytes / PAGE_BYTES > PAGES_MAX as u64 {
            return Err(TOO_MUCH);
        }
        let count = (bytes / PAGE_BYTES) as usize;
        // The byte length of the range that is announced has to be that of the frames it needs.
        if usize::from(u16_at(message, 16)) != 8 + count * 8 {
            return Err(INVALID);
        }
        let mut gpadl = Gpadl { handle, pages: [0; PAGES_MAX], count, known: 0 };
        gpadl.add(machine, message, 28)?;
        Ok(gpadl)
    }

    /// Reads a body message: more frame numbers.
    ///
    /// # Errors
    /// The status for the guest.
    pub fn go_on(&mut self, machine: &impl Machine, message: &[u8]) -> Result<(), u32> {
        self.add(machine, message, 16)
    }

    fn add(&mut self, machine: &impl Machine, message: &[u8], from: usize) -> Result<(), u32> {
        let frames = message.get(from..).unwrap_or_default().chunks_exact(8);
        let before = self.known;
        for frame in frames.take(self.count - self.known) {
            let frame = u64_at(frame, 0);
            let address = frame.checked_mul(PAGE_BYTES).ok_or(INVALID)?;
            if !machine.is_ram(address, PAGE_BYTES) {
                return Err(INVALID);
            }
            self.pages[self.known] = frame;
            self.known += 1;
        }
        // A message without frames would never come to an end.
        if self.known > before { Ok(()) } else { Err(INVALID) }
    }

    pub fn is_complete(&self) -> bool {
        self.known == self.count
    }

    /// Pages from number `first` on; `None` where there are fewer than `count`.
    pub fn part(&self, first: usize, count: usize) -> Option<Pages> {
        let end = first.checked_add(count)?;
        let mut pages = Pages { frames: [0; PAGES_MAX], count };
        pages.frames.get_mut(..count)?.copy_from_slice(self.pages[..self.known].get(first..end)?);
        Some(pages)
    }

    pub fn count(&self) -> usize {
        self.count
    }
}

/// Pages of the guest's, as if they lay side by side.
#[derive(Clone, Copy, Debug)]
pub struct Pages {
    frames: [u64; PAGES_MAX],
    count: usize,
}

impl Pages {
    pub fn bytes(&self) -> u32 {
        (self.count as u64 * PAGE_BYTES) as u32
    }

    /// Reads at `offset`; `None` where that is outside.
    pub fn read(&self, machine: &impl Machine, offset: u32, to: &mut [u8]) -> Option<()> {
        let mut done = 0;
        while done < to.len() {
            let (address, length) = self.piece(offset, done, to.len())?;
            machine.read(address, &mut to[done..done + length]).ok()?;
            done += length;
        }
        Some(())
    }

    /// Writes at `offset`; `None` where that is outside, with a part written perhaps.
    pub fn write(&self, machine: &mut impl Machine, offset: u32, from: &[u8]) -> Option<()> {
        let mut done = 0;
        while done < from.len() {
            let (address, length) = self.piece(offset, done, from.len())?;
            machine.write(address, &from[done..done + length]).ok()?;
            done += length;
        }
        Some(())
    }

    /// Address and length of what lies in one page.
    fn piece(&self, offset: u32, done: usize, length: usize) -> Option<(u64, usize)> {
        let at = u64::from(offset) + done as u64;
        let frame = self.frames[..self.count].get((at / PAGE_BYTES) as usize)?;
        let in_page = at % PAGE_BYTES;
        Some((frame * PAGE_BYTES + in_page, (length - done).min((PAGE_BYTES - in_page) as usize)))
    }
}
