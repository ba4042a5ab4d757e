//! Memory that the kernel maps from its devices: bytes in and out.

use std::{
    io::{self, ErrorKind},
    os::fd::AsFd,
    ptr::NonNull,
};

use nix::sys::mman::{MapFlags, ProtFlags, mmap};

pub const PAGE: usize = 4096;

/// Memory that is shared with whoever else: bytes go in and out, nobody has references into it.
pub struct Shared {
    address: NonNull<u8>,
    bytes: usize,
}

impl Shared {
    /// Maps `bytes` of a device from page number `page` on.
    pub fn map(device: impl AsFd, page: i64, bytes: usize) -> io::Result<Shared> {
        let length = std::num::NonZeroUsize::new(bytes).ok_or(ErrorKind::InvalidInput)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let offset = page.checked_mul(PAGE as i64).ok_or(ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let address = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, device, offset) }?;
        Ok(Shared { address: address.cast(), bytes })
    }

    fn check(&self, at: usize, length: usize) {
        assert!(at.checked_add(length).is_some_and(|end| end <= self.bytes), "within the mapping");
    }

    pub fn get(&self, at: usize, to: &mut [u8]) {
        self.check(at, to.len());
        // SAFETY: within the mapping, which stays as long as the process; what is copied may be of any state.
        unsafe { self.address.as_ptr().add(at).copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
    }

    pub fn put(&self, at: usize, from: &[u8]) {
        self.check(at, from.len());
        // SAFETY: as in `get`.
        unsafe { self.address.as_ptr().add(at).copy_from_nonoverlapping(from.as_ptr(), from.len()) };
    }

    pub fn word(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        self.get(at, &mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// A range of VTL0's memory, as VTL2 sees it.
pub struct Mapping {
    base: u64,
    shared: Shared,
}

impl Mapping {
    pub fn new(base: u64, shared: Shared) -> Mapping {
        Mapping { base, shared }
    }

    pub fn base(&self) -> u64 {
        self.base
    }

    pub fn size(&self) -> u64 {
        self.shared.bytes as u64
    }

    /// `offset` and what follows lie within the mapping.
    pub fn read(&self, offset: usize, to: &mut [u8]) {
        self.shared.get(offset, to);
    }

    /// As above.
    pub fn write(&self, offset: usize, from: &[u8]) {
        self.shared.put(offset, from);
    }

    /// Memory of this process in a device's place, for tests.
    #[cfg(test)]
    pub fn anonymous(base: u64, bytes: usize) -> Mapping {
        let memory = Box::leak(vec![0_u8; bytes].into_boxed_slice());
        Mapping { base, shared: Shared { address: NonNull::from(memory).cast(), bytes } }
    }
}
