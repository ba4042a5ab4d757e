//! Clusters of a qcow2 file compressed, on all cores; the result doesn't depend on how many there are.

use std::{io, num::NonZero, thread};

use image::qcow2::Compress;
use zstd::bulk::Compressor;

/// What QEMU takes as well: the library's default.
const LEVEL: i32 = 3;

pub struct Zstd {
    /// One a thread.
    compressors: Vec<Compressor<'static>>,
}

impl Zstd {
    pub fn new() -> Zstd {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let compressor = || Compressor::new(LEVEL).expect("the level is one of zstd's");
        Zstd { compressors: std::iter::repeat_with(compressor).take(threads).collect() }
    }
}

impl Compress for Zstd {
    fn compress(&mut self, clusters: &[&[u8]]) -> io::Result<Vec<Option<Vec<u8>>>> {
        if clusters.is_empty() {
            return Ok(Vec::new());
        }
        let share = clusters.len().div_ceil(self.compressors.len());
        let parts = clusters.chunks(share).zip(&mut self.compressors);
        thread::scope(|scope| {
            let threads: Vec<_> =
                parts.map(|(part, compressor)| scope.spawn(move || frames(compressor, part))).collect();
            let mut all = Vec::with_capacity(clusters.len());
            for thread in threads {
                all.extend(thread.join().expect("compressing doesn't panic")?);
            }
            Ok(all)
        })
    }
}

fn frames(compressor: &mut Compressor<'_>, clusters: &[&[u8]]) -> io::Result<Vec<Option<Vec<u8>>>> {
    let smaller = |cluster: &&[u8]| {
        let frame = compressor.compress(cluster)?;
        Ok((frame.len() < cluster.len()).then_some(frame))
    };
    clusters.iter().map(smaller).collect()
}
