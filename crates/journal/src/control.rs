//! The control page: 4096 bytes of memory in which the writer tells readers in other processes how
//! far they may read, and readers tell the writer what they still need (rule R23).
//!
//! | word | what |
//! |---|---|
//! | 0 | magic `ICEC`, version in the high half |
//! | 1, 2 | store id |
//! | 3, 4 | the writer's process: number, start time |
//! | 5 | epoch |
//! | 6 | durable end |
//! | 7 | frames |
//! | 8 | active segment |
//! | 9 | where the durable bytes of the active segment end |
//! | 10 to 13 | digest of the last frame |
//! | 14 | time of the last frame |
//! | 15 | sequence of the lock over words 0 to 14 |
//! | 16 | heartbeat |
//! | 17 | number of the catalog |
//! | 18 to 111 | zero |
//! | 112 to 511 | pins |
//!
//! Invariants:
//! - Words 0 to 14 are seen all old or all new ([`group`]).
//! - Nothing on the page is needed to open a journal: the next writer sets it up again.
//! - A page of any content makes nobody panic or wait for ever.
//!
//! What it does *not* do: make anything durable, or tell the writer's death; whoever wants to know
//! asks for the process.

use std::ops::Range;

use icecore_disk::ProcessIdentity;

use crate::{Digest, StoreId, format::segment_header::SEGMENT_ID_END};

mod error;
mod group;
#[cfg(all(test, loom))]
mod loom;
mod pins;
mod reader;
#[cfg(all(test, not(loom)))]
mod tests;
mod writer;

pub use error::ControlError;
pub(crate) use pins::{OWN_VALUES, PINS_MAX, Pin, PinHandle};
pub(crate) use reader::ControlReader;
pub(crate) use writer::ControlWriter;

const VERSION: u32 = 1;
const MAGIC: [u8; 4] = *b"ICEC";

/// Words that are read and written together.
const GROUP_WORDS: usize = 15;
const SEQUENCE: usize = 15;
const HEARTBEAT: usize = 16;
const CATALOG: usize = 17;
const RESERVED: Range<usize> = 18..pins::PINS;

/// A chain segment ends before this: offsets in it are 32 bits (see the index file).
const SEGMENT_BYTES_END: u64 = 1 << 32;

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriterIdentity {
    pub(crate) store_id: StoreId,
    pub(crate) process: ProcessIdentity,
    pub(crate) epoch: u64,
}

/// How far the journal is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frontier {
    /// Every sequence below is durable.
    pub(crate) durable_end: u64,
    /// Durable frames.
    pub(crate) frame_count: u64,
    /// The chain segment that is written to; 0: none.
    pub(crate) active_segment: u32,
    /// Where its durable bytes end.
    pub(crate) active_bytes: u64,
    /// Digest of the last durable frame; genesis if there is none.
    pub(crate) last: Digest,
    /// Its time, in nanoseconds since 1970.
    pub(crate) last_time: u64,
}

impl Frontier {
    fn check(&self) -> Result<(), ControlError> {
        let damaged = |what| Err(ControlError::Damaged { what });
        if self.frame_count > self.durable_end {
            return damaged("it has more frames than events");
        }
        if self.active_segment >= SEGMENT_ID_END {
            return damaged("the id of its active segment is out of range");
        }
        if self.active_bytes >= SEGMENT_BYTES_END
            || (self.active_segment == 0 && self.active_bytes != 0)
        {
            return damaged("the end of its active segment is out of range");
        }
        Ok(())
    }
}

const fn first_word() -> u64 {
    (VERSION as u64) << 32 | u32::from_le_bytes(MAGIC) as u64
}

fn pack(writer: &WriterIdentity, frontier: &Frontier) -> [u64; GROUP_WORDS] {
    frontier.check().expect("the writer knows its own journal");
    let [store_low, store_high] = words_of(&writer.store_id.0);
    let [last_0, last_1, last_2, last_3] = words_of(&frontier.last.0);
    [
        first_word(),
        store_low,
        store_high,
        writer.process.id.into(),
        writer.process.start_time,
        writer.epoch,
        frontier.durable_end,
        frontier.frame_count,
        frontier.active_segment.into(),
        frontier.active_bytes,
        last_0,
        last_1,
        last_2,
        last_3,
        frontier.last_time,
    ]
}

fn unpack(words: &[u64; GROUP_WORDS]) -> Result<(WriterIdentity, Frontier), ControlError> {
    let [first, store_low, store_high, id, start_time, epoch, rest @ ..] = *words;
    let [durable_end, frame_count, active_segment, active_bytes, rest @ ..] = rest;
    let [last_0, last_1, last_2, last_3, last_time] = rest;
    if first == 0 {
        return Err(ControlError::Unset);
    }
    if first as u32 != u32::from_le_bytes(MAGIC) {
        return Err(ControlError::Damaged { what: "it does not begin as one" });
    }
    if first != first_word() {
        return Err(ControlError::Version { found: (first >> 32) as u32, known: VERSION });
    }
    let narrow = |word: u64, what| u32::try_from(word).map_err(|_| ControlError::Damaged { what });
    let id = narrow(id, "the writer's process number is out of range")?;
    let writer = WriterIdentity {
        store_id: StoreId(bytes_of([store_low, store_high])),
        process: ProcessIdentity { id, start_time },
        epoch,
    };
    let frontier = Frontier {
        durable_end,
        frame_count,
        active_segment: narrow(active_segment, "the id of its active segment is out of range")?,
        active_bytes,
        last: Digest(bytes_of([last_0, last_1, last_2, last_3])),
        last_time,
    };
    frontier.check()?;
    Ok((writer, frontier))
}

fn words_of<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u64; WORDS] {
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|index| u64::from_le_bytes(words[index]))
}

fn bytes_of<const BYTES: usize, const WORDS: usize>(words: [u64; WORDS]) -> [u8; BYTES] {
    std::array::from_fn(|index| words[index / 8].to_le_bytes()[index % 8])
}

/// For the fuzz target only.
pub(crate) mod fuzzing {
    use std::sync::{Arc, atomic::AtomicU64};

    use icecore_disk::SharedPage;

    use super::*;
    use crate::layer::WORDS;

    #[derive(Debug)]
    struct OwnPage([AtomicU64; WORDS]);

    impl SharedPage for OwnPage {
        fn words(&self) -> &[AtomicU64; WORDS] {
            &self.0
        }
    }

    /// A page of these words; the bytes end early: zeros.
    pub(crate) fn page(bytes: &[u8]) -> Arc<dyn SharedPage> {
        let (words, _) = bytes.as_chunks::<8>();
        let word = |index| words.get(index).copied().map_or(0, u64::from_le_bytes);
        Arc::new(OwnPage(std::array::from_fn(|index| AtomicU64::new(word(index)))))
    }

    /// A page of any content: nobody panics or hangs, what is read is in bounds, and a new writer
    /// makes it good.
    pub fn control(bytes: &[u8]) {
        let page = page(bytes);
        let writer = WriterIdentity {
            store_id: StoreId(bytes_of([1, 2])),
            process: ProcessIdentity { id: 3, start_time: 4 },
            epoch: 5,
        };
        let reader = ControlReader::new(page.clone(), writer.store_id);
        let frontier = reader.frontier();
        assert_eq!(frontier.is_ok(), reader.writer().is_ok());
        if let Ok(frontier) = frontier {
            assert_eq!(frontier.check(), Ok(()));
        }
        let (now, lease) = (reader.heartbeat(), 1_000_000_000);
        let held = reader.pin(writer.process, 7, now, lease);
        let frontier = Frontier {
            durable_end: 9,
            frame_count: 8,
            active_segment: 7,
            active_bytes: 4096,
            last: Digest::ZERO,
            last_time: 6,
        };
        let control = ControlWriter::initialise(page.clone(), writer, frontier, 11, now);
        assert_eq!((reader.frontier(), reader.writer()), (Ok(frontier), Ok(writer)));
        assert_eq!((reader.catalog(), reader.heartbeat()), (11, now));
        let pins = control.live_pins(now, &|process| process == writer.process);
        let pins = pins.expect("nobody else changes a slot");
        assert!(pins.len() <= PINS_MAX);
        match held {
            Ok(handle) if now < u64::MAX => {
                assert!(handle.is_held(now) && pins.contains(&handle.pin()));
            }
            _ => {}
        }
    }
}
