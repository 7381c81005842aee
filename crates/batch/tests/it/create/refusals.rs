//! What no archive can be made of, and what is said then. Nothing is left behind.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use icecore_batch::{Error, Extent, WriteOptions, create, newest_base, write_archive};
use icecore_restore::Progress;
use icecore_store::{At, CreateOptions, SlotState};
use icecore_types::{Slot, programs};

use crate::{
    fed::{Fed, FeedSet},
    support::{archives_in, cores, folder, names, shared},
};

fn refused(fed: &Fed, at: At, extent: Extent) -> Error {
    let folder = folder();
    let (write, progress) = (WriteOptions::default(), Progress::default());
    let error = create(&fed.store, at, extent, folder.path(), &write, &cores(2), &progress)
        .expect_err("it cannot be made");
    assert_eq!(names(folder.path()), Vec::<String>::new());
    error
}

fn incremental(base: Slot) -> Extent {
    Extent::Incremental { base }
}

#[test]
fn a_slot_without_its_bank_is_refused_with_the_slots_that_can_be_had() {
    let fed = Fed::of(&FeedSet::tiny());
    for extent in [Extent::Full, incremental(24)] {
        let error = refused(&fed, At::Slot(40), extent);
        let Error::NoBank { slot: 40, slots } = &error else { panic!("{error}") };
        assert_eq!((slots.count, slots.first), (3, Some(24)));
        assert_eq!(
            (&slots.newest[..], slots.before, slots.after),
            (&[127, 48, 24][..], Some(24), Some(48))
        );
        assert_eq!(
            error.to_string(),
            "no archive can be made of slot 40: the store does not keep its bank and status cache; it keeps them of 3 slots from 24 to 127; the nearest: 24 and 48"
        );
    }
    // A number without a block is the last one before it.
    let error = refused(&fed, At::Slot(54), Extent::Full);
    assert!(matches!(error, Error::NoBank { slot: 53, .. }), "{error}");
    let error = refused(&fed, At::Slot(5000), Extent::Full);
    assert!(matches!(error, Error::Store(icecore_store::Error::NotCovered { .. })), "{error}");
}

#[test]
fn a_fork_that_is_not_final_is_refused() {
    let set = FeedSet::tiny();
    let fed = Fed::restored(&set, icecore_store::Options::default());
    fed.feed(&set.feed, Some(75));
    let slots = fed.store.slots();
    let open = slots.iter().find(|slot| slot.state == SlotState::Committed).expect("a fork");
    let error = refused(&fed, At::Fork(open.id), Extent::Full);
    assert!(matches!(error, Error::NotFinal { slot } if slot == open.number), "{error}");
    let rooted = slots.iter().find(|slot| slot.number == 48).expect("known by identity");
    assert_eq!(rooted.state, SlotState::Rooted);
    let (folder, progress) = (folder(), Progress::default());
    let (at, write) = (At::Fork(rooted.id), WriteOptions::default());
    let made = create(&fed.store, at, Extent::Full, folder.path(), &write, &cores(2), &progress);
    assert_eq!(made.expect("final").slot, 48);
}

#[test]
fn a_store_of_some_programs_accounts_is_refused() {
    let kept_owners = vec![programs::STAKE];
    let options = CreateOptions { kept_owners, ..CreateOptions::default() };
    let fed = Fed::new(&options, icecore_store::Options::default());
    fed.restore(&FeedSet::tiny().base, None);
    assert!(matches!(refused(&fed, At::Root, Extent::Full), Error::Filtered));
}

#[test]
fn a_base_must_be_a_final_slot_since_which_everything_is_known() {
    let set = FeedSet::tiny();
    let fed = Fed::of(&set);
    for base in [127, 128, 5000] {
        let error = refused(&fed, At::Root, incremental(base));
        assert!(matches!(error, Error::Base { slot: 127, .. }), "{error}");
    }
    let error = refused(&fed, At::Root, incremental(54));
    assert!(matches!(error, Error::Base { base: 54, .. }), "no block has that number: {error}");
    let error = refused(&fed, At::Root, incremental(23));
    assert!(matches!(error, Error::Store(icecore_store::Error::NotCovered { .. })), "{error}");

    // Between two base points it is not known what was written.
    let Some(shared) = &set.shared else { return };
    let (full, later) = archives_in(&shared.join("base"));
    let fed = Fed::restored(&set, icecore_store::Options::default());
    fed.restore(&full, later.as_deref());
    let error = refused(&fed, At::Root, incremental(24));
    let Error::Store(icecore_store::Error::NotSince { base: 24, slot: 72, first: 72 }) = error
    else {
        panic!("{error}")
    };
    let folder = folder();
    fs::copy(&full, folder.path().join(full.file_name().expect("a file"))).expect("copied");
    let error = newest_base(&fed.store, At::Root, folder.path()).expect_err("not on that one");
    assert!(matches!(error, Error::NoBase { slot: 72, .. }), "{error}");
}

#[test]
fn the_newest_full_archive_of_the_same_state_is_built_on() {
    let set = FeedSet::tiny();
    let fed = Fed::of(&set);
    let folder = folder();
    let found = |at| newest_base(&fed.store, at, folder.path());
    assert!(matches!(found(At::Root), Err(Error::NoBase { slot: 127, .. })));
    let first = fed.create(24, Extent::Full, folder.path());
    assert_eq!(found(At::Root).expect("one"), 24);
    // Of the same slot, but another state; not of the past; not an archive of this store.
    let other = first.path.to_string_lossy().replace("snapshot-24-", "snapshot-48-");
    fs::write(other, b"").expect("written");
    let name = "snapshot-126-4CwT2R8mShJyF8oY4biRQCrxc3iKPi7ch3u2qBiHonBB.tar.zst";
    fs::write(folder.path().join(name), b"").expect("written");
    assert_eq!(found(At::Root).expect("one"), 24);
    fed.create(48, Extent::Full, folder.path());
    assert_eq!(found(At::Root).expect("two"), 48);
    assert_eq!(found(At::Slot(48)).expect("one before"), 24);
    assert!(matches!(found(At::Slot(24)), Err(Error::NoBase { slot: 24, .. })));
}

#[test]
fn a_state_without_a_lattice_hash_is_refused() {
    let Some(set) = shared("old-2.3-merkle") else { return };
    let fed = Fed::new(&CreateOptions::default(), icecore_store::Options::default());
    fed.restore(&archives_in(&set).0, None);
    let error = refused(&fed, At::Root, Extent::Full);
    assert!(matches!(error, Error::NoLattice { .. }), "{error}");
}

#[test]
fn a_name_that_is_taken_is_refused_before_any_work() {
    let fed = Fed::of(&FeedSet::tiny());
    let folder = folder();
    let made = fed.create(48, Extent::Full, folder.path());
    let error = fed.create_with(48, Extent::Full, folder.path(), &cores(2)).expect_err("taken");
    assert!(matches!(error, Error::Disk(icecore_disk::Error::Exists { .. })), "{error}");
    assert_eq!(names(folder.path()).len(), 1);
    assert!(made.path.exists());
}

/// Takes so many bytes and no more.
struct Full {
    room: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        self.room -= count;
        match count {
            0 => Err(io::ErrorKind::StorageFull.into()),
            count => Ok(count),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn wherever_writing_fails_the_caller_hears_why_and_the_next_one_works() {
    let fed = Fed::of(&FeedSet::tiny());
    let view = fed.store.view(At::Root).expect("a state");
    let write = WriteOptions { frame_bytes: 32 << 10, ..WriteOptions::default() };
    let progress = Progress::default();
    let mut written = Vec::new();
    write_archive(&view, Extent::Full, &mut written, &write, &cores(2), &progress).expect("room");
    for room in (0..written.len()).step_by(2999) {
        let error =
            write_archive(&view, Extent::Full, &mut Full { room }, &write, &cores(2), &progress)
                .expect_err("there is no room");
        assert!(
            matches!(&error, Error::Write(error) if error.kind() == io::ErrorKind::StorageFull)
        );
    }
    let mut again = Vec::new();
    write_archive(&view, Extent::Full, &mut again, &write, &cores(2), &progress).expect("room");
    assert!(again == written);
}

/// The files of a folder with this beginning, sorted.
fn files(folder: &Path, start: &str) -> Vec<std::path::PathBuf> {
    let wanted = names(folder).into_iter().filter(|name| name.starts_with(start));
    wanted.map(|name| folder.join(name)).collect()
}

#[test]
fn a_damaged_record_is_told_with_its_place_and_nothing_is_made() {
    let fed = Fed::of(&FeedSet::tiny());
    let Fed { store, folder: kept } = fed;
    store.close().expect("closed");
    let at = kept.path().join("store");
    let segments = files(&at.join("journal"), "data-");
    let mut hits = 0;
    for segment in &segments {
        let sound = fs::read(segment).expect("readable");
        for place in (4096..sound.len()).step_by(sound.len() / 7) {
            let mut bytes = sound.clone();
            bytes[place] ^= 0x10;
            fs::write(segment, &bytes).expect("written");
            let Ok(store) = icecore_store::Store::read(&at, icecore_store::Options::default())
            else {
                continue;
            };
            let to = folder();
            let (write, progress) = (WriteOptions::default(), Progress::default());
            let made =
                create(&store, At::Root, Extent::Full, to.path(), &write, &cores(2), &progress);
            match made {
                // What was flipped is of an older version, or of nothing.
                Ok(made) => assert_eq!(made.num_accounts, 687),
                Err(error) => {
                    let is_told = matches!(
                        &error,
                        Error::Store(_) | Error::Unsound { .. } | Error::Restore(_)
                    );
                    assert!(is_told, "{error}");
                    assert_eq!(names(to.path()), Vec::<String>::new());
                    hits += 1;
                }
            }
        }
        fs::write(segment, &sound).expect("written");
    }
    assert!(hits > 0, "some of it counts");
}
