//! Names of virtual processor registers (TLFS, HV_REGISTER_NAME; those of VSM on the page "Virtual Secure Mode").

/// Hypervisor version: the content of CPUID leaf 0x40000002.
pub const HYPERVISOR_VERSION: u32 = 0x0000_0100;
/// Privileges and features: leaf 0x40000003.
pub const PRIVILEGES_AND_FEATURES: u32 = 0x0000_0200;
/// Recommendations: leaf 0x40000004.
pub const FEATURES: u32 = 0x0000_0201;
/// Limits: leaf 0x40000005.
pub const IMPLEMENTATION_LIMITS: u32 = 0x0000_0202;
/// Crash parameters 0 to 4, then the control register.
pub const GUEST_CRASH_P0: u32 = 0x0000_0210;
pub const GUEST_CRASH_CTL: u32 = 0x0000_0215;
pub const GUEST_OS_ID: u32 = 0x0009_0002;
pub const VP_INDEX: u32 = 0x0009_0003;
pub const TIME_REF_COUNT: u32 = 0x0009_0004;
pub const VP_ASSIST_PAGE: u32 = 0x0009_0013;
pub const REFERENCE_TSC: u32 = 0x0009_0017;
/// Page with registers of the level below, written at each intercept (HV_X64_REGISTER_REG_PAGE of Linux's headers).
pub const REGISTER_PAGE: u32 = 0x0009_001c;
pub const SINT0: u32 = 0x000a_0000;
pub const SINT15: u32 = 0x000a_000f;
pub const SCONTROL: u32 = 0x000a_0010;
pub const SVERSION: u32 = 0x000a_0011;
pub const SIEFP: u32 = 0x000a_0012;
pub const SIMP: u32 = 0x000a_0013;
pub const EOM: u32 = 0x000a_0014;
/// Where in the hypercall page the VTL call and return sequences are ("Hypercall Page Assist").
pub const VSM_CODE_PAGE_OFFSETS: u32 = 0x000d_0002;
/// Active VTL of the processor, in the low four bits ("HvRegisterVsmVpStatus").
pub const VSM_VP_STATUS: u32 = 0x000d_0003;
/// VTLs enabled for the partition, and the highest that it may have ("HvRegisterVsmPartitionStatus").
pub const VSM_PARTITION_STATUS: u32 = 0x000d_0004;
/// What VSM can do ("VSM Capability Detection").
pub const VSM_CAPABILITIES: u32 = 0x000d_0006;
/// What the highest VTL wants of the ones below ("Partition Configuration").
pub const VSM_PARTITION_CONFIG: u32 = 0x000d_0007;

/// An event to be delivered when the processor goes on, such as an interrupt (TLFS 7.9.3 and appendix).
pub const PENDING_INTERRUPTION: u32 = 0x0001_0002;
pub const INTERRUPT_STATE: u32 = 0x0001_0003;
/// Asks to be told when an interrupt can be taken.
pub const DELIVERABILITY_NOTIFICATIONS: u32 = 0x0001_0006;
/// RSP among the general registers, the only one that levels don't share; RIP; RFLAGS.
pub const RSP: u32 = 0x0002_0004;
pub const RIP: u32 = 0x0002_0010;
pub const RFLAGS: u32 = 0x0002_0011;
pub const CR0: u32 = 0x0004_0000;
pub const CR3: u32 = 0x0004_0002;
pub const CR4: u32 = 0x0004_0003;
pub const CR8: u32 = 0x0004_0004;
pub const DR6: u32 = 0x0005_0004;
pub const DR7: u32 = 0x0005_0005;
/// ES, CS, SS, DS, FS, GS, LDTR, TR.
pub const ES: u32 = 0x0006_0000;
pub const TR: u32 = 0x0006_0007;
pub const IDTR: u32 = 0x0007_0000;
pub const GDTR: u32 = 0x0007_0001;
pub const EFER: u32 = 0x0008_0001;
pub const KERNEL_GS_BASE: u32 = 0x0008_0002;
pub const PAT: u32 = 0x0008_0004;
/// SYSENTER_CS, SYSENTER_EIP, SYSENTER_ESP, STAR, LSTAR, CSTAR, SFMASK.
pub const SYSENTER_CS: u32 = 0x0008_0005;
pub const SFMASK: u32 = 0x0008_000b;

/// The name in the report; empty for one that this core doesn't know.
pub fn name(register: u32) -> &'static str {
    match register {
        HYPERVISOR_VERSION => "hypervisor-version",
        PRIVILEGES_AND_FEATURES => "privileges-and-features",
        FEATURES => "features",
        IMPLEMENTATION_LIMITS => "implementation-limits",
        GUEST_CRASH_P0..GUEST_CRASH_CTL => "guest-crash-parameter",
        GUEST_CRASH_CTL => "guest-crash-control",
        GUEST_OS_ID => "guest-os-id",
        VP_INDEX => "vp-index",
        TIME_REF_COUNT => "time-ref-count",
        VP_ASSIST_PAGE => "vp-assist-page",
        REFERENCE_TSC => "reference-tsc",
        REGISTER_PAGE => "register-page",
        SINT0..=SINT15 => "sint",
        SCONTROL => "scontrol",
        SVERSION => "sversion",
        SIEFP => "siefp",
        SIMP => "simp",
        EOM => "eom",
        VSM_CODE_PAGE_OFFSETS => "vsm-code-page-offsets",
        VSM_VP_STATUS => "vsm-vp-status",
        VSM_PARTITION_STATUS => "vsm-partition-status",
        VSM_CAPABILITIES => "vsm-capabilities",
        VSM_PARTITION_CONFIG => "vsm-partition-config",
        _ => "",
    }
}
