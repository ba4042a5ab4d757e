//! Guests that mean harm: every input that they control, wrong on purpose and at random.

use super::*;
use crate::{
    cpuid,
    lower::{Intercept, State},
    msr, register, smccc,
    vtl::Exit,
};

#[test]
fn bad_control_words() {
    let (mut partition, mut fake) = (partition(Arch::X86_64, 2), Fake::new());
    fake.put(INPUT, &[SELF, SELF_VP, register::VSM_VP_STATUS.into()]);
    let mut check = |control: u64, status: u64| {
        assert_eq!(call(&mut partition, &mut fake, control), status, "{control:#x}");
    };
    check(0x7777, 2);
    check(0, 2);
    // No repetitions where there must be some, some where there must be none, a start beyond the end.
    check(0x50, 3);
    check(0x46 | ONE, 3);
    check(0x50 | ONE | 1 << 48, 3);
    check(0x50 | ONE | 0xfff << 48, 3);
    // Reserved bits, a nested hypervisor's among them, and a variable header.
    for bit in (27..32).chain(44..48).chain(60..64) {
        check(0x50 | ONE | 1 << bit, 3);
    }
    check(0x50 | ONE | 1 << 17, 3);
    // More repetitions than a page or two registers hold.
    check(0x50 | 0xfff << 32, 4);
    check(0x50 | ONE | FAST, 3);
    // VTL switches with no level to switch to.
    check(0x11, u64::MAX);
    check(0x12, u64::MAX);
}

#[test]
fn bad_addresses() {
    let (mut partition, mut fake) = (partition(Arch::X86_64, 2), Fake::new());
    let page = RAM_END - 0x1000;
    for input in [0, 1, INPUT + 4, page + 0xff0, RAM_START - 8, RAM_END, u64::MAX, u64::MAX - 7, 1 << 63] {
        let status = call_at(&mut partition, &mut fake, 0x50 | ONE, input, OUTPUT);
        assert_eq!(status, 4, "input {input:#x}");
    }
    fake.put(INPUT, &[SELF, SELF_VP, register::VSM_VP_STATUS.into()]);
    for output in [0, 4, OUTPUT + 0xff8, RAM_END - 8, u64::MAX - 15] {
        let status = call_at(&mut partition, &mut fake, 0x50 | ONE, INPUT, output);
        assert_eq!(status, 4, "output {output:#x}");
    }
    // Input and output in one place.
    assert_eq!(call_at(&mut partition, &mut fake, 0x50 | ONE, INPUT, INPUT), ONE);
}

#[test]
fn bad_headers() {
    let (mut partition, mut fake) = (partition(Arch::X86_64, 2), Fake::new());
    fake.put(INPUT, &[1, SELF_VP, register::VSM_VP_STATUS.into()]);
    assert_eq!(call(&mut partition, &mut fake, 0x50 | ONE), 0x0d);
    fake.put(INPUT, &[SELF, 64, register::VSM_VP_STATUS.into()]);
    assert_eq!(call(&mut partition, &mut fake, 0x50 | ONE), 0x0e);
    // A message that says that it is longer than messages are, and one of the hypervisor's own kind.
    fake.put(INPUT, &[4, 1 | 241 << 32]);
    assert_eq!(call(&mut partition, &mut fake, 0x5c), 5);
    fake.put(INPUT, &[4, 0x8000_0001]);
    assert_eq!(call(&mut partition, &mut fake, 0x5c), 5);
    // An answer to a processor that isn't there goes nowhere.
    fake.put(INPUT, &[4, 1 | 40 << 32, 14, 0x6_0000 | 0xffff_ffff << 32, 2]);
    assert_eq!(call(&mut partition, &mut fake, 0x5c), 0);
    assert_eq!(fake.interrupts, []);
    // Level 2 alone configures the levels below.
    let mut at_0 = super::partition(Arch::X86_64, 0);
    assert_eq!(at_0.set_register(&mut fake, 0, register::VSM_PARTITION_CONFIG, 1), None);
}

#[test]
fn pages_outside_ram() {
    let (mut partition, mut fake) = (partition(Arch::X86_64, 2), Fake::new());
    for page in [1, RAM_END | 1, u64::MAX] {
        msr::write(&mut partition, &mut fake, 0, 0x4000_0000, 7).unwrap();
        assert_eq!(
            msr::write(&mut partition, &mut fake, 0, 0x4000_0001, page & !2),
            Err(msr::GeneralProtection)
        );
        // Kept, but nothing is written.
        msr::write(&mut partition, &mut fake, 0, 0x4000_0021, page).unwrap();
        msr::write(&mut partition, &mut fake, 0, 0x4000_0083, page).unwrap();
        msr::write(&mut partition, &mut fake, 0, 0x4000_0092, 0xf3).unwrap();
        msr::write(&mut partition, &mut fake, 0, 0x4000_0080, 1).unwrap();
        fake.put(INPUT, &[4, 1 | 8 << 32, 3]);
        call(&mut partition, &mut fake, 0x5c);
        assert_eq!(fake.interrupts, []);
    }
}

/// Numbers with a taste for the edges (Marsaglia, "Xorshift RNGs", 2003).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn edge(&mut self) -> u64 {
        const CALLS: [u64; 11] = [0x50, 0x51, 0x46, 0x5c, 0x5d, 0x0f, 0x99, 0x9a, 0x08, 0x11, 0x12];
        match self.next() % 8 {
            0 => CALLS[(self.next() % 11) as usize] | (self.next() % 8) << 32,
            1 => RAM_START + self.next() % (RAM_END - RAM_START),
            2 => RAM_END - self.next() % 64,
            3 => SELF,
            4 => SELF_VP,
            5 => self.next() % 16,
            6 => 0x000a_0000 + self.next() % 32,
            _ => self.next() >> (self.next() % 64),
        }
    }
}

#[test]
fn a_million_words_of_nonsense() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let (mut partition, mut fake) = (partition(arch, 2), Fake::new());
        partition.config.has_lower = arch == Arch::X86_64;
        let mut random = Random(0x5eed);
        for round in 0..60_000 {
            let place = RAM_START + random.next() % (RAM_END - RAM_START - 512) / 8 * 8;
            let words: Vec<u64> = (0..16).map(|_| random.edge()).collect();
            fake.put(place, &words);
            let mut registers: Vec<u64> = (0..16).map(|_| random.edge()).collect();
            if round % 2 == 0 {
                registers[0] = place;
            }
            let vp = (random.next() % 5) as u32;
            let count = if arch == Arch::X86_64 { 2 } else { 16 };
            let mut parameters = Parameters::new(&registers[..count]);
            let _ = hypercall(&mut partition, &mut fake, vp, random.edge(), &mut parameters);
            let number = msr::FIRST + (random.next() % 0x120) as u32;
            let _ = msr::write(&mut partition, &mut fake, vp, number, random.edge());
            let _ = msr::read(&mut partition, &mut fake, vp, number);
            let native = [random.next() as u32; 4];
            cpuid::answer(&partition.config, random.edge() as u32, 0, native, random.edge());
            cpuid::answer_lower(&partition.config, random.edge() as u32, 0, native, random.edge());
            partition.lower_hypercall(random.edge());
            partition.enter_upper(&mut fake, vp, &State::default(), Exit::Intercept(&Intercept::Halt));
            smccc::sort(random.edge(), random.edge());
            fake.started.clear();
            fake.interrupts.clear();
            fake.lower.clear();
        }
        // The report stays short however long the nonsense goes on.
        assert!(fake.lines.len() < 400, "{} lines", fake.lines.len());
        assert!(fake.lines.iter().all(|line| line.len() <= crate::json::LINE_BYTES_MAX));
    }
}
