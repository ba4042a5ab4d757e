//! The local interrupt controller of VTL0's only processor, an x2APIC (Intel SDM 3A, 10.12): registers are MSRs, so no
//! instruction has to be understood. Its timer counts nanoseconds.

/// Its registers, as MSRs.
pub const FIRST: u32 = 0x800;
pub const LAST: u32 = 0x8ff;
/// The MSR that says where it is and whether it is on: on, x2APIC, first processor.
pub const BASE: u32 = 0x1b;
pub const BASE_VALUE: u64 = 0xfee0_0d00;
/// Ticks a second before division: what the hypervisor says of its own, too.
pub const HZ: u64 = 1_000_000_000;

const VERSION: u32 = 0x803;
const TASK_PRIORITY: u32 = 0x808;
const PROCESSOR_PRIORITY: u32 = 0x80a;
const END_OF_INTERRUPT: u32 = 0x80b;
const LOGICAL_DESTINATION: u32 = 0x80d;
const SPURIOUS: u32 = 0x80f;
const IN_SERVICE: u32 = 0x810;
const REQUESTED: u32 = 0x820;
const ERROR: u32 = 0x828;
const COMMAND: u32 = 0x830;
const TIMER: u32 = 0x832;
const LAST_LOCAL_VECTOR: u32 = 0x837;
const INITIAL_COUNT: u32 = 0x838;
const CURRENT_COUNT: u32 = 0x839;
const DIVISOR: u32 = 0x83e;
const SELF_INTERRUPT: u32 = 0x83f;

const MASKED: u64 = 1 << 16;
const PERIODIC: u64 = 1 << 17;

/// One bit a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Vectors([u64; 4]);

impl Vectors {
    fn set(&mut self, vector: u8) {
        self.0[usize::from(vector / 64)] |= 1 << (vector % 64);
    }

    fn clear(&mut self, vector: u8) {
        self.0[usize::from(vector / 64)] &= !(1 << (vector % 64));
    }

    fn highest(&self) -> Option<u8> {
        let word = (0..4).rev().find(|word| self.0[*word] != 0)?;
        Some((word * 64 + 63 - self.0[word].leading_zeros() as usize) as u8)
    }

    /// 32 of them, as one register has.
    fn part(&self, number: u32) -> u64 {
        self.0[number as usize / 2 % 4] >> (number % 2 * 32) & 0xffff_ffff
    }
}

pub struct Apic {
    task_priority: u64,
    spurious: u64,
    command: u64,
    /// Timer, thermal, performance, LINT0, LINT1, error.
    local_vectors: [u64; 6],
    in_service: Vectors,
    requested: Vectors,
    divisor: u64,
    initial_count: u64,
    /// When the timer fires, in nanoseconds of the machine's clock.
    deadline_ns: Option<u64>,
}

/// The register isn't there, or not for this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchRegister;

impl Default for Apic {
    fn default() -> Apic {
        Apic {
            task_priority: 0,
            spurious: 0xff,
            command: 0,
            local_vectors: [MASKED; 6],
            in_service: Vectors::default(),
            requested: Vectors::default(),
            divisor: 0,
            initial_count: 0,
            deadline_ns: None,
        }
    }
}

impl Apic {
    pub fn read(&self, register: u32, now_ns: u64) -> Result<u64, NoSuchRegister> {
        Ok(match register {
            // Id 0.
            0x802 => 0,
            VERSION => 0x5_0014,
            TASK_PRIORITY => self.task_priority,
            PROCESSOR_PRIORITY => self.priority(),
            // Cluster 0, processor 0.
            LOGICAL_DESTINATION => 1,
            SPURIOUS => self.spurious,
            0x810..=0x817 => self.in_service.part(register - IN_SERVICE),
            0x818..=0x81f | ERROR | 0x82f => 0,
            0x820..=0x827 => self.requested.part(register - REQUESTED),
            COMMAND => self.command,
            TIMER..=LAST_LOCAL_VECTOR => self.local_vectors[(register - TIMER) as usize],
            INITIAL_COUNT => self.initial_count,
            CURRENT_COUNT => {
                let left = self.deadline_ns.map_or(0, |deadline| deadline.saturating_sub(now_ns));
                left / self.divide_by()
            }
            DIVISOR => self.divisor,
            _ => return Err(NoSuchRegister),
        })
    }

    pub fn write(&mut self, register: u32, value: u64, now_ns: u64) -> Result<(), NoSuchRegister> {
        match register {
            TASK_PRIORITY => self.task_priority = value & 0xff,
            END_OF_INTERRUPT => {
                if let Some(vector) = self.in_service.highest() {
                    self.in_service.clear(vector);
                }
            }
            SPURIOUS => self.spurious = value & 0x1ff,
            ERROR | 0x82f => {}
            COMMAND => self.send(value),
            TIMER..=LAST_LOCAL_VECTOR => self.local_vectors[(register - TIMER) as usize] = value,
            INITIAL_COUNT => {
                self.initial_count = value & 0xffff_ffff;
                let ticks = self.initial_count * self.divide_by();
                self.deadline_ns = (ticks > 0).then(|| now_ns + ticks);
            }
            DIVISOR => self.divisor = value & 0b1011,
            SELF_INTERRUPT => self.requested.set(value as u8),
            _ => return Err(NoSuchRegister),
        }
        Ok(())
    }

    /// An interrupt command. The only processor is this one, and only fixed vectors mean something to it.
    fn send(&mut self, value: u64) {
        const SELF: u64 = 1;
        const ALL: u64 = 2;
        self.command = value;
        let (vector, mode) = (value as u8, value >> 8 & 7);
        let (shorthand, is_logical, destination) =
            (value >> 18 & 3, value >> 11 & 1 != 0, (value >> 32) as u32);
        let is_here = match shorthand {
            0 if is_logical => {
                destination & 0xffff & 1 != 0 && destination >> 16 == 0 || destination == u32::MAX
            }
            0 => destination == 0 || destination == u32::MAX,
            shorthand => shorthand == SELF || shorthand == ALL,
        };
        // Fixed, and lowest priority.
        if is_here && mode <= 1 && vector >= 16 {
            self.requested.set(vector);
        }
    }

    /// The divisor's code: 1 is the highest.
    fn divide_by(&self) -> u64 {
        match (self.divisor & 0b11 | self.divisor >> 1 & 0b100) + 1 {
            8 => 1,
            power => 1 << power,
        }
    }

    fn priority(&self) -> u64 {
        let in_service = self.in_service.highest().map_or(0, |vector| u64::from(vector & 0xf0));
        self.task_priority.max(in_service)
    }

    /// Lets time pass: a timer that has fired asks for its interrupt.
    pub fn advance(&mut self, now_ns: u64) {
        let Some(deadline) = self.deadline_ns.filter(|deadline| *deadline <= now_ns) else { return };
        let timer = self.local_vectors[0];
        if timer & MASKED == 0 {
            self.requested.set(timer as u8);
        }
        let period = self.initial_count * self.divide_by();
        // Periods that nobody could be woken for are one.
        self.deadline_ns =
            (timer & PERIODIC != 0 && period > 0).then(|| (deadline + period).max(now_ns + 1000));
    }

    pub fn deadline_ns(&self) -> Option<u64> {
        self.deadline_ns
    }

    /// The vector that would be delivered next.
    pub fn pending(&self) -> Option<u8> {
        let is_on = self.spurious & 1 << 8 != 0;
        self.requested.highest().filter(|vector| is_on && u64::from(vector & 0xf0) > self.priority() & 0xf0)
    }

    /// The processor takes what [`Apic::pending`] said.
    pub fn accept(&mut self, vector: u8) {
        self.requested.clear(vector);
        self.in_service.set(vector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apic() -> Apic {
        let mut apic = Apic::default();
        apic.write(SPURIOUS, 0x1ff, 0).unwrap();
        apic
    }

    #[test]
    fn the_timer_fires_once_or_for_ever() {
        let mut apic = apic();
        apic.write(TIMER, 0xec, 0).unwrap();
        apic.write(DIVISOR, 0b0011, 0).unwrap();
        apic.write(INITIAL_COUNT, 100, 1000).unwrap();
        assert_eq!(apic.deadline_ns(), Some(2600));
        assert_eq!(apic.read(CURRENT_COUNT, 1800), Ok(50));
        apic.advance(2599);
        assert_eq!(apic.pending(), None);
        apic.advance(2600);
        assert_eq!((apic.pending(), apic.deadline_ns()), (Some(0xec), None));
        apic.accept(0xec);
        assert_eq!((apic.pending(), apic.read(PROCESSOR_PRIORITY, 0)), (None, Ok(0xe0)));
        apic.write(END_OF_INTERRUPT, 0, 0).unwrap();
        apic.write(TIMER, 0xec | PERIODIC, 0).unwrap();
        apic.write(INITIAL_COUNT, 1000, 10_000).unwrap();
        apic.advance(26_000);
        assert_eq!(apic.deadline_ns(), Some(42_000));
    }

    #[test]
    fn divisors() {
        for (code, wanted) in
            [(0b0000, 2), (0b0001, 4), (0b0011, 16), (0b1000, 32), (0b1010, 128), (0b1011, 1)]
        {
            let mut apic = apic();
            apic.write(DIVISOR, code, 0).unwrap();
            assert_eq!(apic.divide_by(), wanted, "{code:#b}");
        }
    }

    #[test]
    fn higher_vectors_come_first_and_lower_ones_wait() {
        let mut apic = apic();
        for vector in [0x31, 0xf2] {
            apic.write(SELF_INTERRUPT, vector, 0).unwrap();
        }
        assert_eq!(apic.pending(), Some(0xf2));
        apic.accept(0xf2);
        assert_eq!(apic.pending(), None);
        apic.write(END_OF_INTERRUPT, 0, 0).unwrap();
        assert_eq!(apic.pending(), Some(0x31));
        apic.write(TASK_PRIORITY, 0x40, 0).unwrap();
        assert_eq!(apic.pending(), None);
        assert_eq!(apic.read(REQUESTED + 1, 0), Ok(1 << 17));
        // To itself by shorthand, by number, and to somebody else.
        for (command, wanted) in [(1 << 18 | 0x50, true), (0x51, true), (7 << 32 | 0x52, false)] {
            apic.write(COMMAND, command, 0).unwrap();
            let (register, bit) = (REQUESTED + (command as u8 / 32) as u32, command as u8 % 32);
            assert_eq!(apic.read(register, 0).unwrap() >> bit & 1 == 1, wanted, "{command:#x}");
        }
    }

    #[test]
    fn off_means_off() {
        let mut apic = Apic::default();
        apic.write(SELF_INTERRUPT, 0x80, 0).unwrap();
        assert_eq!(apic.pending(), None);
        assert_eq!(apic.read(0x8ff, 0), Err(NoSuchRegister));
        assert_eq!(apic.write(VERSION, 1, 0), Err(NoSuchRegister));
    }
}
