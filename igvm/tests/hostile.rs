//! Files that nobody means well with: an error or a value, never a panic, and no more memory than the file explains.

use std::{
    alloc::{GlobalAlloc, Layout as Memory, System},
    collections::BTreeMap,
    io::Cursor,
    sync::atomic::{AtomicUsize, Ordering},
};

use image::{
    Arch,
    igvm::{GuestPolicy, Image, PlatformKind},
    uki::{KernelPart, Part},
};
use vtlforge_igvm::{
    diff::{Side, diff},
    foreign::Foreign,
    headers, map,
    measure::Measured,
    show, write,
};

/// Counts what is taken, and the most that there was at a time.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Memory) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Memory) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A generator with a seed (Marsaglia, "Xorshift RNGs", 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// A small file with every kind of header that is made here.
fn good(arch: Arch) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let mut kernel = vec![0x90; 0x3000];
    let platforms = match arch {
        Arch::X86_64 => {
            kernel[0x1f1] = 4;
            kernel[0x201] = 0x6a;
            kernel[0x202..0x208].copy_from_slice(b"HdrS\x0f\x02");
            kernel[0x234..0x238].copy_from_slice(&[1, 21, 1, 0]);
            kernel[0x230..0x234].copy_from_slice(&0x20_0000_u32.to_le_bytes());
            kernel[0x258..0x260].copy_from_slice(&0x100_0000_u64.to_le_bytes());
            kernel[0x260..0x264].copy_from_slice(&0x10_0000_u32.to_le_bytes());
            vec![PlatformKind::VsmIsolation, PlatformKind::Native, PlatformKind::SevSnp, PlatformKind::Tdx]
        }
        Arch::Aarch64 => {
            kernel[8..24].fill(0);
            kernel[16..24].copy_from_slice(&0x10_0000_u64.to_le_bytes());
            kernel[0x38..0x3c].copy_from_slice(b"ARM\x64");
            vec![PlatformKind::VsmIsolation]
        }
    };
    let part = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        Part { source: name.to_string(), length_bytes: bytes.len() as u64 }
    };
    let image = Image {
        arch,
        platforms,
        policy: GuestPolicy::Release,
        shared_gpa_boundary: None,
        memory: vec![0..32 << 20, 48 << 20..64 << 20],
        command_line: "quiet",
        shim: None,
        kernel: KernelPart { head: &kernel, part: part("kernel", &kernel) },
        initramfs: part("initramfs", &[7; 5000]),
    };
    let layout = image::igvm::layout(&image, |_| vec![0xd0; 100]).unwrap();
    let sources: BTreeMap<_, _> =
        ["kernel", "initramfs"].map(|name| (name.to_string(), folder.path().join(name))).into();
    let file = headers::file(&layout, &sources).unwrap();
    let mut out = Cursor::new(Vec::new());
    write::write(&file, arch, &mut out).unwrap();
    let bytes = out.into_inner();
    // Page for page what the crate itself would write, which holds equal pages once.
    let again = Foreign::parse(&bytes).unwrap();
    assert_eq!(again.file.platforms(), file.platforms());
    assert_eq!(again.file.initializations(), file.initializations());
    let is_equal = |(a, b): (&igvm::IgvmDirectiveHeader, &igvm::IgvmDirectiveHeader)| match (a, b) {
        (
            igvm::IgvmDirectiveHeader::PageData { gpa, data, flags, data_type, compatibility_mask },
            igvm::IgvmDirectiveHeader::PageData {
                gpa: other_gpa,
                data: other,
                flags: other_flags,
                data_type: other_type,
                compatibility_mask: other_mask,
            },
        ) => {
            (gpa, flags, data_type, compatibility_mask) == (other_gpa, other_flags, other_type, other_mask)
                && other.starts_with(data)
                && other[data.len()..].iter().all(|byte| *byte == 0)
        }
        _ => a == b,
    };
    assert_eq!(again.file.directives().len(), file.directives().len());
    assert!(file.directives().iter().zip(again.file.directives()).all(is_equal));
    bytes
}

/// Puts the checksum right, so that what is wrong is found behind it.
fn checked(mut bytes: Vec<u8>) -> Vec<u8> {
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let (fixed, start, size) = match bytes.len() {
        0..32 => return bytes,
        _ => (if word(&bytes, 4) == 1 { 24 } else { 32 }, word(&bytes, 8), word(&bytes, 12)),
    };
    let length = bytes.len() as u32;
    bytes[16..20].copy_from_slice(&length.to_le_bytes());
    bytes[20..24].fill(0);
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&bytes[..fixed]);
    checksum.update(start.checked_add(size).and_then(|end| bytes.get(start..end)).unwrap_or_default());
    bytes[20..24].copy_from_slice(&checksum.finalize().to_le_bytes());
    bytes
}

/// One of the ways to break a file.
fn broken(good: &[u8], random: &mut Random) -> Vec<u8> {
    let headers = u32::from_le_bytes(good[12..16].try_into().unwrap()) as usize + 32;
    let mut bytes = good.to_vec();
    for _ in 0..1 + random.below(3) {
        let at = random.below(headers);
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            // Words that are lengths, counts and addresses.
            2 => {
                let at = (at & !3).min(bytes.len() - 4);
                let word = [0, 1, 8, 0x1000, 0x8000_0000, u32::MAX, u32::MAX - 7, 0x302, 0x301, 0x303]
                    [random.below(10)];
                bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            }
            3 => {
                let at = (at & !7).min(bytes.len() - 8);
                let word = [0, u64::MAX, 1 << 63, !0xfff, 1 << 52, 0xffff_f000][random.below(6)];
                bytes[at..at + 8].copy_from_slice(&u64::to_le_bytes(word));
            }
            // A header over another one, here or twice.
            4 => {
                let (from, to) = (random.below(headers) & !7, at & !7);
                let length = [24, 32, 40, 64][random.below(4)];
                if from.max(to) + length < bytes.len() {
                    bytes.copy_within(from..from + length, to);
                }
            }
            5 => bytes.truncate(random.below(bytes.len())),
            _ => bytes.extend(vec![0x5a; random.below(9000)]),
        }
        if bytes.len() < headers {
            break;
        }
    }
    if random.below(8) == 0 { bytes } else { checked(bytes) }
}

/// Everything that is done with foreign files.
fn use_all(bytes: &[u8], other: &Foreign) -> bool {
    let Ok(foreign) = Foreign::parse(bytes) else { return false };
    let _ = show::show(&foreign).text();
    let _ = map::table(&map::map(&foreign, None));
    let _ = diff(&Side { read: other, origins: None }, &Side { read: &foreign, origins: None });
    // A file may lack what a measurement needs: that is an error.
    if let Ok(measured) = Measured::new(&foreign.file) {
        let _ = measured.measurements();
    }
    true
}

#[test]
fn hostile_files_are_errors_and_take_little_memory() {
    let count = if std::env::var_os("VTLFORGE_EXHAUSTIVE").is_some() { 200_000 } else { 3_000 };
    let mut accepted = 0;
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let good = good(arch);
        let whole = Foreign::parse(&good).unwrap();
        let mut random = Random(0x1_9e37_79b9 + good.len() as u64);
        for number in 0..count {
            let bytes = broken(&good, &mut random);
            MOST.store(NOW.load(Ordering::Relaxed), Ordering::Relaxed);
            let before = NOW.load(Ordering::Relaxed);
            let result = std::panic::catch_unwind(|| use_all(&bytes, &whole));
            accepted += usize::from(result.unwrap_or_else(|_| panic!("file {number} for {arch} panics")));
            let taken = MOST.load(Ordering::Relaxed) - before;
            assert!(taken < 24 << 20, "file {number} for {arch}, {} bytes: {taken} taken", bytes.len());
        }
    }
    // Some changes are harmless, and were looked at to the end.
    assert!(accepted > count / 50, "{accepted}");
}

#[test]
fn every_length_of_a_file_is_refused() {
    let good = good(Arch::X86_64);
    for length in (0..good.len()).step_by(if good.len() > 100_000 { 97 } else { 1 }) {
        assert!(Foreign::parse(&good[..length]).is_err(), "{length}");
        assert!(
            Foreign::parse(&checked(good[..length].to_vec())).is_err() || length > good.len() - 4096,
            "{length}"
        );
    }
}

/// One page of the file named by a hundred thousand headers would take 400 MB.
#[test]
fn what_headers_multiply_is_refused() {
    let good = good(Arch::X86_64);
    let count = 100_000_usize;
    // The first header, a platform's, and then pages alone.
    let mut headers = good[24..48].to_vec();
    let offset = (24 + headers.len() + count * 32) as u32;
    for number in 0..count {
        headers.extend(0x302_u32.to_le_bytes());
        headers.extend(24_u32.to_le_bytes());
        headers.extend((0x1_0000_0000 + number as u64 * 4096).to_le_bytes());
        headers.extend(1_u32.to_le_bytes());
        headers.extend(offset.to_le_bytes());
        headers.extend([0; 8]);
    }
    let mut bytes = good[..24].to_vec();
    bytes[12..16].copy_from_slice(&(headers.len() as u32).to_le_bytes());
    bytes.extend(headers);
    bytes.extend([7; 4096]);
    let error = Foreign::parse(&checked(bytes)).err().expect("refused").to_string();
    assert!(error.ends_with("with it headers name 4 times the data that the file has"), "{error}");
}
