//! What an upload is compared with: ranges put in parallel, and nothing else.

use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use release::{
    Digest,
    upload::{Bare, Event, Request, Uploaded},
};

use crate::{
    blob::{Blob, Marks, State},
    refusal::{End, end},
    request::Line,
    secret::Access,
    source::Source,
    upload::Surroundings,
};

pub fn run(request: &Request, what: Bare, around: &Surroundings) -> Event {
    put(request, what, around).map_or_else(
        |end| match end {
            End::Stopped => Event::Stopped { left: None },
            End::Failed(why) => Event::Failed { why, left: None },
        },
        Event::Finished,
    )
}

fn put(request: &Request, what: Bare, around: &Surroundings) -> Result<Uploaded, End> {
    let access = Access::find(request, around.variables).map_err(End::Failed)?;
    let patience = Duration::from_secs(request.patience_seconds);
    let blob = Blob(Line::new(&access, patience, around.stop).map_err(End::Failed)?);
    let source = Source::open(&request.file).map_err(End::Failed)?;
    let scan = source.scan().map_err(End::Failed)?;
    let ranges: Vec<Range<u64>> = match what {
        Bare::Data => scan.ranges(),
        Bare::Whole => source.whole(),
    };
    // Known from here on: whoever sends everything needn't look where the data is.
    let started = Instant::now();
    let told = |trouble| end("can't write to", trouble, &access);
    let marks = Marks { state: State::Uploading, source: Digest::of(b"") };
    blob.create(source.size_bytes, &marks, None).map_err(told)?;
    let next = AtomicUsize::new(0);
    let carry = || -> Result<u64, End> {
        let mut sent_bytes = 0;
        while let Some(range) = ranges.get(next.fetch_add(1, Ordering::Relaxed)) {
            let bytes = source.read_range(range).map_err(|error| End::Failed(error.to_string()))?;
            blob.put_page(range, bytes.into(), None).map_err(told)?;
            sent_bytes += range.end - range.start;
        }
        Ok(sent_bytes)
    };
    let sent_bytes: u64 = thread::scope(|scope| {
        let workers: Vec<_> = (0..request.parallel.max(1)).map(|_| scope.spawn(carry)).collect();
        let crashed = |_| End::Failed("a part of it has crashed".to_owned());
        workers.into_iter().map(|worker| worker.join().map_err(crashed)?).sum::<Result<u64, End>>()
    })?;
    Ok(Uploaded {
        blob: access.address.to_string(),
        file_bytes: source.size_bytes,
        data_bytes: scan.data_bytes(),
        sent_bytes,
        found_bytes: 0,
        read_back_bytes: 0,
        confirmed_bytes: 0,
        retries: blob.0.retries(),
        source: scan.identity.to_string(),
        milliseconds: started.elapsed().as_millis() as u64,
    })
}
