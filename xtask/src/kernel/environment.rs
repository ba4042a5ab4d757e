//! What the kernel's top Makefile exports to conf, and conf to the commands that Kconfig files run, reckoned from
//! the command line that [`super::command`] gives make. Without it a Kconfig file means nothing: it names the
//! compiler by `$(CC)` and the architecture's folder by `$(SRCARCH)`.
//!
//! Flags that the Makefiles of an architecture put together (`KBUILD_CFLAGS` …) are left out, and so is what names
//! the build directory: no Kconfig file reads them.

use std::{collections::BTreeMap, path::Path};

use super::command::{BadPath, KernelBuild, plain, source_arch};
use crate::host::cross_prefix;

/// Name and value of each variable.
pub type Variables = BTreeMap<&'static str, String>;

/// A variable that make asks a program for, and the shell command that gives it.
///
/// RUSTC and PAHOLE are `false`, so what their versions come to is the same for every tree and machine; it is
/// still the shell that says what.
pub const ASKED: [&str; 3] = ["CC_VERSION_TEXT", "RUSTC_VERSION_TEXT", "PAHOLE_VERSION"];

/// Programs whose name is the same for every architecture (Makefile, "Make variables").
const PROGRAMS: [(&str, &str); 25] = [
    ("AWK", "awk"),
    ("BASH", "bash"),
    ("BINDGEN", "bindgen"),
    ("CHECK", "sparse"),
    ("CONFIG_SHELL", "sh"),
    ("HOSTCC", "gcc"),
    ("HOSTCXX", "g++"),
    ("HOSTPKG_CONFIG", "pkg-config"),
    ("HOSTRUSTC", "rustc"),
    ("KBZIP2", "bzip2"),
    ("KGZIP", "gzip"),
    ("KLZOP", "lzop"),
    ("LEX", "flex"),
    ("LZ4", "lz4"),
    ("LZMA", "lzma"),
    ("MAKE", "make"),
    ("PERL", "perl"),
    ("PYTHON3", "python3"),
    ("RUSTC_OR_CLIPPY", "false"),
    ("RUSTDOC", "rustdoc"),
    ("RUSTFMT", "rustfmt"),
    ("TAR", "tar"),
    ("XZ", "xz"),
    ("YACC", "bison"),
    ("ZSTD", "zstd"),
];

/// Programs of the compiler's family: with CROSS_COMPILE in front.
const CROSS_PROGRAMS: [(&str, &str); 8] = [
    ("AR", "ar"),
    ("CC", "gcc"),
    ("LD", "ld"),
    ("NM", "nm"),
    ("OBJCOPY", "objcopy"),
    ("OBJDUMP", "objdump"),
    ("READELF", "readelf"),
    ("STRIP", "strip"),
];

/// The part that is the same for every source tree.
pub fn of_machine(build: &KernelBuild) -> Variables {
    let cross = cross_prefix(build.host, build.arch);
    let mut variables: Variables = PROGRAMS.map(|(name, value)| (name, value.to_string())).into();
    variables.extend(CROSS_PROGRAMS.map(|(name, program)| (name, format!("{cross}{program}"))));
    variables.extend(build.settings().map(|(name, value)| (name, value.to_string())));
    variables.extend(build.environment());
    // The Makefile's own: messages and sorting as in C, whatever else LC_ALL says, which it takes away.
    variables.remove("LC_ALL");
    let settings = [
        ("SRCARCH", source_arch(build.arch)),
        ("KCONFIG_CONFIG", ".config"),
        ("KERNELRELEASE", ""),
        ("LC_COLLATE", "C"),
        ("LC_NUMERIC", "C"),
        ("RUSTC_BOOTSTRAP", "1"),
        ("building_out_of_srctree", "1"),
        ("objtree", "."),
    ];
    variables.extend(settings.map(|(name, value)| (name, value.to_string())));
    variables.insert("CPP", format!("{cross}gcc -E"));
    variables
}

/// The part that names the source tree and its version; `makefile` is the tree's top Makefile.
pub fn of_tree(source: &Path, makefile: &str) -> Result<Variables, BadPath> {
    let path = plain("source directory", source)?;
    let mut variables: Variables =
        ["VPATH", "CLIPPY_CONF_DIR", "srcroot", "srctree"].map(|name| (name, path.to_string())).into();
    let version = Version::of(makefile);
    variables.insert("KERNELVERSION", version.whole());
    let Version { major, minor, sublevel, .. } = version;
    variables.extend([("VERSION", major), ("PATCHLEVEL", minor), ("SUBLEVEL", sublevel)]);
    Ok(variables)
}

/// The command whose output is the value of one of [`ASKED`].
pub fn question(variable: &str, variables: &Variables) -> String {
    let value = |name: &str| variables.get(name).map_or("", String::as_str);
    match variable {
        "CC_VERSION_TEXT" => format!("LC_ALL=C {} --version 2>/dev/null | head -n 1", value("CC")),
        "RUSTC_VERSION_TEXT" => format!("{} --version 2>/dev/null", value("RUSTC")),
        _ => format!("{}/scripts/pahole-version.sh {}", value("srctree"), value("PAHOLE")),
    }
}

/// The value in the command's output, as make's `$(shell …)` takes it and `$(subst $(pound),,…)` leaves it.
pub fn answer(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim_end_matches('\n').replace('\n', " ").replace('#', "")
}

/// What the head of a top Makefile says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Version {
    major: String,
    minor: String,
    sublevel: String,
    extra: String,
}

impl Version {
    fn of(makefile: &str) -> Version {
        let value = |name: &str| {
            let value =
                |line: &str| Some(line.strip_prefix(name)?.trim_start().strip_prefix('=')?.trim().into());
            makefile.lines().find_map(value).unwrap_or_default()
        };
        Version {
            major: value("VERSION"),
            minor: value("PATCHLEVEL"),
            sublevel: value("SUBLEVEL"),
            extra: value("EXTRAVERSION"),
        }
    }

    /// `$(VERSION)$(if $(PATCHLEVEL),.$(PATCHLEVEL)$(if $(SUBLEVEL),.$(SUBLEVEL)))$(EXTRAVERSION)`
    fn whole(&self) -> String {
        let Version { major, minor, sublevel, extra } = self;
        match (minor.as_str(), sublevel.as_str()) {
            ("", _) => format!("{major}{extra}"),
            (minor, "") => format!("{major}.{minor}{extra}"),
            (minor, sublevel) => format!("{major}.{minor}.{sublevel}{extra}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::profile::Arch;

    fn build(arch: Arch) -> KernelBuild {
        let (source, build) = ("/s/linux".into(), "/b".into());
        KernelBuild { arch, host: Arch::X86_64, source, build, search_path: "/usr/bin:/bin".into(), jobs: 2 }
    }

    fn shown(variables: &Variables) -> String {
        variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    #[test]
    fn a_cross_build() {
        expect![[r#"
            AR=aarch64-linux-gnu-ar
            ARCH=arm64
            AWK=awk
            BASH=bash
            BINDGEN=bindgen
            CC=aarch64-linux-gnu-gcc
            CHECK=sparse
            CONFIG_SHELL=sh
            CPP=aarch64-linux-gnu-gcc -E
            CROSS_COMPILE=aarch64-linux-gnu-
            HOSTCC=gcc
            HOSTCXX=g++
            HOSTPKG_CONFIG=pkg-config
            HOSTRUSTC=rustc
            KBZIP2=bzip2
            KCONFIG_CONFIG=.config
            KERNELRELEASE=
            KGZIP=gzip
            KLZOP=lzop
            LC_COLLATE=C
            LC_NUMERIC=C
            LD=aarch64-linux-gnu-ld
            LEX=flex
            LOCALVERSION=
            LZ4=lz4
            LZMA=lzma
            MAKE=make
            NM=aarch64-linux-gnu-nm
            OBJCOPY=aarch64-linux-gnu-objcopy
            OBJDUMP=aarch64-linux-gnu-objdump
            PAHOLE=false
            PATH=/usr/bin:/bin
            PERL=perl
            PYTHON3=python3
            READELF=aarch64-linux-gnu-readelf
            RUSTC=false
            RUSTC_BOOTSTRAP=1
            RUSTC_OR_CLIPPY=false
            RUSTDOC=rustdoc
            RUSTFMT=rustfmt
            SOURCE_DATE_EPOCH=0
            SRCARCH=arm64
            STRIP=aarch64-linux-gnu-strip
            TAR=tar
            TZ=UTC
            XZ=xz
            YACC=bison
            ZSTD=zstd
            building_out_of_srctree=1
            objtree=.
        "#]]
        .assert_eq(&shown(&of_machine(&build(Arch::Aarch64))));
    }

    #[test]
    fn a_native_build_has_plain_names() {
        let variables = of_machine(&build(Arch::X86_64));
        let of = |name| variables[name].as_str();
        assert_eq!([of("ARCH"), of("SRCARCH"), of("CROSS_COMPILE"), of("CC")], ["x86_64", "x86", "", "gcc"]);
    }

    #[test]
    fn versions() {
        fn check(makefile: &str, expected: Expect) {
            let variables = of_tree(Path::new("/s/linux"), makefile).unwrap();
            expected.assert_eq(&variables["KERNELVERSION"]);
        }
        let head = "# SPDX-License-Identifier: GPL-2.0\n";
        check(
            &format!("{head}VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\nNAME = X\n"),
            expect!["7.3.4"],
        );
        check("VERSION = 7\nPATCHLEVEL = 4\nSUBLEVEL = 0\nEXTRAVERSION = -rc2\n", expect!["7.4.0-rc2"]);
        check("VERSION = 7\nPATCHLEVEL = 4\nSUBLEVEL =\nEXTRAVERSION = -next\n", expect!["7.4-next"]);
        check("VERSION=7\n", expect!["7"]);
        check("allnoconfig:\n\techo VERSION = 3\n", expect![""]);
    }

    #[test]
    fn a_tree_that_make_could_not_name() {
        assert!(matches!(of_tree(Path::new("/my linux"), ""), Err(BadPath::Character { .. })));
    }

    #[test]
    fn questions() {
        let mut variables = of_machine(&build(Arch::Aarch64));
        variables.extend(of_tree(Path::new("/s/linux"), "").unwrap());
        let questions: Vec<String> = ASKED.map(|variable| question(variable, &variables)).into();
        expect![[r#"
            LC_ALL=C aarch64-linux-gnu-gcc --version 2>/dev/null | head -n 1
            false --version 2>/dev/null
            /s/linux/scripts/pahole-version.sh false
        "#]]
        .assert_eq(&(questions.join("\n") + "\n"));
        assert_eq!(answer(b"gcc (Fork #3) 14.1\n"), "gcc (Fork 3) 14.1");
    }
}
