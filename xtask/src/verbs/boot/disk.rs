//! `boot --disk`: the profile's disk by itself, under UEFI firmware.

use anyhow::{Context as _, Result, ensure};

use super::{Boot, Ready, execute, folder, made};
use crate::{
    boot::{
        Below, Question,
        machine::{self, DISK, VARIABLES},
    },
    host::{firmware, qemu},
    plan::{self, Action},
    profile::{Vtl, spec::Spec},
    verbs::Session,
};

/// What firmware and the monitor need beside the memory that the disk's device tree names.
const BESIDE: u64 = 512 << 20;

/// Builds the disk, and describes the machine that its device tree is for.
pub fn prepare(arguments: &Boot, session: &mut Session) -> Result<Ready> {
    ensure!(
        arguments.append.is_none() && arguments.without.is_empty() && arguments.vtl.is_none(),
        "--disk boots what is on the disk: --append, --without and --vtl change nothing there"
    );
    let profile = &session.profiles[0];
    let (name, arch, vtl) = (profile.spec.name.clone(), profile.spec.arch, profile.spec.vtl);
    let (cpus, memory_bytes) = machine_of(&profile.spec, arguments);
    let host = session.context.tools.host();
    let qemu = qemu::find(host, &mut session.context.tools.memo(), arch)?;
    let firmware = firmware::find(host, arch).with_context(|| {
        format!(
            "there is no UEFI firmware for {} in QEMU, and the disk needs it\n  \
             hint: `cargo xtask doctor` has the command that installs it",
            arch.name()
        )
    })?;
    let plan = plan::make_disk(profile, &session.host);
    let outcomes = execute(arguments, session, &plan)?;
    let disk =
        made(session, &plan, &outcomes, |action| matches!(action, Action::PackDisk { .. }), "disk.raw");
    let folder = folder(arguments, session, &format!("{name}-disk"))?;
    folder.link(DISK, &disk)?;
    // The guest writes to it.
    let variables = std::fs::read(&firmware.variables)
        .with_context(|| format!("can't read {}", firmware.variables.display()))?;
    folder.write(VARIABLES, &variables)?;
    let question = Question {
        arch,
        kernel: vtl,
        below: if vtl == Vtl::Vtl2 { Below::Monitor { vtl: 2 } } else { Below::Nothing },
        cpus,
        is_interactive: arguments.interactive,
        is_self_test: false,
        is_shutdown: false,
    };
    let machine = machine::describe_disk(question, memory_bytes, &firmware, arguments.gdb);
    Ok(Ready {
        name: format!("{name}'s disk"),
        question,
        qemu,
        machine,
        folder,
        until_ready: true,
        vtl0: None,
    })
}

/// Processors, and memory in bytes: as the disk's device tree has them, where it has one.
fn machine_of(spec: &Spec, arguments: &Boot) -> (u32, u64) {
    let Some(tree) = spec.device_tree.as_ref().filter(|_| spec.vtl == Vtl::Vtl2) else {
        return (arguments.smp, arguments.memory.max(BESIDE));
    };
    let machine = crate::profile::device_tree::describe(spec.arch, spec.vtl, tree, &spec.kernel.command_line);
    let memory: u64 = machine.memory.iter().map(|memory| memory.range.size).sum();
    (machine.cpus.len() as u32, arguments.memory.max(memory + BESIDE))
}
