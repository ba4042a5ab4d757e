//! VTL0's processor: runs it, hands over what it does, and delivers interrupts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use crate::{
    device::{Exit, Mshv},
    devices::{apic::Apic, clock::Clock, rtc::Rtc, serial::Serial},
    events::{self, Event},
    intercepts::{Next, cpuid, halt, io, memory, msr},
    memory::Memory,
    message::{Intercept, Message},
    paging,
    registers::{self, Begin},
};

/// How the guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Reset,
    PowerOff,
    /// HLT with nothing that could wake it.
    HaltedForGood,
    TripleFault,
    /// Its processor can't go on with the state that it has.
    InvalidState,
    /// It did something that this program doesn't know how to answer.
    Unhandled(String),
}

impl End {
    fn name(&self) -> &'static str {
        match self {
            End::Reset => "reset",
            End::PowerOff => "power-off",
            End::HaltedForGood => "halted-for-good",
            End::TripleFault => "triple-fault",
            End::InvalidState => "invalid-state",
            End::Unhandled(_) => "unhandled",
        }
    }
}

/// Distinct numbers that are kept of each kind, for the report.
const NOTES_MAX: usize = 64;

pub struct Processor {
    pub mshv: Mshv,
    pub memory: Memory,
    pub clock: Clock,
    pub apic: Apic,
    pub serial: Serial,
    pub rtc: Rtc,
    pub msrs: msr::Msrs,
    counts: BTreeMap<&'static str, u64>,
    notes: BTreeMap<&'static str, BTreeSet<u64>>,
    /// The hypervisor has been asked to say when an interrupt can be taken.
    is_window_asked: bool,
    /// The instruction that VTL0 is at shall fault.
    is_fault_due: bool,
    /// An event has been handed to the hypervisor, and VTL0 hasn't run since.
    is_event_waiting: bool,
    started: Instant,
}

impl Processor {
    pub fn new(mshv: Mshv, memory: Memory) -> Result<Processor, String> {
        let clock = Clock::new()?;
        mshv.interrupt_by(clock.timer())?;
        for leaf in cpuid::LEAVES {
            mshv.intercept_cpuid(leaf)?;
        }
        Ok(Processor {
            mshv,
            memory,
            clock,
            apic: Apic::default(),
            serial: Serial::default(),
            rtc: Rtc::default(),
            msrs: msr::Msrs::default(),
            counts: BTreeMap::new(),
            notes: BTreeMap::new(),
            is_window_asked: false,
            is_fault_due: false,
            is_event_waiting: false,
            started: Instant::now(),
        })
    }

    /// The state in which the guest begins.
    pub fn begin(&mut self, begin: &Begin) -> Result<(), String> {
        for (name, value) in &begin.registers {
            self.mshv.set_register(*name, *value)?;
        }
        self.mshv.set_general(6, begin.rsi);
        Ok(())
    }

    /// Runs the guest to its end. An error is the kernel's or the hypervisor's.
    pub fn run(&mut self) -> Result<End, String> {
        self.started = Instant::now();
        loop {
            self.deliver()?;
            let message = match self.mshv.run()? {
                Exit::Intercept(message) => {
                    self.is_event_waiting = false;
                    message
                }
                Exit::Interrupted => {
                    self.count("interrupted");
                    // It need not have run, and then the event is still to be delivered.
                    self.is_event_waiting = self.is_event_waiting
                        && self.mshv.register(registers::PENDING_INTERRUPTION)? & 1 != 0;
                    continue;
                }
            };
            self.count(message.intercept.kind());
            match self.handle(&message) {
                Next::Skip => {
                    self.mshv.set_rip(message.rip.wrapping_add(message.instruction_length.into()));
                }
                Next::Stay => {}
                Next::Fault => self.is_fault_due = true,
                Next::End(end) => return Ok(end),
            }
        }
    }

    fn handle(&mut self, message: &Message) -> Next {
        match message.intercept {
            Intercept::Io { port, size, is_write, is_string } => {
                io::handle(self, port, size, is_write, is_string)
            }
            Intercept::Msr { number, is_write } => msr::handle(self, number, is_write),
            Intercept::Cpuid { leaf, subleaf, answer } => {
                let [eax, ebx, ecx, edx] = cpuid::answer(leaf, subleaf, answer).map(u64::from);
                for (number, value) in [(0, eax), (3, ebx), (1, ecx), (2, edx)] {
                    self.mshv.set_general(number, value);
                }
                Next::Skip
            }
            Intercept::Memory { address, access } => memory::handle(self, address, access),
            Intercept::Halt => halt::handle(self),
            Intercept::InterruptionDeliverable => {
                self.is_window_asked = false;
                Next::Stay
            }
            Intercept::UnrecoverableException => Next::End(End::TripleFault),
            Intercept::InvalidRegister => Next::End(End::InvalidState),
            Intercept::Other(kind) => Next::End(End::Unhandled(format!("message {kind:#x}"))),
        }
    }

    /// Delivers the event that waits, if there is one, or asks to be told when that can be.
    fn deliver(&mut self) -> Result<(), String> {
        if self.is_event_waiting {
            return Ok(());
        }
        if self.is_fault_due {
            const GENERAL_PROTECTION: u8 = 13;
            self.is_fault_due = false;
            return self.inject(registers::exception(GENERAL_PROTECTION, 0));
        }
        self.apic.advance(self.clock.now_ns());
        let Some(vector) = self.apic.pending() else { return Ok(()) };
        if self.mshv.takes_interrupts() {
            self.wake();
            self.inject(registers::interrupt(vector))?;
            self.apic.accept(vector);
            self.clock.set(self.apic.deadline_ns());
            self.count("interrupts");
        } else if !self.is_window_asked {
            const INTERRUPT: registers::Value = 1 << 1;
            self.mshv.set_register(registers::DELIVERABILITY_NOTIFICATIONS, INTERRUPT)?;
            self.is_window_asked = true;
        }
        Ok(())
    }

    /// An interrupt that comes at a HLT wakes from it. It may come before it, where the processor has lost that interrupts
    /// were held back by the instruction in front (STI): QEMU's forgets that when VTL2 runs in between.
    fn wake(&self) {
        const HALT: u8 = 0xf4;
        let rip = self.mshv.rip();
        let mut byte = [0];
        let count = paging::read(&self.memory, &self.mshv.paging(), rip, &mut byte);
        if (count, byte[0]) == (1, HALT) {
            self.mshv.set_rip(rip.wrapping_add(1));
        }
    }

    fn inject(&mut self, event: registers::Value) -> Result<(), String> {
        self.is_event_waiting = true;
        self.mshv.set_register(registers::PENDING_INTERRUPTION, event)
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Keeps a number for the report.
    pub fn note(&mut self, what: &'static str, number: u64) {
        let known = self.notes.entry(what).or_default();
        if known.len() < NOTES_MAX {
            known.insert(number);
        }
    }

    /// Says how it ended, and what it took.
    pub fn report(&mut self, end: &End) {
        if let Some(line) = self.serial.rest() {
            events::console(&line);
        }
        for (what, numbers) in &self.notes {
            let list: Vec<String> = numbers.iter().map(|number| format!("{number:#x}")).collect();
            Event::new("touched").text("what", what).text("numbers", &list.join(" ")).emit();
        }
        let mut event = Event::new("end").text("reason", end.name()).hex("rip", self.mshv.rip());
        if let End::Unhandled(what) = end {
            event = event.text("what", what);
        }
        let counts = self.counts.iter().map(|(what, count)| (what.to_string(), *count));
        event
            .numbers("intercepts", counts)
            .number("milliseconds", self.started.elapsed().as_millis() as u64)
            .emit();
    }
}
