//! Reading a store: random accounts, accounts as of a past slot, accounts of an owner.
//!
//! The store is made of generated accounts when there is none in the folder: a base point, and slots
//! on it, flushed [`WINDOWS`] times, so that there are as many windows as the issue of the past asks
//! for. Figures are of a warm page cache: every page that is asked for was asked for before. With
//! `--cold` nothing is in memory (see `cold`).
//!
//! What it does *not* do: restore archives (`restore`), or commit slots of a feed (`ingest`).

mod cold;
mod fill;

use std::{
    hint::black_box,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use icecore_disk::{Stopwatch, memory_use};
use icecore_store::{At, Options, OwnerFilter, Store, View};
use icecore_types::Pubkey;

use crate::Failure;

/// Accounts that are read in a round.
const READS: u64 = 400_000;

/// Rounds; the best counts, as the machine is shared.
const ROUNDS: usize = 5;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The store's folder; it is made when it is not there
    folder: PathBuf,
    /// Accounts of a store that is made
    #[arg(long, default_value_t = 1_000_000)]
    accounts: u64,
    /// Windows of a store that is made
    #[arg(long, default_value_t = 8)]
    windows: u64,
    /// Nothing is in memory; the kernel is told to forget what it has, which takes its superuser
    #[arg(long)]
    cold: bool,
}

/// Nothing is done beside what is measured.
fn quiet() -> Options {
    Options { background: false, ..Options::default() }
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if !arguments.folder.join("journal").exists() {
        fill::fill(&arguments.folder, arguments.accounts, arguments.windows)?;
    }
    if arguments.cold {
        return cold::run(&arguments.folder);
    }
    let opening = Stopwatch::start();
    let store = Store::open(&arguments.folder, quiet())?;
    println!("open                 {:>10.1} ms", opening.seconds() * 1e3);
    let root = store.view(At::Root)?;
    let accounts = root.totals()?.num_accounts;
    println!("live accounts        {accounts:>10}");
    let (first, last) = (store.coverage().first, store.coverage().last);
    let (first, last) = (first.ok_or("an empty store")?, last.ok_or("an empty store")?);

    let warm = random(&root, accounts)?;
    print_latency("get", &warm);
    let one = throughput(&root, accounts, 1)?;
    let two = throughput(&root, accounts, 2)?;
    println!("get, 1 thread        {:>10.0} /s", one);
    println!("get, 2 threads       {:>10.0} /s = {:.2} times", two, two / one);
    println!("get_many             {:>10.0} /s", many(&root, accounts)?);
    let middle = store.view(At::Slot(first + (last - first) / 2))?;
    let past = random(&middle, accounts)?;
    print_latency("get as of the middle", &past);
    println!("  median {:.2} times that of get", past.median / warm.median);
    for owner in [fill::OWNERS - 1, 0] {
        let owner = fill::owner(owner);
        let (found, seconds) = scan_owner(&root, &owner)?;
        println!("owner scan           {:>10.0} /s ({found} accounts)", found as f64 / seconds);
    }
    if let Some(memory) = memory_use() {
        println!("memory, resident       {:>10.1} MB", memory.resident as f64 / 1e6);
    }
    drop((root, middle));
    store.close()?;
    let opening = Stopwatch::start();
    let store = Store::open(&arguments.folder, quiet())?;
    println!("open, clean          {:>10.1} ms", opening.seconds() * 1e3);
    drop(store);
    println!(
        "disk                 {:>10.1} bytes per account",
        bytes_below(&arguments.folder)? as f64 / accounts as f64
    );
    Ok(())
}

/// Times of single reads, in seconds.
struct Latency {
    median: f64,
    high: f64,
}

fn print_latency(what: &str, latency: &Latency) {
    let (median, high) = (latency.median * 1e6, latency.high * 1e6);
    println!("{what:<20} {median:>10.2} us median, {high:.2} us at 99 %");
}

/// A number that follows on another, as if drawn (SplitMix64).
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb)
}

fn read(view: &View, key: &Pubkey) -> Result<(), Failure> {
    let found = view.get_with(key, |found| black_box(found.account.lamports))?;
    black_box(found);
    Ok(())
}

/// The best round of single reads, each timed; the time of looking at the clock is taken off.
fn random(view: &View, accounts: u64) -> Result<Latency, Failure> {
    let mut best = Latency { median: f64::INFINITY, high: f64::INFINITY };
    let mut clock = Vec::new();
    for _ in 0..10_000 {
        let watch = Stopwatch::start();
        clock.push(watch.seconds());
    }
    clock.sort_unstable_by(f64::total_cmp);
    let clock = clock[clock.len() / 2];
    for _ in 0..ROUNDS {
        let mut state = 1;
        let mut times = Vec::with_capacity(READS as usize);
        for _ in 0..READS {
            let key = fill::key(next(&mut state) % accounts);
            let watch = Stopwatch::start();
            read(view, &key)?;
            times.push(watch.seconds() - clock);
        }
        times.sort_unstable_by(f64::total_cmp);
        best.median = best.median.min(times[times.len() / 2]);
        best.high = best.high.min(times[times.len() * 99 / 100]);
    }
    Ok(best)
}

/// Reads per second of so many threads together.
fn throughput(view: &View, accounts: u64, threads: u64) -> Result<f64, Failure> {
    let mut best: f64 = 0.0;
    for _ in 0..ROUNDS {
        let failed = AtomicU64::new(0);
        let watch = Stopwatch::start();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let failed = &failed;
                scope.spawn(move || {
                    let mut state = 1 + thread;
                    for _ in 0..READS {
                        let key = fill::key(next(&mut state) % accounts);
                        if read(view, &key).is_err() {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        best = best.max((READS * threads) as f64 / watch.seconds());
        if failed.into_inner() > 0 {
            return Err("reads failed".into());
        }
    }
    Ok(best)
}

fn many(view: &View, accounts: u64) -> Result<f64, Failure> {
    let mut best: f64 = 0.0;
    for _ in 0..ROUNDS {
        let mut state = 1;
        let keys: Vec<_> = (0..READS).map(|_| fill::key(next(&mut state) % accounts)).collect();
        let watch = Stopwatch::start();
        for keys in keys.chunks(1000) {
            black_box(view.get_many(keys)?);
        }
        best = best.max(READS as f64 / watch.seconds());
    }
    Ok(best)
}

fn scan_owner(view: &View, owner: &Pubkey) -> Result<(u64, f64), Failure> {
    let (mut found, mut best) = (0, f64::INFINITY);
    for _ in 0..ROUNDS {
        found = 0;
        let watch = Stopwatch::start();
        view.scan_owner(owner, &OwnerFilter::default(), |visited| {
            found += u64::from(black_box(visited.account.lamports) > 0);
            ControlFlow::Continue(())
        })?;
        best = best.min(watch.seconds());
    }
    Ok((found, best))
}

/// Bytes of all files below a folder.
pub(crate) fn bytes_below(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += match metadata.is_dir() {
            true => bytes_below(&entry.path())?,
            false => metadata.len(),
        };
    }
    Ok(bytes)
}
