//! How far a kernel build is, from the lines that kbuild prints as it goes. Errors are `make_output`'s.

/// A line of kbuild about one file: `  CC [M]  fs/ext4/inode.o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action<'a> {
    /// `CC`, `AS`, `AR`, `LD`, `HOSTCC`, `GEN`, `UPD`, …
    pub verb: &'a str,
    /// Mostly relative to the build directory.
    pub target: &'a str,
}

impl Action<'_> {
    /// Compiled for the kernel, not for the build machine: what takes the time.
    pub fn is_object(&self) -> bool {
        matches!(self.verb, "CC" | "AS" | "RUSTC") && self.target.ends_with(".o")
    }
}

/// The action that `line` announces: two spaces, a verb in capitals, perhaps a mark in brackets, a target.
pub fn action(line: &str) -> Option<Action<'_>> {
    let text = line.strip_prefix("  ")?;
    let (verb, rest) = text.split_once(' ')?;
    let is_verb = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "_-+".contains(c);
    if !verb.starts_with(|c: char| c.is_ascii_uppercase()) || !verb.chars().all(is_verb) {
        return None;
    }
    let rest = rest.trim_start();
    let target = match rest.strip_prefix('[').and_then(|mark| mark.split_once(']')) {
        Some((_, target)) => target.trim(),
        None => rest.trim(),
    };
    (!target.is_empty() && !target.starts_with('|')).then_some(Action { verb, target })
}

/// Whether `line` is a warning of compiler, assembler, linker, objtool, modpost or conf.
pub fn is_warning(line: &str) -> bool {
    let anywhere = [": warning: ", ": Warning: ", ":warning: "];
    let at_start = ["warning: ", "WARNING: "];
    anywhere.iter().any(|mark| line.contains(mark)) || at_start.iter().any(|mark| line.starts_with(mark))
}

/// Counts over the lines seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Object files begun for the kernel.
    pub objects: u32,
    pub warnings: u32,
}

impl Progress {
    /// Takes account of the next line and gives what it announces, to be shown beside the bar.
    pub fn observe<'a>(&mut self, line: &'a str) -> Option<Action<'a>> {
        let action = action(line);
        match action {
            Some(action) => self.objects += u32::from(action.is_object()),
            None => self.warnings += u32::from(is_warning(line)),
        }
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_kbuild() {
        let cases = [
            ("  CC      init/main.o", Some(("CC", "init/main.o", true))),
            ("  CC [M]  fs/ext4/inode.o", Some(("CC", "fs/ext4/inode.o", true))),
            ("  AS      arch/x86/entry/entry_64.o", Some(("AS", "arch/x86/entry/entry_64.o", true))),
            ("  AR      init/built-in.a", Some(("AR", "init/built-in.a", false))),
            ("  LD      vmlinux.o", Some(("LD", "vmlinux.o", false))),
            ("  HOSTCC  scripts/kconfig/conf.o", Some(("HOSTCC", "scripts/kconfig/conf.o", false))),
            (
                "  CHK     include/config/kernel.release",
                Some(("CHK", "include/config/kernel.release", false)),
            ),
            (
                "  VDSO2C  arch/x86/entry/vdso/vdso-image-64.c",
                Some(("VDSO2C", "arch/x86/entry/vdso/vdso-image-64.c", false)),
            ),
            ("  CC      arch/x86/kernel/asm-offsets.s", Some(("CC", "arch/x86/kernel/asm-offsets.s", false))),
            ("  O       x", Some(("O", "x", false))),
            ("make[1]: Entering directory '/b'", None),
            ("    2 | static int x;", None),
            ("  A | B", None),
            ("Kernel: arch/x86/boot/bzImage is ready  (#1)", None),
        ];
        for (line, expected) in cases {
            let found = action(line).map(|action| (action.verb, action.target, action.is_object()));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn counts() {
        let log = [
            "  CC      a.o",
            "a.c:2:23: warning: unused variable 'x' [-Wunused-variable]",
            "    2 | int unused(void){ int x; return 0; }",
            "  AS      b.o",
            "  AR      built-in.a",
            "b.S:3: Warning: no instruction mnemonic suffix given",
            ".config:7:warning: override: reassigning to symbol SMP",
            "ld: warning: orphan section `.x' from `a.o'",
            "c.o: warning: objtool: f() is missing an ENDBR",
            "WARNING: modpost: missing MODULE_LICENSE()",
            "  CC      lib/warning.o",
            "  HOSTCC  scripts/x.o",
            "  CC [M]  lib/x.o",
        ];
        let mut progress = Progress::default();
        for line in log {
            progress.observe(line);
        }
        assert_eq!(progress, Progress { objects: 4, warnings: 6 });
    }
}
