//! `boot --vtl0`: the guest that VTL2's payload runs, put behind its initramfs.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::{Boot, VtlChoice, execute, head, made, monitor_rust};
use crate::{
    boot::{
        lower::{self, Layout, Linux, Vtl0},
        machine::{INITRAMFS, check_image},
        run::Folder,
    },
    plan::{self, Action, ProfileInput},
    profile::{Arch, types::Vtl},
    verbs::Session,
};

const MEMORY_MAX: u64 = 3 << 30;
const PARAVISOR: &str = "paravisor";
/// The guest's own console, in the boot's folder.
pub const CONSOLE: &str = "vtl0-console.log";

/// The guest, ready to be handed over.
pub struct Prepared {
    pub guest: Vtl0,
    /// The archive behind the initramfs.
    archive: Vec<u8>,
}

/// What can't be, before anything is built.
pub fn check(arguments: &Boot, guest: &Vtl0, profiles: &[ProfileInput]) -> Result<()> {
    let upper = &profiles[0].spec;
    ensure!(
        upper.arch == Arch::X86_64,
        "--vtl0: {} is for {}, and a guest below VTL2 runs on x86_64 only\n  hint: on 64-bit Arm Linux has no driver for \
         the levels below (CONFIG_MSHV_VTL depends on X86_64)",
        upper.name,
        upper.arch.name()
    );
    ensure!(
        upper.vtl == Vtl::Vtl2 && !matches!(arguments.vtl, Some(VtlChoice::Vtl0 | VtlChoice::None)),
        "--vtl0: below VTL2 is VTL0, and {} is not booted at VTL2",
        upper.name
    );
    ensure!(
        upper.payload.recipes.iter().any(|(name, _)| name == PARAVISOR),
        "--vtl0: the payload of {} can't run a guest\n  hint: add the recipe `{PARAVISOR}` to its `payload.recipes`",
        upper.name
    );
    // Above are a PC's devices.
    ensure!(
        arguments.memory + arguments.vtl0_memory <= MEMORY_MAX,
        "--memory and --vtl0-memory are more than 3 GiB together"
    );
    let Vtl0::Profile(_) = guest else { return Ok(()) };
    // One that is given twice is there once.
    let below = &profiles.last().unwrap_or(&profiles[0]).spec;
    ensure!(
        below.arch == upper.arch && below.vtl == Vtl::Vtl0,
        "--vtl0 {}: that is a kernel for VTL{} on {}, and below {} runs one for VTL0 on {}",
        below.name,
        below.vtl.number(),
        below.arch.name(),
        upper.name,
        upper.arch.name()
    );
    Ok(())
}

/// Makes the guest's parts, and the archive of them.
pub fn prepare(arguments: &Boot, guest: &Vtl0, session: &mut Session) -> Result<Prepared> {
    check(arguments, guest, &session.profiles)?;
    let layout = layout(arguments);
    let linux = match guest {
        Vtl0::Profile(_) => Some(linux(arguments, session)?),
        Vtl0::TestGuest(_) => None,
    };
    let archive = lower::archive(guest, linux.as_ref(), &layout)?;
    Ok(Prepared { guest: guest.clone(), archive })
}

pub fn layout(arguments: &Boot) -> Layout {
    lower::layout(arguments.memory, arguments.vtl0_memory)
}

fn linux(arguments: &Boot, session: &mut Session) -> Result<Linux> {
    let profile = &session.profiles[1];
    let of_profile = profile.spec.kernel.command_line.clone();
    let plan = plan::make_boot(profile, &session.host, monitor_rust(session, profile.spec.arch)?);
    let outcomes = execute(arguments, session, &plan)?;
    let made = |wanted: fn(&Action) -> bool, output: &str| made(session, &plan, &outcomes, wanted, output);
    let kernel = made(|action| matches!(action, Action::BuildKernel { .. }), "kernel");
    let initramfs = made(|action| matches!(action, Action::PackInitramfs { .. }), "initramfs.cpio.zst");
    check_image(Arch::X86_64, &head(&kernel)?).context("the kernel for VTL0")?;
    let more = arguments.vtl0_append.as_deref().map(|more| format!(" {more}")).unwrap_or_default();
    Ok(Linux {
        kernel: read(&kernel)?,
        initramfs: read(&initramfs)?,
        command_line: format!("{of_profile} vtl2_init.after=poweroff{more}"),
    })
}

impl Prepared {
    /// Writes the initramfs with the guest behind it, which is no link then.
    pub fn write_initramfs(&self, initramfs: &Path, folder: &Folder) -> Result<()> {
        let mut bytes = read(initramfs)?;
        // The kernel skips zeros between archives; a new one begins at a multiple of four.
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend_from_slice(&self.archive);
        folder.replace(INITRAMFS, &bytes)
    }

    /// The length of both.
    pub fn behind(&self, initramfs_bytes: u64) -> u64 {
        initramfs_bytes.next_multiple_of(512) + self.archive.len() as u64
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("can't read {}", path.display()))
}
