//! A 256 MiB disk with a 20 MB program on its ESP, beside genimage with the same file.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use image::{
    disk::{Content, Disk, DiskLayout, Partition, Size},
    fat,
    gpt::PartitionKind,
    ident,
};

use super::{Row, repeat};

const DISK_BYTES: u64 = 256 << 20;
const FILE_BYTES: usize = 20_000_000;
const RUNS: usize = 15;

const GENIMAGE: &str = r#"
image esp.img {
  vfat { files = { "uki.efi" } }
  size = 254M
}
image disk.img {
  hdimage { partition-table-type = "gpt" }
  partition esp { partition-type-uuid = "U" image = "esp.img" }
  size = 256M
}
"#;

pub fn run() -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    fs::create_dir_all(root.join("input"))?;
    let file = root.join("input/uki.efi");
    write_noise(&file, FILE_BYTES)?;
    fs::write(root.join("genimage.cfg"), GENIMAGE)?;

    let xtask = std::env::current_exe().context("can't find this program")?;
    let mut peak = String::new();
    let ours = repeat(RUNS, || {
        let output = Command::new(&xtask).args(["bench", "--pack-once"]).arg(&file).arg(root).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        peak = String::from_utf8_lossy(&output.stdout).trim().to_string();
        Ok(())
    })?;
    let theirs = repeat(RUNS, || {
        let mut genimage = Command::new("genimage");
        genimage.current_dir(root).args([
            "--config",
            "genimage.cfg",
            "--inputpath",
            "input",
            "--outputpath",
            "images",
        ]);
        genimage
            .args(["--tmppath", "tmp", "--rootpath", "input"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let status =
            genimage.status().context("can't run genimage; `cargo xtask doctor --install` brings it")?;
        let _ = fs::remove_dir_all(root.join("tmp"));
        ensure!(status.success(), "genimage failed");
        Ok(())
    })?;
    let mut row =
        Row::new("pack 256 MiB with 20 MB, whole process", ours.1, Some(("genimage", theirs.1)), peak);
    row.note = format!("{}, best of each {:.1?} and {:.1?}", row.note, ours.0, theirs.0);
    Ok(vec![row])
}

/// Bytes that no packer can skip.
pub fn write_noise(path: &Path, size_bytes: usize) -> Result<()> {
    let mut state = 1u32;
    let mut noise = Vec::with_capacity(size_bytes);
    while noise.len() < size_bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.extend(state.to_le_bytes());
    }
    Ok(File::create(path)?.write_all(&noise)?)
}

/// What `pack` measures: from nothing to a disk, then the peak of resident memory on standard output.
pub fn once(file: &Path, folder: &Path) -> Result<()> {
    let seed = [0; 32];
    let source = "uki";
    let files = vec![fat::File {
        path: "EFI/BOOT/BOOTX64.EFI".into(),
        source: source.into(),
        length_bytes: fs::metadata(file)?.len(),
    }];
    let volume = fat::Volume { volume_id: 1, label: fat::VolumeLabel::new("ESP")?, files };
    let layout = DiskLayout::new(&Disk {
        size_bytes: DISK_BYTES,
        guid: ident::guid(&seed, "disk"),
        partitions: vec![Partition {
            name: "ESP".into(),
            kind: PartitionKind::EfiSystem,
            guid: ident::guid(&seed, "esp"),
            size: Size::Rest,
            content: Content::Fat(volume),
        }],
    })?;
    let path = folder.join("disk.raw");
    let _ = fs::remove_file(&path);
    let mut out = File::create(&path)?;
    out.set_len(DISK_BYTES)?;
    layout.write(|_| File::open(file), &mut out)?;
    println!("{}", super::peak_memory()?);
    Ok(())
}
