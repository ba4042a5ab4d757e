//! Packs one file into the ESP of a new disk image, to time it and to look at with other tools.
//!
//! Usage: pack DISK SIZE_MIB UKI

use std::fs::File;

use image::disk::{Content, Disk, DiskLayout, Partition, Size};
use image::fat::{self, Volume, VolumeLabel};
use image::gpt::PartitionKind;
use image::{Arch, ident};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, size_mib, uki] = arguments.as_slice() else {
        return Err("usage: pack DISK SIZE_MIB UKI".into());
    };
    let seed = [0; 32];
    let layout = DiskLayout::new(&Disk {
        size_bytes: size_mib.parse::<u64>()? << 20,
        guid: ident::guid(&seed, "disk"),
        partitions: vec![Partition {
            name: "ESP".into(),
            kind: PartitionKind::EfiSystem,
            guid: ident::guid(&seed, "esp"),
            size: Size::Rest,
            content: Content::Fat(Volume {
                volume_id: ident::volume_id(&seed, "esp"),
                label: VolumeLabel::new("ESP")?,
                files: vec![fat::File {
                    path: Arch::X86_64.removable_media_path().into(),
                    source: uki.clone(),
                    length_bytes: std::fs::metadata(uki)?.len(),
                }],
            }),
        }],
    })?;
    let mut out = File::create(out)?;
    out.set_len(layout.image().size_bytes())?;
    layout.write(|source| File::open(source), &mut out)?;
    Ok(())
}
