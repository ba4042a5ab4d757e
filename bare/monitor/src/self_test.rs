//! A guest that is part of the monitor: it asks for everything at random, as no kernel would, and measures what an exit
//! costs. It runs where a kernel would, one level below, and what it breaks there is the monitor's fault.
//!
//! Its code and stack lie in the monitor's memory, which is not the guest's by the rules that calls are checked by; so
//! answers land in what is otherwise unused.

use monitor_core::{json::Line, smccc};

use crate::arch;

const ROUNDS: u64 = 20_000;
const MEASURED: u64 = 5_000;

/// Numbers with a taste for the edges (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn word(&mut self, ram: (u64, u64)) -> u64 {
        let (start, end) = ram;
        match self.next() % 8 {
            0 => start + self.next() % (end - start) / 8 * 8,
            1 => start + self.next() % (end - start),
            2 => end - self.next() % 64,
            3 => u64::MAX,
            4 => 0xffff_fffe,
            5 => self.next() % 16,
            6 => 0x000a_0000 + self.next() % 32,
            _ => self.next() >> (self.next() % 64),
        }
    }

    /// Control words of calls that are there, and of some that are not.
    fn control(&mut self) -> u64 {
        const CALLS: [u64; 12] = [0x50, 0x51, 0x46, 0x5c, 0x5d, 0x0f, 0x99, 0x9a, 0x08, 0x11, 0x12, 0x7777];
        let code = CALLS[(self.next() % CALLS.len() as u64) as usize];
        match self.next() % 8 {
            0 => code,
            1..=4 => code | (self.next() % 4) << 32 | (self.next() & 1) << 16,
            5 => code | 1 << 32 | (self.next() % 2) << 48,
            _ => self.next(),
        }
    }
}

/// Runs in the guest. `ram` is a part of its memory that nothing else is in.
pub fn run(ram: (u64, u64)) -> ! {
    let mut random = Random(0x5eed_5eed);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..ROUNDS {
        let mut words = core::array::from_fn(|_| random.word(ram));
        let control = random.control();
        if arch::guest_call(control, &mut words) & 0xffff == 0 {
            good += 1
        } else {
            bad += 1
        }
        arch::guest_nonsense(random.next());
    }
    let exit = nanoseconds(arch::guest_exit);
    let call = nanoseconds(|| {
        arch::guest_call(0x46, &mut [0, ram.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    });
    let line = Line::new("self-test").number("rounds", ROUNDS).number("good", good).number("bad", bad);
    arch::report(line.number("exit_ns", exit).number("hypercall_ns", call).end());
    arch::guest_end()
}

fn nanoseconds(mut exit: impl FnMut()) -> u64 {
    let start = arch::now_100ns();
    (0..MEASURED).for_each(|_| exit());
    (arch::now_100ns() - start) * 100 / MEASURED
}

/// Whether a guest may call this without ending or starting anything.
#[allow(dead_code, reason = "64-bit Arm alone has such calls")]
pub fn is_harmless(function: u64) -> bool {
    matches!(smccc::sort(function, 0), smccc::Call::Unknown | smccc::Call::Answer(_))
}
