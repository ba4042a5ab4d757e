//! The artifacts of every profile before judges that nobody here wrote.

mod harness;

use std::{collections::BTreeSet, fs, path::Path};

use harness::{PROFILES, built, folder, judge, judges::Judges, run, xtask};

const MIB: u64 = 1 << 20;

#[test]
fn checksums_and_manifest_agree_with_the_files() {
    for profile in PROFILES {
        let out = built(profile);
        judge(
            "sh",
            &["-c", &format!("cd '{}' && sha256sum --quiet --strict --check SHA256SUMS", out.display())],
        );
        let manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap();
        assert_eq!(manifest["hermetic"], true, "{profile}");
        for output in manifest["outputs"].as_array().unwrap() {
            let name = output["name"].as_str().unwrap();
            let size = fs::metadata(out.join(name)).unwrap().len();
            assert_eq!(output["size-bytes"], size, "{profile}/{name}");
        }
        let text = manifest.to_string();
        for foreign in [env!("CARGO_MANIFEST_DIR"), out.to_str().unwrap()] {
            assert!(!text.contains(foreign), "{profile}: the manifest names {foreign}");
        }
    }
}

#[test]
fn disks_are_sound_for_sgdisk_fsck_and_mtools() {
    for profile in PROFILES {
        let out = built(profile);
        let disk = out.join("disk.raw");
        let disk = disk.to_str().unwrap();
        let verdict = judge("sgdisk", &["-v", disk]);
        assert!(verdict.contains("No problems found"), "{profile}: {verdict}");
        assert!(!verdict.contains("Warning"), "{profile}: {verdict}");

        let info = judge("sgdisk", &["-i", "1", disk]);
        assert!(info.contains("C12A7328-F81F-11D2-BA4B-00A0C93EC93B"), "{profile}: not an ESP: {info}");
        let first: u64 = number_after(&info, "First sector: ");
        let sectors: u64 = number_after(&info, "Partition size: ");

        let esp = folder(&format!("esp-{profile}")).join("esp.img");
        let of = format!("of={}", esp.display());
        let (skip, count) = (format!("skip={first}"), format!("count={sectors}"));
        judge("dd", &[&format!("if={disk}"), &of, "bs=512", &skip, &count, "conv=sparse", "status=none"]);
        let silent = judge("fsck.fat", &["-n", esp.to_str().unwrap()]);
        // One line with the version, one with the count of files: nothing to complain about.
        assert_eq!(silent.lines().count(), 2, "{profile}: {silent}");

        let wanted: &[&str] = match profile {
            "x86_64-vtl0" => &["::/EFI/BOOT/BOOTX64.EFI"],
            "aarch64-vtl0" => &["::/EFI/BOOT/BOOTAA64.EFI"],
            _ => &[
                "::/vtl2/kernel",
                "::/vtl2/monitor",
                "::/vtl2/initramfs.cpio.zst",
                "::/vtl2/platform.dtb",
                "::/vtl2/cmdline.txt",
            ],
        };
        let files = judge("mdir", &["-i", esp.to_str().unwrap(), "-b", "-/", "::"]);
        let firmware = if profile.starts_with("x86_64") { "BOOTX64.EFI" } else { "BOOTAA64.EFI" };
        assert!(files.contains(firmware), "{profile}: no {firmware} in\n{files}");
        for path in wanted {
            assert!(files.contains(path), "{profile}: no {path} in\n{files}");
        }
        let (inside, beside) = match profile.ends_with("vtl0") {
            true => (wanted[0], "uki.efi"),
            false => (wanted[0], "kernel"),
        };
        let copy = esp.with_file_name("copy");
        judge("mcopy", &["-n", "-i", esp.to_str().unwrap(), inside, copy.to_str().unwrap()]);
        assert!(
            fs::read(&copy).unwrap() == fs::read(out.join(beside)).unwrap(),
            "{profile}: {inside} differs"
        );
    }
}

#[test]
fn vhds_are_what_azure_takes() {
    for profile in PROFILES {
        let out = built(profile);
        let (raw, vhd) = (out.join("disk.raw"), out.join("disk.vhd"));
        let size = fs::metadata(&raw).unwrap().len();
        assert_eq!(size % MIB, 0, "{profile}");
        assert_eq!(fs::metadata(&vhd).unwrap().len(), size + 512, "{profile}");
        let info = judge("qemu-img", &["info", "--output=json", "-f", "vpc", vhd.to_str().unwrap()]);
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        assert_eq!(info["virtual-size"], size, "{profile}");
        let arguments = ["compare", "-f", "raw", "-F", "vpc", raw.to_str().unwrap(), vhd.to_str().unwrap()];
        judge("qemu-img", &arguments);
        let footer = &fs::read(&vhd).unwrap()[size as usize..];
        assert_eq!(&footer[..8], b"conectix");
        assert_eq!(footer[63], 2, "{profile}: not a fixed disk");
    }
}

#[test]
fn every_format_of_a_disk_has_its_content_and_satisfies_qemu() {
    for profile in PROFILES {
        let out = built(profile);
        let raw = out.join("disk.raw");
        for format in ["vhdx", "qcow2"] {
            let file = out.join(format!("disk.{format}"));
            let (raw, file) = (raw.to_str().unwrap(), file.to_str().unwrap());
            let said = judge("qemu-img", &["check", "-f", format, file]);
            assert!(said.contains("No errors were found on the image."), "{profile}: {said}");
            judge("qemu-img", &["compare", "-f", "raw", "-F", format, raw, file]);
        }
    }
}

/// What Hyper-V would refuse, qemu-img may take: the file is held against the specification, and read by another reader.
#[test]
fn vhdx_files_keep_the_rules_of_their_specification() {
    let judges = Judges::install("dissect", "tests/images/dissect.txt");
    for profile in PROFILES {
        let out = built(profile);
        let mut python = judges.python();
        python.arg(harness::project().join("tests/images/vhdx.py"));
        let verdict = run(python.arg(out.join("disk.vhdx")).arg(out.join("disk.raw"))).expect(profile);
        assert_eq!(verdict, "good\n", "{profile}");
    }
}

/// Each thing that it says, beside the one who knows.
#[test]
fn what_inspect_says_of_a_disk_is_what_others_say() {
    for profile in PROFILES {
        let out = built(profile);
        let raw = out.join("disk.raw");
        let mut reports = Vec::new();
        for format in ["raw", "vhd", "vhdx", "qcow2"] {
            let file = out.join(format!("disk.{format}"));
            let mut inspect = xtask();
            inspect.args(["image", "inspect", "--json"]).arg(&file);
            let report: serde_json::Value = serde_json::from_str(&run(&mut inspect).expect(profile)).unwrap();
            assert_eq!(report["findings"], serde_json::json!([]), "{profile}: {format}");
            let size = fs::metadata(&raw).unwrap().len();
            assert_eq!(report["disk-bytes"], size, "{profile}: {format}");
            reports.push(report);
        }
        for report in &reports[1..] {
            for part in ["table", "volumes", "programs"] {
                assert_eq!(report[part], reports[0][part], "{profile}: {part}");
            }
        }
        let table = &reports[0]["table"];
        let said = judge("sgdisk", &["-p", "-i", "1", raw.to_str().unwrap()]).to_lowercase();
        let partition = &table["partitions"][0];
        for id in [&table["disk-id"], &partition["id"], &partition["type-id"]] {
            assert!(said.contains(id.as_str().unwrap()), "{profile}: {id} in\n{said}");
        }
        assert_eq!(partition["start-bytes"], number_after(&said, "first sector: ") * 512, "{profile}");
        assert_eq!(partition["size-bytes"], number_after(&said, "partition size: ") * 512, "{profile}");

        let esp = format!("{}@@{}", raw.display(), partition["start-bytes"]);
        let listed = judge("mdir", &["-i", &esp, "-b", "-/", "-a", "::"]);
        let listed: BTreeSet<&str> = listed.lines().filter_map(|line| line.strip_prefix("::")).collect();
        let listed: BTreeSet<&str> = listed.into_iter().filter(|path| !path.ends_with('/')).collect();
        let files = reports[0]["volumes"][0]["files"].as_array().unwrap();
        let found: BTreeSet<&str> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
        assert_eq!(found, listed, "{profile}");

        let program = &reports[0]["programs"][0];
        let copy = folder(&format!("boot-program-{profile}")).join("program.efi");
        let inside = format!("::{}", program["path"].as_str().unwrap());
        judge("mcopy", &["-n", "-i", &esp, &inside, copy.to_str().unwrap()]);
        let objdump = if profile.starts_with("x86_64") { "objdump" } else { "aarch64-linux-gnu-objdump" };
        let headers = judge(objdump, &["-h", copy.to_str().unwrap()]);
        let sections = program["sections"].as_array().unwrap();
        for section in sections {
            let name = section["name"].as_str().unwrap();
            let line = headers.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
            let line = line.unwrap_or_else(|| panic!("{profile}: no {name} in\n{headers}"));
            let offset = format!("{:08x}", section["offset"].as_u64().unwrap());
            assert!(line.contains(&offset), "{profile}: {section} beside {line}");
        }
        if profile.ends_with("vtl0") {
            assert_eq!(program["is-unified-kernel-image"], true, "{profile}");
            let command_line = program["command-line"].as_str().unwrap();
            assert!(command_line.starts_with("console="), "{profile}: {command_line}");
            let refused = |verdict: &&serde_json::Value| verdict["outcome"] == "fails";
            let azure: Vec<_> = reports[1]["azure"].as_array().unwrap().iter().filter(refused).collect();
            assert!(azure.is_empty(), "{profile}: {azure:#?}");
        }
    }
}

/// To every format and back, through the formats of others: the same disk, and for one disk the same file.
#[test]
fn converted_disks_are_the_same_disk() {
    let out = built("x86_64-vtl2");
    let raw = out.join("disk.raw");
    let here = folder("convert");
    let convert = |from: &Path, to: &str, more: &[&str]| {
        let to = here.join(to);
        let mut command = xtask();
        command.args(["image", "convert"]).args(more).arg(from).arg(&to);
        assert_eq!(run(&mut command).expect("convert"), "");
        to
    };
    let qemu = |format: &str, options: &[&str]| {
        let to = here.join(format!("qemu.{format}{}", options.len()));
        let (from, to_text) = (raw.to_str().unwrap(), to.to_str().unwrap());
        let mut arguments = vec!["convert", "-f", "raw", "-O", format];
        arguments.extend(options);
        arguments.extend([from, to_text]);
        judge("qemu-img", &arguments);
        to
    };
    let others = [
        raw.clone(),
        qemu("qcow2", &["-c"]),
        qemu("qcow2", &["-c", "-o", "compression_type=zstd"]),
        qemu("qcow2", &["-o", "cluster_size=512"]),
        qemu("vhdx", &[]),
        qemu("vpc", &["-o", "subformat=dynamic,force_size"]),
    ];
    for (number, from) in others.iter().enumerate() {
        for (suffix, format, more) in [
            ("raw", "raw", &[][..]),
            ("vhd", "vpc", &[]),
            ("vhdx", "vhdx", &[]),
            ("qcow2", "qcow2", &[]),
            ("small.qcow2", "qcow2", &["--compress"]),
        ] {
            let to = convert(from, &format!("{number}.{suffix}"), more);
            judge(
                "qemu-img",
                &["compare", "-f", "raw", "-F", format, raw.to_str().unwrap(), to.to_str().unwrap()],
            );
            if number > 0 {
                let first = here.join(format!("0.{suffix}"));
                assert!(
                    fs::read(&first).unwrap() == fs::read(&to).unwrap(),
                    "{suffix} of {}",
                    from.display()
                );
                fs::remove_file(to).unwrap();
            }
        }
    }
    let check = judge("qemu-img", &["check", here.join("0.small.qcow2").to_str().unwrap()]);
    assert!(check.contains("No errors were found"), "{check}");
}

#[test]
fn disks_are_sparse() {
    use std::os::unix::fs::MetadataExt as _;
    for profile in PROFILES {
        let out = built(profile);
        for name in ["disk.raw", "disk.vhd", "disk.vhdx", "disk.qcow2"] {
            let metadata = fs::metadata(out.join(name)).unwrap();
            let content: u64 = ["kernel", "initramfs.cpio.zst"]
                .iter()
                .map(|name| fs::metadata(out.join(name)).unwrap().len())
                .sum();
            assert!(
                metadata.blocks() * 512 < content + 3 * MIB,
                "{profile}/{name} takes {} blocks",
                metadata.blocks()
            );
        }
    }
}

#[test]
fn unified_kernel_images_hold_what_lies_beside_them() {
    for (profile, machine) in [("x86_64-vtl0", "pei-x86-64"), ("aarch64-vtl0", "pei-aarch64")] {
        let out = built(profile);
        let uki = out.join("uki.efi");
        // binutils of the image's own architecture reads it.
        let objdump = match profile {
            "x86_64-vtl0" => "objdump",
            _ => "aarch64-linux-gnu-objdump",
        };
        let headers = judge(objdump, &["-h", uki.to_str().unwrap()]);
        assert!(headers.contains(machine), "{profile}: {headers}");
        let objcopy = objdump.replace("objdump", "objcopy");
        let folder = folder(&format!("uki-{profile}"));
        for (section, file) in [(".linux", "kernel"), (".initrd", "initramfs.cpio.zst")] {
            let to = folder.join(file);
            let dump = format!("{section}={}", to.display());
            judge(&objcopy, &["-O", "binary", "--dump-section", &dump, uki.to_str().unwrap(), "/dev/null"]);
            let (dumped, original) = (fs::read(&to).unwrap(), fs::read(out.join(file)).unwrap());
            assert!(dumped.starts_with(&original), "{profile}: {section} differs from {file}");
            assert!(
                dumped[original.len()..].iter().all(|byte| *byte == 0),
                "{profile}: {section} has a tail"
            );
        }
    }
}

#[test]
fn device_trees_satisfy_dtc() {
    for profile in PROFILES {
        let out = built(profile);
        let dtb = out.join("platform.dtb");
        if profile == "x86_64-vtl0" {
            assert!(!dtb.exists(), "a PC guest takes its machine from ACPI");
            continue;
        }
        let again = folder(&format!("dtb-{profile}"));
        let dtc = |from: &Path, formats: [&str; 2], to: &str| {
            let to = again.join(to);
            let mut dtc = std::process::Command::new("dtc");
            dtc.args(["-s", "-I", formats[0], "-O", formats[1], "-o"]).arg(&to).arg(from);
            let said = harness::run(&mut dtc);
            assert_eq!((said.status, said.stderr.as_str()), (0, ""), "{profile}: dtc complains");
            to
        };
        // Labels are of the text alone, so both ways end in a tree read back from bytes.
        let compiled = dtc(&out.join("platform.dts"), ["dts", "dtb"], "compiled.dtb");
        let of_text = dtc(&compiled, ["dtb", "dts"], "of-text.dts");
        let of_bytes = dtc(&dtb, ["dtb", "dts"], "of-bytes.dts");
        assert_eq!(fs::read_to_string(of_bytes).unwrap(), fs::read_to_string(of_text).unwrap(), "{profile}");
    }
}

#[test]
fn initramfs_is_what_the_recipe_says() {
    for profile in PROFILES {
        let out = built(profile);
        let archive = folder(&format!("initramfs-{profile}")).join("initramfs.cpio");
        let unpacked = zstd::decode_all(fs::File::open(out.join("initramfs.cpio.zst")).unwrap()).unwrap();
        fs::write(&archive, unpacked).unwrap();
        let listing = judge("sh", &["-c", &format!("cpio --quiet -itv < '{}'", archive.display())]);
        let has = |mode: &str, name: &str| {
            listing.lines().any(|line| line.starts_with(mode) && line.split_whitespace().last() == Some(name))
        };
        assert!(has("-rwxr-xr-x", "init"), "{profile}: {listing}");
        assert!(has("crw", "dev/console"), "{profile}: {listing}");
    }
}

#[test]
fn configurations_keep_the_trust_level() {
    for profile in PROFILES {
        let config = fs::read_to_string(built(profile).join("kernel.config")).unwrap();
        let is_vtl2 = profile.ends_with("vtl2");
        assert_eq!(config.contains("\nCONFIG_HYPERV_VTL_MODE=y\n"), is_vtl2, "{profile}");
    }
}

#[test]
fn configurations_break_no_rule() {
    for profile in PROFILES {
        let config = built(profile).join("kernel.config");
        let mut command = xtask();
        command
            .args(["config", "lint", "--vtl", &profile[profile.len() - 1..], "--format", "json"])
            .arg(config);
        let said: serde_json::Value = serde_json::from_str(&run(&mut command).expect(profile)).unwrap();
        assert_eq!(said["findings"], serde_json::json!([]), "{profile}: {said:#}");
    }
}

fn number_after(text: &str, label: &str) -> u64 {
    let rest = text.split(label).nth(1).unwrap_or_else(|| panic!("no {label:?} in {text}"));
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}
