//! `/dev/mshv` and its relatives (Linux, drivers/hv/mshv_vtl_main.c, include/uapi/linux/mshv.h): VTL0's memory, its
//! processor's registers, and running it. The only place that talks to the kernel about VTL0.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    config::Range,
    mapping::{Mapping, PAGE, Shared},
    message::{self, MESSAGE_BYTES, Message},
    paging::Paging,
    registers::Value,
};

const DEVICE: &str = "/dev/mshv";
const MEMORY_DEVICE: &str = "/dev/mshv_vtl_low";
const HYPERCALL_DEVICE: &str = "/dev/mshv_hvcall";

/// `struct mshv_vp_registers`.
#[repr(C)]
pub struct VpRegisters {
    count: u32,
    reserved: u32,
    registers: u64,
}

/// `struct hv_register_assoc`.
#[repr(C)]
struct RegisterAssociation {
    name: u32,
    reserved: [u32; 3],
    value: [u64; 2],
}

/// `struct mshv_vtl_set_poll_file`.
#[repr(C)]
pub struct SetPollFile {
    cpu: u32,
    fd: u32,
}

/// `struct mshv_vtl_hvcall_setup`.
#[repr(C)]
pub struct HypercallSetup {
    bitmap_bytes: u64,
    bitmap: u64,
}

/// `struct mshv_vtl_hvcall`.
#[repr(C)]
pub struct Hypercall {
    control: u64,
    input_bytes: u64,
    input: u64,
    status: u64,
    output_bytes: u64,
    output: u64,
}

nix::ioctl_write_ptr!(check_extension, 0xb8, 0x00, u32);
nix::ioctl_read!(create_vtl, 0xb8, 0x1d, u8);
nix::ioctl_readwrite!(get_vp_registers, 0xb8, 0x05, VpRegisters);
nix::ioctl_write_ptr!(set_vp_registers, 0xb8, 0x06, VpRegisters);
nix::ioctl_write_ptr!(hypercall_setup, 0xb8, 0x1e, HypercallSetup);
nix::ioctl_readwrite!(hypercall, 0xb8, 0x1f, Hypercall);
nix::ioctl_write_ptr!(set_poll_file, 0xb8, 0x25, SetPollFile);
nix::ioctl_none!(return_to_lower_vtl, 0xb8, 0x27);

/// MSHV_CAP_REGISTER_PAGE.
const REGISTER_PAGE_CAPABILITY: u32 = 1;

/// VTL0's only processor, which is VTL2's first: whoever runs it stays on that one.
pub struct Mshv {
    vtl: OwnedFd,
    run: Shared,
    registers: Shared,
    hypercalls: File,
}

/// Why VTL2 runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Intercept(Message),
    /// The timer, a signal, or the scheduler.
    Interrupted,
}

// `struct mshv_vtl_run`.
const CANCEL: usize = 0;
const EXIT_MESSAGE: usize = 16;
const GENERAL: usize = 272;
const FX_CONTROL: usize = 400;
const FX_MXCSR: usize = 424;
// `struct hv_vp_register_page`.
const DIRTY: usize = 4;
const RSP: usize = 40;
const RIP: usize = 136;
const RFLAGS: usize = 144;
const CONTROL: usize = 352;
const PENDING_INTERRUPTION: usize = 400;
const INTERRUPT_STATE: usize = 408;
const DIRTY_RSP: u32 = 1 << 0;
const DIRTY_RIP: u32 = 1 << 1;
const DIRTY_RFLAGS: u32 = 1 << 4;

impl Mshv {
    /// Opens the devices; an error says what is missing below.
    pub fn open() -> Result<Mshv, String> {
        let mut first = CpuSet::new();
        first
            .set(0)
            .and_then(|()| sched_setaffinity(Pid::from_raw(0), &first))
            .map_err(|error| format!("can't stay on processor 0: {error}"))?;
        let device = open_device(DEVICE)?;
        // SAFETY: the ioctl reads the number that the pointer leads to.
        match unsafe { check_extension(device.as_raw_fd(), &REGISTER_PAGE_CAPABILITY) } {
            Ok(1) => {}
            Ok(_) => {
                return Err(
                    "there is no VTL0 below this VTL2: the hypervisor gives no page for its intercepts \
                            and registers (VSM capability bit 27)"
                        .to_string(),
                );
            }
            Err(error) => {
                return Err(format!("{DEVICE}: MSHV_CHECK_EXTENSION: {error}: it is not the VTL driver's"));
            }
        }
        let mut unused = 0;
        // SAFETY: the ioctl reads and writes nothing; it returns a new file descriptor.
        let fd = unsafe { create_vtl(device.as_raw_fd(), &mut unused) };
        let fd = fd.map_err(|error| format!("{DEVICE}: MSHV_CREATE_VTL: {error}"))?;
        // SAFETY: a descriptor that nobody else has.
        let vtl = unsafe { OwnedFd::from_raw_fd(fd) };
        let page = |number: i64| Shared::map(vtl.as_fd(), number << 16, PAGE);
        let run = page(0).map_err(|error| format!("{DEVICE}: the run page: {error}"))?;
        let registers = page(1).map_err(|error| format!("{DEVICE}: the register page: {error}"))?;
        // The state of the floating-point unit after reset.
        run.put(FX_CONTROL, &0x037f_u16.to_le_bytes());
        run.put(FX_MXCSR, &0x1f80_u32.to_le_bytes());
        let hypercalls = open_device(HYPERCALL_DEVICE)?;
        allow_hypercalls(&hypercalls, &[INSTALL_INTERCEPT])?;
        Ok(Mshv { vtl, run, registers, hypercalls })
    }

    /// Maps VTL0's memory.
    pub fn map(&self, ranges: &[Range]) -> Result<Vec<Mapping>, String> {
        let device = open_device(MEMORY_DEVICE)?;
        let map = |range: &Range| {
            let page = i64::try_from(range.base / PAGE as u64).map_err(io::Error::other)?;
            let shared = Shared::map(device.as_fd(), page, range.size as usize)?;
            Ok(Mapping::new(range.base, shared))
        };
        let named = |range: &Range| {
            map(range).map_err(|error: io::Error| {
                format!("{MEMORY_DEVICE}: {:#x}+{:#x}: {error}", range.base, range.size)
            })
        };
        ranges.iter().map(named).collect()
    }

    /// Runs VTL0 until it does something, or something else is to be done.
    pub fn run(&self) -> Result<Exit, String> {
        // SAFETY: changes only the pages that are mapped here, which nobody has references into.
        match unsafe { return_to_lower_vtl(self.vtl.as_raw_fd()) } {
            Ok(_) => {
                let mut bytes = [0; MESSAGE_BYTES];
                self.run.get(EXIT_MESSAGE, &mut bytes);
                Ok(Exit::Intercept(message::parse(&bytes)))
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {
                self.run.put(CANCEL, &[0; 4]);
                Ok(Exit::Interrupted)
            }
            Err(error) => Err(format!("{DEVICE}: MSHV_RETURN_TO_LOWER_VTL: {error}")),
        }
    }

    /// When this file becomes readable, [`Mshv::run`] returns.
    pub fn interrupt_by(&self, file: impl AsFd) -> Result<(), String> {
        let set = SetPollFile { cpu: 0, fd: file.as_fd().as_raw_fd() as u32 };
        // SAFETY: the ioctl reads the structure.
        let set = unsafe { set_poll_file(self.vtl.as_raw_fd(), &set) };
        set.map(drop).map_err(|error| format!("{DEVICE}: MSHV_SET_POLL_FILE: {error}"))
    }

    /// A general register by its number in instructions. RSP, number 4, is VTL0's own.
    pub fn general(&self, number: usize) -> u64 {
        match number {
            4 => self.registers.word(RSP),
            _ => self.run.word(GENERAL + number % 16 * 8),
        }
    }

    pub fn set_general(&self, number: usize, value: u64) {
        match number {
            4 => self.change(RSP, value, DIRTY_RSP),
            _ => self.run.put(GENERAL + number % 16 * 8, &value.to_le_bytes()),
        }
    }

    pub fn rip(&self) -> u64 {
        self.registers.word(RIP)
    }

    pub fn set_rip(&self, value: u64) {
        self.change(RIP, value, DIRTY_RIP);
        // Behind another instruction interrupts aren't held back any more.
        self.registers.put(INTERRUPT_STATE, &[0; 8]);
    }

    pub fn rflags(&self) -> u64 {
        self.registers.word(RFLAGS)
    }

    pub fn set_rflags(&self, value: u64) {
        self.change(RFLAGS, value, DIRTY_RFLAGS);
    }

    pub fn paging(&self) -> Paging {
        let word = |number: usize| self.registers.word(CONTROL + number * 8);
        Paging { cr0: word(0), cr3: word(1), cr4: word(2), efer: word(4) }
    }

    /// Whether VTL0 would take an interrupt now: they are on, and nothing else is about to be delivered.
    pub fn takes_interrupts(&self) -> bool {
        const INTERRUPTS_ON: u64 = 1 << 9;
        self.rflags() & INTERRUPTS_ON != 0
            && self.registers.word(INTERRUPT_STATE) & 1 == 0
            && self.registers.word(PENDING_INTERRUPTION) & 1 == 0
    }

    /// Reads a register of VTL0's through the hypervisor.
    pub fn register(&self, name: u32) -> Result<Value, String> {
        let mut association = RegisterAssociation { name, reserved: [0; 3], value: [0; 2] };
        let address = std::ptr::from_mut(&mut association) as u64;
        let mut registers = VpRegisters { count: 1, reserved: 0, registers: address };
        // SAFETY: the ioctl reads one structure and writes the other.
        let got = unsafe { get_vp_registers(self.vtl.as_raw_fd(), &mut registers) };
        got.map_err(|error| format!("{DEVICE}: register {name:#x} of VTL0: {error}"))?;
        // SAFETY: the kernel has written it behind the compiler's back.
        let [low, high] = unsafe { std::ptr::from_ref(&association.value).read_volatile() };
        Ok(u128::from(low) | u128::from(high) << 64)
    }

    /// Writes a register of VTL0's through the hypervisor.
    pub fn set_register(&self, name: u32, value: Value) -> Result<(), String> {
        let value = [value as u64, (value >> 64) as u64];
        let association = RegisterAssociation { name, reserved: [0; 3], value };
        let address = std::ptr::from_ref(&association) as u64;
        let registers = VpRegisters { count: 1, reserved: 0, registers: address };
        // SAFETY: the ioctl reads both structures.
        let set = unsafe { set_vp_registers(self.vtl.as_raw_fd(), &registers) };
        set.map(drop).map_err(|error| format!("{DEVICE}: register {name:#x} of VTL0: {error}"))
    }

    /// From now on VTL0's use of this leaf comes here (HvCallInstallIntercept).
    pub fn intercept_cpuid(&self, leaf: u32) -> Result<(), String> {
        const EXECUTE: u32 = 1 << 2;
        const CPUID: u32 = 2;
        let mut input = [0; 24];
        input[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        input[8..12].copy_from_slice(&EXECUTE.to_le_bytes());
        input[12..16].copy_from_slice(&CPUID.to_le_bytes());
        input[16..20].copy_from_slice(&leaf.to_le_bytes());
        let mut call = Hypercall {
            control: INSTALL_INTERCEPT.into(),
            input_bytes: input.len() as u64,
            input: input.as_ptr() as u64,
            status: 0,
            output_bytes: 0,
            output: 0,
        };
        // SAFETY: the ioctl reads the input and writes the structure.
        unsafe { hypercall(self.hypercalls.as_raw_fd(), &mut call) }
            .map_err(|error| format!("{HYPERCALL_DEVICE}: {error}"))?;
        match call.status & 0xffff {
            0 => Ok(()),
            status => {
                Err(format!("the hypervisor doesn't intercept leaf {leaf:#x} of CPUID: status {status:#x}"))
            }
        }
    }

    fn change(&self, at: usize, value: u64, dirty: u32) {
        let mut bytes = [0; 4];
        self.registers.get(DIRTY, &mut bytes);
        self.registers.put(at, &value.to_le_bytes());
        self.registers.put(DIRTY, &(u32::from_le_bytes(bytes) | dirty).to_le_bytes());
    }
}

const INSTALL_INTERCEPT: u16 = 0x4d;

/// By default the device lets no hypercall through.
fn allow_hypercalls(device: &File, codes: &[u16]) -> Result<(), String> {
    let mut bitmap = [0_u8; 1 << 13];
    for code in codes {
        bitmap[usize::from(code / 8)] |= 1 << (code % 8);
    }
    let setup = HypercallSetup { bitmap_bytes: bitmap.len() as u64, bitmap: bitmap.as_ptr() as u64 };
    // SAFETY: the ioctl reads the structure and the bitmap.
    let allowed = unsafe { hypercall_setup(device.as_raw_fd(), &setup) };
    allowed.map(drop).map_err(|error| format!("{HYPERCALL_DEVICE}: MSHV_HVCALL_SETUP: {error}"))
}

fn open_device(path: &str) -> Result<File, String> {
    OpenOptions::new().read(true).write(true).open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!(
            "{path} is not there: the kernel has no driver for the levels below (CONFIG_MSHV_VTL), or the driver \
             found no Hyper-V that runs this kernel at VTL2"
        ),
        _ => format!("{path}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_driver_names_the_symbol() {
        let error = open_device("/dev/mshv-that-is-not-there").unwrap_err();
        assert!(error.contains("CONFIG_MSHV_VTL") && error.contains("VTL2"), "{error}");
        // Another driver's device is no help either.
        let error = allow_hypercalls(&File::open("/dev/null").unwrap(), &[1]).unwrap_err();
        assert!(error.contains("MSHV_HVCALL_SETUP"), "{error}");
    }

    #[test]
    fn sizes_are_the_kernels() {
        assert_eq!(size_of::<VpRegisters>(), 16);
        assert_eq!(size_of::<RegisterAssociation>(), 32);
        assert_eq!(size_of::<Hypercall>(), 48);
    }
}
