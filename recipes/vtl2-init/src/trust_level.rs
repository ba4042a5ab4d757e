//! Which Virtual Trust Level the kernel runs at, decided from what can be seen, with the evidence named. Pure.
//!
//! The kernel has no interface that tells user space its level. What there is, read in Linux 7.3:
//!
//! - arm64 (`arch/arm64/hyperv/mshyperv.c`, `hyperv_init`) prints the level it asked for, only when it is above 0.
//! - x86 (`arch/x86/hyperv/hv_vtl.c`, `hv_vtl_init_platform`) prints the same sentence before it has asked: always 0,
//!   in every kernel built for VTL mode that finds Hyper-V. So on x86 the sentence shows how the kernel was built.
//!   The level asked for later, when above 0, replaces the wake-up call of secondary CPUs (`hv_vtl_early_init`), which
//!   the APIC code logs, CPUs or not. VTL mode on x86 knows one level above 0: it starts CPUs in VTL 2 (`HV_VTL_MGMT`).
//!   Under TDX the call isn't replaced by VTL mode but by the ACPI mailbox, so nothing can be concluded there.
//! - `/dev/mshv_vtl_low` exists once `mshv_vtl` has configured VTL 0 from above (`mshv_vtl_init`).
//!
//! A level is only reported when the evidence bears it; a log whose beginning is lost bears no conclusion from absence.

/// The architectures this program is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    X86_64,
    Aarch64,
}

impl Arch {
    /// As in target triples.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

/// What the decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Observations<'a> {
    pub arch: Arch,
    /// Messages of the kernel itself (facility 0), oldest first, without prefix.
    pub log: &'a [String],
    pub log_state: LogState,
    /// `CONFIG_HYPERV_VTL_MODE` from `/proc/config.gz`, where there is one.
    pub built_with_vtl_mode: Option<bool>,
    /// `/sys/bus/vmbus` exists: the driver registers the bus under Hyper-V only.
    pub vmbus: bool,
    /// `/dev/mshv_vtl_low` exists.
    pub mshv_vtl_low: bool,
}

/// How much of the kernel log could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogState {
    /// From its first record to the present, without a gap.
    Complete,
    /// Old records have been overwritten.
    Incomplete,
    Unreadable,
}

/// The level, `None` when it can't be known, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustLevel {
    pub level: Option<u8>,
    pub evidence: Vec<Evidence>,
}

/// A reason for, or an obstacle to, a conclusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The kernel log states a level above 0.
    LogStatesLevel,
    /// x86: secondary CPUs are woken by `hv_vtl_wakeup_secondary_cpu`.
    WakeupHook,
    /// x86: the wake-up call is replaced, by what is not named (no `KALLSYMS`), and nothing else could have done it.
    UnnamedWakeupHook,
    /// The device that maps VTL 0's memory exists.
    MshvVtlDevice,
    /// No Hyper-V below this kernel: no trust levels.
    NoHyperV,
    /// Under Hyper-V, a kernel without VTL mode: it is good for VTL 0 only.
    KernelWithoutVtlMode,
    /// Under Hyper-V, a kernel with VTL mode that has asked and did not take the path of a level above 0.
    NoLevelAboveZeroTaken,
    /// An isolated machine hides what would show the level.
    Isolated,
    /// A VTL mode kernel did not get as far as asking Hyper-V.
    NeverAsked,
    LogIncomplete,
    LogUnreadable,
}

impl Evidence {
    /// The name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::LogStatesLevel => "log-states-level",
            Self::WakeupHook => "wakeup-hook",
            Self::UnnamedWakeupHook => "unnamed-wakeup-hook",
            Self::MshvVtlDevice => "mshv-vtl-device",
            Self::NoHyperV => "no-hyper-v",
            Self::KernelWithoutVtlMode => "kernel-without-vtl-mode",
            Self::NoLevelAboveZeroTaken => "no-level-above-zero-taken",
            Self::Isolated => "isolated",
            Self::NeverAsked => "never-asked",
            Self::LogIncomplete => "log-incomplete",
            Self::LogUnreadable => "log-unreadable",
        }
    }
}

/// Followed by the level; kernels up to 6.12 leave the number out.
const LEVEL_SENTENCE: &str = "Linux runs in Hyper-V Virtual Trust Level";
const WAKEUP_REPLACED: &str = "APIC: wakeup_secondary_cpu_64() replaced with ";

/// Decides the trust level.
pub fn decide(seen: &Observations) -> TrustLevel {
    let above_zero = match seen.arch {
        Arch::X86_64 => above_zero_on_x86(seen),
        Arch::Aarch64 => above_zero_on_arm64(seen),
    };
    above_zero.unwrap_or_else(|| zero_or_unknown(seen))
}

/// Whether the kernel found Hyper-V; `None` when it can't be known.
pub fn on_hyper_v(seen: &Observations) -> Option<bool> {
    let detected = seen.vmbus
        || seen.log.iter().any(|line| {
            line.starts_with("Hypervisor detected: Microsoft Hyper-V")
                || line.starts_with("Hyper-V: privilege flags")
        });
    match (detected, seen.log_state) {
        (true, _) => Some(true),
        (false, LogState::Complete) => Some(false),
        (false, LogState::Incomplete | LogState::Unreadable) => None,
    }
}

fn above_zero_on_arm64(seen: &Observations) -> Option<TrustLevel> {
    let level = stated_level(seen.log)?;
    Some(TrustLevel { level: Some(level), evidence: vec![Evidence::LogStatesLevel] })
}

fn above_zero_on_x86(seen: &Observations) -> Option<TrustLevel> {
    let stated = stated_level(seen.log);
    let mut evidence = Vec::new();
    if stated.is_some() {
        evidence.push(Evidence::LogStatesLevel);
    }
    match wakeup_hook(seen.log) {
        Hook::VtlMode => evidence.push(Evidence::WakeupHook),
        // With VTL mode shown and no isolation, the mailbox of ACPI is the one other candidate, and a machine with
        // that mailbox is an isolated one.
        Hook::Unnamed if says_sentence(seen.log) && !isolated(seen.log) => {
            evidence.push(Evidence::UnnamedWakeupHook)
        }
        Hook::Unnamed | Hook::Other | Hook::Untouched => {}
    }
    if seen.mshv_vtl_low {
        evidence.push(Evidence::MshvVtlDevice);
    }
    if evidence.is_empty() {
        return None;
    }
    let level = stated.unwrap_or(2);
    Some(TrustLevel { level: Some(level), evidence })
}

fn zero_or_unknown(seen: &Observations) -> TrustLevel {
    let zero = |evidence| TrustLevel { level: Some(0), evidence: vec![evidence] };
    let unknown = |evidence| TrustLevel { level: None, evidence: vec![evidence] };
    if on_hyper_v(seen) == Some(false) {
        return zero(Evidence::NoHyperV);
    }
    if seen.built_with_vtl_mode == Some(false) {
        return zero(Evidence::KernelWithoutVtlMode);
    }
    match seen.log_state {
        LogState::Unreadable => return unknown(Evidence::LogUnreadable),
        LogState::Incomplete => return unknown(Evidence::LogIncomplete),
        LogState::Complete => {}
    }
    match seen.arch {
        // Asking the level and printing it when above 0 is one straight path after "privilege flags".
        Arch::Aarch64 => zero(Evidence::NoLevelAboveZeroTaken),
        Arch::X86_64 if !says_sentence(seen.log) => zero(Evidence::KernelWithoutVtlMode),
        Arch::X86_64 if isolated(seen.log) => unknown(Evidence::Isolated),
        // hyperv_init() logs the build just before it asks for the level; it is not reached without a local APIC.
        Arch::X86_64 if !seen.log.iter().any(|line| line.starts_with("Hyper-V: Hypervisor Build ")) => {
            unknown(Evidence::NeverAsked)
        }
        Arch::X86_64 => zero(Evidence::NoLevelAboveZeroTaken),
    }
}

/// The level of the kernel's sentence, when it is a statement, that is above 0.
fn stated_level(log: &[String]) -> Option<u8> {
    log.iter()
        .find_map(|line| line.strip_prefix(LEVEL_SENTENCE)?.trim().parse().ok())
        .filter(|level| *level > 0)
}

fn says_sentence(log: &[String]) -> bool {
    log.iter().any(|line| line.starts_with(LEVEL_SENTENCE))
}

enum Hook {
    VtlMode,
    Other,
    Unnamed,
    Untouched,
}

fn wakeup_hook(log: &[String]) -> Hook {
    // The last replacement is the one in force.
    let replaced = log.iter().rev().find_map(|line| line.strip_prefix(WAKEUP_REPLACED));
    match replaced {
        None => Hook::Untouched,
        Some(name) if name.starts_with("hv_vtl_wakeup_secondary_cpu") => Hook::VtlMode,
        Some(name) if name.starts_with("0x") || name.starts_with('(') => Hook::Unnamed,
        Some(_) => Hook::Other,
    }
}

fn isolated(log: &[String]) -> bool {
    log.iter().any(|line| {
        line.starts_with("Hyper-V: Isolation Config:")
            || (line.starts_with("Memory Encryption Features active:") && line.contains("TDX"))
    })
}

#[cfg(test)]
mod tests;
