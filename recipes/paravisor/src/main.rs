//! Runs the guest that `/vtl0/guest.json` describes, to its end. Without that file there is no guest and nothing to do.

use std::process::ExitCode;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use paravisor::{
    config::{self, After, Config, Guest},
    device::Mshv,
    events::Event,
    linux,
    memory::Memory,
    processor::Processor,
    test_guest,
};

fn main() -> ExitCode {
    let config = match config::read() {
        Ok(Some(config)) => config,
        Ok(None) => {
            Event::new("no-guest").text("looked_at", config::PATH).emit();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            Event::new("error").text("what", &error).emit();
            return ExitCode::FAILURE;
        }
    };
    let result = run(&config);
    if let Err(error) = &result {
        Event::new("error").text("what", error).emit();
    }
    if config.after == After::Restart {
        // PID 1 takes it for a wish to restart.
        if let Err(error) = kill(Pid::from_raw(1), Signal::SIGTERM) {
            Event::new("error").text("what", &format!("can't tell PID 1 to restart: {error}")).emit();
        }
    }
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(config: &Config) -> Result<(), String> {
    let mshv = Mshv::open()?;
    let memory = Memory::new(mshv.map(&config.memory)?);
    let begin = match &config.guest {
        Guest::Linux { kernel, initramfs, command_line } => {
            let read = |path: &str| std::fs::read(path).map_err(|error| format!("{path}: {error}"));
            linux::load(&memory, &read(kernel)?, &read(initramfs)?, command_line)?
        }
        Guest::Test { ends } => test_guest::load(&memory, *ends)?,
    };
    let bytes: u64 = config.memory.iter().map(|range| range.size).sum();
    Event::new("start").text("guest", config.guest.name()).number("memory_bytes", bytes).emit();
    let mut processor = Processor::new(mshv, memory)?;
    processor.begin(&begin)?;
    let end = processor.run()?;
    processor.report(&end);
    Ok(())
}
