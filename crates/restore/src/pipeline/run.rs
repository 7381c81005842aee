//! One pass over one archive: the threads, the walk, the workers.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crossbeam_channel::bounded;

use super::{
    batch::Batch,
    decompress::with_blocks,
    walk::{Visitor, WalkEnd, walk},
};
use crate::{Error, progress::Progress, source::SourceReader};

/// Looks at the records of batches, on a thread of its own.
pub(crate) trait Worker: Send {
    /// Looks at a batch. An error ends the pass.
    fn batch(&mut self, batch: &Batch) -> Result<(), Error>;
}

/// How many threads do what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// Decompress frames, when the archive has several.
    pub decompressors: usize,
    /// Look at account records.
    pub workers: usize,
}

impl Threads {
    /// For `threads` cores; none is allowed to be zero.
    pub fn for_cores(cores: usize) -> Self {
        let cores = cores.max(1);
        Self { decompressors: cores, workers: cores }
    }
}

/// Batches that wait for workers, for each worker.
const BATCHES_WAITING: usize = 2;

/// Reads the archive once. Workers come back in the order given.
pub(crate) fn pass<W: Worker>(
    reader: SourceReader<'_>,
    incremental: bool,
    decompressors: usize,
    workers: Vec<W>,
    visitor: &mut impl Visitor,
    progress: &Progress,
) -> Result<(Vec<W>, WalkEnd), Error> {
    let failed = AtomicBool::new(false);
    with_blocks(reader, decompressors, progress, |stream| {
        thread::scope(|scope| {
            let (batches, waiting) = bounded::<Batch>(workers.len() * BATCHES_WAITING);
            let threads: Vec<_> = workers
                .into_iter()
                .map(|mut worker| {
                    let waiting = waiting.clone();
                    let failed = &failed;
                    scope.spawn(move || {
                        for batch in waiting {
                            if failed.load(Ordering::Relaxed) {
                                break;
                            }
                            if let Err(error) = worker.batch(&batch) {
                                failed.store(true, Ordering::Relaxed);
                                return Err(error);
                            }
                        }
                        Ok(worker)
                    })
                })
                .collect();
            drop(waiting);
            let walked = walk(stream, incremental, visitor, &batches, progress);
            drop(batches);
            let mut done = Vec::with_capacity(threads.len());
            let mut first_error = None;
            for thread in threads {
                match thread.join() {
                    Ok(Ok(worker)) => done.push(worker),
                    Ok(Err(error)) => first_error = first_error.or(Some(error)),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            match first_error {
                Some(error) => Err(error),
                None => Ok((done, walked?)),
            }
        })
    })
}
