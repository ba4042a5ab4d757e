//! `config lint` over .config files that others made.

use expect_test::{Expect, expect};

use crate::{Case, Edit, check};

const DISTRIBUTION: Edit = Edit::Write("distribution.config", include_str!("lint/distribution.config"));
const PARAVISOR: Edit = Edit::Write("paravisor.config", include_str!("lint/paravisor.config"));
pub const GUEST: Edit = Edit::Write("guest.config", include_str!("lint/guest.config"));

pub fn case(
    name: &'static str,
    arguments: &'static [&'static str],
    edits: &'static [Edit],
    expected: Expect,
) -> Case {
    Case { name, arguments, edits, expected }
}

#[test]
fn a_distribution_that_switched_vtl_mode_on() {
    check([case(
        "as the normal guest that it is meant to be",
        &["config", "lint", "distribution.config", "--vtl", "0"],
        &[DISTRIBUTION],
        expect![[r#"
            status 1
            --- stdout
            distribution.config:62:1: error: CONFIG_HYPERV_VTL_MODE is y, wanted n
             62 | CONFIG_HYPERV_VTL_MODE=y
                | ^
              configs/rules.yaml:LINE: such a kernel has other set-up code in place of the platform's, and doesn't boot as a normal guest
              hint: write into a fragment: # CONFIG_HYPERV_VTL_MODE is not set
            distribution.config:45:1: error: CONFIG_MODULE_SIG_KEY is "certs/signing_key.pem", wanted ""
             45 | CONFIG_MODULE_SIG_KEY="certs/signing_key.pem"
                | ^
              configs/rules.yaml:LINE: each build draws a key for modules anew, and the image holds its certificate
              hint: do without modules or without MODULE_SIG; or sign them later with a key of your own, with CONFIG_MODULE_SIG_KEY="" and its certificate in CONFIG_SYSTEM_TRUSTED_KEYS
            distribution.config:47:1: error: CONFIG_SYSTEM_TRUSTED_KEYS is "/etc/keys/distribution.pem", wanted a path inside the source tree
             47 | CONFIG_SYSTEM_TRUSTED_KEYS="/etc/keys/distribution.pem"
                | ^
              configs/rules.yaml:LINE: the image holds what is in that file, whatever it is on the machine that builds
              hint: add the file to the source tree by a patch, and name it by its path there
            distribution.config:33:1: warning: CONFIG_X86_X2APIC is n, wanted y
             33 | # CONFIG_X86_X2APIC is not set
                | ^
              configs/rules.yaml:LINE: processors beyond 255 are reached by x2APIC alone
              hint: write into a fragment: CONFIG_X86_X2APIC=y
            distribution.config:15:1: warning: CONFIG_LOCALVERSION_AUTO is y, wanted n
             15 | CONFIG_LOCALVERSION_AUTO=y
                | ^
              configs/rules.yaml:LINE: the release string follows the state of the git checkout, if the source is one
              hint: write into a fragment: # CONFIG_LOCALVERSION_AUTO is not set
            distribution.config:48:1: warning: CONFIG_GCC_PLUGINS is y, wanted n
             48 | CONFIG_GCC_PLUGINS=y
                | ^
              configs/rules.yaml:LINE: it vanishes in silence on machines without the headers of the compiler's plugins
              hint: write into a fragment: # CONFIG_GCC_PLUGINS is not set
            distribution.config:19:1: warning: CONFIG_KERNEL_GZIP is n, wanted y
             19 | # CONFIG_KERNEL_GZIP is not set
                | ^
              configs/rules.yaml:LINE: the version of the program that packs the image decides bytes, and this tool keeps track of gzip's alone
              hint: write into a fragment: CONFIG_KERNEL_GZIP=y
            distribution.config:22:1: warning: CONFIG_IKHEADERS is m, wanted n
             22 | CONFIG_IKHEADERS=m
                | ^
              configs/rules.yaml:LINE: the versions of tar, xz and perl that make the archive of headers decide bytes, and nothing keeps track of them
              hint: write into a fragment: # CONFIG_IKHEADERS is not set
            distribution.config:69:1: warning: CONFIG_DEBUG_INFO is y, wanted n
             69 | CONFIG_DEBUG_INFO=y
                | ^
              configs/rules.yaml:LINE: DWARF names the folders of source and build
              hint: give -ffile-prefix-map for both folders to make in KCFLAGS and KAFLAGS, or write into a fragment CONFIG_DEBUG_INFO_NONE=y
            distribution.config:71:1: warning: CONFIG_DEBUG_INFO_BTF is y, wanted n
             71 | CONFIG_DEBUG_INFO_BTF=y
                | ^
              configs/rules.yaml:LINE: BTF is made by pahole, whose version decides the bytes, and before 1.27 the number of jobs does too
              hint: write into a fragment: # CONFIG_DEBUG_INFO_BTF is not set
            distribution.config:8:1: warning: CONFIG_RUSTC_VERSION is 108500, wanted 0
             8 | CONFIG_RUSTC_VERSION=108500
               | ^
              configs/rules.yaml:LINE: the image holds its .config, and so the version of a Rust compiler that compiled nothing of it
              hint: run make with RUSTC=false
            judged as a kernel for VTL0 on x86_64, Linux 6.12 (as the file says: architecture, version)
            note: rules about the kernel's command line were left out; give it with --command-line OPTIONS
            3 errors, 8 warnings
        "#]],
    )]);
}

#[test]
fn the_same_for_a_paravisor() {
    check([case(
        "the trust level follows from the file",
        &["config", "lint", "distribution.config", "--command-line", "console=ttyS0 acpi=off"],
        &[DISTRIBUTION],
        expect![[r#"
            status 1
            --- stdout
            distribution.config: error: CONFIG_OF is absent, wanted y
              configs/rules.yaml:LINE: VTL2 gets its machine described by a device tree, and on x86_64 nothing else asks for the code that reads it
              hint: write into a fragment: CONFIG_OF=y
            distribution.config: error: CONFIG_OF_EARLY_FLATTREE is absent, wanted y
              configs/rules.yaml:LINE: VTL2 gets its machine described by a device tree, and on x86_64 nothing else asks for the code that reads it
              hint: write into a fragment: CONFIG_OF_EARLY_FLATTREE=y
            distribution.config: error: `noxsave` is not on the kernel's command line
              configs/rules.yaml:LINE: at VTL2 the kernel panics on every processor that shows XSAVE, unless told not to use it
              hint: add `noxsave` to the command line
            distribution.config: error: `acpi=off` is on the kernel's command line
              configs/rules.yaml:LINE: it takes the local APIC along in a kernel without MP tables, and Hyper-V's set-up never runs
              hint: remove it from the command line
            distribution.config:33:1: error: CONFIG_X86_X2APIC is n, wanted y
             33 | # CONFIG_X86_X2APIC is not set
                | ^
              configs/rules.yaml:LINE: handed processors in x2APIC mode, a kernel without it gives the local APIC up, and Hyper-V's set-up never runs
              hint: write into a fragment: CONFIG_X86_X2APIC=y
            distribution.config:45:1: error: CONFIG_MODULE_SIG_KEY is "certs/signing_key.pem", wanted ""
             45 | CONFIG_MODULE_SIG_KEY="certs/signing_key.pem"
                | ^
              configs/rules.yaml:LINE: each build draws a key for modules anew, and the image holds its certificate
              hint: do without modules or without MODULE_SIG; or sign them later with a key of your own, with CONFIG_MODULE_SIG_KEY="" and its certificate in CONFIG_SYSTEM_TRUSTED_KEYS
            distribution.config:47:1: error: CONFIG_SYSTEM_TRUSTED_KEYS is "/etc/keys/distribution.pem", wanted a path inside the source tree
             47 | CONFIG_SYSTEM_TRUSTED_KEYS="/etc/keys/distribution.pem"
                | ^
              configs/rules.yaml:LINE: the image holds what is in that file, whatever it is on the machine that builds
              hint: add the file to the source tree by a patch, and name it by its path there
            distribution.config:39:1: warning: CONFIG_RANDOMIZE_BASE is y, wanted n
             39 | CONFIG_RANDOMIZE_BASE=y
                | ^
              configs/rules.yaml:LINE: the loader chooses the kernel's place and measures it; an offset drawn later is in nobody's measurement
              hint: write into a fragment: # CONFIG_RANDOMIZE_BASE is not set
            distribution.config:41:1: warning: CONFIG_ACPI is y, wanted n
             41 | CONFIG_ACPI=y
                | ^
              configs/rules.yaml:LINE: where it finds tables after all, the VMBus driver looks for its device there and not in the device tree
              hint: write into a fragment: # CONFIG_ACPI is not set
            distribution.config:15:1: warning: CONFIG_LOCALVERSION_AUTO is y, wanted n
             15 | CONFIG_LOCALVERSION_AUTO=y
                | ^
              configs/rules.yaml:LINE: the release string follows the state of the git checkout, if the source is one
              hint: write into a fragment: # CONFIG_LOCALVERSION_AUTO is not set
            distribution.config:48:1: warning: CONFIG_GCC_PLUGINS is y, wanted n
             48 | CONFIG_GCC_PLUGINS=y
                | ^
              configs/rules.yaml:LINE: it vanishes in silence on machines without the headers of the compiler's plugins
              hint: write into a fragment: # CONFIG_GCC_PLUGINS is not set
            distribution.config:19:1: warning: CONFIG_KERNEL_GZIP is n, wanted y
             19 | # CONFIG_KERNEL_GZIP is not set
                | ^
              configs/rules.yaml:LINE: the version of the program that packs the image decides bytes, and this tool keeps track of gzip's alone
              hint: write into a fragment: CONFIG_KERNEL_GZIP=y
            distribution.config:22:1: warning: CONFIG_IKHEADERS is m, wanted n
             22 | CONFIG_IKHEADERS=m
                | ^
              configs/rules.yaml:LINE: the versions of tar, xz and perl that make the archive of headers decide bytes, and nothing keeps track of them
              hint: write into a fragment: # CONFIG_IKHEADERS is not set
            distribution.config:69:1: warning: CONFIG_DEBUG_INFO is y, wanted n
             69 | CONFIG_DEBUG_INFO=y
                | ^
              configs/rules.yaml:LINE: DWARF names the folders of source and build
              hint: give -ffile-prefix-map for both folders to make in KCFLAGS and KAFLAGS, or write into a fragment CONFIG_DEBUG_INFO_NONE=y
            distribution.config:71:1: warning: CONFIG_DEBUG_INFO_BTF is y, wanted n
             71 | CONFIG_DEBUG_INFO_BTF=y
                | ^
              configs/rules.yaml:LINE: BTF is made by pahole, whose version decides the bytes, and before 1.27 the number of jobs does too
              hint: write into a fragment: # CONFIG_DEBUG_INFO_BTF is not set
            distribution.config:8:1: warning: CONFIG_RUSTC_VERSION is 108500, wanted 0
             8 | CONFIG_RUSTC_VERSION=108500
               | ^
              configs/rules.yaml:LINE: the image holds its .config, and so the version of a Rust compiler that compiled nothing of it
              hint: run make with RUSTC=false
            judged as a kernel for VTL2 on x86_64, Linux 6.12 (as the file says: architecture, trust level by HYPERV_VTL_MODE, version)
            7 errors, 9 warnings
        "#]],
    )]);
}

#[test]
fn an_arm_paravisor_of_an_old_kernel() {
    check([case(
        "errors in the version, the configuration and the trust level",
        &["config", "lint", "paravisor.config", "--vtl", "2"],
        &[PARAVISOR],
        expect![[r#"
            status 1
            --- stdout
            paravisor.config: error: CONFIG_HYPERV_VTL_MODE is absent, wanted y
              configs/rules.yaml:LINE: a kernel without it takes VTL2 for a normal guest and doesn't boot there
              hint: write into a fragment: CONFIG_HYPERV_VTL_MODE=y
            paravisor.config: error: the kernel is Linux 6.12, wanted Linux 6.16 or later
              configs/rules.yaml:LINE: HYPERV_VTL_MODE depends on X86_64 in earlier versions
              hint: take Linux 6.16 or later
            paravisor.config:23:1: error: CONFIG_RANDSTRUCT_FULL is y, wanted n
             23 | CONFIG_RANDSTRUCT_FULL=y
                | ^
              configs/rules.yaml:LINE: the order of structures' members follows a seed that each build draws anew
              hint: write into a fragment: CONFIG_RANDSTRUCT_NONE=y
            paravisor.config:22:1: error: CONFIG_DEBUG_EFI is y, wanted n
             22 | CONFIG_DEBUG_EFI=y
                | ^
              configs/rules.yaml:LINE: the image's header names the folder in which vmlinux was linked
              hint: write into a fragment: # CONFIG_DEBUG_EFI is not set
            paravisor.config: warning: CONFIG_ARM64_4K_PAGES is absent, wanted y
              configs/rules.yaml:LINE: Hyper-V maps and protects VTL0's memory in pages of 4 KiB
              hint: write into a fragment: CONFIG_ARM64_4K_PAGES=y
            judged as a kernel for VTL2 on aarch64, Linux 6.12 (as the file says: architecture, version)
            4 errors, 1 warning
        "#]],
    )]);
}

#[test]
fn nothing_to_say() {
    check([
        case(
            "a guest",
            &["config", "lint", "guest.config"],
            &[GUEST],
            expect![[r#"
                status 0
                --- stdout
                judged as a kernel for VTL0 on x86_64, Linux 7.3 (as the file says: architecture, trust level by HYPERV_VTL_MODE, version)
                note: rules about the kernel's command line were left out; give it with --command-line OPTIONS
                0 errors, 0 warnings
            "#]],
        ),
        case(
            "everything said on the command line",
            &[
                "config",
                "lint",
                "guest.config",
                "--arch",
                "x86_64",
                "--vtl",
                "0",
                "--kernel-version",
                "7.4-rc1",
                "--command-line",
                "quiet",
            ],
            &[GUEST],
            expect![[r#"
                status 0
                --- stdout
                judged as a kernel for VTL0 on x86_64, Linux 7.4
                0 errors, 0 warnings
            "#]],
        ),
        case(
            "built-in options count",
            &["config", "lint", "guest.config"],
            &[GUEST, Edit::Replace("guest.config", "console=ttyS0", "acpi=off")],
            expect![[r#"
                status 1
                --- stdout
                guest.config: error: `acpi=off` is on the kernel's command line
                  configs/rules.yaml:LINE: Hyper-V announces the VMBus in the ACPI tables
                  hint: remove it from the command line
                judged as a kernel for VTL0 on x86_64, Linux 7.3 (as the file says: architecture, trust level by HYPERV_VTL_MODE, version)
                note: rules about the kernel's command line were left out; give it with --command-line OPTIONS
                1 error, 0 warnings
            "#]],
        ),
    ]);
}

#[test]
fn for_programs() {
    check([case(
        "one finding",
        &["config", "lint", "guest.config", "--format", "json"],
        &[GUEST, Edit::Replace("guest.config", "CONFIG_ACPI=y", "# CONFIG_ACPI is not set")],
        expect![[r#"
            status 1
            --- stdout
            {
              "file": "guest.config",
              "arch": "x86_64",
              "vtl": 0,
              "linux": "7.3",
              "from-the-file": [
                "architecture",
                "trust level by HYPERV_VTL_MODE",
                "version"
              ],
              "findings": [
                {
                  "severity": "error",
                  "section": "trust-level",
                  "symbol": "CONFIG_ACPI",
                  "wanted": "y",
                  "got": "n",
                  "message": "CONFIG_ACPI is n, wanted y",
                  "reason": "Hyper-V describes the machine to VTL0 by ACPI tables, and the VMBus is announced there",
                  "fix": "write into a fragment: CONFIG_ACPI=y",
                  "rule": "configs/rules.yaml:LINE",
                  "line": 19
                }
              ],
              "notes": [
                "rules about the kernel's command line were left out; give it with --command-line OPTIONS"
              ],
              "errors": 1,
              "warnings": 0
            }
        "#]],
    )]);
}

#[test]
fn what_the_file_does_not_say() {
    check([case(
        "without a head there is no version",
        &["config", "lint", "mine.config"],
        &[Edit::Write(
            "mine.config",
            "CONFIG_ARM64=y\nCONFIG_BLK_DEV_INITRD=y\nCONFIG_RD_ZSTD=y\nCONFIG_BINFMT_ELF=y\nCONFIG_ACPI=y\n\
             CONFIG_EFI=y\nCONFIG_EFI_STUB=y\nCONFIG_PROC_FS=y\nCONFIG_SYSFS=y\nCONFIG_DEVTMPFS=y\nCONFIG_TMPFS=y\n\
             CONFIG_PRINTK=y\nCONFIG_TTY=y\nCONFIG_SERIAL_AMBA_PL011_CONSOLE=y\nCONFIG_HYPERV=y\nCONFIG_HYPERV_NET=y\n\
             CONFIG_HYPERV_STORAGE=y\nCONFIG_HYPERV_UTILS=y\n",
        )],
        expect![[r#"
            status 0
            --- stdout
            mine.config: warning: CONFIG_PCI_HYPERV is absent, wanted y
              configs/rules.yaml:LINE: the driver of a device that every guest is offered
              hint: write into a fragment: CONFIG_PCI_HYPERV=y
            judged as a kernel for VTL0 on aarch64 (as the file says: architecture, trust level by HYPERV_VTL_MODE)
            note: the file lacks the head of a final .config; a defconfig or a fragment leaves out what follows by itself
            note: rules about the kernel's version were left out; name it with --kernel-version X.Y
            0 errors, 1 warning
        "#]],
    )]);
}
