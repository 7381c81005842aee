//! Journals that are forged, damaged, checked, saved and copied.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use icecore_disk::{Access, Disk, SimulatedDisk};

use super::{sources::CURSORS_NAME, *};
use crate::{
    AppendOptions, Batch, CreateOptions, Durability, Error, Head, Indexes, Journal, NewEvent,
    Options, Reader, Receipt, SigningKey, Verified, VerifyOptions, WorkProgress,
    digest::StoreKeys,
    format::{
        BLOCK_BYTES, FRAME_ALIGNMENT,
        annex::put_idempotency,
        checkpoint::Position,
        frame::{FRAME_HEADER_BYTES, Frame, FrameHeader, FrameScratch},
        record,
        walk::{Follow, Step, align, step},
    },
    keeping::manifest_file,
    merkle,
    open::{CONTROL_NAME, replace},
    segment::{chain_path, index_path},
};

const FOLDER: &str = "/journal";

fn options() -> Options {
    Options {
        background: false,
        segment_bytes_max: 64 << 10,
        stream_heads_max: 1 << 10,
        ..Options::default()
    }
}

fn quiet(_: &WorkProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn create(disk: &SimulatedDisk, options: Options) -> Journal {
    let create = CreateOptions { indexes: Indexes::ALL, ..CreateOptions::default() };
    Journal::create_on(Arc::new(disk.clone()), FOLDER, create, options).expect("created")
}

fn append(journal: &Journal, number: u64, durability: Durability) -> Receipt {
    let mut batch = Batch::new();
    for part in 0..=number % 3 {
        let payload = vec![number as u8; (number % 100 + part) as usize];
        let stream = format!("stream-{}", number % 5);
        batch.push(&NewEvent::new(stream.as_bytes(), 7, &payload)).expect("fits");
    }
    let key = number.to_le_bytes();
    let idempotency_key = number.is_multiple_of(4).then_some(&key[..]);
    let options = AppendOptions { durability, idempotency_key, ..AppendOptions::default() };
    journal.append(&batch, &options).expect("appended")
}

fn fill(journal: &Journal, numbers: std::ops::Range<u64>) -> Vec<Receipt> {
    numbers
        .map(|number| {
            if number % 100 == 99 {
                journal.tend().expect("tended");
            }
            append(journal, number, Durability::Written)
        })
        .collect()
}

fn verify(disk: &SimulatedDisk, folder: &str, heads: &[Head]) -> Result<Verified, Error> {
    let reader = Reader::open_on(Arc::new(disk.clone()), folder)?;
    let options = VerifyOptions { heads, extents: true, indexes: true };
    reader.verify(&options, &mut quiet)
}

fn check_all(disk: &SimulatedDisk, folder: &str) -> Checked {
    let options = CheckOptions { heads: &[], extents: true, indexes: true };
    check(disk, Path::new(folder), &options, &mut quiet).expect("it can be read")
}

/// A frame taken apart, to be changed.
#[derive(Clone)]
struct Parts {
    header: FrameHeader,
    records: Vec<Vec<u8>>,
    annex: Vec<u8>,
}

/// Where each frame lies in a segment's bytes.
fn frames(bytes: &[u8]) -> Vec<(u64, Parts)> {
    let (mut offset, mut found) = (BLOCK_BYTES, Vec::new());
    while offset < bytes.len() as u64 {
        offset = match step(&bytes[offset as usize..], offset) {
            Step::Frame { frame, next } => {
                let parts = Parts {
                    header: frame.header,
                    records: frame.records().map(|(_, record)| record.to_vec()).collect(),
                    annex: frame.annex_bytes().to_vec(),
                };
                found.push((offset, parts));
                next
            }
            Step::Mark { next, .. } | Step::Padding { next } => next,
            Step::Needs(_) | Step::Bad(_) => break,
        };
    }
    found
}

/// Makes another history, with right checks, numbers and digests throughout, and a manifest to it.
fn forge(disk: &SimulatedDisk, edit: impl FnOnce(&mut Vec<Parts>)) {
    let folder = Path::new(FOLDER);
    let mut manifest = manifest_file::read(disk, folder).expect("readable");
    let keys = StoreKeys::new(&manifest.store_id);
    let active = manifest.chain.last_mut().expect("a segment");
    let path = chain_path(folder, active.id);
    let old = disk.read_file(&path);
    let mut parts: Vec<_> = frames(&old).into_iter().map(|(_, parts)| parts).collect();
    edit(&mut parts);
    let mut bytes = old[..BLOCK_BYTES as usize].to_vec();
    let mut end =
        Follow { sequence: 0, frame_number: 0, last: keys.genesis(), time: parts[0].header.time };
    for part in parts {
        let start = bytes.len();
        bytes.resize(start + FRAME_HEADER_BYTES, 0);
        for (index, record) in part.records.iter().enumerate() {
            let at = bytes.len();
            bytes.extend_from_slice(record);
            let sequence = end.sequence + index as u64;
            record::assign_place(
                &mut bytes[at..],
                u64::from_le_bytes(record[16..24].try_into().expect("eight")),
                (at - start) as u32,
            );
            record::seal(&mut bytes[at..], &manifest.store_id, sequence);
        }
        bytes.extend_from_slice(&part.annex);
        let mut header = FrameHeader {
            frame_bytes: (bytes.len() - start) as u32,
            event_count: part.records.len() as u32,
            base_sequence: end.sequence,
            frame_number: end.frame_number,
            durable_end: part.header.durable_end.min(end.sequence),
            annex_bytes: part.annex.len() as u32,
            previous: end.last,
            ..part.header
        };
        let mut leaves: Vec<_> =
            bytes_leaves(&bytes[start..], header.event_count, &part.annex).collect();
        let root = merkle::root(&mut leaves);
        header.encode(&keys, &root, &mut bytes[start..]);
        end = end.after(&header);
        bytes.resize(align(bytes.len() as u64, FRAME_ALIGNMENT) as usize, 0);
    }
    bytes.resize(align(bytes.len() as u64, BLOCK_BYTES) as usize, 0);
    let file = disk.open(&path, Access::ReadWrite).expect("opened");
    file.truncate(0).expect("cut");
    file.write_at(0, &bytes).expect("written");
    active.end_sequence = end.sequence;
    active.end_frame = end.frame_number;
    active.last = end.last;
    manifest.is_clean = true;
    manifest.number += 1;
    replace(disk, folder, &manifest).expect("replaced");
    disk.remove(&folder.join(CONTROL_NAME)).expect("removed");
}

fn bytes_leaves(frame: &[u8], count: u32, annex: &[u8]) -> impl Iterator<Item = crate::Digest> {
    let mut at = FRAME_HEADER_BYTES;
    let mut leaves = Vec::new();
    for _ in 0..count {
        let length = record::length(&frame[at..]).expect("a record");
        leaves.push(crate::digest::leaf(&frame[at + 4..at + length]));
        at += length;
    }
    if !annex.is_empty() {
        leaves.push(crate::digest::leaf(annex));
    }
    leaves.into_iter()
}

/// A journal of one segment, left by a writer that was killed, and its head.
fn one_segment() -> (SimulatedDisk, Head) {
    let disk = SimulatedDisk::new(3);
    let journal = create(&disk, options());
    for number in 0..40 {
        disk.advance(1_000_000);
        append(&journal, number, Durability::Written);
    }
    journal.sync().expect("synced");
    let head = journal.head().expect("a head");
    (disk.kill(), head)
}

type Edit = (&'static str, fn(&mut Vec<Parts>));

#[test]
fn another_history_with_right_checks_and_digests_fails_against_a_kept_head() {
    let edits: [Edit; 13] = [
        ("a payload", |frames| {
            let record = &mut frames[7].records[0];
            *record.last_mut().expect("a payload") ^= 1;
        }),
        ("a kind", |frames| frames[7].records[0][24] ^= 1),
        ("a place in a stream", |frames| frames[7].records[0][16] ^= 1),
        ("the time", |frames| frames[7].header.time += 1),
        ("what was durable", |frames| frames[30].header.durable_end += 1),
        ("the epoch", |frames| frames[7].header.epoch += 1),
        ("the annex", |frames| {
            frames[8].annex.clear();
            put_idempotency(&mut frames[8].annex, &crate::Digest([1; 32]), b"another");
        }),
        ("no annex", |frames| frames[8].annex.clear()),
        ("two frames in the other order", |frames| {
            let (one, two) = (frames[10].header.time, frames[13].header.time);
            frames.swap(10, 13);
            (frames[10].header.time, frames[13].header.time) = (one, two);
        }),
        ("a frame taken out", |frames| drop(frames.remove(20))),
        ("a frame put in", |frames| frames.insert(20, frames[19].clone())),
        ("two frames as one", |frames| {
            let next = frames.remove(21);
            frames[20].records.extend(next.records);
        }),
        ("the end cut off", |frames| frames.truncate(25)),
    ];
    for (what, edit) in edits {
        let (disk, head) = one_segment();
        verify(&disk, FOLDER, &[head]).expect("it is what it was");
        forge(&disk, edit);
        let forged = verify(&disk, FOLDER, &[]).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_ne!(forged.head, head, "{what}");
        let refused = verify(&disk, FOLDER, &[head]);
        assert!(matches!(refused, Err(Error::Rewritten { .. })), "{what}: {refused:?}");
        let options = CheckOptions { heads: &[head], ..CheckOptions::default() };
        let checked = check(&disk, Path::new(FOLDER), &options, &mut quiet).expect("readable");
        assert!(checked.damage > 0, "{what}");
        let reader = Reader::open_on(Arc::new(disk.clone()), FOLDER).expect("opened");
        let proven = reader.prove(head.end_sequence - 1, &head);
        assert!(matches!(proven, Err(Error::Rewritten { .. })), "{what}: {proven:?}");
    }
    let (disk, head) = one_segment();
    forge(&disk, |_| {});
    let same = verify(&disk, FOLDER, &[head]).expect("forging nothing changes nothing");
    assert_eq!(same.head, head);
}

#[test]
fn each_flipped_byte_of_every_frame_is_found_and_told_where() {
    let disk = SimulatedDisk::new(3);
    let journal = create(&disk, options());
    for number in 0..12 {
        append(&journal, number, Durability::Written);
    }
    journal.sync().expect("synced");
    let path = chain_path(Path::new(FOLDER), journal.catalog().segments[0].id());
    let bytes = disk.read_file(&path);
    for (offset, parts) in frames(&bytes) {
        for at in offset..offset + u64::from(parts.header.frame_bytes) {
            disk.flip_bit(&path, at, (at % 8) as u32);
            let found = journal.verify(&VerifyOptions::default(), &mut quiet);
            match found {
                Err(Error::Corrupt { offset: told, .. }) => assert_eq!(told, offset),
                other => panic!("byte {at}: {other:?}"),
            }
            if at % 13 == 0 {
                let checked = check_all(&disk, FOLDER);
                assert!(checked.damage > 0, "byte {at}");
                assert_eq!(checked.findings[0].offset, offset, "byte {at}");
            }
            disk.flip_bit(&path, at, (at % 8) as u32);
        }
    }
    journal.verify(&VerifyOptions::default(), &mut quiet).expect("all is as it was");
}

#[test]
fn frames_at_every_border_of_what_is_read_at_once_are_verified() {
    let disk = SimulatedDisk::new(3);
    let large = Options { segment_bytes_max: 64 << 20, ..options() };
    let journal = create(&disk, large);
    for number in 0..300_u64 {
        let payload = vec![number as u8; if number.is_multiple_of(50) { 60_000 } else { 9_000 }];
        let mut batch = Batch::new();
        let events = if number == 150 { 30 } else { 1 };
        (0..events).for_each(|_| batch.push(&NewEvent::new(b"s", 1, &payload)).expect("fits"));
        journal.append(&batch, &AppendOptions::default()).expect("appended");
    }
    journal.sync().expect("synced");
    let verified = journal.verify(&VerifyOptions::default(), &mut quiet).expect("sound");
    assert_eq!(verified.head, journal.head().expect("a head"));
    assert_eq!((verified.frames, verified.events), (300, 329));
}

#[test]
fn a_sound_journal_has_no_findings_live_killed_or_closed() {
    let disk = SimulatedDisk::new(5);
    let key = Some(Arc::new(SigningKey::from_secret(&[1; 32])));
    let journal = create(&disk, Options { signing_key: key, ..options() });
    fill(&journal, 0..2000);
    journal.sync().expect("synced");
    journal.sign_head().expect("signed");
    fill(&journal, 2000..2400);
    journal.sync().expect("synced");
    append(&journal, 2400, Durability::Written);
    assert!(journal.catalog().segments.len() > 4);
    for disk in [disk.clone(), disk.kill(), disk.power_loss(1), disk.power_loss(2)] {
        let checked = check_all(&disk, FOLDER);
        assert_eq!(checked.damage, 0, "{:?}", checked.findings);
        assert!(checked.heads_compared >= 1 && checked.indexes > 2, "{checked:?}");
    }
    journal.close().expect("closed");
    let checked = check_all(&disk, FOLDER);
    assert_eq!(checked.findings, []);
    assert_eq!(checked.end_sequence, checked.durable_end);
    let verified = verify(&disk, FOLDER, &[]).expect("sound");
    assert_eq!((verified.events, verified.frames), (checked.events, checked.frames));
    assert!(verified.indexes > 2 && verified.heads_compared >= 2, "{verified:?}");
}

#[test]
fn a_check_tells_every_kind_of_damage_and_goes_on() {
    let disk = SimulatedDisk::new(5);
    let journal = create(&disk, options());
    fill(&journal, 0..2000);
    journal.sync().expect("synced");
    journal.tend().expect("tended");
    let segments = journal.catalog().segments.clone();
    journal.close().expect("closed");
    let folder = Path::new(FOLDER);
    let id = |place: usize| segments[place].id();
    disk.flip_bit(chain_path(folder, id(0)), 9000, 1);
    disk.flip_bit(index_path(folder, id(1), id(1)), 5000, 1);
    disk.flip_bit(chain_path(folder, id(2)), 40, 1);
    disk.remove(&chain_path(folder, id(3))).expect("removed");
    let bytes = disk.read_file(chain_path(folder, id(4))).len() as u64;
    disk.truncate_file(chain_path(folder, id(4)), bytes / 2);
    let checked = check_all(&disk, FOLDER);
    let path = |place: usize| chain_path(folder, id(place));
    let is_told = |path: &Path, what: &str| {
        checked.findings.iter().any(|at| at.path == path && at.what.contains(what))
    };
    assert!(is_told(&path(0), "events 39 to 41 are missing"), "{:#?}", checked.findings);
    assert!(is_told(&index_path(folder, id(1), id(1)), "scanned"), "{:#?}", checked.findings);
    assert!(is_told(&path(2), "header"), "{:#?}", checked.findings);
    assert!(is_told(&path(3), "not there"), "{:#?}", checked.findings);
    assert!(is_told(&path(4), "too short"), "{:#?}", checked.findings);
    assert!(checked.events > 1000, "{}", checked.events);
    let pieces = dump(&disk, folder, &mut |_| ControlFlow::Continue(())).expect("readable");
    assert!(pieces >= 3);
    disk.overwrite(folder.join("manifest"), 30, &[1, 2, 3]);
    assert!(check_all(&disk, FOLDER).damage > 0);
}

/// Saves a journal and compares what was saved with what it was; returns the report.
fn save(disk: &SimulatedDisk, to: &str, expected: &[crate::Event]) -> Salvaged {
    let saved = salvage(disk, Path::new(FOLDER), Path::new(to), &mut quiet).expect("saved");
    let journal = Journal::open_on(Arc::new(disk.clone()), to, options()).expect("opened");
    assert!(journal.recovery().was_clean);
    assert_eq!(journal.end(), saved.end_sequence);
    assert_eq!(journal.store_id(), saved.store_id);
    assert_ne!(saved.store_id, saved.parent);
    for event in expected.iter().filter(|event| event.sequence() < saved.end_sequence) {
        let sequence = event.sequence();
        match journal.read(sequence) {
            Ok(read) => {
                assert_eq!(read.record_bytes()[4..], event.record_bytes()[4..]);
                assert_eq!(read.time(), event.time());
            }
            Err(Error::Dropped { .. }) => {
                assert!(saved.missing.iter().any(|missing| missing.contains(&sequence)));
            }
            Err(error) => panic!("{sequence}: {error}"),
        }
    }
    let options = VerifyOptions { heads: &[], extents: true, indexes: true };
    let verified = journal.verify(&options, &mut quiet).expect("sound");
    assert_eq!(verified.events, saved.events);
    let head = journal.head().expect("a head");
    assert_eq!(verified.head, head);
    for event in expected.iter().step_by(31) {
        if let Ok(event) = journal.read(event.sequence()) {
            let proof = journal.prove(event.sequence(), &head).expect("proven");
            proof.verify(event.record_bytes(), &head).expect("it is in the new history");
        }
    }
    append(&journal, 5000, Durability::Durable);
    journal.close().expect("closed");
    assert_eq!(check_all(disk, to).damage, 0);
    saved
}

#[test]
fn whatever_is_sound_is_saved_with_its_sequences_and_the_rest_is_a_gap() {
    let disk = SimulatedDisk::new(5);
    let journal = create(&disk, options());
    fill(&journal, 0..2000);
    journal.sync().expect("synced");
    journal.tend().expect("tended");
    let end = journal.end();
    let events: Vec<_> = (0..end).map(|at| journal.read(at).expect("read")).collect();
    let segments = journal.catalog().segments.clone();
    let head = journal.head().expect("a head");
    drop(journal);
    let disk = disk.kill();
    let whole = save(&disk, "/whole", &events);
    assert_eq!((whole.events, whole.end_sequence, whole.problems.len()), (end, end, 0));
    assert!(whole.missing.is_empty() && whole.had_manifest);
    let folder = Path::new(FOLDER);
    let path = |place: usize| chain_path(folder, segments[place].id());
    disk.flip_bit(path(0), 9000, 1);
    disk.flip_bit(path(1), 100, 1);
    disk.remove(&path(2)).expect("removed");
    disk.overwrite(path(4), 20_000, &[0xff; 5000]);
    let part = save(&disk, "/part", &events);
    let missing: u64 = part.missing.iter().map(|missing| missing.end - missing.start).sum();
    assert_eq!(part.events + missing, end);
    assert!(part.missing.len() == 3 && part.problems.len() >= 3, "{part:?}");
    assert!(verify(&disk, "/part", &[head]).is_err(), "it is another history");
    disk.overwrite(folder.join("manifest"), 30, &[1, 2, 3]);
    let without = save(&disk, "/without", &events);
    assert!(!without.had_manifest);
    assert_eq!((&without.missing, without.events), (&part.missing, part.events));
}

fn put_cursor(disk: &SimulatedDisk, journal: &Journal, name: &str, end_sequence: u64) {
    let frame = match end_sequence.checked_sub(1) {
        None => crate::Digest::ZERO,
        Some(last) => journal.frame_bytes(&journal.catalog(), last).expect("there").header().digest,
    };
    let position = Position {
        store_id: journal.store_id(),
        name: name.to_string(),
        end_sequence,
        frame,
        query: crate::Digest([1; 32]),
        time: 5,
        commits: 3,
    };
    let folder = Path::new(FOLDER).join(CURSORS_NAME);
    disk.create_folder(&folder).expect("made");
    let file = disk.create(&folder.join(name)).expect("made");
    file.write_at(0, &position.encode().expect("fits")).expect("written");
    file.sync().expect("synced");
    disk.sync_folder(&folder).expect("synced");
}

#[test]
fn a_live_journal_is_copied_with_cursors_up_to_what_is_durable() {
    let disk = SimulatedDisk::new(5);
    let key = Some(Arc::new(SigningKey::from_secret(&[1; 32])));
    let journal = create(&disk, Options { signing_key: key, ..options() });
    let receipts = fill(&journal, 0..1500);
    journal.sync().expect("synced");
    journal.sign_head().expect("signed");
    let head = journal.head().expect("a head");
    let heads = journal.signed_heads().expect("readable");
    put_cursor(&disk, &journal, "reader", 700);
    put_cursor(&disk, &journal, "idle", 0);
    append(&journal, 1500, Durability::Written);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    for same_lineage in [true, false] {
        let to = if same_lineage { "/backup" } else { "/fork" };
        let options_of_copy = CopyOptions { same_lineage };
        let copied = copy(&shared, Path::new(FOLDER), Path::new(to), &options_of_copy, &mut quiet)
            .expect("copied");
        assert_eq!(copied.end_sequence, head.end_sequence, "what is durable, nothing else");
        assert_eq!((copied.events, copied.cursors), (head.end_sequence, 2));
        assert_eq!(copied.store_id == journal.store_id(), same_lineage);
        // Defect 13 of another store: its copies were not synced.
        let lost = disk.power_loss(7);
        let checked = check_all(&lost, to);
        assert_eq!((checked.findings.as_slice(), checked.cursors), (&[][..], 1));
        let copy = Journal::open_on(Arc::new(lost.clone()), to, options()).expect("opened");
        assert!(copy.recovery().was_clean);
        for sequence in 0..head.end_sequence {
            let (one, two) = (journal.read(sequence), copy.read(sequence));
            let (one, two) = (one.expect("read"), two.expect("read"));
            assert_eq!(one.record_bytes()[4..], two.record_bytes()[4..]);
        }
        let proven = copy.prove_frame(receipts[3].first_sequence, &head);
        if same_lineage {
            receipts[3].verify(&proven.expect("the same history"), &head).expect("it is");
            assert_eq!(copy.signed_heads().expect("readable"), heads);
        } else {
            assert!(matches!(proven, Err(Error::Rewritten { .. })));
            assert_eq!(copy.signed_heads().expect("readable").len(), 0);
        }
        // An idempotency key is still known.
        let again = append(&copy, 8, Durability::Written);
        assert_eq!(again.first_sequence, receipts[8].first_sequence);
        copy.close().expect("closed");
        let again = copy_of(&shared, to);
        assert!(matches!(again, Err(Error::NotEmpty { .. })));
    }
    fill(&journal, 1501..1600);
    journal.close().expect("closed");
}

fn copy_of(disk: &Arc<dyn Disk>, to: &str) -> Result<Copied, Error> {
    copy(disk, Path::new(FOLDER), Path::new(to), &CopyOptions::default(), &mut quiet)
}

#[test]
fn a_copy_that_a_crash_ended_is_no_journal_or_a_whole_one() {
    for same_lineage in [true, false] {
        let disk = SimulatedDisk::new(5);
        let journal = create(&disk, options());
        fill(&journal, 0..600);
        journal.sync().expect("synced");
        let end = journal.end();
        drop(journal);
        let (mut crashed, mut whole) = (0, 0);
        loop {
            let trial = disk.kill();
            trial.crash_at(trial.operations() + crashed);
            let shared: Arc<dyn Disk> = Arc::new(trial.clone());
            let options_of_copy = CopyOptions { same_lineage };
            let to = Path::new("/copy");
            let copied = copy(&shared, Path::new(FOLDER), to, &options_of_copy, &mut quiet);
            let after = trial.power_loss(crashed);
            match Journal::open_on(Arc::new(after.clone()), to, options()) {
                Ok(copy) => {
                    assert_eq!(copy.end(), end);
                    whole += 1;
                }
                // Segments alone are no journal that opens: the manifest comes last.
                Err(Error::NoJournal { .. }) => {
                    assert!(copied.is_err(), "it said that it was done")
                }
                Err(Error::Corrupt { path, .. }) if path.ends_with("manifest") => {
                    assert!(copied.is_err(), "it said that it was done")
                }
                Err(error) => panic!("crash at operation {crashed}: {error}"),
            }
            if copied.is_ok() {
                break;
            }
            crashed += 1;
        }
        assert!(crashed > 10 && whole >= 1, "{crashed} crashes");
    }
}

#[test]
fn work_ends_when_whoever_watches_wants_it_to() {
    let (disk, _) = one_segment();
    let mut stop = |_: &WorkProgress| ControlFlow::Break(());
    let folder = Path::new(FOLDER);
    let checked = check(&disk, folder, &CheckOptions::default(), &mut stop);
    assert!(matches!(checked, Err(Error::Interrupted)));
    let saved = salvage(&disk, folder, Path::new("/to"), &mut stop);
    assert!(matches!(saved, Err(Error::Interrupted)));
    let reader = Reader::open_on(Arc::new(disk), FOLDER).expect("opened");
    let verified = reader.verify(&VerifyOptions::default(), &mut stop);
    assert!(matches!(verified, Err(Error::Interrupted)));
}

/// A frame that was made soundly is whole: the helper above depends on it.
#[test]
fn forged_frames_are_authentic() {
    let (disk, _) = one_segment();
    forge(&disk, |frames| frames[7].header.time += 1);
    let manifest = manifest_file::read(&disk, Path::new(FOLDER)).expect("readable");
    let keys = StoreKeys::new(&manifest.store_id);
    let bytes = disk.read_file(chain_path(Path::new(FOLDER), manifest.chain[0].id));
    for (offset, _) in frames(&bytes) {
        let frame = Frame::decode(&bytes[offset as usize..]).expect("whole");
        assert!(frame.is_authentic(&keys, &mut FrameScratch::default()));
    }
}

#[test]
fn a_journal_from_which_events_were_dropped_is_checked_dumped_copied_and_saved() {
    let disk = SimulatedDisk::new(5);
    let journal = create(&disk, Options { idempotency_window: 0, ..options() });
    fill(&journal, 0..1500);
    journal.sync().expect("synced");
    journal.tend().expect("tended");
    put_cursor(&disk, &journal, "reader", 700);
    let head = journal.head().expect("a head");
    let old = |event: &crate::Event| {
        event.sequence() < 600 || (event.sequence() < 1500 && event.sequence().is_multiple_of(3))
    };
    let rule = crate::DropRule { may_drop: Some(&old), ..crate::DropRule::new("by age") };
    journal.drop_events(&rule).expect("dropped");
    let end = journal.end();
    let kept: Vec<_> = (0..end).filter_map(|sequence| journal.read(sequence).ok()).collect();
    assert!(kept.len() as u64 + 800 < end, "{} of {end}", kept.len());
    journal.close().expect("closed");
    let checked = check_all(&disk, FOLDER);
    assert_eq!(checked.findings, []);
    assert_eq!((checked.events, checked.cursors), (kept.len() as u64, 1));
    let (mut events, mut dropped) = (0, 0);
    let problems = dump(&disk, Path::new(FOLDER), &mut |piece| {
        match piece {
            Piece::Event(_) => events += 1,
            Piece::Dropped { sequences, reason, .. } => {
                assert_eq!(reason, "by age");
                dropped += sequences.end - sequences.start;
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    assert_eq!(problems.expect("readable"), 0);
    assert_eq!((events, events + dropped), (kept.len() as u64, checked.end_sequence));
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    for (to, same_lineage) in [("/fork", false), ("/backup", true), ("/saved", false)] {
        let how = CopyOptions { same_lineage };
        if to == "/saved" {
            let saved = salvage(&disk, Path::new(FOLDER), Path::new(to), &mut quiet);
            let saved = saved.expect("saved");
            assert_eq!(
                (&saved.problems[..], &saved.missing[..], saved.cursors),
                (&[][..], &[][..], 1)
            );
        } else {
            copy(&shared, Path::new(FOLDER), Path::new(to), &how, &mut quiet).expect("copied");
        }
        assert_eq!(check_all(&disk, to).findings, [], "{to}");
        let heads = if same_lineage { &[head][..] } else { &[] };
        verify(&disk, to, heads).expect("sound");
        let copy = Journal::open_on(Arc::clone(&shared), to, options()).expect("opened");
        let mut kept = kept.iter().peekable();
        for sequence in 0..end {
            let read = copy.read(sequence);
            match kept.next_if(|event| event.sequence() == sequence) {
                Some(event) => {
                    let read = read.expect("kept");
                    assert_eq!(read.record_bytes()[4..], event.record_bytes()[4..]);
                }
                None => match read {
                    Err(Error::Dropped { reason, .. }) => assert_eq!(reason, "by age"),
                    other => panic!("{sequence}: {other:?}"),
                },
            }
        }
        let head = copy.head().expect("a head");
        let proof = copy.prove(1001, &head).expect("proven");
        let event = copy.read(1001).expect("kept");
        proof.verify(event.record_bytes(), &head).expect("it is in the history");
    }
}
