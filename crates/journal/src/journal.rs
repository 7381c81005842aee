//! A journal that is open for writing.
//!
//! [`Journal`] is what callers hold; [`Shared`] is what its parts share: the readable side, the
//! states of the three steps of writing, and the manifest.

use std::{collections::VecDeque, ops::Deref, path::Path, sync::Arc, time::Duration};

use icecore_disk::{Disk, Lock};

use crate::{
    Error, SigningKey,
    control::ControlWriter,
    extents::{DATA_SEGMENT_BYTES_END, EXTENT_ALIGNMENT, room::DataRoom},
    format::{BLOCK_BYTES, manifest::Manifest},
    history::History,
    keeping::{Keeper, retire::Retiring},
    kinds::Kinds,
    primitives::{Mutex, MutexGuard},
    recovery::Recovery,
    reserve::Reserve,
    signing::Signing,
    writer::{
        accept::Accept,
        flush::{Writer, Written},
        sync::SyncRole,
        watermarks::{Progress, Stage},
    },
};

/// What to do with a tail that an unclean end left (design D9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Cut off what was never acknowledged as durable, and report it.
    #[default]
    Repair,
    /// Refuse to open.
    Strict,
}

/// How a journal is opened for writing.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of a chain segment, about: 64 KiB to 1 GiB.
    pub segment_bytes_max: u64,
    /// Events of a chain segment at most: its table is in memory while it is open.
    pub segment_events_max: usize,
    /// Bytes of a data segment at which the next one begins, unless a single extent is larger: 64 KiB
    /// to 32 GiB.
    pub data_segment_bytes_max: u64,
    /// Extents start at multiples of this: a power of two from 8 to 4,096.
    pub extent_alignment: u64,
    /// Room that is kept free for ending things on a full disk (rule R4); 0: none.
    pub reserve_bytes: u64,
    /// Bytes accepted and not written at which appending waits.
    pub buffer_bytes_max: usize,
    /// Streams whose last place is remembered; others are looked up. 16 bytes each.
    pub stream_heads_max: usize,
    /// An idempotency key is remembered for this many events.
    pub idempotency_window: u64,
    /// What is written and nobody waits for is synced after this time ...
    pub sync_interval: Duration,
    /// ... or after so many bytes.
    pub sync_bytes: u64,
    /// Whether threads in the background write, sync and seal what nobody waits for. Without them,
    /// the caller calls [`Journal::tend`] now and then.
    pub background: bool,
    /// What to do after an unclean end.
    pub policy: Policy,
    /// The kinds that the caller knows; names that clash with those in the journal are an error.
    pub kinds: Kinds,
    /// The key that signs heads (see [`Journal::sign_head`]); none: nothing is signed.
    pub signing_key: Option<Arc<SigningKey>>,
    /// The durable head is signed after this time, if it has changed, and when the journal is closed.
    pub sign_interval: Duration,
}

impl Options {
    /// Whether all figures are within what the format allows.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !(1 << 16..=1 << 30).contains(&self.segment_bytes_max) {
            return Err(Error::Unfit { what: "a segment has 64 KiB to 1 GiB" });
        }
        if self.segment_events_max == 0
            || !self.stream_heads_max.is_power_of_two()
            || self.stream_heads_max < 8
        {
            return Err(Error::Unfit {
                what: "a segment has at least one event, and stream heads are a power of two, 8 at least",
            });
        }
        if !(1 << 16..=DATA_SEGMENT_BYTES_END).contains(&self.data_segment_bytes_max) {
            return Err(Error::Unfit { what: "a data segment has 64 KiB to 32 GiB" });
        }
        if !(EXTENT_ALIGNMENT..=BLOCK_BYTES).contains(&self.extent_alignment)
            || !self.extent_alignment.is_power_of_two()
        {
            return Err(Error::Unfit {
                what: "extents are aligned to a power of two from 8 to 4,096",
            });
        }
        Ok(())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes_max: 64 << 20,
            segment_events_max: 1 << 18,
            data_segment_bytes_max: 1 << 30,
            extent_alignment: EXTENT_ALIGNMENT,
            reserve_bytes: 64 << 20,
            buffer_bytes_max: 4 << 20,
            stream_heads_max: 1 << 21,
            idempotency_window: 16 << 20,
            sync_interval: Duration::from_millis(100),
            sync_bytes: 16 << 20,
            background: true,
            policy: Policy::Repair,
            kinds: Kinds::default(),
            signing_key: None,
            sign_interval: Duration::from_secs(60),
        }
    }
}

/// What the parts of a journal share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) history: Arc<History>,
    pub(crate) options: Options,
    pub(crate) epoch: u64,
    pub(crate) accept: Mutex<Accept>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) sync_role: SyncRole,
    pub(crate) manifest: Mutex<Manifest>,
    pub(crate) spare_ids: Mutex<VecDeque<u32>>,
    pub(crate) data_room: DataRoom,
    pub(crate) reserve: Reserve,
    pub(crate) control: ControlWriter,
    pub(crate) keeper: Keeper,
    /// One at a time drops events, rewrites segments, or removes what was replaced.
    pub(crate) retiring: Mutex<Retiring>,
    pub(crate) recovery: Recovery,
    pub(crate) signing: Mutex<Signing>,
    /// Held as long as the journal is open, though tickets may live longer.
    pub(crate) lock: Mutex<Option<Box<dyn Lock>>>,
}

impl Deref for Shared {
    type Target = History;

    fn deref(&self) -> &History {
        &self.history
    }
}

impl Shared {
    /// Ids that the manifest has given out and nobody has taken.
    pub(crate) fn spare_ids(&self) -> MutexGuard<'_, VecDeque<u32>> {
        self.spare_ids.lock().expect("nobody panics while holding it")
    }

    /// Nothing is written any more: another writer may come.
    pub(crate) fn end_writing(&self) {
        self.watermarks.close();
        // Whoever writes at this moment comes to an end first.
        let _writer = self.writer.lock();
        drop(self.lock.lock().expect("nobody panics while holding it").take());
    }

    /// Everything up to here is durable: tells those who wait, in this process and in others.
    pub(crate) fn publish(&self, written: &Written) {
        let end = written.end.sequence;
        if end > self.watermarks.at(Stage::Durable) {
            self.watermarks.advance(Stage::Durable, end);
        }
        self.control.publish(&written.frontier(), self.disk.now());
    }
}

/// A journal, open for writing: the only one of its folder.
///
/// Dropped without [`Self::close`], it is left as after a crash, but for what was written.
#[derive(Debug)]
pub struct Journal {
    pub(crate) shared: Arc<Shared>,
    pub(crate) threads: Vec<std::thread::JoinHandle<()>>,
}

impl Journal {
    /// The readable side, which can be handed on.
    pub fn history(&self) -> &Arc<History> {
        &self.shared.history
    }

    /// What was found and done when the journal was opened.
    pub fn recovery(&self) -> &Recovery {
        &self.shared.recovery
    }

    /// How far the journal has come.
    pub fn progress(&self) -> Progress {
        self.shared.watermarks.progress()
    }

    /// How often events were taken back because writing them failed. As long as this is the same,
    /// every batch that was accepted is part of the journal, or will be if nothing fails.
    pub fn generation(&self) -> u64 {
        self.shared.watermarks.generation()
    }

    /// Waits until `end` events have come to a stage, or the time is over; says whether they have.
    pub fn wait(&self, stage: Stage, end: u64, longest: Duration) -> bool {
        self.shared.watermarks.wait(stage, end, longest)
    }

    /// Makes everything durable that was accepted.
    ///
    /// # Errors
    /// [`Error::Poisoned`] when a sync failed, now or before; what the disk said about writing.
    pub fn sync(&self) -> Result<(), Error> {
        self.shared.sync_all()
    }

    /// Opens a journal for writing on the real disk.
    ///
    /// # Errors
    /// See [`Self::open_on`].
    pub fn open(folder: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        let disk: Arc<dyn Disk> = Arc::new(icecore_disk::RealDisk);
        Self::open_on(disk, folder, options)
    }
}

impl Deref for Journal {
    type Target = History;

    fn deref(&self) -> &History {
        &self.shared.history
    }
}
