//! Lookups through the index beside an archive, held against the pass over all of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use icecore_restore::{
    Error, IndexUse, IndexedAccount, IndexedArchives, LiveAccounts, MadeIndex, Options, Pair,
    Progress, index_archives, index_path,
};
use icecore_types::{Pubkey, Slot};

use crate::support::{Form, archives_in, lz4, records, shared, tiny, unpack, zstd_frame};

/// How a tar stream is cut into frames.
#[derive(Debug, Clone, Copy)]
enum Frames {
    /// Of so many bytes of content, with or without checksums, skippable frames between them.
    Zstd(usize, bool),
    /// The same, uncompressed and without checksums.
    Raw(usize),
}

/// A frame of raw blocks, without a checksum.
fn raw_frame(content: &[u8]) -> Vec<u8> {
    let mut frame = 0xfd2f_b528_u32.to_le_bytes().to_vec();
    // One segment; the content's size has four bytes.
    frame.push(0xa0);
    frame.extend((content.len() as u32).to_le_bytes());
    let blocks = content.chunks(128 << 10).count();
    for (number, block) in content.chunks(128 << 10).enumerate() {
        let header = (block.len() as u32) << 3 | u32::from(number + 1 == blocks);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

/// Packs an archive anew into `folder`, under its name.
fn framed(archive: &Path, folder: &Path, frames: Frames) -> PathBuf {
    let tar = unpack(&fs::read(archive).expect("there")).expect("sound");
    let (Frames::Zstd(bytes, _) | Frames::Raw(bytes)) = frames;
    let mut file = Vec::new();
    for (number, content) in tar.chunks(bytes).enumerate() {
        match frames {
            Frames::Zstd(_, with_checksum) => {
                file.extend(zstd_frame(content, with_checksum));
                if number % 3 == 1 {
                    file.extend([0x5a, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7]);
                }
            }
            Frames::Raw(_) => file.extend(raw_frame(content)),
        }
    }
    let path = folder.join(archive.file_name().expect("a file"));
    fs::write(&path, file).expect("written");
    path
}

/// An archive or a pair of a folder, in frames in a folder of its own.
struct Set {
    folder: tempfile::TempDir,
    full: PathBuf,
    incremental: Option<PathBuf>,
}

impl Set {
    fn new(of: &Path, frames: Frames) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (full, incremental) = archives_in(of);
        let full = framed(&full, folder.path(), frames);
        let incremental = incremental.map(|path| framed(&path, folder.path(), frames));
        Self { folder, full, incremental }
    }

    fn full_only(of: &Path, frames: Frames) -> Self {
        let set = Self::new(of, frames);
        if let Some(incremental) = &set.incremental {
            fs::remove_file(incremental).expect("there");
        }
        Self { incremental: None, ..set }
    }

    fn pair(&self) -> Pair {
        Pair::files(&self.full, self.incremental.as_deref()).expect("names")
    }

    fn index(&self) -> Vec<MadeIndex> {
        index_archives(&mut self.pair(), true, false, &options(2), &Progress::default())
            .expect("sound archives")
    }

    fn open(&self) -> Result<IndexUse, Error> {
        IndexedArchives::open(&self.pair(), true, options(2))
    }

    fn ready(&self) -> IndexedArchives {
        match self.open().expect("indexes that fit") {
            IndexUse::Ready(archives) => *archives,
            other => panic!("{other:?}"),
        }
    }
}

fn options(cores: usize) -> Options {
    Options::for_cores(cores)
}

/// An account in a form that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    pubkey: Pubkey,
    owner: Pubkey,
    slot: Slot,
    rest: (u64, bool, u64, Vec<u8>),
}

fn row(account: &icecore_types::AccountRef<'_>, slot: Slot) -> Row {
    let rest = (account.lamports, account.executable, account.rent_epoch, account.data.to_vec());
    Row { pubkey: *account.pubkey, owner: *account.owner, slot, rest }
}

/// All live accounts, by a pass.
fn passed(set: &Set) -> Vec<Row> {
    let progress = Progress::default();
    let mut live = LiveAccounts::open(set.pair(), options(2), &progress).expect("whole archives");
    let mut rows = Vec::new();
    live.for_each(&progress, |live| {
        rows.push(row(&live.account, live.slot));
        ControlFlow::Continue(())
    })
    .expect("read again");
    rows
}

fn collect(rows: &mut Vec<Row>) -> impl FnMut(IndexedAccount<'_>) -> ControlFlow<()> + Send + '_ {
    |found| {
        rows.push(row(&found.account, found.slot));
        ControlFlow::Continue(())
    }
}

fn looked_up(archives: &mut IndexedArchives, pubkeys: &[Pubkey]) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    archives.get_many(pubkeys, &Progress::default(), collect(&mut rows))?;
    Ok(rows)
}

fn owned(archives: &mut IndexedArchives, owners: &[Pubkey]) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    archives.of_owners(owners, &Progress::default(), collect(&mut rows))?;
    Ok(rows)
}

/// Every address that has a record, live or not.
fn all_keys(set: &Set) -> BTreeSet<Pubkey> {
    let archives = [Some(&set.full), set.incremental.as_ref()];
    let forms = archives.into_iter().flatten().map(|path| Form::read(path));
    forms.flat_map(|form| records(&form).into_iter().map(|at| at.pubkey)).collect()
}

/// Holds every answer of a set against the pass.
fn check_set(set: &Set) {
    let expected = passed(set);
    let mut archives = set.ready();
    let keys: Vec<Pubkey> = expected.iter().map(|row| row.pubkey).collect();
    assert_eq!(looked_up(&mut archives, &keys).expect("found"), expected);

    let live: BTreeSet<_> = keys.iter().copied().collect();
    let mut absent: Vec<_> = all_keys(set).difference(&live).copied().collect();
    absent.extend([Pubkey([0xff; 32]), Pubkey([0x7f; 32])]);
    assert_eq!(looked_up(&mut archives, &absent).expect("none"), []);

    for at in (0..expected.len()).step_by(expected.len() / 9 + 1) {
        let asked = [absent[at % absent.len()], expected[at].pubkey];
        assert_eq!(looked_up(&mut archives, &asked).expect("found"), expected[at..at + 1]);
    }

    let mut by_owner: BTreeMap<Pubkey, Vec<Row>> = BTreeMap::new();
    for row in &expected {
        by_owner.entry(row.owner).or_default().push(row.clone());
    }
    for (owner, rows) in &by_owner {
        assert_eq!(owned(&mut archives, &[*owner]).expect("found"), *rows, "{owner}");
    }
    let owners: Vec<_> = by_owner.keys().copied().collect();
    assert_eq!(owned(&mut archives, &owners).expect("found"), expected);
    let mut some: Vec<_> = owners.iter().copied().step_by(2).collect();
    some.extend([Pubkey([0xee; 32]), some[0]]);
    let expected: Vec<_> = expected.into_iter().filter(|row| some.contains(&row.owner)).collect();
    assert_eq!(owned(&mut archives, &some).expect("found"), expected);
}

#[test]
fn every_account_is_answered_as_the_pass_answers() {
    for frames in [Frames::Zstd(1000, false), Frames::Zstd(70_000, true), Frames::Raw(100_000)] {
        let set = Set::new(&tiny(), frames);
        let made = set.index();
        assert!(made.iter().all(|made| made.is_judged && made.frames > 1), "{made:?}");
        check_set(&set);
        let set = Set::full_only(&tiny(), frames);
        set.index();
        check_set(&set);
    }
}

#[test]
fn archives_of_older_clients_and_with_duplicates_are_answered_as_the_pass_answers() {
    for folder in ["small", "old-2.3-merkle", "old-2.3-lattice", "damaged/no-tombstones"] {
        let Some(folder) = shared(folder) else { continue };
        let set = Set::new(&folder, Frames::Zstd(1 << 18, true));
        set.index();
        check_set(&set);
    }
    // Older versions in lower slots, and in higher ones that a verdict refuses.
    for folder in ["damaged/zero-lamport-in-lower-slot", "damaged/same-record-in-higher-slot"] {
        let Some(folder) = shared(folder) else { continue };
        let set = Set::new(&folder, Frames::Zstd(1 << 15, false));
        let made = index_archives(&mut set.pair(), false, false, &options(1), &Progress::default());
        assert!(!made.expect("whole")[0].is_judged);
        let IndexUse::NotEnough(why) = set.open().expect("it fits") else { panic!("judged") };
        assert!(why.ends_with("was made without a verdict"), "{why}");
        let unjudged = IndexedArchives::open(&set.pair(), false, options(1)).expect("it fits");
        let IndexUse::Ready(mut archives) = unjudged else { panic!("no verdict was asked for") };
        let expected = passed(&set);
        let keys: Vec<Pubkey> = expected.iter().map(|row| row.pubkey).collect();
        assert_eq!(looked_up(&mut archives, &keys).expect("found"), expected);
    }
}

#[test]
fn a_lookup_reads_the_frames_that_have_the_record_and_nothing_else() {
    let frame_bytes = 20_000;
    let set = Set::full_only(&tiny(), Frames::Zstd(frame_bytes, true));
    let made = set.index().remove(0);
    let file_bytes = fs::metadata(&set.full).expect("there").len();
    let expected = passed(&set);
    for wanted in expected.iter().step_by(13) {
        let mut archives = set.ready();
        let progress = Progress::default();
        let mut rows = Vec::new();
        archives.get_many(&[wanted.pubkey], &progress, collect(&mut rows)).expect("found");
        assert_eq!(rows, std::slice::from_ref(wanted));
        let work = archives.work();
        // One frame, unless a record goes on behind its end.
        let most = 2 + (wanted.rest.3.len() / frame_bytes) as u64;
        assert!((1..=most).contains(&work.frames), "{work:?}");
        assert_eq!((work.frames_of, work.archive_bytes_of), (made.frames, file_bytes));
        assert!(progress.bytes_read() <= work.archive_bytes, "{work:?}");
        assert!(progress.bytes_unpacked() <= work.frames * frame_bytes as u64);
        assert!(work.index_blocks < 20, "{work:?}");
    }
    // Nothing at all is read for an account that is not there.
    let mut archives = set.ready();
    let progress = Progress::default();
    let none = |_: IndexedAccount<'_>| panic!("there is none");
    archives.get_many(&[Pubkey([0xfe; 32])], &progress, none).expect("none");
    archives.of_owners(&[Pubkey([0xfe; 32])], &progress, none).expect("none");
    assert_eq!((archives.work().frames, progress.bytes_read()), (0, 0));
    // Each frame once, however many accounts it has.
    let keys: Vec<Pubkey> = expected.iter().map(|row| row.pubkey).collect();
    archives.get_many(&keys, &progress, |_| ControlFlow::Continue(())).expect("found");
    assert!(archives.work().frames <= made.frames);
    assert!(progress.bytes_read() <= file_bytes);
}

#[test]
fn who_has_enough_ends_the_reading() {
    let set = Set::new(&tiny(), Frames::Zstd(5000, true));
    set.index();
    let mut archives = set.ready();
    let expected = passed(&set);
    let owners: Vec<_> = expected.iter().map(|row| row.owner).collect();
    for count in [1, 5] {
        let mut rows = Vec::new();
        archives
            .of_owners(&owners, &Progress::default(), |found| {
                rows.push(row(&found.account, found.slot));
                match rows.len() == count {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })
            .expect("found");
        assert_eq!(rows, expected[..count]);
    }
}

#[test]
fn an_index_is_the_same_for_any_number_of_tiles_and_any_memory() {
    let set = Set::new(&tiny(), Frames::Zstd(9000, true));
    let paths = [index_path(&set.full), index_path(set.incremental.as_ref().expect("a pair"))];
    let mut seen = Vec::new();
    for (cores, memory_bytes_max) in [(1, 1 << 27), (3, 1 << 27), (2, 40_000)] {
        let options = Options { memory_bytes_max, ..options(cores) };
        index_archives(&mut set.pair(), true, true, &options, &Progress::default())
            .expect("sound archives");
        seen.push(paths.clone().map(|path| fs::read(path).expect("made")));
    }
    assert!(seen.iter().all(|one| *one == seen[0]));
    check_set(&set);
}

#[test]
fn an_index_that_is_there_is_replaced_only_if_that_is_wished() {
    let set = Set::new(&tiny(), Frames::Zstd(9000, true));
    let full = Set {
        incremental: None,
        full: set.full.clone(),
        folder: tempfile::tempdir().expect("made"),
    };
    full.index();
    let path = index_path(&set.full);
    let progress = Progress::default();
    let again = index_archives(&mut full.pair(), true, false, &options(1), &progress);
    assert!(matches!(&again, Err(Error::Disk(icecore_disk::Error::Exists { .. }))), "{again:?}");
    // That of the full archive is taken as it is when an incremental one is indexed on it.
    let made = set.index();
    assert_eq!((made[0].was_there, made[1].was_there), (true, false));
    check_set(&set);
    fs::write(&path, b"something else").expect("written");
    let again = index_archives(&mut full.pair(), true, false, &options(1), &progress);
    assert!(again.is_err());
    index_archives(&mut full.pair(), true, true, &options(1), &progress).expect("replaced");
    check_set(&set);
    let names: Vec<_> = fs::read_dir(set.folder.path()).expect("there").collect();
    assert_eq!(names.len(), 4, "nothing else is left: {names:?}");
}

#[test]
fn an_archive_that_is_not_in_frames_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (full, _) = archives_in(&tiny());
    let tar = unpack(&fs::read(&full).expect("there")).expect("sound");
    let name = full.file_name().expect("a file").to_string_lossy().into_owned();
    let as_lz4 = lz4(&tar, lz4_flex::frame::FrameInfo::default());
    // Nothing would be gained for what is as short as a frame.
    let long = [&tar[..], &vec![0; 32 << 20]].concat();
    for (bytes, why) in [
        (zstd_frame(&long, true), "is one frame"),
        (as_lz4, "is packed with lz4"),
        (tar, "is plain tar"),
    ] {
        let path = folder.path().join(&name);
        fs::write(&path, bytes).expect("written");
        let mut pair = Pair::files(&path, None).expect("a name");
        let made = index_archives(&mut pair, true, false, &options(1), &Progress::default());
        let error = made.expect_err(why);
        assert!(matches!(error, Error::NotInFrames { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(why) && said.contains("snapshot recompress"), "{said}");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1);
    }
    let set = Set::new(&tiny(), Frames::Zstd(32 << 20, true));
    assert!(set.index().iter().all(|made| made.frames == 1));
    check_set(&set);
}

#[test]
fn archives_that_are_damaged_or_whose_verdict_is_bad_get_no_index() {
    let set = Set::full_only(&tiny(), Frames::Raw(30_000));
    let bytes = fs::read(&set.full).expect("there");
    let progress = Progress::default();
    let mut cut = bytes.clone();
    cut.truncate(bytes.len() - 40_000);
    let mut flipped = bytes.clone();
    let at = flipped.len() / 2;
    flipped[at] ^= 1;
    for damaged in [cut, flipped] {
        fs::write(&set.full, damaged).expect("written");
        let made = index_archives(&mut set.pair(), true, false, &options(1), &progress);
        assert!(matches!(made, Err(Error::Damaged { .. })), "{made:?}");
        assert_eq!(fs::read_dir(set.folder.path()).expect("there").count(), 1);
    }
}

/// What an open or a lookup of everything says.
fn all_of(set: &Set, keys: &[Pubkey]) -> Result<Vec<Row>, Error> {
    match set.open()? {
        IndexUse::Ready(mut archives) => looked_up(&mut archives, keys),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_index_of_something_else_is_refused_with_what_to_do() {
    let set = Set::full_only(&tiny(), Frames::Raw(30_000));
    set.index();
    let path = index_path(&set.full);
    let bytes = fs::read(&set.full).expect("there");
    let refused = |problem: &str| {
        let error = set.open().map(|_| ()).expect_err(problem);
        assert!(matches!(error, Error::Index { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(problem) && said.contains("snapshot index --force"), "{said}");
    };
    let longer = [&bytes[..], &[0]].concat();
    fs::write(&set.full, longer).expect("written");
    refused("bytes and has");
    for at in [0, 60_000, bytes.len() - 60_000, bytes.len() - 1] {
        let mut other = bytes.clone();
        other[at] ^= 0x40;
        fs::write(&set.full, other).expect("written");
        refused("other bytes when it was indexed");
    }
    fs::write(&set.full, &bytes).expect("written");
    assert!(matches!(set.open(), Ok(IndexUse::Ready(_))));

    let other =
        set.folder.path().join("snapshot-47-2pRN9jNHGRLkRp4n6uySxy7KFY41E81qZenhu21ef2FZ.tar.zst");
    fs::copy(&set.full, &other).expect("copied");
    fs::copy(&path, index_path(&other)).expect("copied");
    let pair = Pair::files(&other, None).expect("a name");
    let error = IndexedArchives::open(&pair, true, options(1)).map(|_| ()).expect_err("foreign");
    assert!(error.to_string().contains("it is the index of snapshot-46-"), "{error}");

    let index = fs::read(&path).expect("there");
    for (bytes, problem) in [
        (b"".to_vec(), "no index"),
        (vec![7; 9000], "no index"),
        (index[..index.len() - 1].to_vec(), "by its first block"),
        (index[..5000].to_vec(), "by its first block"),
        ([&index[..], &[0; 4096]].concat(), "by its first block"),
        ([&index[..16], &[2], &index[17..]].concat(), "of version 2"),
        ([&index[..40], &[index[40] ^ 1], &index[41..]].concat(), "block 0 is damaged"),
    ] {
        fs::write(&path, bytes).expect("written");
        refused(problem);
    }
}

#[test]
fn a_frame_that_has_changed_is_noticed_where_it_is_read() {
    let set = Set::full_only(&tiny(), Frames::Raw(30_000));
    set.index();
    let expected = passed(&set);
    let keys: Vec<Pubkey> = expected.iter().map(|row| row.pubkey).collect();
    let bytes = fs::read(&set.full).expect("there");
    let mut noticed = 0;
    for at in (65_600..bytes.len() - 65_600).step_by(7919) {
        let mut other = bytes.clone();
        other[at] ^= 1;
        fs::write(&set.full, other).expect("written");
        match all_of(&set, &keys) {
            Ok(rows) => assert_eq!(rows, expected, "{at}"),
            Err(Error::Damaged { .. }) => noticed += 1,
            Err(other) => panic!("{at}: {other}"),
        }
    }
    assert!(noticed > 10, "{noticed}");
}

#[test]
fn any_flipped_bit_of_an_index_gives_the_right_answer_or_an_error() {
    let set = Set::new(&tiny(), Frames::Zstd(20_000, false));
    set.index();
    let expected = passed(&set);
    let keys: Vec<Pubkey> = expected.iter().map(|row| row.pubkey).collect();
    let paths = [index_path(&set.full), index_path(set.incremental.as_ref().expect("a pair"))];
    let mut errors = 0;
    for path in paths {
        let index = fs::read(&path).expect("made");
        // Every block, and each field of the head.
        let head = (0..200).step_by(7);
        for at in head.chain((200..index.len()).step_by(1021)) {
            let mut other = index.clone();
            other[at] ^= 1 << (at % 8);
            fs::write(&path, other).expect("written");
            match all_of(&set, &keys) {
                Ok(rows) => assert_eq!(rows, expected, "{at}"),
                Err(Error::Index { .. }) => errors += 1,
                Err(other) => panic!("{at}: {other}"),
            }
        }
        fs::write(&path, index).expect("written");
    }
    assert!(errors > 50, "{errors}");
}

#[test]
fn a_pair_is_read_through_indexes_only_if_both_say_that_they_belong_together() {
    let set = Set::new(&tiny(), Frames::Zstd(20_000, true));
    let incremental = set.incremental.clone().expect("a pair");
    let why = |set: &Set, judged| match IndexedArchives::open(&set.pair(), judged, options(1)) {
        Ok(IndexUse::NotEnough(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(matches!(set.open(), Ok(IndexUse::None)));
    // An incremental archive alone has no verdict.
    let progress = Progress::default();
    let mut alone = Pair::alone(&incremental).expect("a name");
    let made = index_archives(&mut alone, true, false, &options(1), &progress).expect("whole");
    assert!(!made[0].is_judged);
    assert_eq!(why(&set, true), "the full archive has no index");
    Set { incremental: None, full: set.full.clone(), folder: tempfile::tempdir().expect("made") }
        .index();
    assert!(why(&set, true).contains("incremental-snapshot-46-62-"));
    let open = IndexedArchives::open(&set.pair(), false, options(1)).expect("they fit");
    let IndexUse::Ready(mut archives) = open else { panic!("no verdict was asked for") };
    let expected = passed(&set);
    let keys: Vec<Pubkey> = expected.iter().map(|row| row.pubkey).collect();
    assert_eq!(looked_up(&mut archives, &keys).expect("found"), expected);
    fs::remove_file(index_path(&incremental)).expect("there");
    assert_eq!(why(&set, false), "the incremental archive has no index");
    // Verified with this full archive; then the full one is packed anew.
    set.index();
    check_set(&set);
    framed(&archives_in(&tiny()).0, set.folder.path(), Frames::Raw(50_000));
    fs::remove_file(index_path(&set.full)).expect("there");
    Set { incremental: None, full: set.full.clone(), folder: tempfile::tempdir().expect("made") }
        .index();
    assert_eq!(why(&set, true), "the incremental archive was verified with another full one");
}
