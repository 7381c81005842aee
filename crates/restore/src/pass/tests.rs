//! Passes as a whole: what tiles may not do is stopped, and a stopped pass leaves the tiles ready
//! for the next one.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use icecore_archive::{members::MemberKind, storage::StorageFault, tar::TarMember};
use icecore_disk::{ReadOptions, SequentialReader};
use icecore_tile::{Frame, SandboxMode};

use super::{
    Feed, Pipeline, Setup,
    batch::{Batch, Place},
    slots::Worker,
    walk::{StorageHead, Visitor, Wanted},
    with_pipeline,
};
use crate::{
    Error, Options, Progress, SpillError,
    damage::Damage,
    spill::SpillFile,
    tiles::{Isolation, Placement},
};

/// Bytes with which a file, a decompressed block or a record's data make the tile of the kind that
/// follows do what it may not.
const TRESPASS: &[u8] = b"trespass ";

/// Called by tiles in tests, with bytes that they have before them: opens a file if these say so.
pub(super) fn trespass(kind: &str, bytes: &[u8]) {
    if bytes.strip_prefix(TRESPASS).is_some_and(|rest| rest.starts_with(kind.as_bytes())) {
        let refused = icecore_disk::File::open("/proc/version");
        drop(refused);
    }
}

struct AllRecords;

impl Visitor for AllRecords {
    fn member(&mut self, member: &TarMember, kind: &MemberKind) -> Wanted {
        match *kind {
            MemberKind::Storage { slot, id } => {
                let (bytes, tar_offset) = (member.size, member.data_offset);
                let head = StorageHead { slot, id, bytes, tar_offset };
                Wanted::Records { head, listed: None }
            }
            _ => Wanted::Nothing,
        }
    }

    fn bytes(&mut self, _: &[u8]) {}

    fn member_end(&mut self) {}

    fn choose(&mut self, _: Place) -> Result<Option<u32>, Error> {
        unreachable!("all are wanted")
    }

    fn padding_not_zero(&mut self, _: u64) {}

    fn fault(&mut self, _: Damage) {}

    fn storage_fault(&mut self, _: Place, _: u64, _: StorageFault) {}
}

/// Counts records; looks at their data as a trespasser would.
struct Counter(usize);

impl Worker for Counter {
    fn batch(&mut self, batch: &Batch<'_>, _: &Frame<'_>) -> Result<ControlFlow<()>, Error> {
        for (_, record) in batch.records() {
            trespass("hash", record.data);
            if record.data == b"fail" {
                return Err(Error::Interrupted);
            }
        }
        self.0 += batch.len();
        Ok(ControlFlow::Continue(()))
    }
}

/// A plain tar file with a storage of one record with this data.
fn tar_with(data: &[u8]) -> Vec<u8> {
    let mut record = vec![0; 136];
    record[8..16].copy_from_slice(&(data.len() as u64).to_le_bytes());
    record[48] = 1;
    record.extend_from_slice(data);
    let mut header = [0u8; 512];
    header[..12].copy_from_slice(b"accounts/1.0");
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", record.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    record.resize(record.len().next_multiple_of(512), 0);
    [&header[..], &record, &[0; 1024]].concat()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; zstd_safe::compress_bound(content.len())];
    let length = zstd_safe::compress(&mut frame[..], content, 1).expect("it fits");
    frame.truncate(length);
    frame
}

fn options(sandbox: SandboxMode) -> Options {
    let placement = Placement { sandbox, isolation: Isolation::Threads, ..Placement::default() };
    Options { placement, ..Options::for_cores(1) }
}

/// Runs a body over a pipeline whose feeds are these files.
fn with_files<R>(
    files: &[Vec<u8>],
    sandbox: SandboxMode,
    spills: &[Arc<SpillFile>],
    body: impl FnOnce(&mut Pipeline<'_, '_, '_>) -> Result<R, Error>,
) -> Result<R, Error> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let feed = |(number, bytes): (usize, &Vec<u8>)| {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, bytes).expect("written");
        feed_of(&path)
    };
    let feeds = files.iter().enumerate().map(feed).collect();
    let options = options(sandbox);
    let setup = Setup::restore(&options, 1, 1, spills);
    with_pipeline(&setup, feeds, &Progress::default(), body)
}

fn feed_of(path: &Path) -> Feed {
    let reader = SequentialReader::open(path, ReadOptions::default()).expect("opened");
    Feed::File { reader: Box::new(reader), used: false }
}

fn count(pipeline: &mut Pipeline<'_, '_, '_>, feed: usize) -> Result<usize, Error> {
    let (_, workers, _) = pipeline.pass(feed, "test", false, AllRecords, vec![Counter(0)])?;
    Ok(workers[0].0)
}

#[test]
fn a_forbidden_system_call_of_any_tile_is_stopped_and_named() {
    let cases = [
        ("read", b"trespass read".to_vec()),
        ("split", b"trespass split".to_vec()),
        ("decompress", zstd(b"trespass decompress")),
        ("parse", zstd(b"trespass parse")),
        ("hash", tar_with(b"trespass hash")),
    ];
    for (kind, file) in cases {
        let files = [file];
        let stopped = with_files(&files, SandboxMode::On, &[], |pipeline| count(pipeline, 0));
        let error = stopped.expect_err(kind).to_string();
        assert!(error.starts_with(&format!("tile {kind}:0: ")), "{error}");
        assert!(error.contains("openat"), "{error}");
        let open = with_files(&files, SandboxMode::Off, &[], |pipeline| count(pipeline, 0));
        assert!(open.is_ok(), "{kind} may do it without a sandbox");
    }
}

#[test]
fn a_failed_pass_between_two_good_ones_leaves_nothing_behind() {
    let files = [tar_with(b"good"), tar_with(b"fail"), zstd(&tar_with(b"good, too"))];
    with_files(&files, SandboxMode::On, &[], |pipeline| {
        for _ in 0..3 {
            assert_eq!(count(pipeline, 0)?, 1);
            let error = count(pipeline, 1).expect_err("its worker fails");
            assert!(matches!(error, Error::Interrupted), "{error}");
            assert_eq!(count(pipeline, 2)?, 1);
        }
        Ok(())
    })
    .expect("the pipeline goes on");
}

#[test]
fn spill_errors_come_out_of_tiles_as_what_they_are() {
    struct Spiller(Arc<SpillFile>);
    impl Worker for Spiller {
        fn batch(&mut self, _: &Batch<'_>, _: &Frame<'_>) -> Result<ControlFlow<()>, Error> {
            self.0.reserve(1).map_err(Error::from)?;
            Ok(ControlFlow::Continue(()))
        }
    }
    let space = crate::spill::SpillSpace::new(Some(Path::new("/proc/nowhere")));
    let spills = [space.file()];
    let files = [tar_with(b"x")];
    let spilled = with_files(&files, SandboxMode::On, &spills, |pipeline| {
        let worker = Spiller(Arc::clone(&spills[0]));
        pipeline.pass(0, "test", false, AllRecords, vec![worker]).map(|_| ())
    });
    let error = spilled.expect_err("the folder is none");
    assert!(matches!(error, Error::Spill(SpillError { .. })), "{error}");
    assert!(error.to_string().contains("--scratch"), "{error}");
}
