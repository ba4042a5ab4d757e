//! A guest at VTL0, below the VTL2 that is booted: what it is made of, where its memory is, and how VTL2's payload gets it:
//! as a second archive behind the initramfs, which the kernel unpacks over the first. Pure.

mod judge;

use anyhow::{Context as _, Result};
use fdt::Range;
use image::cpio::{Archive, Entry, Kind, Meta};
use serde_json::json;

pub use judge::{Lower, gather, judge};

/// The guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vtl0 {
    /// The kernel and the initramfs of a profile.
    Profile(String),
    /// The guest that is part of the payload, and how it is to end.
    TestGuest(Ending),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Reset,
    Crash,
    Halt,
}

const TEST_GUEST: &str = "test-guest";

impl Vtl0 {
    /// A profile's name, or `test-guest`, `test-guest=crash`, `test-guest=halt`.
    pub fn parse(text: &str) -> Result<Vtl0, String> {
        match text.split_once('=') {
            None if text == TEST_GUEST => Ok(Vtl0::TestGuest(Ending::Reset)),
            None if !text.is_empty() => Ok(Vtl0::Profile(text.to_string())),
            Some((TEST_GUEST, "reset")) => Ok(Vtl0::TestGuest(Ending::Reset)),
            Some((TEST_GUEST, "crash")) => Ok(Vtl0::TestGuest(Ending::Crash)),
            Some((TEST_GUEST, "halt")) => Ok(Vtl0::TestGuest(Ending::Halt)),
            _ => Err("a profile, test-guest, test-guest=crash or test-guest=halt".to_string()),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Vtl0::Profile(name) => name,
            Vtl0::TestGuest(_) => TEST_GUEST,
        }
    }
}

/// Where VTL0's memory is, beside VTL2's: a kernel needs a piece below 1 MiB, and VTL2 keeps the first pages, where it is
/// told how to boot.
pub struct Layout {
    pub vtl2: Vec<Range>,
    pub vtl0: Vec<Range>,
}

pub fn layout(vtl2_bytes: u64, vtl0_bytes: u64) -> Layout {
    const LOW: Range = Range::new(0x2_0000, 0x7_f000);
    const MIB: u64 = 1 << 20;
    Layout {
        vtl2: vec![Range::new(0, LOW.base), Range::new(MIB, vtl2_bytes - MIB)],
        vtl0: vec![LOW, Range::new(vtl2_bytes, vtl0_bytes)],
    }
}

/// Kernel and initramfs of a Linux guest, and its command line.
pub struct Linux {
    pub kernel: Vec<u8>,
    pub initramfs: Vec<u8>,
    pub command_line: String,
}

/// The archive with the guest and what the payload is told of it (recipes/paravisor/src/config.rs). Its length is a
/// multiple of 512 bytes.
pub fn archive(guest: &Vtl0, linux: Option<&Linux>, layout: &Layout) -> Result<Vec<u8>> {
    const KERNEL: &str = "vtl0/kernel";
    const INITRAMFS: &str = "vtl0/initramfs";
    const DESCRIPTION: &str = "vtl0/guest.json";
    let memory: Vec<_> =
        layout.vtl0.iter().map(|range| json!({"base": range.base, "size": range.size})).collect();
    let mut description = json!({"memory": memory, "after": "restart"});
    let mut more = |name: &str, value: &str| description[name] = json!(value);
    match (guest, linux) {
        (Vtl0::TestGuest(ending), _) => {
            more("guest", TEST_GUEST);
            more(
                "ends",
                match ending {
                    Ending::Reset => "reset",
                    Ending::Crash => "crash",
                    Ending::Halt => "halt",
                },
            );
        }
        (Vtl0::Profile(_), linux) => {
            more("guest", "linux");
            more("kernel", "/vtl0/kernel");
            more("initramfs", "/vtl0/initramfs");
            more("command_line", linux.map_or("", |linux| &linux.command_line));
        }
    }
    let description = description.to_string().into_bytes();
    let mut files: Vec<(&str, &[u8])> = vec![(DESCRIPTION, &description)];
    files.extend(
        linux.iter().flat_map(|linux| [(KERNEL, &linux.kernel[..]), (INITRAMFS, &linux.initramfs[..])]),
    );
    let meta = |permissions| Meta { permissions, ..Meta::default() };
    let mut entries = vec![Entry { path: "vtl0".to_string(), kind: Kind::Directory, meta: meta(0o755) }];
    entries.extend(files.iter().map(|(path, content)| Entry {
        path: path.to_string(),
        kind: Kind::File { source: path.to_string(), length_bytes: content.len() as u64 },
        meta: meta(0o644),
    }));
    let mut bytes = Vec::new();
    let open = |source: &str| {
        let found = files.iter().find(|(path, _)| *path == source);
        found.map(|(_, content)| *content).ok_or(std::io::ErrorKind::NotFound.into())
    };
    Archive::new(entries)?.write(open, &mut bytes).context("the archive with the guest of VTL0")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests() {
        let check =
            |text: &str, wanted: Result<Vtl0, ()>| assert_eq!(Vtl0::parse(text).map_err(drop), wanted);
        check("test-guest", Ok(Vtl0::TestGuest(Ending::Reset)));
        check("test-guest=crash", Ok(Vtl0::TestGuest(Ending::Crash)));
        check("x86_64-vtl0", Ok(Vtl0::Profile("x86_64-vtl0".to_string())));
        check("test-guest=flies", Err(()));
        check("", Err(()));
    }

    #[test]
    fn memory_is_shared_out_without_overlap() {
        const MIB: u64 = 1 << 20;
        let Layout { vtl2, vtl0 } = layout(512 * MIB, 256 * MIB);
        let mut all: Vec<Range> = vtl2.into_iter().chain(vtl0).collect();
        all.sort_by_key(|range| range.base);
        for pair in all.windows(2) {
            assert!(pair[0].base + pair[0].size <= pair[1].base, "{all:x?}");
        }
        assert_eq!(all.last().map(|range| range.base + range.size), Some(768 * MIB));
    }

    #[test]
    fn the_payload_is_told() {
        let layout = layout(512 << 20, 256 << 20);
        let linux =
            Linux { kernel: b"KKKK".to_vec(), initramfs: b"III".to_vec(), command_line: "a=b".to_string() };
        let bytes = archive(&Vtl0::Profile("p".to_string()), Some(&linux), &layout).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for part in
            ["vtl0/guest.json\0", "\"command_line\":\"a=b\"", "vtl0/kernel\0", "KKKK", "\"size\":268435456"]
        {
            assert!(text.contains(part), "{part}");
        }
        assert_eq!(bytes.len() % 512, 0);
    }
}
