//! Machines that exist, with their addresses filled in. What an owner chooses (CPUs, memory, command line) is asked
//! for; every other field is there to be changed in what comes back.

use super::{
    Aarch64, ArchTimer, Chosen, Cpu, EnableMethod, GicV3, Isolation, Machine, Memory, MemoryAllocation,
    OpenHcl, Platform, PsciConduit, Serial, VmBus, VmBusInterrupt, X86_64,
};
use crate::check::REDISTRIBUTOR_SIZE;
use crate::tree::Range;

/// Just below 64 GiB, out of the way of RAM in machines of ordinary size; the window in the binding's example.
const VMBUS_MMIO: Range = Range::new(0xf_f000_0000, 0x1000_0000);

/// Where a kernel at VTL2 sends VMBus messages (drivers/hv/hyperv_vmbus.h: VMBUS_MESSAGE_CONNECTION_ID_REDIRECT).
const VMBUS_VTL2_CONNECTION: u32 = 0x80_0074;

/// Intel SDM 3A, 11.4.1: where the local APIC is after reset.
const LOCAL_APIC_BASE: u64 = 0xfee0_0000;

const OPENHCL: OpenHcl = OpenHcl { isolation: Isolation::None, allocation: MemoryAllocation::Host };

/// VTL2 of a Hyper-V machine on x86_64, CPUs with APIC ids from 0.
pub fn hyperv_vtl2_x86_64(cpus: u32, memory: Vec<Range>) -> Machine {
    Machine {
        vtl: 2,
        // arch/x86/include/asm/irq_vectors.h: HYPERVISOR_CALLBACK_VECTOR
        vmbus: vec![vmbus(VmBusInterrupt::Vector(0xf3))],
        hypervisor: Some("microsoft,hyperv".to_owned()),
        openhcl: Some(OPENHCL),
        ..x86_64("Microsoft Hyper-V VTL2", "microsoft,hyperv", cpus, memory)
    }
}

/// VTL2 of a Hyper-V machine on aarch64, with Hyper-V's own addresses (those OpenHCL takes unless told otherwise).
pub fn hyperv_vtl2_aarch64(cpus: u32, memory: Vec<Range>, chosen: Chosen) -> Machine {
    let platform = Aarch64 {
        cpu_compatible: "arm,armv8".to_owned(),
        enable_method: EnableMethod::Psci,
        psci: Some(PsciConduit::Hvc),
        gic: GicV3 {
            distributor: Range::new(0xffff_0000, 0x1_0000),
            redistributors: vec![Range::new(0xeffe_e000, REDISTRIBUTOR_SIZE * u64::from(cpus))],
            redistributor_stride: Some(REDISTRIBUTOR_SIZE),
            its: Vec::new(),
            maintenance_ppi: None,
        },
        // The virtual timer is INTID 20; the physical one is where the base system architecture (BSA) has it.
        timer: ArchTimer {
            secure_physical: None,
            physical: 14,
            virtual_: 4,
            hypervisor_physical: None,
            hypervisor_virtual: None,
        },
        pmu_ppi: Some(7),
    };
    Machine {
        vtl: 2,
        serial: Some(Serial::SbsaUart { base: 0xeffe_c000, spi: 1, baud: 115_200 }),
        vmbus: vec![vmbus(VmBusInterrupt::Ppi(2))],
        hypervisor: Some("microsoft,hyperv".to_owned()),
        openhcl: Some(OPENHCL),
        chosen,
        ..bare(
            "Microsoft Hyper-V VTL2",
            "microsoft,hyperv",
            mpidrs(cpus),
            memory,
            Platform::Aarch64(platform),
        )
    }
}

/// QEMU's `-M virt,gic-version=3` on aarch64 (hw/arm/virt.c), whose RAM begins at 0x40000000. PSCI answers to HVC,
/// and to SMC with `virtualization=on`.
pub fn qemu_virt_aarch64(cpus: u32, memory: Vec<Range>, psci: PsciConduit, chosen: Chosen) -> Machine {
    let platform = Aarch64 {
        cpu_compatible: "arm,armv8".to_owned(),
        enable_method: EnableMethod::Psci,
        psci: Some(psci),
        gic: GicV3 {
            distributor: Range::new(0x0800_0000, 0x1_0000),
            // Room for 123 CPUs; where QEMU puts the redistributors of more depends on the RAM.
            redistributors: vec![Range::new(0x080a_0000, 0xf6_0000)],
            redistributor_stride: None,
            its: vec![Range::new(0x0808_0000, 0x2_0000)],
            maintenance_ppi: None,
        },
        timer: ArchTimer {
            secure_physical: Some(13),
            physical: 14,
            virtual_: 11,
            hypervisor_physical: Some(10),
            hypervisor_virtual: None,
        },
        pmu_ppi: Some(7),
    };
    let name = "linux,dummy-virt";
    Machine {
        serial: Some(Serial::Pl011 { base: 0x0900_0000, spi: 1, clock_hz: 24_000_000 }),
        chosen,
        ..bare(name, name, mpidrs(cpus), memory, Platform::Aarch64(platform))
    }
}

/// QEMU's `-M virt,gic-version=3,virtualization=on`: a kernel that begins at EL2, PSCI by SMC, and the interrupt that
/// a hypervisor gets from its virtual interrupt lines.
pub fn qemu_virt_el2_aarch64(cpus: u32, memory: Vec<Range>, chosen: Chosen) -> Machine {
    let mut machine = qemu_virt_aarch64(cpus, memory, PsciConduit::Smc, chosen);
    if let Platform::Aarch64(platform) = &mut machine.platform {
        // QEMU, include/hw/arm/bsa.h: ARCH_GIC_MAINT_IRQ is INTID 25.
        platform.gic.maintenance_ppi = Some(9);
    }
    machine
}

/// QEMU's `-M microvm,acpi=off` on x86_64. The console is a PC's first serial port, which needs no node.
pub fn qemu_microvm_x86_64(cpus: u32, memory: Vec<Range>) -> Machine {
    Machine {
        serial: Some(Serial::Ns16550Port { port: 0x3f8, baud: 115_200 }),
        ..x86_64("QEMU microvm", "qemu,microvm", cpus, memory)
    }
}

fn x86_64(model: &str, compatible: &str, cpus: u32, memory: Vec<Range>) -> Machine {
    let platform = X86_64 { local_apic_base: LOCAL_APIC_BASE, wakeup_mailbox: None };
    bare(model, compatible, (0..cpus).map(u64::from), memory, Platform::X86_64(platform))
}

/// CPUs and memory, and nothing beside.
fn bare(
    model: &str,
    compatible: &str,
    cpu_ids: impl IntoIterator<Item = u64>,
    memory: Vec<Range>,
    platform: Platform,
) -> Machine {
    let cpu = |id| Cpu { id, numa_node: None, comment: None };
    Machine {
        model: model.to_owned(),
        compatible: vec![compatible.to_owned()],
        vtl: 0,
        cpus: cpu_ids.into_iter().map(cpu).collect(),
        memory: memory.into_iter().map(Memory::new).collect(),
        memory_reservations: Vec::new(),
        reserved: Vec::new(),
        platform,
        serial: None,
        vmbus: Vec::new(),
        hypervisor: None,
        chosen: Chosen::default(),
        openhcl: None,
    }
}

fn vmbus(interrupt: VmBusInterrupt) -> VmBus {
    VmBus { vtl: 2, mmio: vec![VMBUS_MMIO], interrupt, connection_id: VMBUS_VTL2_CONNECTION, comment: None }
}

/// Affinities of CPUs counted from 0: sixteen to an Aff0, as many as a GICv3 sends one SGI to, then 256 to an Aff1.
pub fn mpidrs(cpus: u32) -> impl Iterator<Item = u64> {
    let mpidr = |cpu: u64| ((cpu / 4096) << 16) | ((cpu / 16 % 256) << 8) | (cpu % 16);
    (0..cpus).map(move |cpu| mpidr(cpu.into()))
}
