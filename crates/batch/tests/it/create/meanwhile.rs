//! What does not show in an archive: threads, memory, and what the store does while it is made.

use std::{fs, thread};

use icecore_archive::writing::frame_encoder::Packing;
use icecore_batch::{Extent, WriteOptions, create, write_archive};
use icecore_restore::{Options, Progress};
use icecore_store::{At, Retention};

use crate::{
    fed::{Fed, FeedSet},
    support::{accounts, cores, folder, names, packed},
};

/// The archive of a state, in small frames.
fn bytes(fed: &Fed, extent: Extent, options: &Options) -> Vec<u8> {
    let folder = folder();
    let write = packed(Packing::Zstd { level: 1 }, 32 << 10);
    let progress = Progress::default();
    let made = create(&fed.store, At::Root, extent, folder.path(), &write, options, &progress);
    fs::read(made.expect("it can be made").path).expect("just written")
}

#[test]
fn threads_and_memory_change_no_byte() {
    let fed = Fed::of(&FeedSet::tiny());
    for extent in [Extent::Full, Extent::Incremental { base: 24 }] {
        let expected = bytes(&fed, extent, &cores(1));
        assert!(expected.len() > 30_000);
        for (threads, memory_bytes_max) in [(2, 1 << 30), (5, 128 << 20), (1, 3000), (3, 10_000)] {
            let options = Options { memory_bytes_max, ..cores(threads) };
            assert!(bytes(&fed, extent, &options) == expected, "{threads} {memory_bytes_max}");
        }
    }
}

/// A store that flushes and compacts all the time, and soon forgets.
fn restless() -> icecore_store::Options {
    let mut options = icecore_store::Options {
        flush_versions: 60,
        retention: Retention::Slots(30),
        keep_abandoned_slots: 2,
        ..icecore_store::Options::default()
    };
    options.journal.data_segment_bytes_max = 256 << 10;
    options
}

#[test]
fn while_the_store_is_written_rooted_flushed_and_compacted_the_archive_stays_the_state_at_its_slot()
{
    let set = FeedSet::tiny();
    let fed = Fed::restored(&set, restless());
    // Slot 48 has a bank, and is final some slots later.
    fed.feed(&set.feed, Some(75));
    let view = fed.store.view(At::Slot(48)).expect("final");
    assert_eq!(view.slot().number, 48);
    let state = fed.accounts(48);
    let write = WriteOptions { verify: false, ..WriteOptions::default() };
    let archive = |extent| {
        let (mut bytes, progress) = (Vec::new(), Progress::default());
        let composed = write_archive(&view, extent, &mut bytes, &write, &cores(2), &progress);
        (bytes, composed.expect("held"))
    };
    let (expected, composed) = archive(Extent::Full);
    let mut rounds = 0;
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            fed.feed(&set.feed, None);
            for _ in 0..3 {
                fed.store.flush().expect("flushed");
                fed.store.tend().expect("tended");
                fed.store.compact().expect("compacted");
            }
        });
        while !writer.is_finished() || rounds < 3 {
            assert!(archive(Extent::Full).0 == expected);
            rounds += 1;
        }
    });
    assert!(fed.store.root_slot().expect("a state").number > 100);
    assert!(archive(Extent::Full).0 == expected, "after all that");
    let folder = folder();
    let path = folder.path().join(composed.name.to_string());
    fs::write(&path, &expected).expect("written");
    assert!(accounts(&path, None) == state);
    // Nobody holds the slot any more: it goes.
    drop(view);
    fed.store.tend().expect("tended");
    assert!(fed.store.view(At::Slot(48)).is_err());
}

#[test]
fn of_a_store_that_forgets_what_is_left_can_be_made() {
    let set = FeedSet::tiny();
    let whole = Fed::of(&set);
    let fed = Fed::restored(
        &set,
        icecore_store::Options { retention: Retention::Slots(80), ..restless() },
    );
    fed.feed(&set.feed, None);
    for _ in 0..2 {
        fed.store.flush().expect("flushed");
        fed.store.tend().expect("tended");
        fed.store.compact().expect("compacted");
    }
    let coverage = fed.store.coverage();
    let first = coverage.first.expect("a state");
    assert!((25..48).contains(&first), "{coverage:?}");
    let expected: Vec<_> = whole.creatable().into_iter().filter(|slot| *slot >= first).collect();
    assert_eq!(fed.creatable(), expected);
    let folder = folder();
    let full = fed.create(48, Extent::Full, folder.path());
    assert!(accounts(&full.path, None) == whole.accounts(48));
    let incremental = fed.create(127, Extent::Incremental { base: 48 }, folder.path());
    assert!(accounts(&full.path, Some(&incremental.path)) == whole.accounts(127));
    let end = fed.create(127, Extent::Full, folder.path());
    assert!(accounts(&end.path, None) == whole.accounts(127));
    assert_eq!(names(folder.path()).len(), 3);
}
