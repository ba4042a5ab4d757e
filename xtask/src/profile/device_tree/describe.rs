//! The machine that a spec means: a ready one, with everything changed that the profile says.

use fdt::{
    Range,
    machine::{
        self as fdt_machine, Aarch64, Chosen, Memory, Platform, PsciConduit, VmBusInterrupt, X86_64, ready,
    },
};

use super::{
    AddressRange, DeviceTree, EnableMethod, Gic, Isolation, Machine, MemoryAllocation, OpenHcl, Psci, Serial,
    SerialKind, Timer, VmBus,
};
use crate::profile::{
    spec::DeviceTreeSpec,
    types::{Arch, Vtl},
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Where QEMU's `virt` machine has its RAM (QEMU, hw/arm/virt.c, VIRT_MEM).
const QEMU_VIRT_RAM_BASE: u64 = GIB;

/// RAM of a PC-like machine leaves the last gigabyte below 4 GiB to devices.
const LOW_RAM_END: u64 = 3 * GIB;

/// drivers/hv/hyperv_vmbus.h: VMBUS_MESSAGE_CONNECTION_ID_REDIRECT and _4.
const VTL2_CONNECTION: u32 = 0x80_0074;
const VTL0_CONNECTION: u32 = 4;

/// The machine; whether it can be is for the check. Keys of the other architecture are left out.
pub fn describe(arch: Arch, vtl: Vtl, tree: &DeviceTreeSpec, command_line: &str) -> fdt_machine::Machine {
    let details = &tree.details;
    // Where a list gives them, the ready machine still needs their number, for what there is once a processor.
    let listed = details.cpu_list.as_ref().map_or(0, |list| list.len().try_into().unwrap_or(u32::MAX));
    let cpus = tree.cpus.unwrap_or(listed);
    let memory_bytes = tree.memory.map_or(0, |memory| memory.0);
    let chosen =
        Chosen { bootargs: Some(command_line.to_owned()), initrd: details.initrd.as_ref().map(range) };
    let low = || split_at_device_hole(memory_bytes);
    let high = || vec![Range::new(QEMU_VIRT_RAM_BASE, memory_bytes)];
    let mut machine = match (tree.machine, arch) {
        (Machine::HypervVtl2, Arch::X86_64) => ready::hyperv_vtl2_x86_64(cpus, low()),
        (Machine::HypervVtl2, Arch::Aarch64) => ready::hyperv_vtl2_aarch64(cpus, low(), chosen.clone()),
        (Machine::QemuVirt, _) => ready::qemu_virt_aarch64(cpus, high(), PsciConduit::Hvc, chosen.clone()),
        (Machine::QemuVirtEl2, _) => ready::qemu_virt_el2_aarch64(cpus, high(), chosen.clone()),
        (Machine::QemuMicrovm, _) => ready::qemu_microvm_x86_64(cpus, low()),
    };
    machine.vtl = vtl.number();
    machine.chosen = chosen;
    cpus_and_memory(&mut machine, tree);
    reservations(&mut machine, details);
    devices(&mut machine, details);
    match &mut machine.platform {
        Platform::X86_64(platform) => x86_64(platform, details),
        Platform::Aarch64(platform) => aarch64(platform, details),
    }
    machine
}

fn range(range: &AddressRange) -> Range {
    Range::new(range.base.0, range.size.0)
}

fn ranges(list: &[AddressRange]) -> Vec<Range> {
    list.iter().map(range).collect()
}

fn split_at_device_hole(memory_bytes: u64) -> Vec<Range> {
    if memory_bytes <= LOW_RAM_END {
        return vec![Range::new(0, memory_bytes)];
    }
    vec![Range::new(0, LOW_RAM_END), Range::new(4 * GIB, memory_bytes - LOW_RAM_END)]
}

fn cpus_and_memory(machine: &mut fdt_machine::Machine, tree: &DeviceTreeSpec) {
    let details = &tree.details;
    if let Some(list) = &details.cpu_list {
        let cpu = |cpu: &super::Cpu| fdt_machine::Cpu {
            id: cpu.id.0,
            numa_node: cpu.numa_node,
            comment: cpu.comment.clone(),
        };
        machine.cpus = list.iter().map(cpu).collect();
    } else if let Some(nodes) = details.numa_nodes {
        let count = machine.cpus.len() as u64;
        for (index, cpu) in machine.cpus.iter_mut().enumerate() {
            // Neighbours share a node.
            cpu.numa_node = u32::try_from(index as u64 * u64::from(nodes) / count.max(1)).ok();
        }
    }
    if let Some(list) = &details.memory_ranges {
        let memory = |memory: &super::MemoryRange| Memory {
            range: Range::new(memory.base.0, memory.size.0),
            numa_node: memory.numa_node,
            below: memory.below.unwrap_or(false),
            comment: memory.comment.clone(),
        };
        machine.memory = list.iter().map(memory).collect();
    } else if let Some(nodes) = details.numa_nodes {
        machine.memory = deal_out(&machine.memory, nodes);
    }
}

/// The same RAM cut into equal parts of whole MiB, in ascending order; the last node gets what is left.
fn deal_out(memory: &[Memory], nodes: u32) -> Vec<Memory> {
    let total: u64 = memory.iter().map(|memory| memory.range.size).sum();
    let share = (total / u64::from(nodes.max(1)) / MIB * MIB).max(MIB);
    let mut parts = Vec::new();
    let (mut node, mut left) = (0, share);
    for Memory { range: Range { mut base, mut size }, .. } in memory.iter().cloned() {
        while size > 0 {
            let is_last = node + 1 >= nodes;
            let part = if is_last { size } else { size.min(left) };
            parts.push(Memory { numa_node: Some(node), ..Memory::new(Range::new(base, part)) });
            (base, size, left) = (base + part, size - part, left.saturating_sub(part));
            if left == 0 && !is_last {
                (node, left) = (node + 1, share);
            }
        }
    }
    parts
}

fn reservations(machine: &mut fdt_machine::Machine, details: &DeviceTree) {
    let entry = |entry: &super::Reservation| fdt_machine::Reservation {
        range: Range::new(entry.base.0, entry.size.0),
        comment: entry.comment.clone(),
    };
    machine.memory_reservations = details.memreserve.iter().flatten().map(entry).collect();
    let reserved = |reserved: &super::Reserved| fdt_machine::Reserved {
        name: reserved.name.to_string(),
        range: Range::new(reserved.base.0, reserved.size.0),
        compatible: reserved.compatible.as_ref().map(ToString::to_string),
        no_map: reserved.no_map.unwrap_or(false),
        comment: reserved.comment.clone(),
    };
    machine.reserved = details.reserved.iter().flatten().map(reserved).collect();
}

fn devices(machine: &mut fdt_machine::Machine, details: &DeviceTree) {
    if let Some(model) = &details.model {
        machine.model.clone_from(model);
    }
    if let Some(compatible) = &details.compatible {
        machine.compatible = compatible.iter().map(ToString::to_string).collect();
    }
    if let Some(hypervisor) = &details.hypervisor {
        machine.hypervisor = Some(hypervisor.to_string());
    }
    if let Some(described) = &details.serial {
        machine.serial = Some(serial(described));
    }
    if let Some(list) = &details.vmbus {
        let is_arm = matches!(machine.platform, Platform::Aarch64(_));
        machine.vmbus = list.iter().map(|bus| vmbus(bus, is_arm)).collect();
    }
    if let Some(described) = details.openhcl {
        machine.openhcl = Some(openhcl(described));
    }
}

fn serial(serial: &Serial) -> fdt_machine::Serial {
    let base = serial.base.0;
    let spi = serial.interrupt.unwrap_or(1);
    let baud = serial.baud.unwrap_or(115_200);
    match serial.kind {
        SerialKind::Pl011 => {
            fdt_machine::Serial::Pl011 { base, spi, clock_hz: serial.clock_hz.unwrap_or(24_000_000) }
        }
        SerialKind::SbsaUart => fdt_machine::Serial::SbsaUart { base, spi, baud },
        SerialKind::Ns16550 => fdt_machine::Serial::Ns16550 {
            base,
            spi,
            clock_hz: serial.clock_hz.unwrap_or(1_843_200),
            register_shift: serial.register_shift.unwrap_or(0),
        },
        SerialKind::Ns16550Port => {
            // One that isn't a port is told by the check.
            fdt_machine::Serial::Ns16550Port { port: base.try_into().unwrap_or(u16::MAX), baud }
        }
    }
}

fn vmbus(bus: &VmBus, is_arm: bool) -> fdt_machine::VmBus {
    let connection = if bus.vtl == Vtl::Vtl2 { VTL2_CONNECTION } else { VTL0_CONNECTION };
    fdt_machine::VmBus {
        vtl: bus.vtl.number(),
        mmio: ranges(&bus.mmio),
        interrupt: match is_arm {
            true => VmBusInterrupt::Ppi(bus.interrupt.unwrap_or(2)),
            false => VmBusInterrupt::Vector(bus.interrupt.unwrap_or(0xf3)),
        },
        connection_id: bus.connection_id.unwrap_or(connection),
        comment: bus.comment.clone(),
    }
}

fn openhcl(openhcl: OpenHcl) -> fdt_machine::OpenHcl {
    fdt_machine::OpenHcl {
        isolation: match openhcl.isolation {
            Isolation::None => fdt_machine::Isolation::None,
            Isolation::Vbs => fdt_machine::Isolation::Vbs,
            Isolation::Snp => fdt_machine::Isolation::Snp,
            Isolation::Tdx => fdt_machine::Isolation::Tdx,
        },
        allocation: match openhcl.memory_allocation.unwrap_or(MemoryAllocation::Host) {
            MemoryAllocation::Host => fdt_machine::MemoryAllocation::Host,
            MemoryAllocation::Vtl2 => fdt_machine::MemoryAllocation::Vtl2 {
                memory_size: openhcl.memory_size.map(|size| size.0),
                mmio_size: openhcl.mmio_size.map(|size| size.0),
            },
        },
    }
}

fn x86_64(platform: &mut X86_64, details: &DeviceTree) {
    if let Some(base) = details.local_apic {
        platform.local_apic_base = base.0;
    }
    platform.wakeup_mailbox = details.wakeup_mailbox.map(|base| base.0);
}

fn aarch64(platform: &mut Aarch64, details: &DeviceTree) {
    if let Some(compatible) = &details.cpu_compatible {
        platform.cpu_compatible = compatible.to_string();
    }
    if let (Some(EnableMethod::SpinTable), Some(address)) = (details.enable_method, details.release_address) {
        platform.enable_method = fdt_machine::EnableMethod::SpinTable { release_address: address.0 };
    }
    match details.psci {
        Some(Psci::Hvc) => platform.psci = Some(PsciConduit::Hvc),
        Some(Psci::Smc) => platform.psci = Some(PsciConduit::Smc),
        Some(Psci::None) => platform.psci = None,
        None => {}
    }
    if let Some(Gic { distributor, redistributors, stride, its, maintenance }) = &details.gic {
        let gic = &mut platform.gic;
        gic.distributor = distributor.as_ref().map_or(gic.distributor, range);
        if let Some(regions) = redistributors {
            gic.redistributors = ranges(regions);
        }
        gic.redistributor_stride = stride.map(|stride| stride.0).or(gic.redistributor_stride);
        if let Some(list) = its {
            gic.its = ranges(list);
        }
        gic.maintenance_ppi = maintenance.or(gic.maintenance_ppi);
    }
    if let Some(Timer { secure_physical, physical, r#virtual, hypervisor_physical, hypervisor_virtual }) =
        details.timer
    {
        let timer = &mut platform.timer;
        timer.secure_physical = secure_physical.or(timer.secure_physical);
        timer.physical = physical.unwrap_or(timer.physical);
        timer.virtual_ = r#virtual.unwrap_or(timer.virtual_);
        timer.hypervisor_physical = hypervisor_physical.or(timer.hypervisor_physical);
        timer.hypervisor_virtual = hypervisor_virtual.or(timer.hypervisor_virtual);
    }
    platform.pmu_ppi = details.pmu.or(platform.pmu_ppi);
}

/// RAM of the machine's own level, in ascending order, neighbours that don't touch.
pub fn own_memory(machine: &fdt_machine::Machine) -> Vec<std::ops::Range<u64>> {
    let own = machine.memory.iter().filter(|memory| !memory.below);
    let mut ranges: Vec<std::ops::Range<u64>> =
        own.map(|memory| memory.range.base..memory.range.base.saturating_add(memory.range.size)).collect();
    ranges.sort_by_key(|range| range.start);
    ranges.dedup_by(|next, before| {
        let touches = next.start <= before.end;
        if touches {
            before.end = before.end.max(next.end);
        }
        touches
    });
    ranges
}
