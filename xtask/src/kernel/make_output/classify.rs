//! What one line of a build log says about a failure, without its neighbours.

use super::ErrorKind;

pub struct Fault {
    pub kind: ErrorKind,
    /// The build cannot have gone on after such a line; otherwise it may be a probe's.
    pub certain: bool,
    pub hint: Option<String>,
}

const DOCTOR: &str =
    "cargo xtask doctor lists every tool and library that is missing, and the command that installs them";

pub fn classify(line: &str) -> Option<Fault> {
    let certain =
        |kind, hint: Option<&str>| Some(Fault { kind, certain: true, hint: hint.map(String::from) });
    let likely = |kind, hint: String| Some(Fault { kind, certain: false, hint: Some(hint) });
    // A full disk or memory shows itself in the compiler's own words, so these two come first.
    if line.contains("No space left on device") || line.contains("Disk quota exceeded") {
        return certain(ErrorKind::NoSpace, Some("free space there, or choose another place with --store"));
    }
    if is_out_of_memory(line) {
        let hint = "the machine ran out of memory; build with fewer jobs (--jobs) or more memory";
        return certain(ErrorKind::OutOfMemory, Some(hint));
    }
    if let Some(header) = missing_header(line) {
        return match library(header) {
            Some(library) => {
                certain(ErrorKind::MissingHeader, Some(&format!("{header} belongs to {library}; {DOCTOR}")))
            }
            None => certain(ErrorKind::Compiler, None),
        };
    }
    if is_kconfig(line) {
        return certain(ErrorKind::Kconfig, None);
    }
    if let Some(message) =
        line.strip_prefix("scripts/Kconfig.include:").and_then(|rest| rest.split_once(": "))
    {
        let missing = message.1.contains("not found");
        let kind = if missing { ErrorKind::MissingTool } else { ErrorKind::Kconfig };
        return certain(kind, Some(DOCTOR));
    }
    if is_linker(line) {
        return certain(ErrorKind::Linker, None);
    }
    if line.contains(": error: objtool: ")
        || line.starts_with("ERROR: modpost: ")
        || line.starts_with("FAILED: load BTF")
    {
        return certain(ErrorKind::KernelTool, None);
    }
    if is_compiler(line) {
        return certain(ErrorKind::Compiler, None);
    }
    if let Some(fault) = of_make(line) {
        return Some(fault);
    }
    if let Some(tool) = missing_tool(line) {
        return likely(ErrorKind::MissingTool, format!("{tool} is not installed; {DOCTOR}"));
    }
    if line.ends_with("Permission denied") {
        let hint = "see that the file is yours, and that its file system is not mounted noexec or read-only";
        return likely(ErrorKind::PermissionDenied, hint.into());
    }
    None
}

fn is_out_of_memory(line: &str) -> bool {
    let of_shell = line.starts_with("/bin/sh: ") && line.contains(" Killed");
    let of_make = line.starts_with("make") && (line.ends_with("] Killed") || line.ends_with("] Error 137"));
    let of_compiler = line.contains("fatal error: Killed signal terminated program");
    let refused = line.contains("annot allocate memory") || line.contains("virtual memory exhausted");
    line == "Killed" || of_shell || of_make || of_compiler || refused
}

/// `x.c:1:10: fatal error: gelf.h: No such file or directory`
fn missing_header(line: &str) -> Option<&str> {
    let header = line.split_once(": fatal error: ")?.1.strip_suffix(": No such file or directory")?;
    (!header.contains(' ')).then_some(header)
}

/// The library of the build machine that a header of this name comes from.
fn library(header: &str) -> Option<&'static str> {
    match header {
        "gelf.h" | "libelf.h" => Some("libelf"),
        "dwarf.h" | "libdwarf.h" | "elfutils/libdw.h" => Some("libdw"),
        "gmp.h" | "mpc.h" | "gcc-plugin.h" => Some("the compiler's plugin headers"),
        _ if header.starts_with("openssl/") => Some("OpenSSL"),
        _ => None,
    }
}

/// conf: `Kconfig:3: syntax error`, and what it says about the whole.
fn is_kconfig(line: &str) -> bool {
    let place = line.split_once(": ").filter(|(place, _)| {
        let number = place.rsplit_once(':').map_or("", |(_, number)| number);
        !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    });
    let of_parser =
        ["syntax error", "invalid statement", "unknown statement", "invalid option", "can't open file"];
    let parser = place.is_some_and(|(_, message)| of_parser.iter().any(|start| message.starts_with(start)));
    parser || line.contains("recursive dependency detected") || line.contains("recursive inclusion detected")
}

/// `ld: cannot find …`, `x.c:(.text+0x10): undefined reference to …`; its warnings and introductions are
/// none, nor is the compiler's `collect2: error: ld returned 1`, which only follows.
fn is_linker(line: &str) -> bool {
    if line.contains("undefined reference to ") || line.contains(": multiple definition of ") {
        return true;
    }
    let Some((program, message)) = line.split_once(": ") else { return false };
    let program = program.rsplit('/').next().unwrap_or(program);
    let is_ld = ["ld", "ld.bfd", "ld.lld", "ld.gold"]
        .iter()
        .any(|ld| program.strip_suffix(ld).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('-')));
    is_ld && !message.contains("warning: ") && !message.contains(": in function ")
}

/// `x.c:2:57: error: …`, `gcc: error: …`, `x.S:1: Error: …`
fn is_compiler(line: &str) -> bool {
    let marks =
        [": error: ", ": fatal error: ", ": internal compiler error: ", ": Error: ", ": Fatal error: "];
    marks.iter().any(|mark| line.contains(mark)) && !line.starts_with("collect2:")
}

/// `make[3]: *** No rule to make target …`, `Makefile:14: *** text.  Stop.`, and the banners that
/// kbuild's own rules print, each line starting with `***`.
fn of_make(line: &str) -> Option<Fault> {
    let certain =
        |kind, hint: Option<&str>| Some(Fault { kind, certain: true, hint: hint.map(String::from) });
    let message = match line.strip_prefix("***") {
        Some(message) => message,
        None => line.split_once(": *** ")?.1,
    };
    let message = message.trim();
    // Only make's notes about failures that were said elsewhere.
    let follows = ["[", "Waiting for unfinished jobs", "Deleting "];
    if message.is_empty() || follows.iter().any(|start| message.starts_with(start)) {
        return None;
    }
    if message.starts_with("No rule to make target") {
        return certain(
            ErrorKind::NoRule,
            Some("the source tree is incomplete, or a patch names a file that is not there"),
        );
    }
    if message.contains("source tree is not clean") {
        let hint = "the tree was built in place before; run `make mrproper` in it, or use a fresh copy";
        return certain(ErrorKind::Makefile, Some(hint));
    }
    certain(ErrorKind::Makefile, None)
}

/// `/bin/sh: 1: flex: not found`, `/bin/sh: line 1: flex: command not found`,
/// `make[2]: aarch64-linux-gnu-gcc: No such file or directory`
fn missing_tool(line: &str) -> Option<&str> {
    let said = line.strip_suffix(": not found").or_else(|| line.strip_suffix(": command not found"));
    let by_make = || line.strip_suffix(": No such file or directory").filter(|line| line.starts_with("make"));
    let (_, tool) = said.or_else(by_make)?.rsplit_once(": ")?;
    (!tool.contains(char::is_whitespace)).then_some(tool)
}
