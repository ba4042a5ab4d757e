//! The whole of what is decided before the kernel begins.

use sha2::{Digest as _, Sha384};

use crate::{
    CPUS_MAX, Failure, Range, Ranges, boot_params,
    host_tree::{self, HostTree},
    memory_map::{self, RANGES_MAX},
    options,
    plan::{Arch, PAGE_BYTES, Plan},
    template::{self, Machine},
};

/// What lies where the plan says.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub kernel: &'a [u8],
    pub initramfs: &'a [u8],
    pub template: &'a [u8],
    pub command_line: &'a [u8],
    pub vp_count: u32,
    pub memory_map: &'a [u8],
    pub host_tree: &'a [u8],
    pub host_options: &'a [u8],
}

/// Where what is made goes.
pub struct Room<'a> {
    pub tree: &'a mut [u8],
    pub command_line: &'a mut [u8],
    /// x86_64 alone; elsewhere it is left as it is.
    pub boot_params: &'a mut [u8; PAGE_BYTES],
}

/// With what the kernel begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    pub entry: u64,
    /// RSI on x86_64, X0 on aarch64: boot_params, or the device tree.
    pub argument: u64,
    pub cpus: usize,
    pub memory_bytes: u64,
    /// Bytes that the host added to the command line.
    pub options_bytes: usize,
}

/// Checks everything and finishes what the kernel is told.
///
/// # Errors
/// The first reason why the kernel must not begin. What was written to `room` until then doesn't matter.
pub fn prepare(plan: &Plan, given: &Given, room: &mut Room) -> Result<Prepared, Failure> {
    // What the file promises comes before what the host says.
    if Sha384::digest(given.kernel)[..] != plan.kernel_digest {
        return Err(Failure::KernelDigest);
    }
    if Sha384::digest(given.initramfs)[..] != plan.initramfs_digest {
        return Err(Failure::InitramfsDigest);
    }
    let memory = memory(plan, given.memory_map)?;
    let host = host(given)?;
    let added = options::check(given.host_options, plan.allowed_options)?;
    let length = options::join(given.command_line, added, room.command_line)?;
    let machine = Machine {
        host: &host,
        memory: memory.as_slice(),
        bootargs: match plan.arch {
            Arch::X86_64 => None,
            // With its NUL.
            Arch::Aarch64 => Some(&room.command_line[..=length]),
        },
    };
    let argument = match plan.arch {
        Arch::X86_64 => {
            let (head, tree) =
                room.tree.split_at_mut_checked(boot_params::NODE_BYTES).ok_or(Failure::TreeTooLarge)?;
            let bytes = template::fill(given.template, &machine, tree)?;
            head.copy_from_slice(&boot_params::node(bytes));
            let (options, tree) = (plan.command_line_room.start, plan.tree_room.start);
            boot_params::finish(room.boot_params, memory.as_slice(), options, tree)?;
            plan.boot_params.start
        }
        Arch::Aarch64 => {
            template::fill(given.template, &machine, room.tree)?;
            plan.tree_room.start
        }
    };
    let bytes = memory.as_slice().iter().map(|range| range.end - range.start);
    Ok(Prepared {
        entry: plan.entry,
        argument,
        cpus: host.cpus().len(),
        memory_bytes: bytes.fold(0, u64::saturating_add),
        options_bytes: added.len(),
    })
}

/// This level's memory, with all parts of the file in it.
fn memory(plan: &Plan, map: &[u8]) -> Result<Ranges<RANGES_MAX>, Failure> {
    let memory = memory_map::own(map)?;
    let parts = [
        ("kernel", plan.kernel_span),
        ("initramfs", plan.initramfs),
        ("boot shim", plan.own),
        ("boot parameters", plan.boot_params),
    ];
    let parts = if plan.arch == Arch::X86_64 { &parts[..] } else { &parts[..3] };
    for (what, range) in parts {
        if !memory.as_slice().iter().any(|own| own.contains(range)) {
            let range: Range = *range;
            return Err(Failure::NoRoom { what, range });
        }
    }
    Ok(memory)
}

/// The host's device tree, with as many processors as the host says.
fn host<'a>(given: &Given<'a>) -> Result<HostTree<'a>, Failure> {
    let count = given.vp_count;
    if count == 0 {
        return Err(Failure::NoProcessors);
    }
    if count as usize > CPUS_MAX {
        return Err(Failure::TooManyProcessors { count });
    }
    let host = host_tree::read(given.host_tree).map_err(Failure::HostTree)?;
    let cpus = host.cpus();
    if cpus.len() != count as usize {
        return Err(Failure::HostProcessors { count, named: cpus.len() });
    }
    let same = cpus.iter().enumerate().find(|(number, id)| cpus[..*number].contains(id));
    match same {
        Some((_, id)) => Err(Failure::SameProcessor { id: *id }),
        None => Ok(host),
    }
}
