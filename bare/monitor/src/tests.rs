//! A machine made of a few pages, and guests that ask well, badly and at random.

mod calls;
mod description;
mod efi;
mod hostile;
mod lines;
mod lower;
mod vmbus;
mod x86;

use std::collections::BTreeMap;

use crate::{
    Arch, Config, Machine, OutsideRam, Partition,
    hypercall::{Outcome, Parameters, StartContext, hypercall},
};

/// RAM of the fake machine: not at 0, so that addresses below it are outside as well.
pub const RAM_START: u64 = 0x10_0000;
pub const RAM_END: u64 = 0x14_0000;

pub struct Fake {
    ram: Vec<u8>,
    pub lines: Vec<String>,
    pub interrupts: Vec<(u32, u32)>,
    pub started: BTreeMap<u32, StartContext>,
    /// Registers of the level below.
    pub lower: BTreeMap<u32, [u64; 2]>,
}

impl Fake {
    pub fn new() -> Fake {
        let ram = vec![0; (RAM_END - RAM_START) as usize];
        Fake {
            ram,
            lines: Vec::new(),
            interrupts: Vec::new(),
            started: BTreeMap::new(),
            lower: BTreeMap::new(),
        }
    }

    fn range(&self, address: u64, length: u64) -> Result<std::ops::Range<usize>, OutsideRam> {
        if !self.is_ram(address, length) {
            return Err(OutsideRam);
        }
        let start = (address - RAM_START) as usize;
        Ok(start..start + length as usize)
    }

    pub fn put(&mut self, address: u64, words: &[u64]) {
        for (number, word) in words.iter().enumerate() {
            self.write(address + number as u64 * 8, &word.to_le_bytes()).unwrap();
        }
    }

    pub fn get(&self, address: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    }

    /// Whether a line of the report has all these parts.
    pub fn reported(&self, parts: &[&str]) -> bool {
        self.lines.iter().any(|line| parts.iter().all(|part| line.contains(part)))
    }
}

impl Machine for Fake {
    fn is_ram(&self, address: u64, length: u64) -> bool {
        address.checked_add(length).is_some_and(|end| RAM_START <= address && end <= RAM_END)
    }

    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), OutsideRam> {
        let range = self.range(address, to.len() as u64)?;
        to.copy_from_slice(&self.ram[range]);
        Ok(())
    }

    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), OutsideRam> {
        let range = self.range(address, from.len() as u64)?;
        self.ram[range].copy_from_slice(from);
        Ok(())
    }

    fn now_100ns(&self) -> u64 {
        12_345
    }

    fn interrupt(&mut self, vp: u32, vector: u32) {
        self.interrupts.push((vp, vector));
    }

    fn start(&mut self, vp: u32, context: &StartContext) {
        assert!(self.started.insert(vp, *context).is_none(), "a processor is started once");
    }

    fn lower_register(&self, _: u32, name: u32) -> Option<[u64; 2]> {
        self.lower.get(&name).copied()
    }

    fn set_lower_register(&mut self, _: u32, name: u32, value: [u64; 2]) -> Option<()> {
        self.lower.insert(name, value);
        Some(())
    }

    fn report(&mut self, line: &str) {
        self.lines.push(line.to_owned());
    }
}

pub fn partition(arch: Arch, vtl: u8) -> Partition {
    Partition::new(Config {
        arch,
        vtl,
        has_lower: false,
        vps: 4,
        tsc_hz: 2_000_000_000,
        apic_hz: 1_000_000_000,
    })
}

pub const SELF: u64 = u64::MAX;
pub const SELF_VP: u64 = 0xffff_fffe;
pub const ONE: u64 = 1 << 32;
pub const FAST: u64 = 1 << 16;
pub const INPUT: u64 = RAM_START + 0x1000;
pub const OUTPUT: u64 = RAM_START + 0x2000;

/// A call of processor 0 with parameters in memory.
pub fn call(partition: &mut Partition, fake: &mut Fake, control: u64) -> u64 {
    call_at(partition, fake, control, INPUT, OUTPUT)
}

pub fn call_at(partition: &mut Partition, fake: &mut Fake, control: u64, input: u64, output: u64) -> u64 {
    match hypercall(partition, fake, 0, control, &mut Parameters::new(&[input, output])) {
        Outcome::Result(value) => value,
        Outcome::Undefined | Outcome::Lower(_) => u64::MAX,
    }
}
