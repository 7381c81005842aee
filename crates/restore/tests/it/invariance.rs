//! What a verdict does not depend on: tiles, memory, kernels, how the bytes are packed. And what
//! keeps one from being given: a request to stop.

use std::path::PathBuf;

use icecore_hash::Kernel;
use icecore_restore::{Answer, CheckId, Error, Options, Pair, Progress, Verdict, verify};
use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};

use crate::{
    case::From,
    support::{
        Forms, append, archives_in, failed, lz4, records, shared, tiny_full, tiny_incremental,
        unpack, verify_files, verify_files_with, zstd, zstd_frame,
    },
};

/// A verdict without what is said of the container.
fn without_container(mut verdict: Verdict) -> Verdict {
    verdict.archive.clear();
    for check in &mut verdict.checks {
        if matches!(check.id, CheckId::C1 | CheckId::C2) {
            check.detail.clear();
        }
    }
    verdict
}

/// The pairs whose verdicts are compared.
fn pairs() -> Vec<(PathBuf, Option<PathBuf>)> {
    let mut pairs = vec![(tiny_full(), Some(tiny_incremental()))];
    for name in
        ["old-2.3-merkle", "old-2.3-lattice", "damaged/same-key-twice-in-one-storage-identical"]
    {
        pairs.extend(shared(name).map(|folder| archives_in(&folder)));
    }
    pairs
}

#[test]
fn tiles_and_kernels_make_no_difference() {
    for (full, incremental) in pairs() {
        let verdicts = |cores: usize, tiles: &str, kernel: Option<Kernel>| {
            let tiles = tiles.parse().expect("a plan");
            let options = Options { tiles, kernel, ..Options::for_cores(cores) };
            verify_files_with(&full, incremental.as_deref(), &options)
                .expect("the archives can be read")
                .archives
        };
        let one = verdicts(1, "decompress=1,hash=1", None);
        for (cores, tiles) in [
            (2, "hash=2"),
            (7, "hash=7,decompress=4"),
            (1, "hash=32,decompress=32"),
            (2, "read+split+parse"),
            (2, "read+split,hash=1"),
        ] {
            assert_eq!(verdicts(cores, tiles, None), one, "{tiles}");
        }
        let portable = verdicts(1, "decompress=3,hash=5", Some(Kernel::Portable));
        assert_eq!(portable, one, "the portable kernel");
    }
}

#[test]
fn memory_makes_no_difference_and_what_does_not_fit_is_spilled() {
    let mut spilled = 0;
    for (full, incremental) in pairs() {
        let report = |memory_bytes_max| {
            let options = Options { memory_bytes_max, ..Options::for_cores(2) };
            verify_files_with(&full, incremental.as_deref(), &options)
                .expect("the archives can be read")
        };
        let plenty = report(1 << 30);
        assert_eq!(plenty.work.bytes_spilled, 0);
        for bytes in [1 << 20, 64 << 10] {
            let scarce = report(bytes);
            assert_eq!(scarce.archives, plenty.archives, "{bytes} bytes of memory");
            spilled += scarce.work.bytes_spilled;
        }
    }
    assert!(spilled > 0, "memory was not scarce");
}

/// Many wrong records, more than are told: which of them are told depends on nothing but the
/// archive.
#[test]
fn the_same_wrong_records_are_told_by_any_number_of_threads() {
    let verdict = |cores| {
        let mut subject = From::Full.subject();
        let full = &mut subject.forms.full;
        for at in records(full) {
            at.bytes_mut(full)[crate::support::field::EXECUTABLE] |= 2;
        }
        subject.options = Options::for_cores(cores);
        subject.verify().expect("it can be read").remove(0)
    };
    let one = verdict(1);
    let told = &one.check(CheckId::A1).records;
    assert_eq!(told.len(), 16);
    assert!(one.check(CheckId::A1).detail.contains("more"), "the rest are counted");
    for cores in [2, 7] {
        assert_eq!(verdict(cores), one, "{cores} threads");
    }
}

/// A skippable frame of the user's own.
fn skippable(content: &[u8]) -> Vec<u8> {
    let mut frame = 0x184d_2a57_u32.to_le_bytes().to_vec();
    frame.extend((content.len() as u32).to_le_bytes());
    frame.extend(content);
    frame
}

#[test]
fn any_container_gives_the_same_verdict() {
    let forms = Forms::full();
    let tar = forms.full.tar();
    let verdict = |extension: &str, bytes: &[u8]| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = forms.full.write_as(folder.path(), extension, bytes);
        let report = verify_files_with(&path, None, &Options::for_cores(3));
        without_container(report.expect("it can be read").archives.remove(0))
    };
    let expected = verdict("tar.zst", &zstd(&tar));
    assert_eq!(expected.verdict, Answer::Consistent);

    let pieces_of = |bytes: usize| tar.chunks(bytes).map(zstd).collect::<Vec<_>>();
    let mut odd = vec![
        ("tar", tar.clone()),
        // The content decides, not the name.
        ("tar.lz4", zstd(&tar)),
        ("tar.zst", tar.clone()),
        ("tar.zst", zstd_frame(&tar, true)),
        ("tar.zst", [zstd(&[]), zstd(&tar), zstd(&[])].concat()),
        ("tar.zst", [skippable(b""), skippable(b"index"), zstd(&tar), skippable(&tar)].concat()),
        // Skippable frames beyond what is looked at to tell the container.
        ("tar.zst", [skippable(&vec![7; 3 << 20]), zstd(&tar)].concat()),
        ("tar.zst", pieces_of(32 << 10).join(&skippable(b"between")[..])),
        // Cut at every few bytes: within headers, records, the manifest, everywhere.
        ("tar.zst", pieces_of(97).concat()),
        ("tar.zst", pieces_of(1013).join(&zstd(&[])[..])),
    ];
    for mode in [BlockMode::Independent, BlockMode::Linked] {
        for size in [BlockSize::Max64KB, BlockSize::Max4MB] {
            for checksums in [false, true] {
                let info = FrameInfo::new()
                    .block_mode(mode)
                    .block_size(size)
                    .block_checksums(checksums)
                    .content_checksum(checksums);
                odd.push(("tar.lz4", lz4(&tar, info)));
            }
        }
    }
    let pieces: Vec<_> = tar.chunks(5003).map(|piece| lz4(piece, FrameInfo::new())).collect();
    odd.push(("tar.lz4", pieces.join(&skippable(b"between")[..])));
    for (number, (extension, bytes)) in odd.iter().enumerate() {
        assert!(unpack(bytes).is_ok_and(|unpacked| unpacked == tar), "container {number}");
        assert_eq!(verdict(extension, bytes), expected, "container {number}");
    }
}

/// An older version of an account in an older storage: its sum has to be taken out again. However
/// the tar is cut into frames, the second look finds it, and where there are many frames it enters
/// those only in which something wanted ends.
#[test]
fn a_second_look_enters_only_the_frames_that_it_wants() {
    let mut forms = Forms::full();
    let full = &mut forms.full;
    let all = records(full);
    let newest = all.iter().max_by_key(|record| record.slot).expect("records").clone();
    let oldest = all.iter().min_by_key(|record| record.slot).expect("records").clone();
    let mut older = newest.bytes(full).to_vec();
    older[crate::support::field::LAMPORTS.start] ^= 1;
    append(&mut full.members[oldest.member].content, &older);
    full.relist();
    let tar = full.tar();
    let verify = |bytes: &[u8], cores| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = full.write_as(folder.path(), "tar.zst", bytes);
        let options = Options::for_cores(cores);
        verify_files_with(&path, None, &options).expect("it can be read")
    };
    let mut report = verify(&zstd(&tar), 1);
    assert_eq!(report.work.records_looked_at_again, 1);
    assert_eq!(report.work.frames_passed_over, 0, "its only frame");
    let expected = without_container(report.archives.remove(0));
    assert_eq!(expected.verdict, Answer::Consistent);
    // With the tiniest frames more would have to be kept at borders than is allowed: all are entered.
    for (bytes, is_bounded) in [(61, true), (1013, false), (5003, false), (100_000, false)] {
        let frames: Vec<_> = tar.chunks(bytes).map(zstd).collect();
        for cores in [1, 4] {
            let mut report = verify(&frames.concat(), cores);
            assert_eq!(report.work.records_looked_at_again, 1, "frames of {bytes}");
            let passed_over = report.work.frames_passed_over;
            let expected_over = if is_bounded { 0 } else { frames.len() as u64 - 1 };
            assert_eq!(passed_over, expected_over, "frames of {bytes}");
            assert_eq!(without_container(report.archives.remove(0)), expected, "{bytes}");
        }
    }
}

#[test]
fn a_run_that_is_interrupted_ends_with_an_error() {
    let progress = Progress::default();
    progress.interrupt();
    let mut pair = Pair::files(tiny_full(), None).expect("bundled");
    let error = verify(&mut pair, &Options::for_cores(2), &progress).expect_err("interrupted");
    assert!(matches!(error, Error::Interrupted), "{error}");
}

#[test]
fn a_source_is_read_again_from_the_start() {
    let mut pair = Pair::files(tiny_full(), Some(&tiny_incremental())).expect("bundled");
    let options = Options::for_cores(1);
    let first = verify(&mut pair, &options, &Progress::default()).expect("sound");
    let second = verify(&mut pair, &options, &Progress::default()).expect("sound");
    assert_eq!(first, second);
    let report = verify_files(&tiny_full(), None).expect("sound");
    assert_eq!(failed(report.last()), []);
}
