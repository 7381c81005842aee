//! Slots of a feed through all gates, durable: what a commit costs.
//!
//! The base archive is restored into a new store, then the whole feed is applied. The feed is read
//! into memory first; it must not be compressed. In the same run the same bytes are decoded alone.

use std::{
    ops::{Bound, ControlFlow},
    path::PathBuf,
};

use icecore_disk::{Stopwatch, memory_use};
use icecore_restore::{Options, Pair, Progress, restore_into};
use icecore_store::{
    At, CreateOptions, Store,
    feed::FeedReader,
    ingest::{Ingest, IngestOptions},
};

use crate::Failure;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The archive at which the feed begins
    archive: PathBuf,
    /// The feed, uncompressed
    feed: PathBuf,
    /// Where the store is made; removed again
    store: PathBuf,
    /// Rounds; the best counts
    #[arg(default_value_t = 3)]
    rounds: u32,
}

/// Bytes that are given at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let feed = std::fs::read(&arguments.feed)?;
    let (mut best, mut decoded) = (f64::INFINITY, f64::INFINITY);
    let mut accounts = 0;
    for _ in 0..arguments.rounds {
        let stopwatch = Stopwatch::start();
        let mut reader = FeedReader::new();
        let mut input = &feed[..];
        while let Some(item) = reader.next(&mut input)? {
            std::hint::black_box(item);
        }
        decoded = decoded.min(stopwatch.seconds());

        let store = Store::create(
            &arguments.store,
            &CreateOptions::default(),
            icecore_store::Options::default(),
        )?;
        let mut pair = Pair::files(&arguments.archive, None)?;
        let progress = Progress::default();
        restore_into(&mut pair, &Options::default(), &store, &progress, |_| b"{}".to_vec())?;
        // Warm: what was written past the page cache is read once.
        store.view(At::Root)?.scan(Bound::Unbounded, Bound::Unbounded, |found| {
            std::hint::black_box(found.account.data.last());
            ControlFlow::Continue(())
        })?;
        let stopwatch = Stopwatch::start();
        let mut ingest = Ingest::new(&store, IngestOptions::default())?;
        for piece in feed.chunks(PIECE_BYTES) {
            if ingest.push(piece)?.is_break() {
                break;
            }
        }
        let summary = ingest.finish()?;
        store.sync()?;
        best = best.min(stopwatch.seconds());
        accounts = summary.counters.accounts_written;
        if let Some(memory) = memory_use() {
            println!("memory {:.1} MB", memory.resident as f64 / 1e6);
        }
        store.close()?;
        std::fs::remove_dir_all(&arguments.store)?;
    }
    println!("decode the feed {decoded:.3} s");
    println!(
        "apply it        {best:.3} s = {:.0} account writes per second",
        accounts as f64 / best
    );
    Ok(())
}
