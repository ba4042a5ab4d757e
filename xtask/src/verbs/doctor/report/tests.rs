use expect_test::{Expect, expect};

use super::*;
use crate::host::probe::examine;
use crate::host::testing::FakeHost;
use crate::host::tools::Tool;
use crate::host::{Arch, tools};

/// A machine that can build an x86_64 kernel, as far as `gcc` and friends go.
fn machine(os_release: &str) -> FakeHost {
    let fake = FakeHost::new(Arch::X86_64);
    fake.file("/etc/os-release", os_release);
    let tools = [
        ("cargo", "cargo 1.95.0 (f2d3ce0bd 2026-03-21)"),
        ("rustc", "rustc 1.95.0 (59807616e 2026-04-14)"),
        ("ld", "GNU ld (GNU Binutils for Debian) 2.40"),
        ("make", "GNU Make 4.3"),
        ("bash", "GNU bash, version 5.2.15(1)-release (x86_64-pc-linux-gnu)"),
        ("flex", "flex 2.6.4"),
        ("bison", "bison (GNU Bison) 3.8.2"),
        ("bc", "bc 1.07.1"),
        ("perl", "v5.36.0"),
        ("awk", "mawk 1.3.4 20200120"),
        ("find", "find (GNU findutils) 4.9.0"),
        ("cmp", "cmp (GNU diffutils) 3.8"),
        ("gzip", "gzip 1.12"),
        ("qemu-system-x86_64", "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)"),
    ];
    for (name, says) in tools {
        fake.tool(name, says);
    }
    compiler(&fake, "");
    fake.file("/usr/share/OVMF/OVMF_CODE_4M.fd", "");
    fake.file("/usr/share/OVMF/OVMF_VARS_4M.fd", "");
    fake
}

/// A gcc; `case` is a branch of a shell's case statement over its arguments, taken before all others.
fn compiler(fake: &FakeHost, case: &str) {
    let answers =
        "-print-file-name=*) echo /usr/lib/libc.a;; *) echo 'gcc (Debian 12.2.0-14+deb12u1) 12.2.0';;";
    fake.script("gcc", &format!("case $* in {case} {answers} esac"));
}

const DEBIAN: &str = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n";
const PURPOSES: [Purpose; 3] =
    [Purpose::Kernel(Arch::X86_64), Purpose::Payload(Arch::X86_64), Purpose::Boot(Arch::X86_64)];

fn report(fake: &FakeHost) -> Report {
    let resources = Resources {
        processors: Some(2),
        memory_bytes: Some(8 * GIB),
        store_free_bytes: Some(70 * GIB + GIB / 2),
    };
    Report::new(&fake.host, &PURPOSES, examine(&fake.host, &PURPOSES), resources)
}

fn check(fake: &FakeHost, expected: Expect) {
    expected.assert_eq(&report(fake).render(Glyphs::Plain));
}

#[test]
fn a_machine_with_everything() {
    let fake = machine(DEBIAN);
    assert!(report(&fake).is_healthy());
    check(
        &fake,
        expect![[r#"
            Debian GNU/Linux 12 (bookworm), x86_64, 2 processors, 8.0 GiB of memory available, 70.5 GiB free for the store

               TOOL                FOUND   NEEDED     PACKAGE          WHY
            ok cargo               1.95.0  >= 1.89    -                drives every build
            ok rustc               1.95.0  >= 1.89    -                compiles this tool and the payload
            ok gcc                 12.2.0  >= 8.1     gcc              compiles kernel and build helpers, links Rust programs
            ok ld                  2.40    >= 2.30    binutils         links the kernel
            ok stdlib.h            yes     any        libc6-dev        build helpers need the C library's headers
            ok libc.a              yes     any        libc6-dev        the payload is one static program
            ok make                4.3     >= 4.0     make             runs the kernel's build
            ok bash                5.2.15  >= 4.2     bash             runs scripts of the kernel's build
            ok flex                2.6.4   >= 2.5.35  flex             makes the scanner of Kconfig
            ok bison               3.8.2   >= 2.0     bison            makes the parser of Kconfig
            ok bc                  1.7.1   >= 1.6.95  bc               computes the kernel's time constants
            ok perl                5.36.0  any        perl             runs scripts of the kernel's build
            ok awk                 1.3.4   any        mawk             runs scripts of the kernel's build
            ok find                4.9.0   any        findutils        used all over the kernel's build
            ok cmp                 3.8     any        diffutils        the kernel's build compares files with it
            ok gzip                1.12    any        gzip             packs the kernel and the copy of its configuration
            ok gelf.h              yes     any        libelf-dev       objtool of the x86_64 kernel reads ELF files
            ok qemu-system-x86_64  7.2.22  >= 7.2     qemu-system-x86  boots x86_64 images
            ok OVMF                yes     any        ovmf             UEFI for x86_64 in QEMU

            Nothing is missing.
        "#]],
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let fake = machine(DEBIAN);
    let remove = |path: &str| std::fs::remove_file(fake.folder.path().join(path)).unwrap();
    remove("bin/flex");
    remove("usr/share/OVMF/OVMF_VARS_4M.fd");
    fake.tool("make", "GNU Make 3.82");
    fake.script(
        "qemu-system-x86_64",
        "echo 'error while loading shared libraries: libslirp.so.0' >&2; exit 127",
    );
    fake.script("rustc", "echo 'rustc 1.70.0 (90c541806 2023-05-31)'");
    // The compiler is there and does not find a header.
    compiler(&fake, "*gelf.h*) exit 1;;");
    check(
        &fake,
        expect![[r#"
            Debian GNU/Linux 12 (bookworm), x86_64, 2 processors, 8.0 GiB of memory available, 70.5 GiB free for the store

               TOOL                FOUND             NEEDED     PACKAGE          WHY
            ok cargo               1.95.0            >= 1.89    -                drives every build
            NO rustc               1.70.0 (too old)  >= 1.89    -                compiles this tool and the payload
            ok gcc                 12.2.0            >= 8.1     gcc              compiles kernel and build helpers, links Rust programs
            ok ld                  2.40              >= 2.30    binutils         links the kernel
            ok stdlib.h            yes               any        libc6-dev        build helpers need the C library's headers
            ok libc.a              yes               any        libc6-dev        the payload is one static program
            NO make                3.82 (too old)    >= 4.0     make             runs the kernel's build
            ok bash                5.2.15            >= 4.2     bash             runs scripts of the kernel's build
            NO flex                missing           >= 2.5.35  flex             makes the scanner of Kconfig
            ok bison               3.8.2             >= 2.0     bison            makes the parser of Kconfig
            ok bc                  1.7.1             >= 1.6.95  bc               computes the kernel's time constants
            ok perl                5.36.0            any        perl             runs scripts of the kernel's build
            ok awk                 1.3.4             any        mawk             runs scripts of the kernel's build
            ok find                4.9.0             any        findutils        used all over the kernel's build
            ok cmp                 3.8               any        diffutils        the kernel's build compares files with it
            ok gzip                1.12              any        gzip             packs the kernel and the copy of its configuration
            NO gelf.h              missing           any        libelf-dev       objtool of the x86_64 kernel reads ELF files
            NO qemu-system-x86_64  does not run      >= 7.2     qemu-system-x86  boots x86_64 images
            NO OVMF                missing           any        ovmf             UEFI for x86_64 in QEMU

            6 tools are missing or not good enough.

            This installs what Debian/Ubuntu packages:
                sudo apt-get install -y --no-install-recommends flex libelf-dev make ovmf qemu-system-x86
            or: cargo xtask doctor --install

            rustc: rustup update

            qemu-system-x86_64 does not run: error while loading shared libraries: libslirp.so.0
        "#]],
    );
}

#[test]
fn other_distributions_get_their_own_names() {
    for (os_release, expected) in [
        (
            "ID=fedora\nPRETTY_NAME=\"Fedora Linux 42\"\n",
            "sudo dnf install -y edk2-ovmf elfutils-libelf-devel\n",
        ),
        ("ID=manjaro\nID_LIKE=arch\n", "sudo pacman -S --needed edk2-ovmf libelf\n"),
        (
            "ID=alpine\n",
            "    Fedora         sudo dnf install -y edk2-ovmf elfutils-libelf-devel\n    Arch           sudo",
        ),
    ] {
        let fake = machine(os_release);
        std::fs::remove_file(fake.folder.path().join("usr/share/OVMF/OVMF_CODE_4M.fd")).unwrap();
        compiler(&fake, "*gelf.h*) exit 1;;");
        let text = report(&fake).render(Glyphs::Plain);
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn json_has_the_same_findings() {
    let fake = machine(DEBIAN);
    std::fs::remove_file(fake.folder.path().join("bin/bison")).unwrap();
    let json = report(&fake).to_json();
    assert_eq!(json["good"], false);
    let bison = json["tools"].as_array().unwrap().iter().find(|tool| tool["tool"] == "bison").unwrap();
    let expected = serde_json::json!({
        "tool": "bison", "good": false, "found": "missing", "needed": "2.0",
        "why": "makes the parser of Kconfig", "package": "bison",
    });
    assert_eq!(*bison, expected);
}

#[test]
fn scarce_resources_are_warnings() {
    let fake = machine(DEBIAN);
    let resources = Resources { processors: None, memory_bytes: Some(GIB), store_free_bytes: Some(GIB) };
    let report = Report::new(&fake.host, &PURPOSES, examine(&fake.host, &PURPOSES), resources);
    assert!(report.is_healthy());
    let expected = [
        "building needs about 6.0 GiB where the store is, 1.0 GiB are free; --store puts it elsewhere",
        "1.0 GiB of memory are available, 2.0 GiB are wanted",
    ];
    assert_eq!(report.warnings(), expected);
}

/// Every row of the table can be installed on Debian or says what else to do, on both kinds of host.
#[test]
fn every_tool_has_a_source() {
    let purposes = |arch| {
        [Purpose::Kernel(arch), Purpose::Payload(arch), Purpose::StaticGlibc(arch), Purpose::Boot(arch)]
            .into_iter()
            .chain([Purpose::GitSource, Purpose::Tests, Purpose::Bench])
    };
    for host in [Arch::X86_64, Arch::Aarch64] {
        let all: Vec<Purpose> = purposes(Arch::X86_64).chain(purposes(Arch::Aarch64)).collect();
        let tools = tools::needed(host, &all);
        for tool in tools {
            let facts = tools::facts(host, tool);
            let expects_package = !matches!(tool, Tool::Cargo | Tool::Rustc | Tool::Rustfmt | Tool::Clippy);
            assert_eq!(facts.source.package(Family::Debian).is_some(), expects_package, "{tool:?}");
            assert!(!facts.why.is_empty() && facts.why.len() < 60, "{tool:?}: {}", facts.why);
        }
    }
}
