//! Machines that could be, from a seed.

use fdt::Range;
use fdt::machine::{
    Chosen, Cpu, EnableMethod, Machine, Memory, Platform, PsciConduit, Reservation, Reserved, Serial, VmBus,
    hyperv_vtl2_aarch64, hyperv_vtl2_x86_64, qemu_microvm_x86_64, qemu_virt_aarch64, qemu_virt_el2_aarch64,
};

/// A small generator with a seed, so that a sample can be repeated (Marsaglia, "Xorshift RNGs", 2003).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1))
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }

    pub fn coin(&mut self) -> bool {
        self.below(2) == 1
    }
}

const PAGE: u64 = 0x1000;
const GIB: u64 = 1 << 30;

/// A machine with nothing wrong.
#[allow(dead_code, reason = "not every test program makes machines")]
pub fn machine(random: &mut Random) -> Machine {
    let cpus = 1 + random.below(20) as u32;
    let chosen = Chosen { bootargs: random.coin().then(|| text(random)), initrd: None };
    let mut machine = match random.below(5) {
        0 => hyperv_vtl2_x86_64(cpus, Vec::new()),
        1 => hyperv_vtl2_aarch64(cpus, Vec::new(), chosen),
        2 => qemu_microvm_x86_64(cpus, Vec::new()),
        3 => qemu_virt_el2_aarch64(cpus, Vec::new(), chosen),
        _ => qemu_virt_aarch64(cpus, Vec::new(), PsciConduit::Hvc, chosen),
    };
    let numa = random.coin();
    // Above everything that the ready machines have in fixed places.
    let mut next = 0x100 * GIB;
    for _ in 0..1 + random.below(8) {
        next += random.below(1 << 20) * PAGE;
        let size = (0x1000 + random.below(1 << 20)) * PAGE;
        let memory = Memory::new(Range::new(next, size));
        let below = !machine.memory.is_empty() && random.below(4) == 0;
        machine.memory.push(Memory { comment: comment(random), below, ..memory });
        next += size;
    }
    if random.coin() {
        machine.chosen.initrd = Some(Range::new(machine.memory[0].range.base, 1 + random.below(PAGE * 16)));
    }
    reserve(&mut machine, random);
    for cpu in &mut machine.cpus {
        *cpu =
            Cpu { numa_node: numa.then(|| random.below(8) as u32), comment: comment(random), ..cpu.clone() };
    }
    for memory in &mut machine.memory {
        memory.numa_node = numa.then(|| random.below(1024) as u32);
    }
    if let Some(vmbus) = machine.vmbus.first_mut() {
        vmbus.mmio = vec![Range::new(next, (1 + random.below(1 << 19)) * PAGE)];
        let below = VmBus { vtl: 0, mmio: vec![Range::new(next + 8 * GIB, 4 * GIB - PAGE)], ..vmbus.clone() };
        machine.vmbus.extend(random.coin().then_some(below));
    }
    let start = machine.memory[0].range.base;
    match &mut machine.platform {
        Platform::X86_64(platform) => {
            platform.wakeup_mailbox = random.coin().then_some(start + 0x800 * PAGE);
        }
        Platform::Aarch64(platform) => {
            if random.coin() {
                platform.enable_method = EnableMethod::SpinTable { release_address: start };
                platform.psci = None;
            }
            platform.pmu_ppi = random.coin().then(|| random.below(16) as u32);
            if random.coin() {
                let clock_hz = 1 + random.below(1 << 30) as u32;
                let spi = random.below(988) as u32;
                machine.serial = Some(match random.coin() {
                    true => Serial::Ns16550 {
                        base: next + 64 * GIB,
                        spi,
                        clock_hz,
                        register_shift: random.below(4) as u32,
                    },
                    false => Serial::Pl011 { base: next + 64 * GIB, spi, clock_hz },
                });
            }
        }
    }
    machine
}

/// Ranges in the first memory range, one behind the other.
fn reserve(machine: &mut Machine, random: &mut Random) {
    let mut next = machine.memory[0].range.base + 0x100 * PAGE;
    for index in 0..random.below(6) {
        let range = Range::new(next, (1 + random.below(8)) * PAGE);
        next += 0x40 * PAGE;
        match random.coin() {
            true => machine.memory_reservations.push(Reservation { range, comment: comment(random) }),
            false => machine.reserved.push(Reserved {
                name: format!("kept-{index}"),
                range,
                compatible: random.coin().then(|| "vendor,kept".to_owned()),
                no_map: random.coin(),
                comment: comment(random),
            }),
        }
    }
}

fn comment(random: &mut Random) -> Option<String> {
    random.coin().then(|| text(random))
}

/// Characters that quoting and comments have to get right among them.
fn text(random: &mut Random) -> String {
    const ODD: [char; 12] = ['a', 'B', '7', ' ', '"', '\\', '*', '/', '\n', '\t', 'ü', '\u{7f}'];
    (0..random.below(24)).map(|_| ODD[random.below(ODD.len() as u64) as usize]).collect()
}
