//! Every tool that building and testing needs: why, since which version, in which package.
//!
//! Minimal versions for the kernel are those of its own Documentation/process/changes.rst (Linux 7.3).
//! What is in the table is what a build was seen to run; programs of coreutils, sed and grep are taken
//! for granted, those that slim container images leave out (diff, find, awk) are not.

use serde::Serialize;

use super::distribution::Family;
use super::version::Version;
use super::{Arch, cross_prefix};

/// What somebody wants to do with this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Build a kernel for this architecture.
    Kernel(Arch),
    /// Build the payload's Rust programs for this architecture.
    Payload(Arch),
    /// The payload is linked against glibc (Debian's Rust for aarch64 has no musl): its static library.
    StaticGlibc(Arch),
    /// Fetch sources that are Git revisions.
    GitSource,
    /// Boot UEFI images of this architecture under QEMU.
    Boot(Arch),
    /// Sign releases and check signatures.
    Signatures,
    /// Build with the programs of a root of their own.
    Hermetic,
    /// The test suite: peers that judge what we write, and the checkers of our own code.
    Tests,
    /// `cargo xtask bench`: what a user would take instead.
    Bench,
}

/// A program, header, library or firmware that has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    Cargo,
    Rustc,
    Rustfmt,
    Clippy,
    /// The compiler for programs that run on this machine.
    Gcc,
    /// The compiler for the other architecture.
    CrossGcc(Arch),
    Ld,
    CrossLd(Arch),
    LibcHeaders,
    StaticGlibc(Arch),
    Make,
    Bash,
    Flex,
    Bison,
    Bc,
    Perl,
    Awk,
    Find,
    Cmp,
    Gzip,
    LibelfHeader,
    Git,
    OpenSsh,
    Bubblewrap,
    Mmdebstrap,
    Node,
    Npm,
    QemuSystem(Arch),
    Firmware(Arch),
    QemuImg,
    Dtc,
    Mdir,
    FsckFat,
    MkfsExt4,
    Genisoimage,
    Sgdisk,
    Cpio,
    Zstd,
    Pytest,
    Pip,
    Libfdt,
    Openssl,
    Genimage,
    Shellcheck,
}

/// How to see whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A program on the path, asked for its version with these arguments.
    Program { name: &'static str, ask: &'static [&'static str] },
    /// A header that this compiler finds.
    Header { compiler: &'static str, header: &'static str },
    /// A static library that this compiler finds.
    Library { compiler: &'static str, library: &'static str },
    /// UEFI firmware for QEMU, see [`super::firmware`].
    Firmware(Arch),
}

/// Where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Packages of Debian, Fedora and Arch. None: that family does not package it.
    Packages { debian: &'static str, fedora: Option<&'static str>, arch: Option<&'static str> },
    /// A rustup component.
    Component(&'static str),
    /// The Rust toolchain itself.
    Rustup,
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What a person calls it.
    pub name: &'static str,
    /// What it is for, in one phrase.
    pub why: &'static str,
    pub probe: Probe,
    pub minimum: Option<Version>,
    pub source: Source,
}

impl Source {
    pub fn package(&self, family: Family) -> Option<&'static str> {
        match (self, family) {
            (Source::Packages { debian, .. }, Family::Debian) => Some(debian),
            (Source::Packages { fedora, .. }, Family::Fedora) => *fedora,
            (Source::Packages { arch, .. }, Family::Arch) => *arch,
            (Source::Component(_) | Source::Rustup, _) => None,
        }
    }
}

/// The tools for these purposes on a machine of architecture `host`, each once, in the order of the table.
pub fn needed(host: Arch, purposes: &[Purpose]) -> Vec<Tool> {
    let mut tools: Vec<Tool> = purposes.iter().flat_map(|purpose| needed_for(host, *purpose)).collect();
    // xtask itself was built with these, and everything else is driven by it.
    tools.extend([Tool::Cargo, Tool::Rustc, Tool::Gcc, Tool::LibcHeaders]);
    tools.sort_unstable();
    tools.dedup();
    tools
}

fn needed_for(host: Arch, purpose: Purpose) -> Vec<Tool> {
    use Tool as T;
    match purpose {
        Purpose::Kernel(target) => {
            let mut tools = vec![
                T::Gcc,
                T::Ld,
                T::Make,
                T::Bash,
                T::Flex,
                T::Bison,
                T::Bc,
                T::Perl,
                T::Awk,
                T::Find,
                T::Cmp,
                T::Gzip,
            ];
            match target {
                // objtool, which makes the stack unwinding tables of x86, reads ELF files through libelf.
                Arch::X86_64 => tools.push(T::LibelfHeader),
                Arch::Aarch64 => {}
            }
            if host != target {
                tools.extend([T::CrossGcc(target), T::CrossLd(target)]);
            }
            tools
        }
        Purpose::Payload(target) if host == target => {
            vec![T::Cargo, T::Rustc, T::Gcc, T::StaticGlibc(target)]
        }
        Purpose::Payload(target) => vec![T::Cargo, T::Rustc, T::CrossGcc(target), T::CrossLd(target)],
        Purpose::StaticGlibc(target) => vec![T::StaticGlibc(target)],
        Purpose::GitSource => vec![T::Git],
        Purpose::Signatures => vec![T::Git, T::OpenSsh],
        Purpose::Hermetic => vec![T::Bubblewrap],
        Purpose::Boot(target) => vec![T::QemuSystem(target), T::Firmware(target)],
        Purpose::Tests => vec![
            T::Rustfmt,
            T::Clippy,
            T::Git,
            T::QemuImg,
            T::Dtc,
            T::Mdir,
            T::FsckFat,
            T::MkfsExt4,
            T::Genisoimage,
            T::OpenSsh,
            T::Sgdisk,
            T::Cpio,
            T::Zstd,
            T::Pytest,
            T::Pip,
            T::Libfdt,
            T::Node,
            T::Npm,
            T::Openssl,
            T::Shellcheck,
            T::Make,
            T::Mmdebstrap,
        ],
        Purpose::Bench => vec![T::Genimage, T::Make, T::Mdir, T::FsckFat],
    }
}

const VERSION: &[&str] = &["--version"];

/// The row of one tool. `host` decides which compiler is "the" compiler.
#[rustfmt::skip]
pub fn facts(host: Arch, tool: Tool) -> Facts {
    match tool {
        Tool::Cargo => rust("cargo", "drives every build", Source::Rustup).since(&[1, 89]),
        Tool::Rustc => rust("rustc", "compiles this tool and the payload", Source::Rustup).since(&[1, 89]),
        Tool::Rustfmt => rust("rustfmt", "the test suite checks the layout of the code", Source::Component("rustfmt")),
        Tool::Clippy => rust("cargo-clippy", "the test suite checks the code for lints", Source::Component("clippy")),
        Tool::Gcc => program("gcc", "compiles kernel and build helpers, links Rust programs", "gcc", "gcc", "gcc").since(&[8, 1]),
        Tool::CrossGcc(Arch::Aarch64) => program("aarch64-linux-gnu-gcc", "compiles the aarch64 kernel and links its payload",
            "gcc-aarch64-linux-gnu", "gcc-aarch64-linux-gnu", "aarch64-linux-gnu-gcc").since(&[8, 1]),
        Tool::CrossGcc(Arch::X86_64) => program("x86_64-linux-gnu-gcc", "compiles the x86_64 kernel and links its payload",
            "gcc-x86-64-linux-gnu", "gcc-x86_64-linux-gnu", "").since(&[8, 1]),
        Tool::Ld => program("ld", "links the kernel", "binutils", "binutils", "binutils").since(&[2, 30]),
        Tool::CrossLd(Arch::Aarch64) => program("aarch64-linux-gnu-ld", "links the aarch64 kernel",
            "binutils-aarch64-linux-gnu", "binutils-aarch64-linux-gnu", "aarch64-linux-gnu-binutils").since(&[2, 30]),
        Tool::CrossLd(Arch::X86_64) => program("x86_64-linux-gnu-ld", "links the x86_64 kernel",
            "binutils-x86-64-linux-gnu", "binutils-x86_64-linux-gnu", "").since(&[2, 30]),
        Tool::LibcHeaders => header("stdlib.h", "build helpers need the C library's headers", "libc6-dev", "glibc-devel", "glibc"),
        Tool::StaticGlibc(target) => static_glibc(host, target),
        Tool::Make => program("make", "runs the kernel's build", "make", "make", "make").since(&[4, 0]),
        Tool::Bash => program("bash", "runs scripts of the kernel's build", "bash", "bash", "bash").since(&[4, 2]),
        Tool::Flex => program("flex", "makes the scanner of Kconfig", "flex", "flex", "flex").since(&[2, 5, 35]),
        Tool::Bison => program("bison", "makes the parser of Kconfig", "bison", "bison", "bison").since(&[2, 0]),
        Tool::Bc => program("bc", "computes the kernel's time constants", "bc", "bc", "bc").since(&[1, 6, 95]),
        Tool::Perl => program("perl", "runs scripts of the kernel's build", "perl", "perl", "perl").asked(&["-e", "print $^V"]),
        // mawk knows -W version and not --version; gawk takes both.
        Tool::Awk => program("awk", "runs scripts of the kernel's build", "mawk", "gawk", "gawk").asked(&["-W", "version"]),
        Tool::Find => program("find", "used all over the kernel's build", "findutils", "findutils", "findutils"),
        Tool::Cmp => program("cmp", "the kernel's build compares files with it", "diffutils", "diffutils", "diffutils"),
        Tool::Gzip => program("gzip", "packs the kernel and the copy of its configuration", "gzip", "gzip", "gzip"),
        Tool::LibelfHeader => header("gelf.h", "objtool of the x86_64 kernel reads ELF files", "libelf-dev", "elfutils-libelf-devel", "libelf"),
        Tool::Git => program("git", "fetches sources and tells which revision was built", "git", "git-core", "git"),
        Tool::Node => program("node", "tests run an emulator of Azure's storage with it", "nodejs", "nodejs", "nodejs").since(&[18]),
        Tool::Npm => program("npm", "tests install that emulator with it", "npm", "nodejs-npm", "npm"),
        // ssh-keygen has no option that asks for its version; ssh is of the same package.
        Tool::OpenSsh => program("ssh", "its ssh-keygen signs releases and checks signatures", "openssh-client", "openssh-clients", "openssh").since(&[8, 1]).asked(&["-V"]),
        Tool::Bubblewrap => program("bwrap", "enters the root that hermetic builds run in", "bubblewrap", "bubblewrap", "bubblewrap"),
        Tool::Mmdebstrap => program("mmdebstrap", "tests build below other releases of Debian with it", "mmdebstrap", "mmdebstrap", "mmdebstrap"),
        Tool::QemuSystem(Arch::X86_64) => program("qemu-system-x86_64", "boots x86_64 images", "qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86").since(&[7, 2]),
        Tool::QemuSystem(Arch::Aarch64) => program("qemu-system-aarch64", "boots aarch64 images", "qemu-system-arm", "qemu-system-aarch64-core", "qemu-system-aarch64").since(&[7, 2]),
        Tool::Firmware(Arch::X86_64) => firmware(Arch::X86_64, "OVMF", "UEFI for x86_64 in QEMU", "ovmf", "edk2-ovmf", "edk2-ovmf"),
        Tool::Firmware(Arch::Aarch64) => firmware(Arch::Aarch64, "AAVMF", "UEFI for aarch64 in QEMU", "qemu-efi-aarch64", "edk2-aarch64", "edk2-aarch64"),
        Tool::QemuImg => program("qemu-img", "tests read VHD files with it", "qemu-utils", "qemu-img", "qemu-img"),
        Tool::Dtc => program("dtc", "tests read device trees with it", "device-tree-compiler", "dtc", "dtc"),
        Tool::Mdir => program("mdir", "tests read the EFI partition with it", "mtools", "mtools", "mtools"),
        Tool::FsckFat => program("fsck.fat", "tests check the EFI partition with it", "dosfstools", "dosfstools", "dosfstools").asked(&["--help"]),
        // -V is the version of e2fsprogs.
        Tool::MkfsExt4 => program("mkfs.ext4", "tests make a volume that outlives a restart with it", "e2fsprogs", "e2fsprogs", "e2fsprogs").asked(&["-V"]),
        Tool::Genisoimage => program("genisoimage", "tests make discs that machines start with by it", "genisoimage", "genisoimage", "cdrtools"),
        Tool::Sgdisk => program("sgdisk", "tests check partition tables with it", "gdisk", "gdisk", "gptfdisk"),
        Tool::Cpio => program("cpio", "tests read the initramfs with it", "cpio", "cpio", "cpio"),
        Tool::Zstd => program("zstd", "tests unpack the initramfs with it", "zstd", "zstd", "zstd"),
        Tool::Pytest => program("pytest", "runs the kernel's own tests of Kconfig", "python3-pytest", "python3-pytest", "python-pytest"),
        // The system's Python, whatever stands before it in the path: that is whose packages these are.
        Tool::Pip => system_python("pip", "tests install dt-schema with it", &["-m", "pip", "--version"], packages("python3-pip", "python3-pip", "python-pip")),
        Tool::Libfdt => system_python("libfdt for Python", "dt-schema reads device trees with it", &["-c", "import libfdt"], packages("python3-libfdt", "python3-libfdt", "")),
        Tool::Openssl => program("openssl", "tests verify signatures with it", "openssl", "openssl", "openssl").asked(&["version"]),
        Tool::Shellcheck => program("shellcheck", "tests check the scripts that are written with it", "shellcheck", "ShellCheck", "shellcheck"),
        Tool::Genimage => program("genimage", "the benchmark packs the same disk with it", "genimage", "", ""),
    }
}

/// An empty name says that the family has no such package.
fn packages(debian: &'static str, fedora: &'static str, arch: &'static str) -> Source {
    let some = |name: &'static str| (!name.is_empty()).then_some(name);
    Source::Packages { debian, fedora: some(fedora), arch: some(arch) }
}

fn program(
    name: &'static str,
    why: &'static str,
    debian: &'static str,
    fedora: &'static str,
    arch: &'static str,
) -> Facts {
    let probe = Probe::Program { name, ask: VERSION };
    Facts { name, why, probe, minimum: None, source: packages(debian, fedora, arch) }
}

fn system_python(
    name: &'static str,
    why: &'static str,
    ask: &'static [&'static str],
    source: Source,
) -> Facts {
    let probe = Probe::Program { name: "/usr/bin/python3", ask };
    Facts { name, why, probe, minimum: None, source }
}

fn rust(name: &'static str, why: &'static str, source: Source) -> Facts {
    Facts { name, why, probe: Probe::Program { name, ask: VERSION }, minimum: None, source }
}

fn header(
    name: &'static str,
    why: &'static str,
    debian: &'static str,
    fedora: &'static str,
    arch: &'static str,
) -> Facts {
    let probe = Probe::Header { compiler: "gcc", header: name };
    Facts { name, why, probe, minimum: None, source: packages(debian, fedora, arch) }
}

fn firmware(
    arch: Arch,
    name: &'static str,
    why: &'static str,
    debian: &'static str,
    fedora: &'static str,
    arch_linux: &'static str,
) -> Facts {
    Facts {
        name,
        why,
        probe: Probe::Firmware(arch),
        minimum: None,
        source: packages(debian, fedora, arch_linux),
    }
}

fn static_glibc(host: Arch, target: Arch) -> Facts {
    // Fedora's cross compilers come without a C library; there rustup's musl target is the way.
    let (compiler, name, source) = match (cross_prefix(host, target), target) {
        ("", _) => ("gcc", "libc.a", packages("libc6-dev", "glibc-static", "glibc")),
        (_, Arch::Aarch64) => (
            "aarch64-linux-gnu-gcc",
            "libc.a (aarch64)",
            packages("libc6-dev-arm64-cross", "", "aarch64-linux-gnu-glibc"),
        ),
        (_, Arch::X86_64) => {
            ("x86_64-linux-gnu-gcc", "libc.a (x86_64)", packages("libc6-dev-amd64-cross", "", ""))
        }
    };
    let why = "the payload is one static program";
    Facts { name, why, probe: Probe::Library { compiler, library: "libc.a" }, minimum: None, source }
}

impl Facts {
    fn since(mut self, numbers: &[u64]) -> Facts {
        self.minimum = Some(Version::new(numbers));
        self
    }

    fn asked(mut self, arguments: &'static [&'static str]) -> Facts {
        if let Probe::Program { ask, .. } = &mut self.probe {
            *ask = arguments;
        }
        self
    }
}
