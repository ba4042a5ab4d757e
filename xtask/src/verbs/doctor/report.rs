//! The findings as a table for people and as JSON for programs. Pure, but for [`Resources::of`].

use std::fmt::Write;
use std::path::Path;

use serde_json::json;

use crate::host::Host;
use crate::host::distribution::{Distribution, FAMILIES, Family, install_line};
use crate::host::probe::{Row, State, other_remedy, packages};
use crate::host::tools::Purpose;

const GIB: u64 = 1 << 30;
/// Sources, objects and results of one architecture's kernels.
const DISK_PER_ARCH: u64 = 6 * GIB;
/// Linking vmlinux, and two emulated machines of the tests.
const MEMORY: u64 = 2 * GIB;

/// What the machine has beside tools. None: not to be found out.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    pub processors: Option<usize>,
    pub memory_bytes: Option<u64>,
    pub store_free_bytes: Option<u64>,
}

/// How good and bad are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyphs {
    /// Coloured signs.
    Terminal,
    /// ASCII, for files and NO_COLOR.
    Plain,
}

pub struct Report {
    distribution: Distribution,
    architecture: &'static str,
    rows: Vec<Row>,
    resources: Resources,
    kernels: u64,
    is_root: bool,
}

impl Resources {
    pub fn of(host: &Host, store: &Path) -> Resources {
        let meminfo = std::fs::read_to_string(host.system("/proc/meminfo")).unwrap_or_default();
        let available = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
        let kibibytes: Option<u64> =
            available.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
        // The store may not be made yet: the folder that will hold it tells.
        let existing = store.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        let free = rustix::fs::statvfs(existing).ok().map(|fs| fs.f_bavail * fs.f_frsize);
        Resources {
            processors: std::thread::available_parallelism().ok().map(usize::from),
            memory_bytes: kibibytes.map(|count| count * 1024),
            store_free_bytes: free,
        }
    }
}

impl Report {
    pub fn new(host: &Host, purposes: &[Purpose], rows: Vec<Row>, resources: Resources) -> Report {
        let mut kernels: Vec<_> = purposes.iter().filter(|p| matches!(p, Purpose::Kernel(_))).collect();
        kernels.sort_unstable();
        kernels.dedup();
        Report {
            distribution: Distribution::of(host),
            architecture: host.arch.name(),
            rows,
            resources,
            kernels: kernels.len() as u64,
            is_root: host.is_root,
        }
    }

    /// Every tool is good. Scarce disk or memory is a warning only.
    pub fn is_healthy(&self) -> bool {
        self.rows.iter().all(Row::is_good)
    }

    pub fn render(&self, glyphs: Glyphs) -> String {
        let mut text = format!("{}\n\n{}", self.machine(), self.table(glyphs));
        for warning in self.warnings() {
            let _ = write!(text, "\nwarning: {warning}\n");
        }
        if self.is_healthy() {
            text.push_str("\nNothing is missing.\n");
        } else {
            text.push_str(&self.remedies());
        }
        text
    }

    pub fn to_json(&self) -> serde_json::Value {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "tool": row.facts.name,
                    "good": row.is_good(),
                    "found": found(row),
                    "needed": row.facts.minimum.as_ref().map(|version| version.to_string()),
                    "why": row.facts.why,
                    "package": package(row, self.family()),
                })
            })
            .collect();
        json!({
            "distribution": self.distribution,
            "architecture": self.architecture,
            "processors": self.resources.processors,
            "memory-available-bytes": self.resources.memory_bytes,
            "store-free-bytes": self.resources.store_free_bytes,
            "tools": rows,
            "warnings": self.warnings(),
            "install": self.commands(),
            "good": self.is_healthy(),
        })
    }

    /// Whose package names the table shows; Debian's where the family is unknown.
    fn family(&self) -> Family {
        self.distribution.family.unwrap_or(Family::Debian)
    }

    fn machine(&self) -> String {
        let mut parts = vec![self.distribution.name.clone(), self.architecture.to_owned()];
        parts.extend(self.resources.processors.map(|count| format!("{count} processors")));
        parts.extend(
            self.resources.memory_bytes.map(|bytes| format!("{} of memory available", gibibytes(bytes))),
        );
        parts.extend(
            self.resources.store_free_bytes.map(|bytes| format!("{} free for the store", gibibytes(bytes))),
        );
        parts.join(", ")
    }

    fn table(&self, glyphs: Glyphs) -> String {
        let at_least = if glyphs == Glyphs::Terminal { "≥ " } else { ">= " };
        let mut lines = vec![["", "TOOL", "FOUND", "NEEDED", "PACKAGE", "WHY"].map(str::to_owned)];
        for row in &self.rows {
            let minimum =
                row.facts.minimum.as_ref().map_or("any".to_owned(), |version| format!("{at_least}{version}"));
            let package = package(row, self.family()).unwrap_or_else(|| "-".to_owned());
            let sign = if row.is_good() { "+" } else { "x" };
            lines.push(
                [sign, row.facts.name, &found(row), &minimum, &package, row.facts.why].map(str::to_owned),
            );
        }
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 5] = [2, width(1), width(2), width(3), width(4)];
        lines.iter().fold(String::new(), |text, line| text + &table_line(line, widths, glyphs))
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let wanted = self.kernels * DISK_PER_ARCH;
        if let Some(free) = self.resources.store_free_bytes.filter(|free| *free < wanted) {
            warnings.push(format!(
                "building needs about {} where the store is, {} are free; --store puts it elsewhere",
                gibibytes(wanted),
                gibibytes(free)
            ));
        }
        if let Some(memory) = self.resources.memory_bytes.filter(|bytes| *bytes < MEMORY) {
            warnings.push(format!(
                "{} of memory are available, {} are wanted",
                gibibytes(memory),
                gibibytes(MEMORY)
            ));
        }
        warnings
    }

    /// Commands that install the missing packages: one for a known family, else one for each.
    fn commands(&self) -> Vec<(Family, String)> {
        let families = self.distribution.family.map_or(FAMILIES.to_vec(), |family| vec![family]);
        families
            .into_iter()
            .filter_map(|family| {
                let (wanted, _) = packages(&self.rows, family);
                (!wanted.is_empty()).then(|| (family, install_line(family, &wanted, self.is_root)))
            })
            .collect()
    }

    fn remedies(&self) -> String {
        let count = self.rows.iter().filter(|row| !row.is_good()).count();
        let noun = if count == 1 { "tool is" } else { "tools are" };
        let mut text = format!("\n{count} {noun} missing or not good enough.\n");
        match (self.distribution.family, self.commands()) {
            (Some(family), commands) => {
                for (_, line) in commands {
                    let _ = write!(text, "\nThis installs what {family} packages:\n    {line}\n");
                    if family == Family::Debian {
                        text.push_str("or: cargo xtask doctor --install\n");
                    }
                }
            }
            (None, commands) => {
                text.push_str("\nThis distribution is not known here. What others call the packages:\n");
                for (family, line) in commands {
                    let _ = writeln!(text, "    {family:<15}{line}");
                }
            }
        }
        let (_, others) = packages(&self.rows, self.family());
        for row in others {
            let _ = write!(text, "\n{}: {}\n", row.facts.name, other_remedy(row, self.family()));
        }
        for (name, reason) in self.rows.iter().filter_map(broken) {
            let _ = write!(text, "\n{name} does not run: {reason}\n");
        }
        text
    }
}

/// One line about a tool that is not good.
pub fn complaint(row: &Row, family: Family) -> String {
    let remedy = match row.facts.source.package(family) {
        Some(package) => format!("package {package}"),
        None => other_remedy(row, family),
    };
    format!("  {}: {} ({remedy})", row.facts.name, found(row))
}

fn table_line(line: &[String; 6], widths: [usize; 5], glyphs: Glyphs) -> String {
    let pad = |column: usize| " ".repeat(widths[column] - line[column].chars().count().min(widths[column]));
    let sign = match (glyphs, line[0].as_str()) {
        (Glyphs::Terminal, "+") => "\u{1b}[32m✓\u{1b}[0m ".to_owned(),
        (Glyphs::Terminal, "x") => "\u{1b}[31m✗\u{1b}[0m ".to_owned(),
        (Glyphs::Plain, "+") => "ok".to_owned(),
        (Glyphs::Plain, "x") => "NO".to_owned(),
        _ => "  ".to_owned(),
    };
    let cells: Vec<String> = (1..5).map(|column| format!("{}{}", line[column], pad(column))).collect();
    format!("{sign} {}  {}\n", cells.join("  "), line[5])
}

fn found(row: &Row) -> String {
    match &row.state {
        State::Present(Some(version)) => version.to_string(),
        State::Present(None) => "yes".to_owned(),
        State::TooOld(version) => format!("{version} (too old)"),
        State::Broken(_) => "does not run".to_owned(),
        State::Missing => "missing".to_owned(),
    }
}

fn broken(row: &Row) -> Option<(&'static str, &str)> {
    match &row.state {
        State::Broken(reason) => Some((row.facts.name, reason)),
        State::Present(_) | State::TooOld(_) | State::Missing => None,
    }
}

fn package(row: &Row, family: Family) -> Option<String> {
    row.facts.source.package(family).map(str::to_owned)
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / GIB as f64)
}

#[cfg(test)]
mod tests;
