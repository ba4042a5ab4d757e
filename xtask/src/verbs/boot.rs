//! `cargo xtask boot`: boots a profile under QEMU and says what came of it, with evidence.

mod disk;
mod igvm;
mod normal_guest;
mod pair;
mod show;
mod vtl0;

use std::{
    fs::File,
    io::Read as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};

use super::{
    Access, Selection, Session, SessionOptions,
    session::{self, DEFAULT_PROFILE, bare_rust, load},
};
use crate::{
    boot::{
        Below, Question, evidence,
        lower::{self, Vtl0},
        machine::{self, HEAD_BYTES, INITRAMFS, KERNEL, MONITOR, Parts},
        run::{self, Folder, Patience},
        verdict,
    },
    execute::{self, Outcomes},
    host::{qemu, rust_target::native_target},
    plan::{self, Action, Plan, RustWay},
    profile::{Arch, ByteSize, Project, types::Vtl},
    report::{Event, Reporter, failure},
};

#[derive(Args, Clone, Debug)]
pub struct Boot {
    /// Name of a file in profiles/ [default: x86_64-vtl2]
    #[arg(value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Boot this IGVM file, loaded as a host loads it for VTL2, in place of a profile's parts
    #[arg(long, value_name = "FILE", conflicts_with_all = ["profile", "vtl", "without", "self_test", "shutdown", "interactive"])]
    pub igvm: Option<PathBuf>,
    /// What is below the kernel: the monitor, saying that this is VTL 0 or 2, or none [default: the profile's level]
    #[arg(long, value_enum)]
    pub vtl: Option<VtlChoice>,
    /// Have VTL2's payload run a guest at VTL0: a profile's kernel, or its own `test-guest`, `test-guest=crash`, `test-guest=halt`
    #[arg(long, value_name = "GUEST", value_parser = Vtl0::parse)]
    #[arg(conflicts_with_all = ["igvm", "self_test", "shutdown", "interactive", "as_normal_guest"])]
    pub vtl0: Option<Vtl0>,
    /// Memory of the guest at VTL0, in whole MiB
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = memory)]
    pub vtl0_memory: u64,
    /// Options to append to the command line of VTL0's kernel
    #[arg(long, value_name = "OPTIONS")]
    pub vtl0_append: Option<String>,
    /// Processors
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub smp: u32,
    /// Memory, in whole MiB (512MiB, 2GiB)
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = memory)]
    pub memory: u64,
    /// Seconds until a machine that neither reports nor ends is stopped
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
    /// Use the console by hand; the machine runs until it is switched off (Ctrl-A X)
    #[arg(long, conflicts_with = "json")]
    pub interactive: bool,
    /// Wait for a debugger on this port before the first instruction [default: 1234]
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "1234")]
    pub gdb: Option<u16>,
    /// Exercise the monitor: a guest of its own asks for everything at random, in the kernel's place
    #[arg(long, conflicts_with_all = ["interactive", "smp"])]
    pub self_test: bool,
    /// Boot the profile's disk by itself, under UEFI firmware; processors and memory are what its device tree says
    #[arg(long, conflicts_with_all = ["igvm", "self_test", "shutdown"])]
    pub disk: bool,
    /// Ask the guest over VMBus to switch off, once it is ready, and see it go
    #[arg(long, conflicts_with_all = ["interactive", "self_test"])]
    pub shutdown: bool,
    /// How QEMU runs the guest: emulation alone lets a monitor in below the kernel
    #[arg(long, value_name = "ACCEL", default_value = "tcg")]
    pub accel: String,
    /// Boot the kernel as it is without VTL mode: what the comparison `boot` compares with
    #[arg(long, hide = true)]
    pub as_normal_guest: bool,
    /// Options to append to the kernel's command line; with --igvm, what the host says of it
    #[arg(long, value_name = "OPTIONS")]
    pub append: Option<String>,
    /// Options to leave out of the kernel's command line; may be repeated
    #[arg(long, value_name = "OPTION")]
    pub without: Vec<String>,
    /// Where console and report go [default: out/boot/PROFILE]
    #[arg(long, value_name = "DIR")]
    pub logs: Option<PathBuf>,
    /// Events, then the verdict, as JSON lines on standard output
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub options: SessionOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VtlChoice {
    #[value(name = "0")]
    Vtl0,
    #[value(name = "2")]
    Vtl2,
    None,
}

/// Memory of a machine, in bytes.
pub fn memory(text: &str) -> Result<u64, String> {
    const MIB: u64 = 1 << 20;
    const LEAST: u64 = 64 * MIB;
    let bytes = ByteSize::parse(text).ok_or("not a size such as 512MiB or 2GiB")?.0;
    match bytes {
        bytes if !bytes.is_multiple_of(MIB) => Err("not a whole number of MiB".to_string()),
        bytes if bytes < LEAST => Err("less than 64MiB".to_string()),
        bytes => Ok(bytes),
    }
}

pub fn run(arguments: &Boot) -> Result<ExitCode> {
    let reporter = Arc::new(Reporter::new(arguments.json));
    let result = boot(arguments, reporter.clone());
    if let Err(error) = &result {
        reporter.event(&Event::Failed { error: &failure(error) });
    }
    result
}

fn boot(arguments: &Boot, reporter: Arc<Reporter>) -> Result<ExitCode> {
    check_arguments(arguments)?;
    let project = Project::find()?;
    let pair = arguments.profile.as_deref().map(|name| session::pair(&project, name)).transpose()?;
    let is_good = match pair.flatten() {
        Some(pair) => pair::boot(arguments, &project, &pair, &reporter)?,
        None => boot_one(arguments, project, reporter)?,
    };
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether one machine does what was asked of it.
fn boot_one(arguments: &Boot, project: Project, reporter: Arc<Reporter>) -> Result<bool> {
    let started = Instant::now();
    ensure!(
        arguments.vtl0.is_some() || arguments.vtl0_append.is_none(),
        "--vtl0-append is for a guest below VTL2, and there is none\n  hint: name one with --vtl0, or a pair"
    );
    // Before anything is built.
    let igvm = arguments.igvm.as_deref().map(igvm::Given::look_at).transpose()?;
    let mut names: Vec<String> = arguments.profile.iter().cloned().collect();
    if let Some(Vtl0::Profile(below)) = &arguments.vtl0 {
        names = vec![arguments.profile.clone().unwrap_or(DEFAULT_PROFILE.to_string()), below.clone()];
    }
    let selection = Selection { profiles: names, all: false };
    let mut profiles = load(&project, &selection)?;
    if arguments.as_normal_guest {
        profiles = vec![normal_guest::of(&project, profiles.remove(0).spec)?];
    }
    let mut session = Session::with(project, profiles, &arguments.options, Access::Build, reporter)?;
    crate::signals::cancel_on_interrupt(&session.context.cancelled)?;
    let ready = match &igvm {
        Some(given) => igvm::prepare(arguments, given, &mut session)?,
        None if arguments.disk => disk::prepare(arguments, &mut session)?,
        None => prepare(arguments, &mut session)?,
    };
    run_and_judge(arguments, &session, ready, started)
}

/// A machine that can be started.
struct Ready {
    /// What is booted, in the words of who asked for it.
    name: String,
    question: Question,
    qemu: PathBuf,
    machine: machine::Machine,
    folder: Folder,
    until_ready: bool,
    /// The guest at VTL0 below.
    vtl0: Option<Vtl0>,
}

/// The parts of a profile.
fn prepare(arguments: &Boot, session: &mut Session) -> Result<Ready> {
    let below = arguments.vtl0.as_ref().map(|guest| vtl0::prepare(arguments, guest, session)).transpose()?;
    let profile = &session.profiles[0];
    let (name, arch) = (profile.spec.name.clone(), profile.spec.arch);
    let tools = &session.context.tools;
    let qemu = qemu::find(tools.host(), &mut tools.memo(), arch)?;
    let question = Question {
        arch,
        kernel: profile.spec.vtl,
        below: match arguments.vtl {
            Some(VtlChoice::None) => Below::Nothing,
            Some(VtlChoice::Vtl0) => Below::Monitor { vtl: 0 },
            Some(VtlChoice::Vtl2) => Below::Monitor { vtl: 2 },
            None => Below::Monitor { vtl: profile.spec.vtl.number() },
        },
        cpus: arguments.smp,
        is_interactive: arguments.interactive,
        is_self_test: arguments.self_test,
        is_shutdown: arguments.shutdown,
    };
    ensure!(
        !question.is_self_test || question.below != Below::Nothing,
        "--self-test is a test of the monitor, and --vtl none boots without it"
    );
    ensure!(
        !question.is_shutdown || question.below != Below::Nothing,
        "--shutdown goes over the monitor's VMBus, and --vtl none boots without a monitor"
    );
    ensure!(
        !question.is_shutdown || (question.arch, question.kernel) != (Arch::X86_64, Vtl::Vtl0),
        "--shutdown goes over VMBus, which a normal x86_64 guest looks for in ACPI tables, and QEMU's have none"
    );
    let command_line = command_line(arguments, &profile.spec.kernel.command_line)?;
    let plan = plan::make_boot(profile, &session.host, monitor_rust(session, arch)?);
    let outcomes = execute(arguments, session, &plan)?;
    let made = |wanted: fn(&Action) -> bool, output: &str| made(session, &plan, &outcomes, wanted, output);
    let kernel = made(|action| matches!(action, Action::BuildKernel { .. }), "kernel");
    let vmlinux = made(|action| matches!(action, Action::BuildKernel { .. }), "vmlinux");
    let initramfs = made(|action| matches!(action, Action::PackInitramfs { .. }), "initramfs.cpio.zst");
    let monitor = made(|action| matches!(action, Action::BuildMonitor { .. }), "program");

    let initramfs_bytes = size(&initramfs)?;
    let machine = machine::describe(&Parts {
        question,
        memory_bytes: arguments.memory,
        command_line: &command_line,
        kernel_head: &head(&kernel)?,
        kernel_bytes: size(&kernel)?,
        initramfs_bytes: below.as_ref().map_or(initramfs_bytes, |below| below.behind(initramfs_bytes)),
        lower: below.as_ref().map(|_| vtl0::layout(arguments)),
        gdb_port: arguments.gdb,
    })?;
    let mut folder = folder(arguments, session, &name)?;
    if question.is_shutdown {
        folder.open_requests()?;
    }
    for (link, to) in [(KERNEL, &kernel), (INITRAMFS, &initramfs), (MONITOR, &monitor)] {
        folder.link(link, to)?;
    }
    if let Some(below) = &below {
        below.write_initramfs(&initramfs, &folder)?;
    }
    if let Some(port) = arguments.gdb {
        session
            .context
            .reporter
            .note(&format!("waiting for a debugger: gdb {} -ex 'target remote :{port}'", vmlinux.display()));
    }
    let vtl0 = below.map(|below| below.guest);
    Ok(Ready { name, question, qemu, machine, folder, until_ready: false, vtl0 })
}

fn execute(arguments: &Boot, session: &mut Session, plan: &Plan) -> Result<Outcomes> {
    if arguments.options.offline {
        execute::check_offline(&session.context, plan, &session.last)?;
    }
    execute::execute(&session.context, plan, &mut session.last)
}

/// Path of what a step made; there is one such step in a boot's plan.
fn made(
    session: &Session,
    plan: &Plan,
    outcomes: &Outcomes,
    wanted: fn(&Action) -> bool,
    output: &str,
) -> PathBuf {
    let number =
        plan.steps.iter().position(|step| wanted(&step.action)).expect("a boot's plan has one of each");
    session.context.store.output_path(&outcomes.0[number].key, output)
}

fn folder(arguments: &Boot, session: &Session, name: &str) -> Result<Folder> {
    let folder = match &arguments.logs {
        Some(folder) => std::path::absolute(folder)?,
        None => session.context.root.join("out/boot").join(name),
    };
    Folder::open(&folder)
}

fn run_and_judge(arguments: &Boot, session: &Session, ready: Ready, started: Instant) -> Result<bool> {
    let Ready { name, question, qemu, machine, folder, until_ready, vtl0 } = ready;
    for (file, content) in &machine.files {
        folder.write(file, content)?;
    }
    let run = if arguments.interactive {
        run::run_interactive(&qemu, &machine, &folder)?
    } else {
        // Whoever sits before a debugger has no haste.
        let timeout = if arguments.gdb.is_some() { u64::from(u32::MAX) } else { arguments.timeout };
        let patience = Patience { timeout: Duration::from_secs(timeout), until_ready };
        let context = &session.context;
        run::run(context.tools.host(), &qemu, &machine, &folder, patience, &context.cancelled)?
    };
    let mut evidence = evidence::gather(&run.console, &folder.report());
    if question.is_interactive {
        // When each line came is not known.
        evidence.milestones.clear();
    }
    let mut verdict = verdict::judge(&question, &evidence, &run.ended);
    let below = vtl0.map(|guest| (guest, lower::gather(&run.console)));
    if let Some((guest, lower)) = &below {
        verdict = lower::judge(verdict, guest, lower);
        folder.write(vtl0::CONSOLE, lower.text().as_bytes())?;
    }
    let shown = show::Shown {
        profile: &name,
        question: &question,
        memory_bytes: arguments.memory,
        evidence: &evidence,
        verdict: &verdict,
        vtl0: below.as_ref().map(|(guest, lower)| show::Below {
            guest,
            lower,
            memory_bytes: arguments.vtl0_memory,
            console: folder.file(vtl0::CONSOLE),
        }),
        console: folder.file(machine::CONSOLE),
        report: folder.file(machine::REPORT),
        qemu_seconds: run.took.as_secs_f64(),
        other_seconds: (started.elapsed() - run.took).as_secs_f64(),
    };
    if arguments.json {
        show::json(&shown)?
    } else {
        show::text(&shown)
    }
    Ok(verdict.ok)
}

fn check_arguments(arguments: &Boot) -> Result<()> {
    ensure!(
        arguments.accel == "tcg",
        "--accel {}: only tcg works\n  hint: the monitor takes Hyper-V's place below the kernel, at EL2 or under SVM; \
         hardware acceleration has a hypervisor of its own there",
        arguments.accel
    );
    if let Some(port) = arguments.gdb {
        TcpListener::bind(("127.0.0.1", port)).with_context(|| {
            format!("port {port} can't be used for the debugger\n  hint: another one with --gdb PORT")
        })?;
    }
    Ok(())
}

/// The profile's command line with what this boot adds and leaves out.
fn command_line(arguments: &Boot, of_profile: &str) -> Result<String> {
    for option in &arguments.without {
        if !of_profile.split(' ').any(|known| known == option) {
            bail!("--without {option}: the command line has no such option; it is `{of_profile}`");
        }
    }
    let kept =
        of_profile.split(' ').filter(|option| !arguments.without.iter().any(|without| without == option));
    Ok(kept.chain(arguments.append.as_deref()).collect::<Vec<_>>().join(" "))
}

fn monitor_rust(session: &Session, arch: Arch) -> Result<RustWay> {
    match &session.host.builder {
        Some(_) => Ok(RustWay::Builder { target: native_target(arch) }),
        None => bare_rust(&Project::find()?, arch, &session.context.tools),
    }
}

fn size(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?.len())
}

fn head(path: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let file = File::open(path).with_context(|| format!("can't read {}", path.display()))?;
    file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}
