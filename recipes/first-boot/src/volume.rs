//! Which file system a block device holds, and its label, from the device's first bytes.

/// How much of a device is looked at, in bytes.
pub const HEAD_BYTES: usize = 36 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    Vfat,
    Iso9660,
    Ext4,
}

impl FileSystem {
    /// As mount(2) calls it.
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Vfat => "vfat",
            FileSystem::Iso9660 => "iso9660",
            FileSystem::Ext4 => "ext4",
        }
    }
}

/// A file system with its label, without the blanks that fill it up.
#[derive(Debug, PartialEq, Eq)]
pub struct Volume {
    pub file_system: FileSystem,
    pub label: String,
}

/// FAT: Microsoft's FAT specification 1.03, section 3.1 (BS_VolLab). ISO 9660: ECMA-119, section 8.4 (Volume
/// Identifier of the primary descriptor, sector 16). ext4: the kernel's description of the super block
/// (`s_magic` and `s_volume_name`).
pub fn recognise(head: &[u8]) -> Option<Volume> {
    let is = |at: usize, wanted: &[u8]| head.get(at..at + wanted.len()) == Some(wanted);
    let label = |at: usize, length: usize| {
        let text = String::from_utf8_lossy(head.get(at..at + length).unwrap_or_default()).into_owned();
        text.trim_end_matches(['\0', ' ']).to_owned()
    };
    let volume = |file_system, label| Some(Volume { file_system, label });
    if is(0x8000, b"\x01CD001") {
        return volume(FileSystem::Iso9660, label(0x8028, 32));
    }
    if is(0x438, &[0x53, 0xef]) {
        return volume(FileSystem::Ext4, label(0x478, 16));
    }
    let is_fat = is(510, &[0x55, 0xaa]);
    if is_fat && is(82, b"FAT32   ") {
        return volume(FileSystem::Vfat, label(71, 11));
    }
    if is_fat && (is(54, b"FAT12   ") || is(54, b"FAT16   ")) {
        return volume(FileSystem::Vfat, label(43, 11));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recognised() {
        let made = |parts: &[(usize, &[u8])]| {
            let mut head = vec![0; HEAD_BYTES];
            for (at, bytes) in parts {
                head[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            recognise(&head).map(|volume| (volume.file_system, volume.label))
        };
        let end: (usize, &[u8]) = (510, &[0x55, 0xaa]);
        assert_eq!(
            made(&[end, (82, b"FAT32   "), (71, b"CIDATA     ")]),
            Some((FileSystem::Vfat, "CIDATA".into()))
        );
        assert_eq!(
            made(&[end, (54, b"FAT12   "), (43, b"cidata     ")]),
            Some((FileSystem::Vfat, "cidata".into()))
        );
        assert_eq!(
            made(&[(0x8000, b"\x01CD001"), (0x8028, b"cidata  ")]),
            Some((FileSystem::Iso9660, "cidata".into()))
        );
        assert_eq!(
            made(&[(0x438, &[0x53, 0xef]), (0x478, b"first-boot")]),
            Some((FileSystem::Ext4, "first-boot".into()))
        );
        assert_eq!(made(&[end]), None);
        for length in [0, 1, 511, 0x8001, 0x8030] {
            let _ = recognise(&vec![0x43; length]);
            assert_eq!(recognise(&vec![0; length]), None);
        }
    }
}
