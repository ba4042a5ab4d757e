//! A step's outputs as one file, and back: tar, packed with zstd.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _},
    path::{Component, Path},
};

use anyhow::{Context as _, Result, bail};

use crate::store::StepRecord;

/// Fast: what is large here is mostly empty.
const LEVEL: i32 = 3;
const BLOCK_BYTES: usize = 64 << 10;

/// Writes the outputs that lie in `folder` to `to`, which must not exist. Equal outputs give equal bytes.
pub fn pack(folder: &Path, record: &StepRecord, to: &Path) -> Result<()> {
    let file = BufWriter::new(File::create_new(to).with_context(|| format!("can't write {}", to.display()))?);
    let mut builder = tar::Builder::new(zstd::Encoder::new(file, LEVEL)?);
    builder.mode(tar::HeaderMode::Deterministic);
    builder.follow_symlinks(false);
    for output in &record.outputs {
        for entry in walkdir::WalkDir::new(folder.join(&output.name)).sort_by_file_name() {
            let entry = entry?;
            let name = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            builder
                .append_path_with_name(entry.path(), name)
                .with_context(|| format!("can't pack {}", entry.path().display()))?;
        }
    }
    Ok(builder.into_inner()?.finish()?.flush()?)
}

/// Unpacks into `folder`, which is there and empty. Nothing is written outside of it.
pub fn unpack(from: &Path, folder: &Path) -> Result<()> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(BufReader::new(File::open(from)?))?);
    archive.set_preserve_mtime(false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            bail!("it names a path outside of its own folder");
        }
        let is_output = name.components().count() == 1 && entry.header().entry_type().is_file();
        if is_output {
            // Disks are mostly empty, and stay so.
            write_sparse(&mut entry, &folder.join(&name))?;
        } else if !entry.unpack_in(folder)? {
            bail!("it names a path outside of its own folder");
        }
    }
    Ok(())
}

/// A file of its own, holes where there are only zeros.
fn write_sparse(from: &mut impl Read, to: &Path) -> io::Result<()> {
    let mut file = File::create_new(to)?;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut size_bytes = 0;
    loop {
        block.clear();
        from.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return file.set_len(size_bytes);
        }
        size_bytes += block.len() as u64;
        match block.iter().all(|byte| *byte == 0) {
            true => _ = file.seek(SeekFrom::Current(block.len() as i64))?,
            false => file.write_all(&block)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use super::*;
    use crate::{
        digest::Digest,
        store::{Output, OutputKind},
    };

    fn record(outputs: &[(&str, OutputKind)]) -> StepRecord {
        let output = |(name, kind): &(&str, OutputKind)| Output {
            name: (*name).to_owned(),
            kind: *kind,
            sha256: Digest::of(b""),
            size_bytes: 0,
        };
        StepRecord { outputs: outputs.iter().map(output).collect() }
    }

    #[test]
    fn outputs_come_back_with_their_holes_links_and_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("tree/sub")).unwrap();
        fs::create_dir(&to).unwrap();
        let disk = File::create(from.join("disk.raw")).unwrap();
        disk.set_len(64 << 20).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&disk, b"partition", 40 << 20).unwrap();
        fs::write(from.join("tree/sub/program"), "run").unwrap();
        let mut permissions = fs::metadata(from.join("tree/sub/program")).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
        fs::set_permissions(from.join("tree/sub/program"), permissions).unwrap();
        std::os::unix::fs::symlink("sub/program", from.join("tree/link")).unwrap();
        let record = record(&[("disk.raw", OutputKind::File), ("tree", OutputKind::Tree)]);
        let archives = ["one", "other"].map(|name| folder.path().join(name));
        for archive in &archives {
            pack(&from, &record, archive).unwrap();
        }
        assert_eq!(fs::read(&archives[0]).unwrap(), fs::read(&archives[1]).unwrap());
        unpack(&archives[0], &to).unwrap();
        assert_eq!(fs::read(to.join("disk.raw")).unwrap(), fs::read(from.join("disk.raw")).unwrap());
        assert!(fs::metadata(to.join("disk.raw")).unwrap().blocks() * 512 < 1 << 20);
        assert_eq!(fs::read_link(to.join("tree/link")).unwrap(), Path::new("sub/program"));
        assert_eq!(fs::metadata(to.join("tree/sub/program")).unwrap().mode() & 0o777, 0o755);
    }

    #[test]
    fn what_leads_outside_is_refused() {
        for (name, link) in [("../evil", None), ("a/../../evil", None), ("sub/evil", Some(".."))] {
            let folder = tempfile::tempdir().unwrap();
            let (archive, to) = (folder.path().join("archive"), folder.path().join("to"));
            fs::create_dir(&to).unwrap();
            let mut builder =
                tar::Builder::new(zstd::Encoder::new(File::create(&archive).unwrap(), 1).unwrap());
            let mut header = tar::Header::new_gnu();
            if let Some(target) = link {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, "sub", target).unwrap();
            }
            let mut header = tar::Header::new_gnu();
            header.set_size(4);
            header.set_mode(0o644);
            // The builder itself would refuse such names.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, &b"evil"[..]).unwrap();
            builder.into_inner().unwrap().finish().unwrap();
            let told = unpack(&archive, &to);
            assert!(told.is_err() && !folder.path().join("evil").exists(), "{name}");
        }
    }
}
