//! PID 1 of the initramfs: mounts, says what it runs on (`payload-ready {json}` in the kernel log), supervises the
//! services of its configuration, and ends the machine's run when told to.
//!
//! It never exits: the kernel panics when PID 1 does. A panic of this program is logged and the work taken up again.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use vtl2_init::config::{self, After, Config};
use vtl2_init::facts::{self, Facts};
use vtl2_init::kernel_log::{self, Severity};
use vtl2_init::power::Action;
use vtl2_init::signals::{self, Signals};
use vtl2_init::supervise::Supervisor;
use vtl2_init::trust_level::{self, Arch, Observations};
use vtl2_init::{device_tree, mounts, power, report};

#[cfg(target_arch = "x86_64")]
const ARCH: Arch = Arch::X86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: Arch = Arch::Aarch64;

const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    if std::process::id() != 1 {
        return command();
    }
    set_hook(Box::new(|panic| {
        kernel_log::write(Severity::Error, &format!("vtl2-init: {panic}"));
    }));
    let mut init = Init { stage: Stage::Boot, supervisor: None };
    loop {
        match catch_unwind(AssertUnwindSafe(|| init.run())) {
            Ok(never) => match never {},
            Err(_) => std::thread::sleep(PAUSE_AFTER_PANIC),
        }
    }
}

/// Started by another name, as the kernel does when the host asks for a shutdown: passes the wish on to PID 1.
fn command() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    let sent = match Path::new(&name).file_name().and_then(|name| Action::of_command(name.to_str()?)) {
        Some(action) => signals::ask(action).map_err(|errno| format!("PID 1: {}", errno.desc())),
        // Stopping "every process" is meant for a machine, or a PID namespace, of its own.
        None => Err("runs as PID 1, or by the name of poweroff, reboot or halt".to_owned()),
    };
    let Err(problem) = sent else { return ExitCode::SUCCESS };
    let _ = writeln!(io::stderr(), concat!("vtl2-init ", env!("CARGO_PKG_VERSION"), ": {}"), problem);
    ExitCode::from(2)
}

/// How far it has come; kept outside what a panic unwinds, so that nothing is done twice.
struct Init {
    stage: Stage,
    supervisor: Option<Supervisor>,
}

#[derive(Clone, Copy)]
enum Stage {
    Boot,
    After(After),
    Supervise,
}

impl Init {
    fn run(&mut self) -> Infallible {
        loop {
            match self.stage {
                Stage::Boot => {
                    // First: a signal that arrives while booting is kept.
                    supervisor(&mut self.supervisor);
                    self.stage = Stage::Supervise;
                    self.stage = Stage::After(boot());
                }
                Stage::After(after) => {
                    self.stage = Stage::Supervise;
                    self.begin(after);
                }
                Stage::Supervise => {
                    let supervisor = supervisor(&mut self.supervisor);
                    let action = supervisor.run();
                    power::carry_out(action, supervisor);
                }
            }
        }
    }

    fn begin(&mut self, after: After) {
        let supervisor = supervisor(&mut self.supervisor);
        match after {
            After::Supervise => supervisor.configure(read_config()),
            After::Idle => {}
            After::Do(action) => power::carry_out(action, supervisor),
        }
    }
}

/// The supervisor, made when first needed. Without signals there is nothing to wait for: try until it works.
fn supervisor(slot: &mut Option<Supervisor>) -> &mut Supervisor {
    slot.get_or_insert_with(|| {
        loop {
            match Signals::register() {
                Ok(signals) => return Supervisor::new(signals),
                Err(error) => {
                    kernel_log::write(Severity::Error, &format!("vtl2-init: signal handlers: {error}"))
                }
            }
            std::thread::sleep(PAUSE_AFTER_PANIC);
        }
    })
}

/// Mounts, looks around and reports. Returns what is to be done then.
fn boot() -> After {
    for message in mounts::mount_all() {
        kernel_log::write(Severity::Warning, &format!("vtl2-init: {message}"));
    }
    // Ctrl-Alt-Del becomes SIGINT. Outside the first PID namespace that can't be set, and needn't.
    let _ = nix::sys::reboot::set_cad_enabled(false);
    let facts = facts::gather(Path::new("/"));
    let ready = ready_line(&facts);
    if device_tree::is_wanted(&facts.cmdline) {
        for record in device_tree::records(Path::new("/"), kernel_log::LONGEST_TEXT_BYTES) {
            kernel_log::write(Severity::Info, &record);
        }
    }
    kernel_log::write(Severity::Info, &ready);
    config::after(&facts.cmdline).unwrap_or_else(|value| {
        let text =
            format!("vtl2-init: vtl2_init.after={value}: not one of supervise, idle, poweroff, reboot, halt");
        kernel_log::write(Severity::Error, &text);
        After::default()
    })
}

fn ready_line(facts: &Facts) -> String {
    let (log, log_state) = kernel_log::read();
    let seen = Observations {
        arch: ARCH,
        log: &log,
        log_state,
        built_with_vtl_mode: facts.built_with_vtl_mode,
        vmbus: facts.vmbus,
        mshv_vtl_low: facts.mshv_vtl_low,
    };
    let trust = trust_level::decide(&seen);
    report::line(report::compose(ARCH, facts, trust, &log, trust_level::on_hyper_v(&seen)))
}

/// The configuration; what is wrong with it is a message each.
fn read_config() -> Config {
    let mut paths = vec![PathBuf::from(config::CONFIG_PATH)];
    let folder = fs::read_dir(config::CONFIG_FOLDER).into_iter().flatten().flatten();
    let mut more: Vec<PathBuf> = folder.map(|entry| entry.path()).collect();
    more.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    more.sort();
    paths.append(&mut more);
    let mut files = Vec::new();
    let mut wrong = Vec::new();
    for path in paths {
        match fs::read_to_string(&path) {
            Ok(text) => files.push((path.display().to_string(), text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => wrong.push(format!("{}: {error}", path.display())),
        }
    }
    let (config, problems) = config::collect(&files);
    for problem in wrong.into_iter().chain(problems) {
        kernel_log::write(Severity::Error, &format!("vtl2-init: {problem}"));
    }
    config
}
