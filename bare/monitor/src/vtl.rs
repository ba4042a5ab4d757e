//! Switches between the level of the partition's kernel and the level below it, which that kernel runs (TLFS 15.6, 15.7).
//!
//! The kernel goes down with a VTL return. It comes back when the level below does something that it is to know, with a
//! message in its VP assist page, or when an interrupt is there for it.

use crate::{
    Machine, Partition,
    hypercall::Status,
    json::Line,
    lower::{self, Changes, Intercept, REGISTER_PAGE_BYTES, State},
    machine::u64_at,
    partition::{INTERCEPT, SWITCH, Vp},
};

/// Leaves of CPUID whose use the level above wants to know.
pub const CPUID_LEAVES_MAX: usize = 32;

// `struct hv_vp_assist_page`: offsets, and why the upper level was entered.
const ENTRY_REASON: u64 = 8;
const RETURN_RAX: u64 = 16;
const INTERCEPT_MESSAGE: u64 = 112;
const ASSIST_PAGE_BYTES: u64 = 624;
const REASON_INTERRUPT: u32 = 2;
const REASON_INTERCEPT: u32 = 3;

const ENABLED: u64 = 1;
/// Of the return's control input: RAX and RCX stay as they are (TLFS 15.7.1).
const FAST_RETURN: u64 = 1;
// Of VSM_PARTITION_CONFIG.
const INTERCEPT_PAGE: u64 = 1 << 12;
const INTERCEPT_UNIMPLEMENTED_CPUID: u64 = 1 << 10;
/// VSM_CAPABILITIES: messages come in the VP assist page.
pub(crate) const CAPABILITIES: u64 = 1 << 27;

/// What the level below begins or goes on with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// RAX and RCX, unless they stay.
    pub rax_rcx: Option<[u64; 2]>,
    pub changes: Changes,
}

/// Why the upper level is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit<'a> {
    Interrupt,
    Intercept(&'a Intercept),
}

impl Partition {
    /// A VTL return of processor `vp`, with its control input. `None`: there is no level to go to, or nowhere to say
    /// later what happened there, and the instruction is undefined.
    pub fn enter_lower(&mut self, machine: &mut impl Machine, vp: u32, control: u64) -> Option<Entry> {
        if !self.config.has_lower || self.vsm_partition_config & INTERCEPT_PAGE == 0 {
            return None;
        }
        let state = self.vp(vp)?;
        let (assist, registers) = (state.vp_assist_page, state.register_page);
        let assist = page(machine, assist, ASSIST_PAGE_BYTES)?;
        let mut entry = Entry::default();
        if control & FAST_RETURN == 0 {
            let mut words = [0; 16];
            machine.read(assist + RETURN_RAX, &mut words).ok()?;
            entry.rax_rcx = Some([u64_at(&words, 0), u64_at(&words, 8)]);
        }
        if let Some(registers) = page(machine, registers, REGISTER_PAGE_BYTES as u64) {
            let mut bytes = [0; REGISTER_PAGE_BYTES];
            machine.read(registers, &mut bytes).ok()?;
            entry.changes = lower::changes(&bytes);
            // Not valid while the lower level runs.
            let _ = machine.write(registers + 2, &[0]);
        }
        if self.is_new(SWITCH, 0) {
            machine.report(Line::new("vtl-return").number("vp", vp.into()).end());
        }
        self.counts.vtl_returns += 1;
        Some(entry)
    }

    /// Tells the upper level why it runs again. Pages that it has taken away in the meantime take no message.
    pub fn enter_upper(&mut self, machine: &mut impl Machine, vp: u32, state: &State, exit: Exit) {
        let Some(Vp { vp_assist_page, register_page, .. }) = self.vp(vp).copied() else { return };
        if let Some(registers) = page(machine, register_page, REGISTER_PAGE_BYTES as u64) {
            let _ = machine.write(registers, &lower::register_page(state));
        }
        let reason = match exit {
            Exit::Interrupt => {
                self.counts.vtl_interrupts += 1;
                REASON_INTERRUPT
            }
            Exit::Intercept(intercept) => {
                let kind = intercept.kind();
                self.counts.intercepts[kind] += 1;
                if self.is_new(INTERCEPT, kind as u64) {
                    let line =
                        Line::new("intercept").number("vp", vp.into()).text("kind", lower::KINDS[kind]);
                    machine.report(line.hex("rip", state.rip).end());
                }
                REASON_INTERCEPT
            }
        };
        let Some(assist) = page(machine, vp_assist_page, ASSIST_PAGE_BYTES) else { return };
        if let Exit::Intercept(intercept) = exit {
            let message = lower::message(vp, state, intercept);
            let _ = machine.write(assist + INTERCEPT_MESSAGE, &message);
        }
        let _ = machine.write(assist + ENTRY_REASON, &reason.to_le_bytes());
    }

    /// A call of the level below. There is little for it to ask: what it sees of Hyper-V is for the level above to show.
    /// `None`: undefined, as all VTL switches are for it.
    pub fn lower_hypercall(&mut self, control: u64) -> Option<u64> {
        const NOTIFY_LONG_SPIN_WAIT: u16 = 0x08;
        const VTL_CALL: u16 = 0x11;
        const VTL_RETURN: u16 = 0x12;
        match control as u16 {
            NOTIFY_LONG_SPIN_WAIT => Some(Status::Success as u64),
            VTL_CALL | VTL_RETURN => None,
            _ => Some(Status::InvalidHypercallCode as u64),
        }
    }

    /// Whether the level above wants to know that the level below asked for this leaf. Leaves of Hyper-V's beyond those
    /// that are there come to it when it has asked for unimplemented ones.
    pub fn intercepts_cpuid(&self, leaf: u32) -> bool {
        let is_unimplemented = (0x4000_0007..=0x4000_ffff).contains(&leaf);
        is_unimplemented && self.vsm_partition_config & INTERCEPT_UNIMPLEMENTED_CPUID != 0
            || self.cpuid_leaves[..self.cpuid_leaves_count].contains(&leaf)
    }

    /// HvCallInstallIntercept for a leaf of CPUID; false when there are too many.
    pub(crate) fn intercept_cpuid(&mut self, leaf: u32) -> bool {
        if self.intercepts_cpuid(leaf) {
            return true;
        }
        let Some(free) = self.cpuid_leaves.get_mut(self.cpuid_leaves_count) else { return false };
        *free = leaf;
        self.cpuid_leaves_count += 1;
        true
    }
}

/// The address of a page that a register enables, if `bytes` of it are RAM.
fn page(machine: &impl Machine, register: u64, bytes: u64) -> Option<u64> {
    let address = register & !0xfff;
    (register & ENABLED != 0 && machine.is_ram(address, bytes)).then_some(address)
}
