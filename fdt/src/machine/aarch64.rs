//! The tree of an aarch64 machine without ACPI.

use super::nodes::{GIC_PPI, GIC_SPI, INTERRUPT_CONTROLLER, IRQ_TYPE_LEVEL_HIGH, bus, memory, root};
use super::{Aarch64, ArchTimer, Chosen, Dialect, GicV3, Machine, PsciConduit, Serial};
use crate::tree::{ARM64_SIZE_MAX_BYTES, Node, Range, Tree};

/// The fixed clock that a PL011 is fed from.
const UART_CLOCK: &str = "uart_clock";
const UART_REGISTERS_SIZE: u64 = 0x1000;

pub(super) fn tree(machine: &Machine, platform: &Aarch64, dialect: &Dialect) -> Tree {
    let mut root = root(machine)
        // Every device's interrupts arrive here.
        .phandles("interrupt-parent", [INTERRUPT_CONTROLLER])
        .child(chosen(&platform.chosen, platform.serial.as_ref()))
        .child(cpus(&platform.mpidrs, &platform.cpu_compatible))
        .children(machine.memory.iter().map(memory))
        .child(psci(platform.psci))
        .child(gic(&platform.gic))
        .child(timer(&platform.timer))
        .children(platform.pmu_ppi.map(pmu));
    match platform.serial {
        Some(Serial::Pl011 { base, spi, clock_hz }) => {
            root = root.child(uart_clock(clock_hz)).child(pl011(base, spi));
        }
        Some(Serial::SbsaUart { base, spi, baud }) => root = root.child(sbsa_uart(base, spi, baud)),
        None => {}
    }
    Tree {
        memory_reservations: machine.memory_reservations.clone(),
        // The kernel takes the boot CPU from MPIDR_EL1, not from the header, which has no room for Aff3.
        boot_cpu: 0,
        size_max_bytes: ARM64_SIZE_MAX_BYTES,
        root: root.children(machine.vmbus.iter().map(|vmbus| bus(vmbus, dialect))),
    }
}

/// chosen.yaml
fn chosen(chosen: &Chosen, serial: Option<&Serial>) -> Node {
    let mut node = Node::new("chosen");
    if let Some(Serial::Pl011 { base, .. } | Serial::SbsaUart { base, .. }) = serial {
        node = node.string("stdout-path", format!("/{}", Node::at("serial", *base).name));
    }
    if let Some(bootargs) = &chosen.bootargs {
        node = node.string("bootargs", bootargs.as_str());
    }
    if let Some(initrd) = chosen.initrd {
        // No RAM ends beyond 64 bits, so the kernel refuses an initrd that would.
        node = node
            .u64("linux,initrd-start", initrd.base)
            .u64("linux,initrd-end", initrd.end().unwrap_or(u64::MAX));
    }
    node
}

/// cpus.yaml. arm/cpus.yaml: two cells hold every MPIDR, Aff3 in the first.
fn cpus(mpidrs: &[u64], compatible: &str) -> Node {
    Node::new("cpus").cell_counts(2, 0).children(mpidrs.iter().map(|mpidr| cpu(*mpidr, compatible)))
}

/// arm/cpus.yaml: compatible, device_type and reg are required; enable-method is on 64-bit systems.
fn cpu(mpidr: u64, compatible: &str) -> Node {
    Node::at("cpu", mpidr)
        .string("device_type", "cpu")
        .string("compatible", compatible)
        .reg([Range::new(mpidr, 0)])
        .string("enable-method", "psci")
}

/// arm/psci.yaml
fn psci(conduit: PsciConduit) -> Node {
    let method = match conduit {
        PsciConduit::Hvc => "hvc",
        PsciConduit::Smc => "smc",
    };
    Node::new("psci").strings("compatible", ["arm,psci-1.0", "arm,psci-0.2"]).string("method", method)
}

/// interrupt-controller/arm,gic-v3.yaml: `reg` is the distributor, then the redistributor regions.
fn gic(gic: &GicV3) -> Node {
    let mut frames = vec![gic.distributor];
    frames.extend(&gic.redistributors);
    let regions = u32::try_from(gic.redistributors.len()).unwrap_or(u32::MAX);
    let node = Node::at("interrupt-controller", gic.distributor.base)
        .label(INTERRUPT_CONTROLLER)
        .string("compatible", "arm,gic-v3")
        .reg(frames)
        .flag("interrupt-controller")
        // No child has an interrupt of its own; dtc up to 1.6 wants it said.
        .u32("#address-cells", 0)
        .u32("#interrupt-cells", 3)
        .u32("#redistributor-regions", regions);
    match gic.redistributor_stride {
        Some(stride) => node.u64("redistributor-stride", stride),
        None => node,
    }
}

/// timer/arm,arch_timer.yaml: names say which are there; the order is that of the binding.
fn timer(timer: &ArchTimer) -> Node {
    let timers = [
        ("sec-phys", timer.secure_physical),
        ("phys", Some(timer.physical)),
        ("virt", Some(timer.virtual_)),
        ("hyp-phys", timer.hypervisor_physical),
    ];
    let present = timers.into_iter().filter_map(|(name, ppi)| Some((name, ppi?)));
    let (names, ppis): (Vec<&str>, Vec<u32>) = present.unzip();
    Node::new("timer")
        .string("compatible", "arm,armv8-timer")
        .cells("interrupts", ppis.into_iter().map(level_ppi))
        .strings("interrupt-names", names)
        // A virtual machine's timers don't lose power.
        .flag("always-on")
}

/// arm/pmu.yaml; "arm,armv8-pmuv3" is for what emulates no CPU in particular.
fn pmu(ppi: u32) -> Node {
    Node::new("pmu").string("compatible", "arm,armv8-pmuv3").cells("interrupts", [level_ppi(ppi)])
}

/// clock/fixed-clock.yaml
fn uart_clock(hz: u32) -> Node {
    Node::new("uart-clock")
        .label(UART_CLOCK)
        .string("compatible", "fixed-clock")
        .u32("#clock-cells", 0)
        .u32("clock-frequency", hz)
}

/// serial/pl011.yaml, arm/primecell.yaml: the kernel binds no AMBA device without its bus clock, apb_pclk.
fn pl011(base: u64, spi: u32) -> Node {
    Node::at("serial", base)
        .strings("compatible", ["arm,pl011", "arm,primecell"])
        .reg([Range::new(base, UART_REGISTERS_SIZE)])
        .cells("interrupts", [level_spi(spi)])
        .phandles("clocks", [UART_CLOCK, UART_CLOCK])
        .strings("clock-names", ["uartclk", "apb_pclk"])
}

/// serial/arm,sbsa-uart.yaml: current-speed is required.
fn sbsa_uart(base: u64, spi: u32, baud: u32) -> Node {
    Node::at("serial", base)
        .string("compatible", "arm,sbsa-uart")
        .reg([Range::new(base, UART_REGISTERS_SIZE)])
        .cells("interrupts", [level_spi(spi)])
        .u32("current-speed", baud)
}

fn level_ppi(number: u32) -> [u32; 3] {
    [GIC_PPI, number, IRQ_TYPE_LEVEL_HIGH]
}

fn level_spi(number: u32) -> [u32; 3] {
    [GIC_SPI, number, IRQ_TYPE_LEVEL_HIGH]
}
