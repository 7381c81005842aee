//! The same tar stream in another container.

use std::{fs, path::Path};

use icecore_archive::writing::{frame_encoder::Packing, frame_plan::FRAME_BYTES_DEFAULT};
use icecore_batch::{Error, Recompressed, WriteOptions, recompress};
use icecore_restore::{Options, Progress};

use crate::support::{
    archives_in, cores, folder, load, names, packed, shared, tiny, unpacked, verify_strictly,
};

fn repacked(
    archive: &Path,
    folder: &Path,
    write: &WriteOptions,
    options: &Options,
) -> Recompressed {
    recompress(archive, folder, write, options, &Progress::default()).expect("a sound archive")
}

const PACKED: [(Packing, u32); 3] = [
    (Packing::Zstd { level: 1 }, FRAME_BYTES_DEFAULT),
    (Packing::Zstd { level: 7 }, 64 << 10),
    (Packing::Lz4, 64 << 10),
];

#[test]
fn a_recompressed_archive_has_the_same_tar_stream_and_loads_in_the_reference_client() {
    let (full, incremental) = archives_in(&tiny());
    let incremental = incremental.expect("the set has one");
    for (packing, frame_bytes) in PACKED {
        let folder = folder();
        let write = packed(packing, frame_bytes);
        let [full, incremental] = [&full, &incremental].map(|archive| {
            let made = repacked(archive, folder.path(), &write, &cores(2));
            let tar = unpacked(archive);
            assert_eq!(unpacked(&made.made.path), tar);
            assert_eq!(made.tar_bytes, tar.len() as u64);
            let digest = made.tar_blake3.map(|digest| digest.0);
            assert_eq!(digest, Some(*blake3::hash(&tar).as_bytes()));
            assert_eq!(made.made.bytes, fs::metadata(&made.made.path).expect("it is there").len());
            assert_eq!(made.made.frames > 1, frame_bytes < FRAME_BYTES_DEFAULT);
            made.made.path
        });
        assert_eq!(names(folder.path()).len(), 2, "nothing else is left");
        verify_strictly(&full, Some(&incremental), &tiny());
        load(&full, None, &tiny(), Some("truth-full-46.json"));
        load(&full, Some(&incremental), &tiny(), Some("truth-incremental-62.json"));
    }
}

#[test]
fn the_same_bytes_come_of_any_number_of_threads_and_of_any_container() {
    let (full, _) = archives_in(&tiny());
    let write = packed(Packing::Zstd { level: 3 }, 32 << 10);
    let expected = folder();
    let expected = fs::read(repacked(&full, expected.path(), &write, &cores(1)).made.path);
    let expected = expected.expect("just written");
    for threads in [2, 5] {
        let other = folder();
        let made = repacked(&full, other.path(), &write, &cores(threads));
        assert!(fs::read(made.made.path).expect("just written") == expected, "{threads} threads");
    }
    let unseen = WriteOptions { verify: false, ..write };
    let other = folder();
    let made = repacked(&full, other.path(), &unseen, &cores(2));
    assert_eq!((made.tar_blake3, made.made.is_verified), (None, false));
    assert!(fs::read(made.made.path).expect("just written") == expected, "not looked at");
    // Ours as input of ours: many frames, one lz4 frame, plain tar.
    for (packing, frame_bytes) in
        [(Packing::Zstd { level: 1 }, 20_000), (Packing::Lz4, 100_000), (Packing::Tar, 1 << 20)]
    {
        let (between, last) = (folder(), folder());
        let between = repacked(&full, between.path(), &packed(packing, frame_bytes), &cores(2));
        let made = repacked(&between.made.path, last.path(), &write, &cores(2));
        assert!(fs::read(made.made.path).expect("just written") == expected, "{packing:?}");
    }
}

#[test]
fn archives_of_every_age_are_packed_anew() {
    for (set, truth) in [
        ("small", "truth-incremental-297.json"),
        ("old-2.3-lattice", "truth-incremental-56.json"),
        ("old-2.3-lattice/lz4", ""),
    ] {
        let Some(set) = shared(set) else { return };
        let folder = folder();
        let write = packed(Packing::Zstd { level: 1 }, 1 << 20);
        let mut made = names(&set)
            .into_iter()
            .filter(|name| name.contains("snapshot-") && name.contains(".tar."))
            .map(|name| repacked(&set.join(name), folder.path(), &write, &cores(2)).made.path)
            .collect::<Vec<_>>();
        made.sort();
        let [incremental, full] = &made[..] else { panic!("a pair: {made:?}") };
        if !truth.is_empty() {
            verify_strictly(full, Some(incremental), &set);
            load(full, Some(incremental), &set, Some(truth));
        }
    }
}

#[test]
fn what_is_damaged_or_there_already_leaves_nothing() {
    let (full, _) = archives_in(&tiny());
    let write = WriteOptions::default();
    let name = full.file_name().expect("a file");
    let sound = fs::read(&full).expect("bundled");

    // Cut within its last member, so that only the tar stream can tell.
    let tar = unpacked(&full);
    let mut cut = vec![0; zstd_safe::compress_bound(tar.len())];
    let bytes = zstd_safe::compress(&mut cut[..], &tar[..tar.len() - 5000], 1).expect("room");
    cut.truncate(bytes);
    for damaged in [sound[..sound.len() / 2].to_vec(), cut] {
        let (from, to) = (folder(), folder());
        let archive = from.path().join(name);
        fs::write(&archive, damaged).expect("written");
        let error = recompress(&archive, to.path(), &write, &cores(2), &Progress::default())
            .expect_err("it is damaged");
        let error = match error {
            Error::Restore(error @ icecore_restore::Error::Damaged { .. }) => error.to_string(),
            other => panic!("{other}"),
        };
        assert!(error.starts_with(name.to_str().expect("text")), "{error}");
        assert_eq!(names(to.path()), Vec::<String>::new());
    }

    let to = folder();
    fs::write(to.path().join(name), b"somebody's").expect("written");
    let error = recompress(&full, to.path(), &write, &cores(2), &Progress::default())
        .expect_err("it is there");
    assert!(matches!(error, Error::Disk(icecore_disk::Error::Exists { .. })), "{error}");
    assert_eq!(fs::read(to.path().join(name)).expect("still there"), b"somebody's");
    assert_eq!(names(to.path()).len(), 1);
}

#[test]
fn an_interrupted_recompression_leaves_nothing() {
    let (full, _) = archives_in(&tiny());
    let to = folder();
    let progress = Progress::default();
    progress.interrupt();
    let error = recompress(&full, to.path(), &WriteOptions::default(), &cores(2), &progress)
        .expect_err("it was told to stop");
    assert!(matches!(error, Error::Restore(icecore_restore::Error::Interrupted)), "{error}");
    assert_eq!(names(to.path()), Vec::<String>::new());
}
