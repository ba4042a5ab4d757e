//! The partition: what the guest has set, what it is told, and what of that was worth a line in the report.

use crate::{
    Machine,
    json::Line,
    lower::KINDS,
    register,
    synic::Synic,
    vmbus::{self, Host, Signal, Wish},
    vtl,
};

/// Most virtual processors.
pub const VPS_MAX: usize = 64;
/// Distinct events that are reported at their first time; what comes beyond is counted only.
const SEEN_MAX: usize = 192;
/// Distinct things that were asked for and aren't implemented.
const UNIMPLEMENTED_MAX: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    X86_64,
    Aarch64,
}

/// What the partition is, decided before the guest runs.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub arch: Arch,
    /// The Virtual Trust Level that the guest is told.
    pub vtl: u8,
    /// There is a level 0 below, which the guest runs (x86-64).
    pub has_lower: bool,
    /// Virtual processors, at most [`VPS_MAX`]; their indices are 0 and up.
    pub vps: u32,
    /// Frequency of the time stamp counter (x86-64).
    pub tsc_hz: u64,
    /// Frequency of the local APIC's timer (x86-64).
    pub apic_hz: u64,
}

/// State of one virtual processor.
#[derive(Clone, Copy, Debug)]
pub struct Vp {
    pub synic: Synic,
    pub vp_assist_page: u64,
    /// Where the guest finds registers of the level below it.
    pub register_page: u64,
    /// A VTL above 0 was enabled on it (x86-64; TLFS, HvCallEnableVpVtl).
    pub vtl_enabled: bool,
    /// It runs, or was told to.
    pub started: bool,
}

const IDLE: Vp =
    Vp { synic: Synic::new(), vp_assist_page: 0, register_page: 0, vtl_enabled: false, started: false };

/// How often what happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub hypercalls: u64,
    pub failed_hypercalls: u64,
    pub register_reads: u64,
    pub register_writes: u64,
    pub cpuids: u64,
    pub messages: u64,
    pub events: u64,
    /// Of the level below: by kind, interrupts of the level above that came meanwhile, and entries.
    pub intercepts: [u64; KINDS.len()],
    pub vtl_interrupts: u64,
    pub vtl_returns: u64,
}

/// What something unimplemented was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unimplemented {
    Hypercall,
    Register,
    Msr,
    Smccc,
}

impl Unimplemented {
    fn name(self) -> &'static str {
        match self {
            Unimplemented::Hypercall => "hypercall",
            Unimplemented::Register => "register",
            Unimplemented::Msr => "msr",
            Unimplemented::Smccc => "smccc",
        }
    }
}

pub struct Partition {
    pub config: Config,
    pub counts: Counts,
    pub(crate) vps: [Vp; VPS_MAX],
    pub(crate) guest_os_id: u64,
    pub(crate) hypercall_page: u64,
    pub(crate) reference_tsc: u64,
    pub(crate) vsm_partition_config: u64,
    pub(crate) crash: [u64; 5],
    pub(crate) vmbus: Host,
    pub(crate) cpuid_leaves: [u32; vtl::CPUID_LEAVES_MAX],
    pub(crate) cpuid_leaves_count: usize,
    seen: [(u32, u64); SEEN_MAX],
    seen_count: usize,
    unimplemented: [(Unimplemented, u64, u64); UNIMPLEMENTED_MAX],
    unimplemented_count: usize,
}

impl Partition {
    /// Processor 0 runs from the start.
    pub const fn new(config: Config) -> Partition {
        let mut vps = [IDLE; VPS_MAX];
        vps[0].started = true;
        vps[0].vtl_enabled = true;
        Partition {
            config,
            counts: Counts {
                hypercalls: 0,
                failed_hypercalls: 0,
                register_reads: 0,
                register_writes: 0,
                cpuids: 0,
                messages: 0,
                events: 0,
                intercepts: [0; KINDS.len()],
                vtl_interrupts: 0,
                vtl_returns: 0,
            },
            vps,
            guest_os_id: 0,
            hypercall_page: 0,
            reference_tsc: 0,
            vsm_partition_config: 0,
            crash: [0; 5],
            vmbus: Host::new(),
            cpuid_leaves: [0; vtl::CPUID_LEAVES_MAX],
            cpuid_leaves_count: 0,
            seen: [(0, 0); SEEN_MAX],
            seen_count: 0,
            unimplemented: [(Unimplemented::Hypercall, 0, 0); UNIMPLEMENTED_MAX],
            unimplemented_count: 0,
        }
    }

    /// The processor with this index, where there is one.
    pub(crate) fn vp(&mut self, index: u32) -> Option<&mut Vp> {
        let vps = (self.config.vps as usize).min(VPS_MAX);
        self.vps[..vps].get_mut(index as usize)
    }

    /// Whether this is the first time that something with this kind and number happens.
    pub(crate) fn is_new(&mut self, kind: u32, number: u64) -> bool {
        if self.seen_count == SEEN_MAX || self.seen[..self.seen_count].contains(&(kind, number)) {
            return false;
        }
        self.seen[self.seen_count] = (kind, number);
        self.seen_count += 1;
        true
    }

    /// Asks the guest to switch off or restart, over VMBus, now or as soon as its driver listens.
    pub fn wish(&mut self, machine: &mut impl Machine, wish: Wish) {
        let signal = self.vmbus.wish(machine, wish);
        self.signal(machine, signal);
    }

    /// Carries out what came in as a byte: `p` asks the guest to power off, `r` to restart.
    pub fn request(&mut self, machine: &mut impl Machine, byte: u8) {
        match byte {
            b'p' => self.wish(machine, Wish::PowerOff),
            b'r' => self.wish(machine, Wish::Restart),
            other => machine.report(Line::new("unknown-request").number("byte", other.into()).end()),
        }
    }

    /// Processors that run, or were told to.
    pub fn started(&self) -> usize {
        self.vps.iter().filter(|vp| vp.started).count()
    }

    /// Raises the channel's event flag. A processor that the guest made up, or did not prepare, gets nothing.
    pub(crate) fn signal(&mut self, machine: &mut impl Machine, signal: Option<Signal>) {
        let sint = self.vmbus.sint();
        if let Some(Signal { vp }) = signal
            && let Some(state) = self.vp(vp)
        {
            state.synic.signal(machine, vp, sint, vmbus::RELID);
        }
    }

    /// Counts what was asked for in vain, and reports its first time.
    pub fn unimplemented(
        &mut self,
        machine: &mut impl Machine,
        what: Unimplemented,
        number: u64,
        status: u64,
    ) {
        let known = &mut self.unimplemented[..self.unimplemented_count];
        if let Some(entry) = known.iter_mut().find(|entry| (entry.0, entry.1) == (what, number)) {
            entry.2 += 1;
            return;
        }
        if self.unimplemented_count < UNIMPLEMENTED_MAX {
            self.unimplemented[self.unimplemented_count] = (what, number, 1);
            self.unimplemented_count += 1;
            let line = Line::new("unimplemented").text("what", what.name()).hex("number", number);
            machine.report(line.hex("status", status).end());
        }
    }

    /// The last lines of the report: how the guest ended, and how often it asked for what.
    pub fn end(&self, machine: &mut impl Machine, reason: &str, exits: u64) {
        for (what, number, count) in &self.unimplemented[..self.unimplemented_count] {
            let line = Line::new("unimplemented-total").text("what", what.name()).hex("number", *number);
            machine.report(line.number("count", *count).end());
        }
        let counts = &self.counts;
        if counts.vtl_returns > 0 {
            let line = Line::new("lower-level").number("vtl_returns", counts.vtl_returns);
            let line = line.number("interrupts", counts.vtl_interrupts);
            let kinds = KINDS.into_iter().zip(counts.intercepts);
            let mut line = kinds.fold(line, |line, (kind, count)| line.number(kind, count));
            machine.report(line.end());
        }
        let line = Line::new("end")
            .text("reason", reason)
            .number("exits", exits)
            .number("hypercalls", counts.hypercalls)
            .number("failed_hypercalls", counts.failed_hypercalls)
            .number("register_reads", counts.register_reads)
            .number("register_writes", counts.register_writes)
            .number("cpuids", counts.cpuids)
            .number("messages", counts.messages)
            .number("events", counts.events);
        machine.report(line.number("time_100ns", machine.now_100ns()).end());
    }

    /// Reads a register of processor `vp`; `None` for one that isn't implemented. 128 bits, low half first.
    pub fn get_register(&mut self, machine: &mut impl Machine, vp: u32, name: u32) -> Option<[u64; 2]> {
        use crate::cpuid::{features, hints, limits, version};
        let wide =
            |[a, b, c, d]: [u32; 4]| [u64::from(a) | u64::from(b) << 32, u64::from(c) | u64::from(d) << 32];
        let config = self.config;
        let value = match name {
            register::HYPERVISOR_VERSION => wide(version()),
            // The registers have the words of the CPUID leaf except that the third is what EDX holds there.
            register::PRIVILEGES_AND_FEATURES => {
                let [low, high, _, misc] = features(config.arch);
                wide([low, high, misc, 0])
            }
            register::FEATURES => wide(hints()),
            register::IMPLEMENTATION_LIMITS => wide(limits(&config)),
            register::GUEST_CRASH_P0..register::GUEST_CRASH_CTL => {
                [self.crash[(name - register::GUEST_CRASH_P0) as usize], 0]
            }
            register::GUEST_CRASH_CTL => [CRASH_NOTIFY | CRASH_NOTIFY_MESSAGE, 0],
            register::GUEST_OS_ID => [self.guest_os_id, 0],
            register::VP_INDEX => [u64::from(vp), 0],
            register::TIME_REF_COUNT => [machine.now_100ns(), 0],
            register::VP_ASSIST_PAGE => [self.vp(vp)?.vp_assist_page, 0],
            register::REFERENCE_TSC => [self.reference_tsc, 0],
            register::VSM_CODE_PAGE_OFFSETS => [crate::msr::CODE_PAGE_OFFSETS, 0],
            register::VSM_VP_STATUS => [u64::from(config.vtl & 0xf), 0],
            register::VSM_PARTITION_STATUS => [(1 << config.vtl | 1) | u64::from(config.vtl) << 16, 0],
            register::VSM_CAPABILITIES => [if config.has_lower { vtl::CAPABILITIES } else { 0 }, 0],
            register::REGISTER_PAGE if config.has_lower => [self.vp(vp)?.register_page, 0],
            register::VSM_PARTITION_CONFIG => [self.vsm_partition_config, 0],
            name => [self.vp(vp)?.synic.get(name)?, 0],
        };
        self.counts.register_reads += 1;
        if self.is_new(READ, u64::from(name)) {
            let line = Line::new("register-read").number("vp", vp.into()).hex("register", name.into());
            machine.report(line.text("name", register::name(name)).hex("value", value[0]).end());
        }
        Some(value)
    }

    /// Writes a register of processor `vp`; `None` for one that isn't implemented or can't be written.
    pub fn set_register(&mut self, machine: &mut impl Machine, vp: u32, name: u32, value: u64) -> Option<()> {
        match name {
            register::GUEST_OS_ID => self.guest_os_id = value,
            register::GUEST_CRASH_P0..register::GUEST_CRASH_CTL => {
                self.crash[(name - register::GUEST_CRASH_P0) as usize] = value;
            }
            register::GUEST_CRASH_CTL => self.report_crash(machine, vp, value),
            register::VP_ASSIST_PAGE => self.vp(vp)?.vp_assist_page = value,
            register::REGISTER_PAGE if self.config.has_lower => self.vp(vp)?.register_page = value,
            register::REFERENCE_TSC => self.set_reference_tsc(machine, value),
            register::VSM_PARTITION_CONFIG if self.config.vtl > 0 => self.vsm_partition_config = value,
            name => self.vp(vp)?.synic.set(machine, vp, name, value)?,
        }
        self.counts.register_writes += 1;
        if self.is_new(WRITE, u64::from(name)) {
            let line = Line::new("register-write").number("vp", vp.into()).hex("register", name.into());
            machine.report(line.text("name", register::name(name)).hex("value", value).end());
        }
        Some(())
    }

    /// TLFS, "Partition Reference Time Enlightenment": the page from which the guest computes the reference time
    /// without asking.
    fn set_reference_tsc(&mut self, machine: &mut impl Machine, value: u64) {
        self.reference_tsc = value;
        if value & 1 == 0 || self.config.tsc_hz == 0 {
            return;
        }
        let tsc_hz = u128::from(self.config.tsc_hz);
        let scale = ((10_000_000_u128 << 64) / tsc_hz) as u64;
        let mut page = [0; 24];
        page[0] = 1;
        page[8..16].copy_from_slice(&scale.to_le_bytes());
        // Outside RAM there is nothing to write; the guest then reads what is there, as on real hardware.
        let _ = machine.write(value & !0xfff, &page);
    }

    /// TLFS, "Guest Crash Enlightenment Interface": the kernel says that it dies.
    /// TLFS, "Guest Crash Enlightenments": with a message, P3 and P4 are its address and length.
    fn report_crash(&mut self, machine: &mut impl Machine, vp: u32, control: u64) {
        let mut line = Line::new("guest-crash").number("vp", vp.into());
        for (name, value) in ["p0", "p1", "p2", "p3", "p4"].into_iter().zip(self.crash) {
            line = line.hex(name, value);
        }
        let mut message = [0; CRASH_MESSAGE_BYTES_MAX];
        let [.., address, length] = self.crash;
        let message = &mut message[..length.min(CRASH_MESSAGE_BYTES_MAX as u64) as usize];
        if control & CRASH_NOTIFY_MESSAGE != 0 && machine.read(address, message).is_ok() {
            line = line.text("message", core::str::from_utf8(message).unwrap_or("no text"));
        }
        machine.report(line.end());
    }
}

/// Of a crash's message, what goes into the report.
const CRASH_MESSAGE_BYTES_MAX: usize = 256;

const CRASH_NOTIFY_MESSAGE: u64 = 1 << 62;
const CRASH_NOTIFY: u64 = 1 << 63;

// Kinds of events that are reported at their first time.
const READ: u32 = 1;
const WRITE: u32 = 2;
pub(crate) const CALL: u32 = 3;
pub(crate) const MESSAGE: u32 = 4;
pub(crate) const INTERCEPT: u32 = 5;
pub(crate) const SWITCH: u32 = 6;
