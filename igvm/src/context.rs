//! The first processor's registers, in each platform's form.

use igvm::{
    IgvmDirectiveHeader,
    hv_defs::Vtl,
    registers::{AArch64Register, SegmentRegister, TableRegister, X86Register},
    snp_defs::{SevFeatures, SevSelector, SevVmsa},
};
use igvm_defs::IgvmNativeVpContextX64;
use image::igvm::{Entry, Platform, PlatformKind};
use zerocopy::FromZeros as _;

/// The header of a platform. TDX has none: its processors begin as after a reset.
pub fn context(entry: Entry, platform: &Platform, mask: u32) -> Option<IgvmDirectiveHeader> {
    let start = match entry {
        Entry::X86_64 { rip, rsi, cr3, gdt_base, gdt_limit } => Start { rip, rsi, cr3, gdt_base, gdt_limit },
        Entry::Aarch64 { pc, x0 } => {
            return Some(IgvmDirectiveHeader::AArch64VbsVpContext {
                vtl: Vtl::Vtl2,
                registers: aarch64(pc, x0),
                compatibility_mask: mask,
            });
        }
    };
    Some(match platform.kind {
        PlatformKind::VsmIsolation => IgvmDirectiveHeader::X64VbsVpContext {
            vtl: Vtl::Vtl2,
            registers: start.registers(),
            compatibility_mask: mask,
        },
        PlatformKind::Native => IgvmDirectiveHeader::X64NativeVpContext {
            compatibility_mask: mask,
            vp_index: 0,
            context: Box::new(start.native()),
        },
        PlatformKind::SevSnp => IgvmDirectiveHeader::SnpVpContext {
            gpa: platform.context_gpa.unwrap_or_default(),
            compatibility_mask: mask,
            vp_index: 0,
            vmsa: Box::new(start.vmsa(platform.shared_gpa_boundary)),
        },
        PlatformKind::Tdx => return None,
    })
}

const CODE: u16 = 0x10;
const DATA: u16 = 0x18;
/// Present, accessed, 64-bit code that can be read; present, accessed data that can be written. 4 KiB granularity.
const CODE_ATTRIBUTES: u16 = 0xa09b;
const DATA_ATTRIBUTES: u16 = 0xc093;
const LIMIT: u32 = 0xffff_ffff;
/// Protection, extension type, numeric errors, paging.
const CR0: u64 = 0x8000_0031;
/// Physical address extension.
const CR4: u64 = 0x20;
/// Long mode, enabled and active.
const EFER: u64 = 0x500;
const EFER_SVME: u64 = 0x1000;
const RFLAGS: u64 = 2;
/// After a reset.
const PAT: u64 = 0x0007_0406_0007_0406;
const DR6: u64 = 0xffff_0ff0;
const DR7: u64 = 0x400;
const MXCSR: u32 = 0x1f80;
const X87_CONTROL: u16 = 0x37f;

/// Long mode, flat, mapped to itself.
struct Start {
    rip: u64,
    rsi: u64,
    cr3: u64,
    gdt_base: u64,
    gdt_limit: u16,
}

impl Start {
    fn registers(&self) -> Vec<X86Register> {
        let segment = |selector, attributes| SegmentRegister { base: 0, limit: LIMIT, selector, attributes };
        let data = segment(DATA, DATA_ATTRIBUTES);
        vec![
            X86Register::Gdtr(TableRegister { base: self.gdt_base, limit: self.gdt_limit }),
            X86Register::Ds(data),
            X86Register::Es(data),
            X86Register::Fs(data),
            X86Register::Gs(data),
            X86Register::Ss(data),
            X86Register::Cs(segment(CODE, CODE_ATTRIBUTES)),
            X86Register::Cr0(CR0),
            X86Register::Cr3(self.cr3),
            X86Register::Cr4(CR4),
            X86Register::Efer(EFER),
            X86Register::Pat(PAT),
            X86Register::Rip(self.rip),
            X86Register::Rsi(self.rsi),
            X86Register::Rflags(RFLAGS),
        ]
    }

    fn native(&self) -> IgvmNativeVpContextX64 {
        let mut context = IgvmNativeVpContextX64::new_zeroed();
        context.rip = self.rip;
        context.rsi = self.rsi;
        context.rflags = RFLAGS;
        context.gdtr_base = self.gdt_base;
        context.gdtr_limit = self.gdt_limit;
        context.code_selector = CODE;
        context.code_attributes = CODE_ATTRIBUTES;
        context.code_limit = LIMIT;
        context.data_selector = DATA;
        context.data_attributes = DATA_ATTRIBUTES;
        context.data_limit = LIMIT;
        context.cr0 = CR0;
        context.cr3 = self.cr3;
        context.cr4 = CR4;
        context.efer = EFER;
        context
    }

    /// AMD64 Architecture Programmer's Manual, volume 2, table B-4; attributes without the gap in the middle.
    fn vmsa(&self, virtual_tom: u64) -> SevVmsa {
        let packed = |attributes: u16| attributes & 0xff | attributes >> 4 & 0xf00;
        let segment = |selector, attributes| SevSelector {
            selector,
            attrib: packed(attributes),
            limit: LIMIT,
            base: 0,
        };
        let mut vmsa = SevVmsa::new_zeroed();
        let data = segment(DATA, DATA_ATTRIBUTES);
        (vmsa.ds, vmsa.es, vmsa.fs, vmsa.gs, vmsa.ss) = (data, data, data, data, data);
        vmsa.cs = segment(CODE, CODE_ATTRIBUTES);
        vmsa.gdtr.base = self.gdt_base;
        vmsa.gdtr.limit = self.gdt_limit.into();
        vmsa.efer = EFER | EFER_SVME;
        (vmsa.cr0, vmsa.cr3, vmsa.cr4) = (CR0, self.cr3, CR4);
        (vmsa.dr6, vmsa.dr7) = (DR6, DR7);
        (vmsa.rip, vmsa.rsi, vmsa.rflags) = (self.rip, self.rsi, RFLAGS);
        vmsa.pat = PAT;
        vmsa.xcr0 = 1;
        (vmsa.mxcsr, vmsa.x87_fcw) = (MXCSR, X87_CONTROL);
        // Memory below the boundary is private without a bit in the page tables.
        vmsa.sev_features = SevFeatures::new().with_snp(true).with_vtom(virtual_tom != 0);
        vmsa.virtual_tom = virtual_tom;
        vmsa
    }
}

fn aarch64(pc: u64, x0: u64) -> Vec<AArch64Register> {
    vec![
        AArch64Register::Pc(pc),
        AArch64Register::X0(x0),
        AArch64Register::X1(0),
        AArch64Register::X2(0),
        AArch64Register::X3(0),
        // EL1 with its own stack pointer; debug exceptions, SErrors, IRQs and FIQs masked.
        AArch64Register::Cpsr(0x3c5),
        // Its reserved bits that read as one; translation and caches off.
        AArch64Register::SctlrEl1(0x30d0_0800),
    ]
}
