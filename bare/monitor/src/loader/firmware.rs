//! What firmware does for the loader (UEFI 2.10): console, files, memory, and letting go.

use core::{ffi::c_void, ptr::null_mut};

use monitor_core::{efi::place, guest::Region};
use uefi_raw::{
    Handle, Status,
    protocol::{
        file_system::{FileAttribute, FileMode, FileProtocolV1, SimpleFileSystemProtocol},
        loaded_image::LoadedImageProtocol,
    },
    table::{
        boot::{AllocateType, BootServices, MemoryDescriptor, MemoryType},
        system::SystemTable,
    },
};

/// Why there is nothing to boot.
pub struct Problem {
    pub what: &'static str,
    /// A name behind it.
    pub which: &'static str,
    pub status: Status,
}

impl Problem {
    pub const fn new(what: &'static str, which: &'static str) -> Problem {
        Problem { what, which, status: Status::UNSUPPORTED }
    }
}

pub struct Firmware {
    image: Handle,
    table: *const SystemTable,
}

/// RAM that is free once firmware is left.
pub struct Map {
    regions: [Region; Map::MAX],
    count: usize,
    key: usize,
}

impl Map {
    const MAX: usize = 256;

    pub fn usable(&self) -> &[Region] {
        &self.regions[..self.count]
    }
}

/// Longest name of a file, and bytes of firmware's memory map.
const NAME_MAX: usize = 64;
const MAP_BYTES: usize = 128 * 1024;

impl Firmware {
    /// # Safety
    /// `table` is what firmware handed over, and it has not been left.
    pub unsafe fn new(image: Handle, table: *const SystemTable) -> Firmware {
        Firmware { image, table }
    }

    fn services(&self) -> &BootServices {
        // SAFETY: there while firmware is.
        unsafe { &*(*self.table).boot_services }
    }

    pub fn say(&self, texts: &[&str]) {
        // SAFETY: as above.
        let console = unsafe { (*self.table).stdout };
        for byte in texts.iter().flat_map(|text| text.bytes()) {
            let text = [u16::from(byte), 0];
            // SAFETY: a text that ends with 0.
            let _ = unsafe { ((*console).output_string)(console, text.as_ptr()) };
        }
    }

    fn protocol<T>(
        &self,
        handle: Handle,
        guid: &uefi_raw::Guid,
        what: &'static str,
    ) -> Result<*mut T, Problem> {
        let mut found: *mut c_void = null_mut();
        // SAFETY: a handle and an identifier of firmware's.
        let status = unsafe { (self.services().handle_protocol)(handle, guid, &raw mut found) };
        if status.is_error() { Err(Problem { what, which: "", status }) } else { Ok(found.cast()) }
    }

    /// The file system that this program came from.
    pub fn open_volume(&self) -> Result<*mut FileProtocolV1, Problem> {
        const WHAT: &str = "firmware doesn't give the file system that this program is on";
        let image: *mut LoadedImageProtocol = self.protocol(self.image, &LoadedImageProtocol::GUID, WHAT)?;
        // SAFETY: firmware's, while it is there.
        let device = unsafe { (*image).device_handle };
        let volume: *mut SimpleFileSystemProtocol =
            self.protocol(device, &SimpleFileSystemProtocol::GUID, WHAT)?;
        let mut root = null_mut();
        // SAFETY: as above.
        let status = unsafe { ((*volume).open_volume)(volume, &raw mut root) };
        if status.is_error() { Err(Problem { what: WHAT, which: "", status }) } else { Ok(root) }
    }

    /// The content of a file, in memory that stays.
    pub fn read(&self, root: *mut FileProtocolV1, name: &'static str) -> Result<&'static [u8], Problem> {
        let fails = |what| move |status| Problem { what, which: name, status };
        let check = |status: Status| if status.is_error() { Err(status) } else { Ok(()) };
        let mut wide = [0; NAME_MAX];
        for (to, byte) in wide[..NAME_MAX - 1].iter_mut().zip(name.bytes()) {
            *to = u16::from(byte);
        }
        let mut file = null_mut();
        // SAFETY: a folder of firmware's and a name that ends with 0.
        let status = unsafe {
            ((*root).open)(root, &raw mut file, wide.as_ptr(), FileMode::READ, FileAttribute::empty())
        };
        check(status).map_err(fails("the disk lacks "))?;
        let mut size = 0;
        // SAFETY: a file of firmware's; this position is the end of it.
        let status = unsafe { ((*file).set_position)(file, u64::MAX) };
        check(status).map_err(fails("can't find out the size of "))?;
        // SAFETY: as above.
        let status = unsafe { ((*file).get_position)(file, &raw mut size) };
        check(status).map_err(fails("can't find out the size of "))?;
        // SAFETY: as above.
        let status = unsafe { ((*file).set_position)(file, 0) };
        check(status).map_err(fails("can't read "))?;
        let buffer = self.allocate(u64::MAX, size, name)?;
        let mut length = size as usize;
        // SAFETY: a buffer of this length.
        let status = unsafe { ((*file).read)(file, &raw mut length, buffer as *mut c_void) };
        check(status).map_err(fails("can't read "))?;
        if length as u64 != size {
            return Err(fails("can't read all of ")(Status::END_OF_FILE));
        }
        // SAFETY: allocated and never freed.
        Ok(unsafe { core::slice::from_raw_parts(buffer as *const u8, length) })
    }

    /// Whole pages that end below `limit`.
    pub fn allocate(&self, limit: u64, bytes: u64, which: &'static str) -> Result<u64, Problem> {
        let mut address = limit;
        let pages = bytes.div_ceil(place::PAGE).max(1) as usize;
        // SAFETY: firmware finds the memory.
        let status = unsafe {
            (self.services().allocate_pages)(
                AllocateType::MAX_ADDRESS,
                MemoryType::LOADER_DATA,
                pages,
                &raw mut address,
            )
        };
        if status.is_error() {
            Err(Problem { what: "there is too little memory for ", which, status })
        } else {
            Ok(address)
        }
    }

    /// The pages from `start` to `end`, or what they are for can't be.
    pub fn allocate_at(&self, start: u64, end: u64, which: &'static str) -> Result<(), Problem> {
        let mut address = start;
        let pages = (end - start).div_ceil(place::PAGE) as usize;
        // SAFETY: firmware says whether the memory is free.
        let status = unsafe {
            (self.services().allocate_pages)(
                AllocateType::ADDRESS,
                MemoryType::LOADER_DATA,
                pages,
                &raw mut address,
            )
        };
        let what = "there is no memory, or firmware uses it, at the place of ";
        if status.is_error() { Err(Problem { what, which, status }) } else { Ok(()) }
    }

    /// What is RAM and firmware's for as long as it runs only.
    pub fn map(&self) -> Result<Map, Problem> {
        let buffer = self.allocate(u64::MAX, MAP_BYTES as u64, "the memory map")?;
        let (mut size, mut key, mut step, mut version) = (MAP_BYTES, 0, 0, 0);
        // SAFETY: a buffer of this size.
        let status = unsafe {
            (self.services().get_memory_map)(
                &raw mut size,
                buffer as *mut MemoryDescriptor,
                &raw mut key,
                &raw mut step,
                &raw mut version,
            )
        };
        if status.is_error() || step == 0 {
            return Err(Problem { what: "firmware doesn't give the memory map", which: "", status });
        }
        let mut map = Map { regions: [Region::default(); Map::MAX], count: 0, key };
        for at in (0..size).step_by(step) {
            // SAFETY: within what firmware filled; entries are `step` bytes apart.
            let entry = unsafe { &*((buffer as usize + at) as *const MemoryDescriptor) };
            let is_usable = matches!(
                entry.ty,
                MemoryType::CONVENTIONAL
                    | MemoryType::BOOT_SERVICES_CODE
                    | MemoryType::BOOT_SERVICES_DATA
                    | MemoryType::LOADER_CODE
                    | MemoryType::LOADER_DATA
            );
            if is_usable && map.count < Map::MAX {
                let end = entry.phys_start + entry.page_count * place::PAGE;
                map.regions[map.count] = Region { start: entry.phys_start, end };
                map.count += 1;
            }
        }
        map.count = place::merge(&mut map.regions, map.count);
        Ok(map)
    }

    /// Leaves firmware for good. What there was to say must have been said.
    pub fn leave(&self) -> Result<Map, Problem> {
        let mut last = Status::SUCCESS;
        // The map may change while firmware ends its things, for which it asks to be called again.
        for _ in 0..3 {
            let map = self.map()?;
            // SAFETY: afterwards only memory is used that is the loader's.
            last = unsafe { (self.services().exit_boot_services)(self.image, map.key) };
            if !last.is_error() {
                return Ok(map);
            }
        }
        Err(Problem { what: "firmware doesn't let go", which: "", status: last })
    }
}
