//! `boot --igvm`: a file loaded as a host loads it, and the machine that it runs on.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use image::igvm::start::Guest;
use serde_json::json;

use super::{Boot, Ready, execute, folder, made, monitor_rust};
use crate::{
    boot::{
        Below, Question,
        machine::{self, MONITOR},
    },
    host::{command::Limits, qemu},
    member::member,
    plan::{self, Action},
    profile::{Arch, types::Vtl},
    verbs::Session,
};

const PROGRAM: &str = "vtlforge-igvm";
/// The monitor has blocks of 2 MiB for the guest's memory, which ends where Hyper-V's devices begin.
const BLOCK: u64 = 2 << 20;
const MEMORY_MAX: u64 = 3 << 30;

/// A file that looks like one.
pub struct Given {
    path: PathBuf,
    arch: Arch,
}

impl Given {
    /// Reads what the fixed header says of the architecture; the rest is for the program that knows the format.
    pub fn look_at(path: &Path) -> Result<Given> {
        let mut head = Vec::new();
        let file = File::open(path).with_context(|| format!("--igvm: can't read {}", path.display()))?;
        file.take(28)
            .read_to_end(&mut head)
            .with_context(|| format!("--igvm: can't read {}", path.display()))?;
        let word =
            |number: usize| head.get(number * 4..number * 4 + 4).and_then(|bytes| bytes.try_into().ok());
        let word = |number| word(number).map(u32::from_le_bytes);
        ensure!(head.starts_with(b"IGVM"), "--igvm: {} is no IGVM file", path.display());
        let arch = match (word(1), word(6)) {
            (Some(1), _) | (Some(2), Some(0)) => Arch::X86_64,
            (Some(2), Some(1)) => Arch::Aarch64,
            _ => bail!(
                "--igvm: {} is for an architecture, or of a format, that isn't known here",
                path.display()
            ),
        };
        Ok(Given { path: std::path::absolute(path)?, arch })
    }
}

/// Has the file loaded, and describes the machine with what came of it.
pub fn prepare(arguments: &Boot, given: &Given, session: &mut Session) -> Result<Ready> {
    let (arch, cpus) = (given.arch, arguments.smp);
    ensure!(
        arguments.memory.is_multiple_of(BLOCK) && arguments.memory < MEMORY_MAX,
        "--memory: for an IGVM file, a multiple of 2MiB below 3GiB"
    );
    let tools = &session.context.tools;
    let qemu = qemu::find(tools.host(), &mut tools.memo(), arch)?;
    let folder = folder(arguments, session, &format!("igvm-{}", arch.name()))?;
    let append = arguments.append.as_deref().unwrap_or_default();
    let guest = load(arguments, given, session, &folder.file(""))?;
    if !append.is_empty() && !guest.takes_command_line {
        bail!("--append: {} has no place for what the host says of the command line", given.path.display());
    }
    let plan = plan::make_monitor(arch, &session.host, monitor_rust(session, arch)?);
    let outcomes = execute(arguments, session, &plan)?;
    let monitor =
        made(session, &plan, &outcomes, |action| matches!(action, Action::BuildMonitor { .. }), "program");
    folder.link(MONITOR, &monitor)?;
    let question = Question {
        arch,
        kernel: Vtl::Vtl2,
        below: Below::Monitor { vtl: 2 },
        cpus,
        is_interactive: false,
        is_self_test: false,
        is_shutdown: false,
    };
    let machine = machine::describe_loaded(question, arguments.memory, &guest, arguments.gdb);
    let name = arguments.igvm.as_deref().unwrap_or(&given.path).display().to_string();
    Ok(Ready {
        name,
        question,
        qemu,
        machine,
        folder,
        until_ready: !append.contains("vtl2_init.after="),
        vtl0: None,
    })
}

/// Runs the program that knows the format; its word on a bad file is ours.
fn load(arguments: &Boot, given: &Given, session: &Session, folder: &Path) -> Result<Guest> {
    let append = arguments.append.as_deref().unwrap_or_default();
    let host = machine::host(given.arch, arguments.smp, arguments.memory, append)?;
    let request = json!({ "file": given.path, "host": host, "folder": folder });
    let path = folder.join("load.json");
    std::fs::write(&path, serde_json::to_vec(&request)?)
        .with_context(|| format!("can't write {}", path.display()))?;
    let tools = &session.context.tools;
    let member = member(PROGRAM)?;
    let toolchain = tools.toolchain()?;
    let limits = || Limits { timeout: None, cancel: Some(&session.context.cancelled) };
    let mut build = tools.host().rust_command(&toolchain.cargo).envs(tools.host().network());
    build = build.env("RUSTC", &toolchain.rustc).directory(&member.workspace).args(&member.arguments);
    if session.context.offline {
        build = build.env("CARGO_NET_OFFLINE", "true");
    }
    let built = build.output(limits())?;
    ensure!(built.status.success(), "can't build the program that reads IGVM files\n{}", built.stderr.trim());
    let loaded =
        tools.host().command(&member.program).args(["load".as_ref(), path.as_os_str()]).output(limits())?;
    if !loaded.status.success() {
        let text = loaded.stderr.trim();
        bail!("{}", text.strip_prefix("error: ").unwrap_or(text));
    }
    let path = folder.join("guest.json");
    let text = std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not what was asked for", path.display()))
}
