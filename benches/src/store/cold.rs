//! Reading a store of which nothing is in memory.
//!
//! Before each figure the kernel forgets what it has of all files, and the store is opened again: what a
//! process has mapped is not forgotten. Device reads are counted as the
//! kernel counts them: a major fault is a wait for the disk.

use std::{hint::black_box, io::Read, ops::ControlFlow, path::Path};

use icecore_disk::Stopwatch;
use icecore_store::{At, OwnerFilter, Store, View};
use icecore_types::Pubkey;

use super::{fill, next, quiet};
use crate::Failure;

/// Accounts that are read one by one.
const SINGLE_READS: u64 = 5000;

/// Accounts that are read together, so many at a time.
const MANY_READS: usize = 100_000;
const MANY: usize = 5000;

/// Bytes that are read at a time where the disk is measured.
const PIECE_BYTES: usize = 8 << 20;

/// Measures and prints.
pub(super) fn run(folder: &Path) -> Result<(), Failure> {
    let (store, view) = forget_and_open(folder)?;
    let accounts = view.totals()?.num_accounts;
    let mut state = 7;
    let mut key = || fill::key(next(&mut state) % accounts);

    let (before, watch) = (major_faults()?, Stopwatch::start());
    for _ in 0..SINGLE_READS {
        black_box(view.get(&key())?);
    }
    let (faults, seconds) = (major_faults()? - before, watch.seconds());
    println!(
        "get, cold            {:>10.0} /s, {:.2} device reads each",
        SINGLE_READS as f64 / seconds,
        faults as f64 / SINGLE_READS as f64
    );

    drop((store, view));
    let (store, view) = forget_and_open(folder)?;
    let keys: Vec<Pubkey> = (0..MANY_READS).map(|_| key()).collect();
    let watch = Stopwatch::start();
    for keys in keys.chunks(MANY) {
        black_box(view.get_many(keys)?);
    }
    println!("get_many, cold       {:>10.0} /s", MANY_READS as f64 / watch.seconds());

    drop((store, view));
    let (store, view) = forget_and_open(folder)?;
    let (mut found, mut bytes) = (0u64, 0);
    let watch = Stopwatch::start();
    let owner = fill::owner(fill::OWNERS - 1);
    view.scan_owner(&owner, &OwnerFilter::default(), |visited| {
        found += 1;
        bytes += 136 + visited.account.data.len() as u64;
        ControlFlow::Continue(())
    })?;
    let seconds = watch.seconds();
    let rate = bytes as f64 / seconds;
    println!("owner scan, cold     {:>10.0} /s, {:.0} MB/s", found as f64 / seconds, rate / 1e6);

    drop((store, view));
    forget()?;
    let watch = Stopwatch::start();
    let read = read_below(&folder.join("journal"))?;
    let sequential = read as f64 / watch.seconds();
    println!(
        "reading its files    {:>10.0} MB/s; the scan {:.2} times that",
        sequential / 1e6,
        rate / sequential
    );
    Ok(())
}

fn forget_and_open(folder: &Path) -> Result<(Store, View), Failure> {
    forget()?;
    let store = Store::open(folder, quiet())?;
    let view = store.view(At::Root)?;
    Ok((store, view))
}

/// The kernel forgets what it has of files.
fn forget() -> Result<(), Failure> {
    std::fs::write("/proc/sys/vm/drop_caches", "1")
        .map_err(|error| format!("the kernel does not forget files: {error}").into())
}

/// Waits of this process for the disk, by reading memory.
fn major_faults() -> Result<u64, Failure> {
    let state = std::fs::read_to_string("/proc/self/stat")?;
    let fields = state.rsplit(')').next().ok_or("no fields")?;
    // Field 12 of all, where the first behind the name is the third.
    Ok(fields.split_whitespace().nth(9).ok_or("no such field")?.parse()?)
}

fn read_below(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    let mut piece = vec![0; PIECE_BYTES];
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            bytes += read_below(&path)?;
            continue;
        }
        let mut file = std::fs::File::open(path)?;
        loop {
            match file.read(&mut piece)? {
                0 => break,
                read => bytes += black_box(read as u64),
            }
        }
    }
    Ok(bytes)
}
