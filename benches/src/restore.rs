//! Restoring the best pair of a folder into a new store, against what this machine allows (design.md,
//! section 7).
//!
//! `bound = max((T_zstd + T_hash + 2 T_copy + T_digest + T_sort) / cores, longest decompression,
//! T_write)`. The first three are those of `bound`. `T_digest` is the `blake3` crate over as many bytes
//! as the archives have, on one core; `T_sort` a radix sort of as many pairs of an 8-byte prefix and a
//! number as there are records, on one core, twice; `T_write` direct writes of as many bytes by two
//! threads into files that have their room, and their sync.
//!
//! All are measured in every round, one after the other; the best of all rounds counts. Each restore
//! is a process of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use icecore_disk::{AlignedBuffer, Disk, DiskFile, RealDisk, Stopwatch};
use icecore_restore::{Options, Pair, Progress, restore_into};
use icecore_store::{At, CreateOptions, Store};
use serde_json::{Value, json};

use crate::{
    Failure,
    bound::{Best, Figures, Sampler, measure},
};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder with the archives
    folder: PathBuf,
    /// A folder for stores and for files that are written; both are removed again
    scratch: PathBuf,
    /// Rounds; the best counts
    #[arg(default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

/// One restore, in a process of its own.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    folder: PathBuf,
    store: PathBuf,
}

/// Bytes of a direct write.
const WRITE_BYTES: usize = 4 << 20;

/// Threads that write.
const WRITERS: u64 = 2;

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (mut digest, mut sort, mut write) = (Best::none(), Best::none(), Best::none());
    let (mut restored, mut last) = (Best::none(), Value::Null);
    let mut memory_bytes = 0;
    std::fs::create_dir_all(&arguments.scratch)?;
    let figures = measure(&arguments.folder, arguments.rounds, false)?;
    let (bytes, records) = (figures.tar_bytes(), figures.records());
    for _ in 0..arguments.rounds {
        digest.offer(digest_of(bytes));
        sort.offer(2.0 * sort_of(records));
        write.offer(write_of(bytes, &arguments.scratch)?);
        let store = arguments.scratch.join("store");
        let output = Command::new("/proc/self/exe")
            .arg("restore-run")
            .arg(&arguments.folder)
            .arg(&store)
            .output()?;
        let emptied = std::fs::remove_dir_all(&store);
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().into());
        }
        emptied?;
        last = serde_json::from_slice(&output.stdout)?;
        let told = "a run tells its time and memory";
        restored.offer(last["seconds"].as_f64().ok_or(told)?);
        memory_bytes = memory_bytes.max(last["peak_memory_bytes"].as_u64().ok_or(told)?);
    }
    print(&figures, [digest, sort, write], restored, memory_bytes, &last);
    Ok(())
}

fn print(
    figures: &Figures,
    [digest, sort, write]: [Best; 3],
    restored: Best,
    memory_bytes: u64,
    last: &Value,
) {
    let row = |name: &str, text: String| println!("{name:<16}{text}");
    let [decode, hash, copy] = figures.parts();
    for (name, seconds) in [
        ("T_zstd", decode),
        ("T_hash", hash),
        ("T_copy", copy),
        ("T_digest", digest.0),
        ("T_sort", sort.0),
        ("T_write", write.0),
    ] {
        row(name, format!("{seconds:.3} s"));
    }
    let work = decode + hash + 2.0 * copy + digest.0 + sort.0;
    let bound = (work / figures.cores as f64).max(figures.decode_bound()).max(write.0);
    row("bound", format!("{bound:.3} s"));
    let strict = work - hash + figures.own_hash();
    let strict = (strict / figures.cores as f64).max(figures.decode_bound()).max(write.0);
    row("strict bound", format!("{strict:.3} s"));
    let seconds = restored.0;
    row(
        "restore",
        format!("{seconds:.3} s = {:.2} bound = {:.2} strict", seconds / bound, seconds / strict),
    );
    row("verify", format!("{:.3} s", figures.verified()));
    row("memory", format!("{:.0} MiB", memory_bytes as f64 / f64::from(1 << 20)));
    let (disk, live) = (last["disk_bytes"].as_f64(), last["live_bytes"].as_f64());
    if let (Some(disk), Some(live)) = (disk, live) {
        row("disk", format!("{:.3} times the live records of 136 bytes and data", disk / live));
    }
}

/// Restores once and prints what that took, as JSON.
pub(crate) fn run_once(arguments: &RunArguments) -> Result<(), Failure> {
    let sampler = Sampler::start();
    let stopwatch = Stopwatch::start();
    let store = Store::create(
        &arguments.store,
        &CreateOptions::default(),
        icecore_store::Options::default(),
    )?;
    let mut pair = Pair::best_in(&arguments.folder)?;
    let options = Options::default();
    restore_into(&mut pair, &options, &store, &Progress::default(), |_| b"{}".to_vec())?;
    let seconds = stopwatch.seconds();
    let peak_memory_bytes = sampler.stop().family_bytes;
    let totals = store.view(At::Root)?.totals()?;
    store.close()?;
    let run = json!({
        "seconds": seconds,
        "peak_memory_bytes": peak_memory_bytes,
        "disk_bytes": crate::store::bytes_below(&arguments.store)?,
        "live_bytes": totals.num_accounts * 136 + totals.total_data_len,
    });
    println!("{run}");
    Ok(())
}

/// Seconds to digest so many bytes on one core.
fn digest_of(bytes: u64) -> f64 {
    let chunk = vec![7u8; 64 << 10];
    let stopwatch = Stopwatch::start();
    for _ in 0..bytes.div_ceil(chunk.len() as u64) {
        std::hint::black_box(blake3::hash(std::hint::black_box(&chunk)));
    }
    stopwatch.seconds()
}

/// Seconds to sort so many pairs by their first part, 8 bits at a time, on one core.
fn sort_of(records: u64) -> f64 {
    let mut state = 1;
    let mut pairs: Vec<(u64, u64)> =
        (0..records).map(|number| (crate::store::next(&mut state), number)).collect();
    let mut other = vec![(0, 0); pairs.len()];
    let stopwatch = Stopwatch::start();
    for pass in 0..8 {
        let digit = |pair: &(u64, u64)| (pair.0 >> (8 * pass) & 0xff) as usize;
        let mut starts = [0usize; 257];
        pairs.iter().for_each(|pair| starts[digit(pair) + 1] += 1);
        for place in 1..257 {
            starts[place] += starts[place - 1];
        }
        for pair in &pairs {
            let start = &mut starts[digit(pair)];
            other[*start] = *pair;
            *start += 1;
        }
        std::mem::swap(&mut pairs, &mut other);
    }
    assert!(pairs.is_sorted_by_key(|pair| pair.0), "sorted by all of its digits");
    stopwatch.seconds()
}

/// Seconds to write so many bytes directly by two threads, and to sync them.
pub(crate) fn write_of(bytes: u64, folder: &Path) -> Result<f64, Failure> {
    let share = (bytes / WRITERS).next_multiple_of(WRITE_BYTES as u64);
    let mut files: Vec<Arc<dyn DiskFile>> = Vec::new();
    for writer in 0..WRITERS {
        let path = folder.join(format!("written-{writer}"));
        if RealDisk.exists(&path) {
            RealDisk.remove(&path)?;
        }
        let file = RealDisk.create(&path)?;
        file.reserve(share)?;
        file.expect_direct_writes();
        files.push(file);
    }
    // The area is touched before.
    write_all(&files, share)?;
    let stopwatch = Stopwatch::start();
    write_all(&files, share)?;
    let seconds = stopwatch.seconds();
    for file in &files {
        RealDisk.remove(file.path())?;
    }
    Ok(seconds)
}

fn write_all(files: &[Arc<dyn DiskFile>], share: u64) -> Result<(), Failure> {
    let write = |file: &Arc<dyn DiskFile>| -> Result<(), icecore_disk::Error> {
        let buffer = AlignedBuffer::new(WRITE_BYTES)?;
        for piece in 0..share / WRITE_BYTES as u64 {
            file.write_direct_at(piece * WRITE_BYTES as u64, &buffer)?;
        }
        file.sync()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = files.iter().map(|file| scope.spawn(move || write(file))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("writing does not panic"))
    })?;
    Ok(())
}
