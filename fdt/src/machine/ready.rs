//! Machines that exist, with their addresses filled in. What an owner chooses (CPUs, memory, command line) is asked
//! for; every other field is there to be changed in what comes back.

use super::{
    Aarch64, ArchTimer, Chosen, GicV3, Machine, Platform, PsciConduit, Serial, VmBus, VmBusInterrupt, X86_64,
};
use crate::check::REDISTRIBUTOR_SIZE;
use crate::tree::Range;

/// Just below 64 GiB, out of the way of RAM in machines of ordinary size; the window in the binding's example.
const VMBUS_MMIO: Range = Range::new(0xf_f000_0000, 0x1000_0000);

/// VTL2 of a Hyper-V machine on x86_64, CPUs with APIC ids from 0.
pub fn hyperv_vtl2_x86_64(cpus: u32, memory: Vec<Range>) -> Machine {
    Machine {
        model: "Microsoft Hyper-V VTL2".to_owned(),
        compatible: vec!["microsoft,hyperv".to_owned()],
        memory,
        memory_reservations: Vec::new(),
        platform: Platform::X86_64(X86_64 {
            apic_ids: (0..cpus).collect(),
            // Intel SDM 3A, 11.4.1: where the local APIC is after reset.
            local_apic_base: 0xfee0_0000,
        }),
        vmbus: Some(VmBus {
            mmio: vec![VMBUS_MMIO],
            // arch/x86/include/asm/irq_vectors.h: HYPERVISOR_CALLBACK_VECTOR
            interrupt: VmBusInterrupt::Vector(0xf3),
        }),
    }
}

/// VTL2 of a Hyper-V machine on aarch64, with Hyper-V's own addresses (those OpenHCL takes unless told otherwise).
pub fn hyperv_vtl2_aarch64(cpus: u32, memory: Vec<Range>, chosen: Chosen) -> Machine {
    Machine {
        model: "Microsoft Hyper-V VTL2".to_owned(),
        compatible: vec!["microsoft,hyperv".to_owned()],
        memory,
        memory_reservations: Vec::new(),
        platform: Platform::Aarch64(Aarch64 {
            mpidrs: mpidrs(cpus),
            cpu_compatible: "arm,armv8".to_owned(),
            psci: PsciConduit::Hvc,
            gic: GicV3 {
                distributor: Range::new(0xffff_0000, 0x1_0000),
                redistributors: vec![Range::new(0xeffe_e000, REDISTRIBUTOR_SIZE * u64::from(cpus))],
                redistributor_stride: Some(REDISTRIBUTOR_SIZE),
            },
            // The virtual timer is INTID 20; the physical one is where the base system architecture (BSA) has it.
            timer: ArchTimer { secure_physical: None, physical: 14, virtual_: 4, hypervisor_physical: None },
            pmu_ppi: Some(7),
            serial: Some(Serial::SbsaUart { base: 0xeffe_c000, spi: 1, baud: 115_200 }),
            chosen,
        }),
        vmbus: Some(VmBus { mmio: vec![VMBUS_MMIO], interrupt: VmBusInterrupt::Ppi(2) }),
    }
}

/// QEMU's `-M virt,gic-version=3` on aarch64 (hw/arm/virt.c), whose RAM begins at 0x40000000. PSCI answers to HVC,
/// and to SMC with `virtualization=on`.
pub fn qemu_virt_aarch64(cpus: u32, memory: Vec<Range>, psci: PsciConduit, chosen: Chosen) -> Machine {
    Machine {
        model: "linux,dummy-virt".to_owned(),
        compatible: vec!["linux,dummy-virt".to_owned()],
        memory,
        memory_reservations: Vec::new(),
        platform: Platform::Aarch64(Aarch64 {
            mpidrs: mpidrs(cpus),
            cpu_compatible: "arm,armv8".to_owned(),
            psci,
            gic: GicV3 {
                distributor: Range::new(0x0800_0000, 0x1_0000),
                // Room for 123 CPUs; where QEMU puts the redistributors of more depends on the RAM.
                redistributors: vec![Range::new(0x080a_0000, 0xf6_0000)],
                redistributor_stride: None,
            },
            timer: ArchTimer {
                secure_physical: Some(13),
                physical: 14,
                virtual_: 11,
                hypervisor_physical: Some(10),
            },
            pmu_ppi: Some(7),
            serial: Some(Serial::Pl011 { base: 0x0900_0000, spi: 1, clock_hz: 24_000_000 }),
            chosen,
        }),
        vmbus: None,
    }
}

/// Affinities of CPUs counted from 0: sixteen to an Aff0, as many as a GICv3 sends one SGI to, then 256 to an Aff1.
fn mpidrs(cpus: u32) -> Vec<u64> {
    let mpidr = |cpu: u64| ((cpu / 4096) << 16) | ((cpu / 16 % 256) << 8) | (cpu % 16);
    (0..cpus).map(|cpu| mpidr(cpu.into())).collect()
}
