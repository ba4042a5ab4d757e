//! A machine and a file's plan, as values to be broken.

use boot_shim::{
    Failure, Given, Prepared, Room,
    plan::{MAGIC, PAGE_BYTES, Plan, TEXT},
    prepare,
};
use fdt::machine::{Chosen, MAINLINE, OPENHCL_HOST, hyperv_vtl2_aarch64, hyperv_vtl2_x86_64};
use sha2::{Digest as _, Sha384};

pub const MIB: u64 = 1 << 20;

fn machine(arch: image::Arch, cpus: u32, memory: &[fdt::Range]) -> fdt::machine::Machine {
    let chosen = Chosen { bootargs: Some("console=ttyAMA0 quiet".to_owned()), initrd: None };
    match arch {
        image::Arch::X86_64 => hyperv_vtl2_x86_64(cpus, memory.to_vec()),
        image::Arch::Aarch64 => hyperv_vtl2_aarch64(cpus, memory.to_vec(), chosen),
    }
}

/// What the kernel of such a machine wants.
pub fn kernel_tree(arch: image::Arch, cpus: u32, memory: &[fdt::Range]) -> fdt::Tree {
    machine(arch, cpus, memory).tree(&MAINLINE)
}

/// What the host says of it.
pub fn host_tree(arch: image::Arch, cpus: u32, memory: &[fdt::Range]) -> Vec<u8> {
    fdt::to_dtb(&machine(arch, cpus, memory).tree(&OPENHCL_HOST)).unwrap()
}

/// A memory map of first page, pages and type, with its end.
pub fn map(entries: &[(u64, u64, u16)]) -> Vec<u8> {
    let entry = |(page, pages, kind): (u64, u64, u16)| {
        [&page.to_le_bytes()[..], &pages.to_le_bytes(), &u64::from(kind).to_le_bytes()].concat()
    };
    entries.iter().copied().chain([(0, 0, 0)]).flat_map(entry).collect()
}

/// All that the shim reads and writes.
pub struct Fake {
    pub words: [u64; 512],
    pub allowed: &'static str,
    pub kernel: Vec<u8>,
    pub initramfs: Vec<u8>,
    pub template: Vec<u8>,
    pub vp_count: u32,
    pub memory_map: Vec<u8>,
    pub host_tree: Vec<u8>,
    pub host_options: Vec<u8>,
    pub tree: Vec<u8>,
    pub command_line: Vec<u8>,
    pub boot_params: Box<[u8; PAGE_BYTES]>,
}

impl Fake {
    /// Three processors and 256 MiB; the host adds `quiet`, which it may.
    pub fn new(arch: image::Arch) -> Fake {
        let memory = [fdt::Range::new(0, 256 * MIB)];
        let mut fake = Fake {
            words: [0; 512],
            allowed: "loglevel quiet",
            kernel: vec![1; 5000],
            initramfs: vec![2; 300],
            template: fdt::to_dtb(&kernel_tree(arch, 2, &[fdt::Range::new(0, 512 * MIB)])).unwrap(),
            vp_count: 3,
            memory_map: map(&[(0, 256 * MIB / 4096, 3)]),
            host_tree: host_tree(arch, 3, &memory),
            host_options: b"quiet\0\0\0".to_vec(),
            tree: vec![0; 64 << 10],
            command_line: vec![0; 2048],
            boot_params: Box::new([0; PAGE_BYTES]),
        };
        let digest = |bytes: &[u8]| -> Vec<u64> {
            let digest = Sha384::digest(bytes);
            digest.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect()
        };
        let words = &mut fake.words;
        words[0] = MAGIC;
        words[1] = u64::from(arch == image::Arch::Aarch64);
        words[2..6].copy_from_slice(&[16 * MIB, 5000, 32 * MIB, 16 * MIB + 0x200]);
        words[6..8].copy_from_slice(&[48 * MIB, 300]);
        words[12] = 2 * MIB;
        words[20..26].copy_from_slice(&[4 * MIB, MIB, 4 * MIB + 0x1000, 64 << 10, 4 * MIB + 0x2_0000, 2048]);
        words[32..38].copy_from_slice(&digest(&fake.kernel));
        words[38..44].copy_from_slice(&digest(&fake.initramfs));
        fake
    }

    /// A copy; what is made is empty.
    pub fn copy(of: &Fake) -> Fake {
        Fake {
            words: of.words,
            allowed: of.allowed,
            kernel: of.kernel.clone(),
            initramfs: of.initramfs.clone(),
            template: of.template.clone(),
            vp_count: of.vp_count,
            memory_map: of.memory_map.clone(),
            host_tree: of.host_tree.clone(),
            host_options: of.host_options.clone(),
            tree: vec![0; 16 << 10],
            command_line: vec![0; 2048],
            boot_params: Box::new([0; PAGE_BYTES]),
        }
    }

    pub fn prepare(&mut self) -> Result<Prepared, Failure> {
        let mut page: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        page[26 * 8..27 * 8].copy_from_slice(&(self.allowed.len() as u64).to_le_bytes());
        page[TEXT..TEXT + self.allowed.len()].copy_from_slice(self.allowed.as_bytes());
        let page: [u8; PAGE_BYTES] = page.try_into().unwrap();
        let plan = Plan::parse(&page)?;
        let given = Given {
            kernel: &self.kernel,
            initramfs: &self.initramfs,
            template: &self.template,
            command_line: b"console=ttyS0",
            vp_count: self.vp_count,
            memory_map: &self.memory_map,
            host_tree: &self.host_tree,
            host_options: &self.host_options,
        };
        let room = &mut Room {
            tree: &mut self.tree,
            command_line: &mut self.command_line,
            boot_params: &mut self.boot_params,
        };
        prepare(&plan, &given, room)
    }
}
