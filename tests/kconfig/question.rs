//! One question to conf, and what comes back.

use sha2::{Digest as _, Sha256};

use super::cases::sorted_warnings;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    AllNo,
    AllYes,
    AllMod,
    AllDef,
    /// The architecture's own defaults.
    Default,
    OldDefault,
    SaveDefault,
    ListNew,
}

impl Mode {
    pub const ALL: [Mode; 8] = [
        Mode::AllNo,
        Mode::AllYes,
        Mode::AllMod,
        Mode::AllDef,
        Mode::Default,
        Mode::OldDefault,
        Mode::SaveDefault,
        Mode::ListNew,
    ];

    pub const fn option(self) -> &'static str {
        match self {
            Mode::AllNo => "allnoconfig",
            Mode::AllYes => "allyesconfig",
            Mode::AllMod => "allmodconfig",
            Mode::AllDef => "alldefconfig",
            Mode::Default => "defconfig",
            Mode::OldDefault => "olddefconfig",
            Mode::SaveDefault => "savedefconfig",
            Mode::ListNew => "listnewconfig",
        }
    }

    pub fn parse(option: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.option() == option)
    }

    /// Whether the input is what KCONFIG_ALLCONFIG names, rather than the .config that is there.
    pub const fn is_fill(self) -> bool {
        matches!(self, Mode::AllNo | Mode::AllYes | Mode::AllMod | Mode::AllDef)
    }
}

#[derive(Clone, Debug)]
pub struct Question {
    pub mode: Mode,
    pub input: Option<Vec<u8>>,
}

impl Question {
    pub fn new(mode: Mode, input: Option<Vec<u8>>) -> Question {
        Question { mode, input }
    }

    pub fn input_name(&self) -> &'static str {
        if self.mode.is_fill() { "requests" } else { ".config" }
    }

    /// A name for it.
    pub fn id(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(self.mode.option());
        if let Some(input) = &self.input {
            digest.update([0]);
            digest.update(input);
        }
        hex(&digest.finalize())[..24].to_string()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: i32,
    /// The file that is written: .config, or the minimal one.
    pub config: Option<Vec<u8>>,
    pub stdout: String,
    /// In an order that means nothing: conf walks through a hash table.
    pub stderr: String,
}

impl Answer {
    pub fn new(status: i32, config: Option<Vec<u8>>, stdout: String, stderr: &str) -> Answer {
        Answer { status, config, stdout, stderr: sorted_warnings(stderr) }
    }

    /// A line for it; equal for equal answers.
    pub fn summary(&self) -> String {
        let config = self.config.as_deref().map_or("none".into(), |config| hex(&Sha256::digest(config)));
        let said = hex(&Sha256::digest(format!("{}\0{}", self.stdout, self.stderr)));
        format!("{} {config} {said}\n", self.status)
    }

    /// The first lines in which `theirs` differs.
    pub fn difference(&self, theirs: &Answer) -> String {
        let text = |config: &Option<Vec<u8>>| {
            config.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
        };
        let mut shown = String::new();
        if self.status != theirs.status {
            shown += &format!("status: conf {}, ours {}\n", theirs.status, self.status);
        }
        for (what, theirs, ours) in [
            ("file", text(&theirs.config), text(&self.config)),
            ("stdout", theirs.stdout.clone(), self.stdout.clone()),
            ("stderr", theirs.stderr.clone(), self.stderr.clone()),
        ] {
            if theirs == ours {
                continue;
            }
            let diff = similar::TextDiff::from_lines(&theirs, &ours);
            let lines = diff.iter_all_changes().filter(|change| change.tag() != similar::ChangeTag::Equal);
            let lines: Vec<String> = lines.map(|change| format!("    {}{change}", change.tag())).collect();
            shown += &format!("  {what}, {} lines (- conf, + ours)\n", lines.len());
            shown += &lines[..lines.len().min(12)].concat();
        }
        shown
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
