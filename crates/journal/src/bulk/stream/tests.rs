//! Whatever the pieces, the ways in which they are given and the writes that fail: the file is that of
//! the definition of extents.

use std::path::Path;

use icecore_disk::{Disk, Fault, FaultKind, FaultPoint, SimulatedDisk};
use proptest::prelude::*;

use super::*;
use crate::{extent_digest::ExtentHasher, extents::Layout};

/// The smallest buffer, and the one that is used.
const SIZES: [usize; 2] = [2 * KEPT_BYTES_MAX, BUFFER_BYTES];

const ENOSPC: i32 = 28;

fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut content);
    content
}

fn stream(disk: &SimulatedDisk, buffer_bytes: usize) -> SegmentStream {
    let file = disk.create(Path::new("/segment")).expect("created");
    file.write_at(0, &[b'h'; BLOCK_BYTES as usize]).expect("written");
    SegmentStream::new(9, file, buffer_bytes).expect("memory")
}

/// What the file of a segment holds, by the definition of extents.
struct Expected {
    file: Vec<u8>,
}

impl Expected {
    fn new() -> Self {
        Self { file: vec![b'h'; BLOCK_BYTES as usize] }
    }

    fn add(&mut self, start: u64, bytes: &[u8]) -> Extent {
        let layout = Layout::of(start, bytes.len() as u64).expect("it lies there");
        let mut hasher = ExtentHasher::new();
        hasher.update(bytes);
        let digests = hasher.finish();
        self.file.resize(start as usize, 0);
        self.file.extend_from_slice(bytes);
        self.file.resize(layout.digests as usize, 0);
        self.file.extend(digests.digests().iter().flat_map(|digest| digest.0));
        assert_eq!(self.file.len() as u64, layout.end);
        Extent { segment: 9, offset: start, bytes: layout.bytes, digest: digests.root() }
    }
}

/// How the next bytes of an extent are given.
#[derive(Debug, Clone, Copy)]
enum Way {
    Write,
    Room { unused_bytes: usize },
}

fn way() -> impl Strategy<Value = Way> {
    let room = (0_usize..100_000).prop_map(|unused_bytes| Way::Room { unused_bytes });
    prop_oneof![Just(Way::Write), room]
}

fn give(stream: &mut SegmentStream, way: Way, bytes: &[u8]) -> Result<(), Error> {
    match way {
        Way::Write => stream.write(bytes),
        Way::Room { unused_bytes } => {
            let room = stream.room(bytes.len() + unused_bytes)?;
            assert_eq!(room.len(), bytes.len() + unused_bytes);
            room[..bytes.len()].copy_from_slice(bytes);
            stream.commit(bytes.len()).or_else(|_| stream.commit(bytes.len()))
        }
    }
}

/// Extents: whether each is finished, its pieces, and the gap in units of 8 bytes before it.
type Plan = Vec<(bool, u64, Vec<(usize, Way)>)>;

fn plan() -> impl Strategy<Value = Plan> {
    let bytes = prop_oneof![0_usize..200, 4000_usize..4200, 60_000_usize..70_000, 0_usize..400_000];
    let extent = (any::<bool>(), 0_u64..500, prop::collection::vec((bytes, way()), 0..6));
    prop::collection::vec(extent, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_pieces_given_in_any_way_make_the_same_file_even_if_writes_fail(
        plan in plan(),
        is_small: bool,
        fault in 0_u64..12,
    ) {
        let disk = SimulatedDisk::new(1);
        let mut stream = stream(&disk, SIZES[usize::from(!is_small)]);
        let mut expected = Expected::new();
        let mut seed = 0;
        for passed in [fault, fault + 3] {
            let point = FaultPoint::Path { part: "/segment".into(), passed };
            disk.add_fault(Fault { point, kind: FaultKind::WriteFails { errno: ENOSPC } });
        }
        for (is_finished, gap, pieces) in &plan {
            let start = align(stream.end(), 8) + gap * 8;
            stream.begin(start);
            let mut whole = Vec::new();
            for (bytes, way) in pieces {
                seed += 1;
                let piece = content(seed, *bytes);
                prop_assert_eq!(stream.position(), start + whole.len() as u64);
                let mut tries = 0;
                while give(&mut stream, *way, &piece).is_err() {
                    tries += 1;
                    prop_assert!(tries <= 2);
                    prop_assert_eq!(stream.position(), start + whole.len() as u64);
                }
                whole.extend_from_slice(&piece);
            }
            if *is_finished {
                let mut tries = 0;
                let extent = loop {
                    match stream.finish() {
                        Ok(extent) => break extent,
                        Err(_) => tries += 1,
                    }
                    prop_assert!(tries <= 2);
                };
                prop_assert_eq!(extent, expected.add(start, &whole));
                prop_assert_eq!(stream.end(), expected.file.len() as u64);
                let file = disk.read_file("/segment");
                prop_assert!(file[..expected.file.len()] == expected.file);
            }
        }
    }
}

#[test]
fn most_of_a_large_extent_is_written_directly_and_its_file_has_its_true_size() {
    let disk = SimulatedDisk::new(2);
    let mut stream = stream(&disk, BUFFER_BYTES);
    let bytes = content(1, 5_000_001);
    let before = disk.operations();
    stream.begin(BLOCK_BYTES);
    stream.write(&bytes).expect("written");
    let extent = stream.finish().expect("finished");
    let mut expected = Expected::new();
    assert_eq!(extent, expected.add(BLOCK_BYTES, &bytes));
    assert!(disk.read_file("/segment") == expected.file);
    assert!(disk.operations() - before <= 6, "{} writes", disk.operations() - before);
}

#[test]
#[should_panic(expected = "5 bytes of a room of 4")]
fn more_than_the_room_is_not_taken() {
    let mut stream = stream(&SimulatedDisk::new(3), BUFFER_BYTES);
    stream.begin(BLOCK_BYTES);
    stream.room(4).expect("room");
    let _ = stream.commit(5);
}
