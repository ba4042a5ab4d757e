//! Whether Azure would take an image as the disk of a machine of generation 2: rule by rule, each with its source.

use serde::Serialize;

use super::{Container, Report, TableKind, VhdKind};
use crate::vhd::SIZE_STEP_BYTES;

// Title, address and section of pages as they were in 2026.
const NOTES: &str = "Microsoft Learn, Prepare Linux for imaging in Azure \
    (azure/virtual-machines/linux/create-upload-generic), General Linux installation notes";
const MODULES: &str = "Microsoft Learn, Prepare Linux for imaging in Azure \
    (azure/virtual-machines/linux/create-upload-generic), Install kernel modules without Hyper-V, General Linux system requirements";
const CONVERT: &str = "Microsoft Learn, Prepare a Windows VHD or VHDX to upload to Azure \
    (azure/virtual-machines/windows/prepare-for-upload-vhd-image), Convert the virtual disk to a fixed size VHD";
const OS_DISK: &str = "Microsoft Learn, Introduction to Azure managed disks \
    (azure/virtual-machines/managed-disks-overview), OS disk";
const VOLUME: &str = "Microsoft Learn, Upgrade existing Azure Gen1 VMs to Trusted launch \
    (azure/virtual-machines/trusted-launch-existing-vm-gen-1), Update Guest OS volume";
const SECURE_BOOT: &str = "Microsoft Learn, Trusted Launch for Azure virtual machines \
    (azure/virtual-machines/trusted-launch), Secure Boot";
const UEFI: &str = "UEFI 2.10, section 3.5.1.1: Removable Media Boot Behavior";

/// The largest disk to boot from.
const MAX_DISK_BYTES: u64 = 4095 << 30;

/// The largest VHD that the notes for Linux know of; they don't say for which generation.
const MAX_NOTED_BYTES: u64 = 1023 << 30;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    pub rule: &'static str,
    pub outcome: Outcome,
    pub reason: String,
    /// What to do if it doesn't pass.
    pub hint: Option<&'static str>,
    pub source: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Passes,
    Fails,
    /// The image alone doesn't say.
    Unknown,
}

/// Every rule. `kernel_config` is the text of the kernel's configuration, where it is known.
pub fn verdicts(report: &Report, kernel_config: Option<&str>) -> Vec<Verdict> {
    vec![
        fixed_vhd(report),
        footer(report),
        whole_mebibytes(report),
        size(report),
        partition_table(report),
        efi_system_partition(report),
        boot_program(report),
        secure_boot(report),
        drivers(kernel_config),
        file_systems(kernel_config),
        undamaged(report),
    ]
}

/// `Err` has the reason and what to do.
fn verdict(
    rule: &'static str,
    source: &'static str,
    judged: Result<String, (String, &'static str)>,
) -> Verdict {
    let (outcome, reason, hint) = match judged {
        Ok(reason) => (Outcome::Passes, reason, None),
        Err((reason, hint)) => (Outcome::Fails, reason, Some(hint)),
    };
    Verdict { rule, outcome, reason, hint, source }
}

fn unknown(rule: &'static str, source: &'static str, reason: String, hint: &'static str) -> Verdict {
    Verdict { rule, outcome: Outcome::Unknown, reason, hint: Some(hint), source }
}

fn fixed_vhd(report: &Report) -> Verdict {
    let judged = match &report.container {
        Container::Vhd(vhd) if vhd.footer.kind == VhdKind::Fixed => Ok("it is one".to_owned()),
        Container::Raw if report.disk_bytes.is_none() => {
            Err(("it is no disk".to_owned(), "build a disk with it, as `cargo xtask build-image` does"))
        }
        other => Err((format!("it is {}", other.name()), "cargo xtask image convert FILE disk.vhd")),
    };
    verdict("the file is a fixed VHD", NOTES, judged)
}

fn footer(report: &Report) -> Verdict {
    let hint = "cargo xtask image convert FILE disk.vhd";
    let judged = match &report.container {
        Container::Vhd(vhd) if vhd.footer.kind == VhdKind::Fixed => {
            let room = report.file_bytes - crate::vhd::FOOTER_BYTES as u64;
            match vhd.footer.checksum_is_right {
                false => Err(("its checksum is wrong".to_owned(), hint)),
                true if vhd.footer.current_bytes != room => {
                    Err((format!("its current size is {} bytes, not {room}", vhd.footer.current_bytes), hint))
                }
                true => Ok(format!("{room} bytes, before a footer of {}", crate::vhd::FOOTER_BYTES)),
            }
        }
        _ => Err(("there is no footer of a fixed VHD".to_owned(), hint)),
    };
    verdict("its footer tells the size that it has", CONVERT, judged)
}

fn whole_mebibytes(report: &Report) -> Verdict {
    let hint = "enlarge the raw disk with truncate(1) to the next MiB, `sgdisk -e` it, and convert it";
    let judged = match report.disk_bytes {
        None => Err(("there is no disk".to_owned(), hint)),
        Some(bytes) if bytes == 0 || !bytes.is_multiple_of(SIZE_STEP_BYTES) => {
            Err((format!("{bytes} bytes are {} more than whole MiB", bytes % SIZE_STEP_BYTES), hint))
        }
        Some(bytes) => Ok(format!("{} MiB", bytes / SIZE_STEP_BYTES)),
    };
    verdict("the disk has whole MiB", NOTES, judged)
}

fn size(report: &Report) -> Verdict {
    let rule = "a disk to boot from has at most 4095 GiB";
    let judged = match report.disk_bytes {
        Some(bytes) if bytes <= MAX_NOTED_BYTES => Ok("it is smaller".to_owned()),
        Some(bytes) if bytes <= MAX_DISK_BYTES => {
            let reason =
                format!("it has {} GiB, and the notes for Linux allow a VHD of 1023 only", bytes >> 30);
            return unknown(rule, OS_DISK, reason, "make it smaller: Azure grows disks");
        }
        Some(bytes) => {
            Err((format!("it has {} GiB", bytes >> 30), "make it smaller: Azure grows disks, not images"))
        }
        None => Err(("there is no disk".to_owned(), "build one with it")),
    };
    verdict(rule, OS_DISK, judged)
}

fn partition_table(report: &Report) -> Verdict {
    let hint = "partition it anew with a GPT";
    let judged = match &report.table {
        Some(table) if table.kind == TableKind::Gpt && table.sector_bytes == 512 => Ok("GPT".to_owned()),
        Some(table) if table.kind == TableKind::Gpt => {
            Err((format!("its sectors have {} bytes, those of a VHD 512", table.sector_bytes), hint))
        }
        Some(_) => Err(("MBR, which generation 1 boots from".to_owned(), hint)),
        None => Err(("there is none".to_owned(), hint)),
    };
    verdict("the disk has a GUID partition table", VOLUME, judged)
}

fn efi_system_partition(report: &Report) -> Verdict {
    let hint = "make a partition of type C12A7328-F81F-11D2-BA4B-00A0C93EC93B with a FAT file system";
    let partitions = report.table.iter().flat_map(|table| &table.partitions);
    let esp = partitions.into_iter().find(|partition| partition.is_esp());
    let judged = match esp {
        None => Err(("there is none".to_owned(), hint)),
        Some(esp) if report.volumes.iter().any(|volume| volume.partition == Some(esp.number)) => {
            Ok(format!("partition {}", esp.number))
        }
        Some(esp) => Err((format!("partition {} has no FAT file system that can be read", esp.number), hint)),
    };
    verdict("it has an EFI system partition", VOLUME, judged)
}

/// Path and architecture of what firmware starts of a disk that it has no entry for.
const BOOT_PROGRAMS: [(&str, &str); 2] =
    [("/efi/boot/bootx64.efi", "x86_64"), ("/efi/boot/bootaa64.efi", "aarch64")];

fn boot_program(report: &Report) -> Verdict {
    let hint = "put it there: a machine made of an image has no boot entries of its own";
    let mut judged = Err(("there is neither EFI/BOOT/BOOTX64.EFI nor BOOTAA64.EFI".to_owned(), hint));
    for program in &report.programs {
        let path = program.path.to_ascii_lowercase();
        let Some((_, machine)) = BOOT_PROGRAMS.iter().find(|(known, _)| path == *known) else { continue };
        judged = match program.machine == *machine && program.is_efi_application {
            true => Ok(format!("{}, for {machine}", program.path)),
            false => {
                Err((format!("{} is for {}, or no EFI application", program.path, program.machine), hint))
            }
        };
        if judged.is_ok() {
            break;
        }
    }
    verdict("firmware finds a program to start", UEFI, judged)
}

/// Not refused, but the machine's security type has to fit.
fn secure_boot(report: &Report) -> Verdict {
    let booted = report
        .programs
        .iter()
        .find(|program| BOOT_PROGRAMS.iter().any(|(path, _)| program.path.eq_ignore_ascii_case(path)));
    let reason = match booted {
        Some(program) if program.is_signed => {
            "the boot program is signed; whether firmware trusts the signer isn't known here"
        }
        Some(_) => "the boot program is not signed: with Secure Boot it isn't started",
        None => "there is no boot program to look at",
    };
    let rule = "with Secure Boot, the boot program is signed by whom firmware trusts";
    let hint = "--security-type Standard, or Trusted Launch with Secure Boot off";
    unknown(rule, SECURE_BOOT, reason.to_owned(), hint)
}

fn drivers(kernel_config: Option<&str>) -> Verdict {
    const NEEDED: [&str; 3] = ["CONFIG_HYPERV", "CONFIG_HYPERV_STORAGE", "CONFIG_HYPERV_NET"];
    let rule = "the kernel has Hyper-V's drivers";
    let Some(config) = kernel_config else { return no_configuration(rule, MODULES) };
    let missing: Vec<_> = NEEDED.into_iter().filter(|symbol| !has(config, symbol, &["y"])).collect();
    let judged = match missing.is_empty() {
        true => Ok("bus, storage and network are built in".to_owned()),
        false => Err((
            format!("not built in: {}", missing.join(", ")),
            "build them in, or have them as modules in the initramfs, which this check can't see",
        )),
    };
    verdict(rule, MODULES, judged)
}

/// What Azure hands over at the first start is on a disc with UDF.
fn file_systems(kernel_config: Option<&str>) -> Verdict {
    let rule = "the kernel knows VFAT and UDF";
    let Some(config) = kernel_config else { return no_configuration(rule, NOTES) };
    let knows = |symbol| has(config, symbol, &["y", "m"]);
    let hint = "enable CONFIG_VFAT_FS and CONFIG_UDF_FS";
    match (knows("CONFIG_VFAT_FS"), knows("CONFIG_UDF_FS")) {
        (true, true) => verdict(rule, NOTES, Ok("it knows both".to_owned())),
        (false, _) => verdict(rule, NOTES, Err(("it doesn't know VFAT".to_owned(), hint))),
        (true, false) => {
            let reason = "it doesn't know UDF, without which only cloud-init 21.2 and later provision";
            unknown(rule, NOTES, reason.to_owned(), hint)
        }
    }
}

fn has(config: &str, symbol: &str, values: &[&str]) -> bool {
    let mut found = config.lines().filter_map(|line| line.strip_prefix(symbol)?.strip_prefix('='));
    found.any(|value| values.contains(&value))
}

fn no_configuration(rule: &'static str, source: &'static str) -> Verdict {
    let hint = "keep kernel.config beside the image, as `cargo xtask build-image` does";
    unknown(rule, source, "there is no kernel.config beside the image".to_owned(), hint)
}

fn undamaged(report: &Report) -> Verdict {
    let judged = match report.findings.as_slice() {
        [] => Ok("nothing was found".to_owned()),
        [first, ..] => Err((first.to_string(), "see what was found")),
    };
    verdict("nothing in it is damaged", CONVERT, judged)
}
