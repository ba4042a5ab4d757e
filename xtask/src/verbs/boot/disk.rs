//! `boot --disk`: the profile's disk by itself, under UEFI firmware.

use anyhow::{Context as _, Result, ensure};

use super::{Boot, Ready, execute, folder, made};
use crate::{
    boot::{
        Below, Question,
        machine::{
            self, DISK, VARIABLES,
            disk::{CODE, size},
        },
    },
    host::{firmware, qemu},
    plan::{self, Action},
    profile::Vtl,
    verbs::Session,
};

/// Builds the disk, and describes the machine that its device tree is for.
pub fn prepare(arguments: &Boot, session: &mut Session) -> Result<Ready> {
    ensure!(
        arguments.append.is_none() && arguments.without.is_empty() && arguments.vtl.is_none(),
        "--disk boots what is on the disk: --append, --without and --vtl change nothing there"
    );
    let profile = &session.profiles[0];
    let (name, arch, vtl) = (profile.spec.name.clone(), profile.spec.arch, profile.spec.vtl);
    let (cpus, memory_bytes) = size(&profile.spec, arguments.smp, arguments.memory);
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
    folder.link(CODE, &firmware.code)?;
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
    let machine = machine::describe_disk(question, memory_bytes, firmware.format, arguments.gdb);
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
