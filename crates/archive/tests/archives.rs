//! Real archives, whole and damaged, from the file's bytes to the records.

mod common;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use common::{Listing, archives_under, bundled, decode, decode_by_oracle, read_tar, shared};
use icecore_archive::{
    Error,
    choose::{Candidate, best_pair},
    container::ContainerKind,
    members::{MemberFault, MemberKind, classify, parse_version},
    names::{ArchiveName, Compression},
    storage::{StorageEvent, StorageFault, StorageReader},
    tar::EndBlocks,
    zstd_frames::{FrameEvent, FrameKind, FrameWalker},
    zstd_stream::ZstdFrameDecoder,
};
use icecore_types::{Pubkey, Record, Slot};

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("a file with a plain name")
}

/// Everything up to the members.
fn open(path: &Path) -> Result<Listing, Error> {
    let bytes = fs::read(path).expect("the file can be read");
    read_tar(&decode(&bytes, &[100_000], 300_000)?, &[70_001])
}

/// The file in a damaged set's folder, `None` where the data is not there.
fn damaged(case: &str) -> Option<PathBuf> {
    let folder = shared("damaged")?.join(case);
    let mut files = archives_under(&folder);
    files.retain(|path| file_name(path).starts_with("snapshot-"));
    Some(files.pop().expect("each case has a full archive"))
}

/// The storages, by slot, with their content.
fn storages(listing: &Listing) -> Vec<(Slot, &[u8])> {
    fn storage((member, content): &common::Content) -> Option<(Slot, &[u8])> {
        match classify(&member.path, member.kind).expect("it belongs") {
            MemberKind::Storage { slot, .. } => Some((slot, &content[..])),
            _ => None,
        }
    }
    listing.members.iter().filter_map(storage).collect()
}

/// Newest versions: key to slot and lamports.
type State = HashMap<Pubkey, (Slot, u64)>;

/// Adds the records of an archive and gives the faults.
fn add(state: &mut State, listing: &Listing, piece: usize) -> Vec<(Slot, StorageFault)> {
    let mut faults = Vec::new();
    for (slot, content) in storages(listing) {
        let mut reader = StorageReader::new(content.len() as u64, None);
        let mut record = |bytes: &[u8]| {
            let record = Record::parse(bytes).expect("a whole record");
            assert_eq!(136 + record.data.len(), bytes.len());
            let account = record.account();
            let newest = state.entry(*account.pubkey).or_default();
            if slot >= newest.0 {
                *newest = (slot, account.lamports);
            }
        };
        let mut is_ended = false;
        for mut piece in content.chunks(piece).chain([&[][..]]) {
            while let Some(event) = reader.next(&mut piece).expect("no errors") {
                match event {
                    StorageEvent::Record { bytes, .. } => record(bytes),
                    StorageEvent::Joined { bytes, .. } => record(&bytes),
                    StorageEvent::Fault { kind, .. } => faults.push((slot, kind)),
                    StorageEvent::End { .. } => is_ended = true,
                }
            }
        }
        assert!(is_ended);
    }
    faults
}

fn assert_truth(state: &State, path: &Path) {
    let text = fs::read_to_string(path).expect("the truth can be read");
    let truth: serde_json::Value = serde_json::from_str(&text).expect("the truth is JSON");
    let live = state.values().filter(|(_, lamports)| *lamports > 0);
    let capitalization: u64 = live.clone().map(|(_, lamports)| lamports).sum();
    assert_eq!(Some(live.count() as u64), truth["num_accounts"].as_u64(), "{path:?}");
    assert_eq!(Some(capitalization), truth["capitalization"].as_u64(), "{path:?}");
}

/// A folder with one pair and its truth.
fn check_pair(folder: &Path, archives: &Path) {
    let candidate = |path: PathBuf| {
        let file = file_name(&path).to_owned();
        let name = ArchiveName::parse(&file).expect("an archive's name");
        assert_eq!(name.to_string(), file);
        Candidate { name, file, remote: false }
    };
    let mut candidates: Vec<_> = archives_under(archives).into_iter().map(candidate).collect();
    // The folder of the lz4 archives lies in that of the zstd archives.
    candidates.retain(|candidate| archives.join(&candidate.file).exists());
    let (full, incremental) = best_pair(&candidates).expect("a full archive");
    let incremental = incremental.expect("an incremental archive");
    let mut state = State::new();
    for (candidate, truth, piece) in [
        (full, format!("truth-full-{}.json", full.name.slot()), 10_000),
        (incremental, format!("truth-incremental-{}.json", incremental.name.slot()), 777),
    ] {
        let listing = open(&archives.join(&candidate.file)).expect("a good archive");
        assert_eq!(listing.end.end_blocks, EndBlocks::Present);
        assert_eq!(add(&mut state, &listing, piece), []);
        assert_truth(&state, &folder.join(truth));
    }
}

#[test]
fn the_bundled_pair_holds_what_the_reference_client_says() {
    check_pair(&bundled(), &bundled());
}

#[test]
fn the_shared_pairs_hold_what_the_reference_client_says_as_zstd_and_as_lz4() {
    for set in ["tiny", "small", "old-2.3-lattice", "old-2.3-merkle"] {
        let Some(folder) = shared(set) else {
            return;
        };
        check_pair(&folder, &folder);
        check_pair(&folder, &folder.join("lz4"));
    }
}

#[test]
fn members_are_as_the_tar_crate_says_in_every_archive() {
    let mut paths = archives_under(&bundled());
    for set in ["tiny", "small", "golden", "legacy", "old-2.3-lattice", "old-2.3-merkle"] {
        paths.extend(shared(set).iter().flat_map(|folder| archives_under(folder)));
    }
    for path in paths {
        let bytes = fs::read(&path).expect("the file can be read");
        let stream = decode(&bytes, &[4096], 1 << 20).expect("a good archive");
        assert!(stream == decode_by_oracle(&path), "{path:?}");
        let listing = read_tar(&stream, &[65_536]).expect("a good archive");
        assert_eq!(listing, read_tar(&stream, &[997]).expect("a good archive"));
        assert!(listing.padding.is_empty());
        let mut oracle = tar::Archive::new(&stream[..]);
        let entries = oracle.entries().expect("it begins");
        let mut count = 0;
        for ((member, content), entry) in listing.members.iter().zip(entries) {
            let mut entry = entry.expect("a good entry");
            let mut expected = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut expected).expect("it is all there");
            assert_eq!(member.path.as_bytes(), &*entry.path_bytes());
            assert_eq!(member.data_offset, entry.raw_file_position());
            assert_eq!(member.offset, entry.raw_header_position());
            assert!(*content == expected);
            match classify(&member.path, member.kind).expect("it belongs") {
                MemberKind::Version => parse_version(content).expect("1.2.0"),
                MemberKind::Manifest { folder, file } => assert_eq!(folder, file),
                _ => {}
            }
            count += 1;
        }
        assert_eq!(count, listing.members.len());
        let all = tar::Archive::new(&stream[..]).entries().expect("it begins").count();
        assert_eq!(count, all);
        if let Ok(name) = ArchiveName::parse(file_name(&path)) {
            let is_tar = bytes == stream;
            assert_eq!(name.compression() == Compression::None, is_tar);
        }
    }
}

#[test]
fn storages_of_old_clients_end_in_zeros() {
    let Some(folder) = shared("legacy") else {
        return;
    };
    for path in archives_under(&folder) {
        let listing = open(&path).expect("a good archive");
        let mut state = State::new();
        assert_eq!(add(&mut state, &listing, 4096), [], "{path:?}");
        assert!(state.len() > 5, "{path:?}");
    }
}

/// The bundled full archive as a tar stream.
fn bundled_stream() -> Vec<u8> {
    let paths = archives_under(&bundled());
    let full = paths.iter().find(|path| file_name(path).starts_with("snapshot-"));
    decode_by_oracle(full.expect("it is bundled"))
}

#[test]
fn frames_are_found_and_decoded_one_by_one_in_a_file_of_many() {
    let stream = bundled_stream();
    let mut file = Vec::new();
    for piece in stream.chunks(50_000) {
        let mut frame = vec![0; zstd_safe::compress_bound(piece.len())];
        let length = zstd_safe::compress(&mut frame[..], piece, 1).expect("it compresses");
        file.extend(&frame[..length]);
        file.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    }
    let mut walker = FrameWalker::new();
    let mut decoder = ZstdFrameDecoder::new();
    let mut decoded = Vec::new();
    let mut output = vec![0; 50_000];
    let mut is_data = false;
    for mut piece in file.chunks(1234) {
        while let Some(event) = walker.next(&mut piece).expect("good frames") {
            match event {
                FrameEvent::FrameStart { header } => {
                    is_data = !matches!(header.kind, FrameKind::Skippable { .. });
                    decoder.reset_at(header.offset);
                }
                FrameEvent::Bytes(mut bytes) if is_data => {
                    while !bytes.is_empty() {
                        let progress = decoder.decode(&mut bytes, &mut output);
                        let written = progress.expect("a good frame").written;
                        decoded.extend_from_slice(&output[..written]);
                    }
                }
                FrameEvent::Bytes(_) | FrameEvent::FrameEnd { .. } => {}
                FrameEvent::Trailing { offset } => panic!("nothing follows at {offset}"),
            }
        }
    }
    let end = walker.finish().expect("whole frames");
    let frames = stream.len().div_ceil(50_000) as u64;
    assert_eq!((end.data_frames, end.skippable_frames), (frames, frames));
    assert!(decoded == stream);
}

#[test]
fn damaged_members_are_refused_with_their_reason() {
    for (case, fault) in [
        ("absolute-path", MemberFault::Absolute),
        ("dot-slash-paths", MemberFault::Dot),
        ("extra-file", MemberFault::Name),
        ("parent-path", MemberFault::Parent),
        ("symlink-entry", MemberFault::Type),
    ] {
        let Some(path) = damaged(case) else {
            return;
        };
        let listing = open(&path).expect("a good tar stream");
        let errors: Vec<_> = listing
            .members
            .iter()
            .filter_map(|(member, _)| classify(&member.path, member.kind).err())
            .collect();
        assert!(!errors.is_empty(), "{case}");
        for error in errors {
            assert_eq!(error.fault, fault, "{case}: {error}");
            assert_eq!(Error::from(error).check_id(), "C3");
        }
    }
}

#[test]
fn damaged_storages_have_faults() {
    let record = |case: &str| -> Option<Vec<(Slot, StorageFault)>> {
        let listing = open(&damaged(case)?).expect("a good tar stream");
        Some(add(&mut State::new(), &listing, 5000))
    };
    let only = |case: &str, expected: fn(&StorageFault) -> bool| {
        if let Some(faults) = record(case) {
            assert!(matches!(&faults[..], [(_, fault)] if expected(fault)), "{case}: {faults:?}");
        }
    };
    only("storage-empty-file", |fault| *fault == StorageFault::Empty);
    only("data_len-11MiB", |fault| *fault == StorageFault::DataTooLong { data_bytes: 11 << 20 });
    only("storage-truncated-1-byte", |fault| match fault {
        StorageFault::RecordDoesNotFit { needed, left } => *needed == left + 1,
        _ => false,
    });
    for case in [
        "control",
        "gnu-sparse-type",
        "accounts-dir-entry",
        "storage-trailing-200-zero-bytes",
        "no-tombstones",
        "executable-byte-2",
        "one-storage-holding-everything_slot_1",
        "tar-no-end-blocks",
    ] {
        if let Some(faults) = record(case) {
            assert_eq!(faults, [], "{case}");
        }
    }
}

#[test]
fn other_damage_is_found_where_it_is() {
    let Some(path) = damaged("tar-no-end-blocks") else {
        return;
    };
    let end = open(&path).expect("a good tar stream").end;
    assert_eq!((end.end_blocks, end.trailing_bytes), (EndBlocks::Missing, 0));

    let path = damaged("control").expect("the data is there");
    let end = open(&path).expect("a good tar stream").end;
    assert_eq!((end.end_blocks, end.trailing_nonzero), (EndBlocks::Present, None));

    let path = damaged("zst-truncated").expect("the data is there");
    let length = fs::metadata(&path).expect("it is there").len();
    let error = open(&path).expect_err("it is cut");
    let container = ContainerKind::Zstd;
    assert_eq!(error, Error::ContainerEnds { container, offset: length, frame_offset: 0 });

    let path = damaged("version-1.3.0").expect("the data is there");
    let listing = open(&path).expect("a good tar stream");
    let (_, content) =
        &listing.members.iter().find(|(member, _)| member.path == "version").expect("it is there");
    let error = parse_version(content).expect_err("another version");
    assert_eq!(error, Error::Version { found: "1.3.0".to_owned() });
    assert_eq!(error.check_id(), "C4");

    let path = damaged("version-missing").expect("the data is there");
    let listing = open(&path).expect("a good tar stream");
    assert!(listing.members.iter().all(|(member, _)| member.path != "version"));
}

#[test]
fn a_bare_storage_is_read_to_its_end() {
    let Some(folder) = shared("golden") else {
        return;
    };
    let bytes = fs::read(folder.join("append-vec-162224")).expect("the file can be read");
    let mut reader = StorageReader::new(bytes.len() as u64, None);
    let mut input = &bytes[..];
    let mut records = 0;
    while let Some(event) = reader.next(&mut input).expect("no errors") {
        match event {
            StorageEvent::Record { number, .. } => {
                assert_eq!(number, records);
                records += 1;
            }
            StorageEvent::End { records: counted, records_end, trailing_bytes } => {
                assert_eq!(counted, records);
                assert_eq!(records_end + trailing_bytes, bytes.len() as u64);
                assert!(trailing_bytes < 136, "{trailing_bytes}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((records, input.len()), (6, 0));
}
