//! Clusters of a qcow2 file compressed, on all cores; the result doesn't depend on how many there are.

use std::{
    io,
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use image::qcow2::Compress;
use zstd::bulk::Compressor;

/// Disks hold what is packed already for the most part; more takes longer and gains little.
const LEVEL: i32 = 1;

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
        // Each thread takes the next that is left: clusters take differently long.
        let next = AtomicUsize::new(0);
        let work = |compressor: &mut Compressor<'_>| -> io::Result<Vec<(usize, Option<Vec<u8>>)>> {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(cluster) = clusters.get(number) else { return Ok(done) };
                let frame = compressor.compress(cluster)?;
                done.push((number, (frame.len() < cluster.len()).then_some(frame)));
            }
        };
        let mut frames = vec![None; clusters.len()];
        thread::scope(|scope| {
            let spawn = |compressor| scope.spawn(|| work(compressor));
            let threads: Vec<_> = self.compressors.iter_mut().map(spawn).collect();
            for thread in threads {
                for (number, frame) in thread.join().expect("compressing doesn't panic")? {
                    frames[number] = frame;
                }
            }
            Ok(frames)
        })
    }
}
