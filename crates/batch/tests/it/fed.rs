//! Stores with a feed in them, and what they hold.

use std::{
    collections::BTreeMap,
    fs,
    ops::{Bound, ControlFlow},
    path::{Path, PathBuf},
};

use icecore_batch::{Created, Extent, WriteOptions, create};
use icecore_restore::{Options, Pair, Progress, restore_into};
use icecore_store::{
    At, CreateOptions, Store,
    ingest::{Ingest, IngestOptions},
};
use icecore_types::{Account, Pubkey, Slot};
use tempfile::TempDir;

use crate::support::{archives_in, cores, folder, shared};

/// A full archive at slot 24 and all that happened after it, bundled.
pub(crate) fn feed_tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/feed-tiny")
}

/// A feed, and what belongs to it.
pub(crate) struct FeedSet {
    /// The full archive that it begins at.
    pub(crate) base: PathBuf,
    /// The feed.
    pub(crate) feed: Vec<u8>,
    /// The folder with the genesis and the truth, on machines that have it.
    pub(crate) shared: Option<PathBuf>,
}

impl FeedSet {
    /// The bundled set.
    pub(crate) fn tiny() -> Self {
        let folder = feed_tiny();
        Self {
            base: archives_in(&folder).0,
            feed: unpacked(&folder.join("slots.feed.zst")),
            shared: shared("feed-tiny"),
        }
    }

    /// The bundled set, and the larger one where it is there.
    pub(crate) fn all() -> Vec<Self> {
        let small = shared("feed-small").map(|folder| Self {
            base: archives_in(&folder.join("base")).0,
            feed: unpacked(&folder.join("slots.feed.zst")),
            shared: Some(folder),
        });
        [Some(Self::tiny()), small].into_iter().flatten().collect()
    }
}

/// What a file of one zstd frame holds.
pub(crate) fn unpacked(path: &Path) -> Vec<u8> {
    let packed = fs::read(path).expect("readable");
    let mut plain = Vec::with_capacity(64 << 20);
    zstd_safe::decompress(&mut plain, &packed[..]).expect("one sound frame");
    plain
}

/// A store in a folder of its own.
pub(crate) struct Fed {
    pub(crate) store: Store,
    pub(crate) folder: TempDir,
}

impl Fed {
    /// An empty store.
    pub(crate) fn new(create: &CreateOptions, options: icecore_store::Options) -> Self {
        let folder = folder();
        let store = Store::create(folder.path().join("store"), create, options).expect("made");
        Self { store, folder }
    }

    /// With the archive that a feed begins at.
    pub(crate) fn restored(set: &FeedSet, options: icecore_store::Options) -> Self {
        let fed = Self::new(&CreateOptions::default(), options);
        fed.restore(&set.base, None);
        fed
    }

    /// With all of a feed.
    pub(crate) fn of(set: &FeedSet) -> Self {
        let fed = Self::restored(set, icecore_store::Options::default());
        fed.feed(&set.feed, None);
        fed
    }

    pub(crate) fn restore(&self, full: &Path, incremental: Option<&Path>) {
        let mut pair = Pair::files(full, incremental).expect("archives");
        let verdict = |_: &icecore_restore::Report| b"sound".to_vec();
        restore_into(&mut pair, &cores(2), &self.store, &Progress::default(), verdict)
            .expect("restored");
    }

    /// Takes a feed, up to a slot.
    pub(crate) fn feed(&self, feed: &[u8], until: Option<Slot>) {
        let options = IngestOptions { until, allow_gap: false };
        let mut ingest = Ingest::new(&self.store, options).expect("begun");
        for piece in feed.chunks(100_003) {
            if ingest.push(piece).expect("a sound feed").is_break() {
                break;
            }
        }
        ingest.finish().expect("whole");
        self.store.sync().expect("synced");
    }

    /// Makes an archive with the options that commands have.
    pub(crate) fn create(&self, slot: Slot, extent: Extent, folder: &Path) -> Created {
        self.create_with(slot, extent, folder, &cores(2)).expect("it can be made")
    }

    pub(crate) fn create_with(
        &self,
        slot: Slot,
        extent: Extent,
        folder: &Path,
        options: &Options,
    ) -> Result<Created, icecore_batch::Error> {
        let (write, progress) = (WriteOptions::default(), Progress::default());
        create(&self.store, At::Slot(slot), extent, folder, &write, options, &progress)
    }

    /// The live accounts at a slot, with the slots in which they were written.
    pub(crate) fn accounts(&self, slot: Slot) -> BTreeMap<Pubkey, (Slot, Account)> {
        let view = self.store.view(At::Slot(slot)).expect("kept");
        let mut accounts = BTreeMap::new();
        view.scan(Bound::Unbounded, Bound::Unbounded, |found| {
            let (pubkey, account) = found.account.to_owned();
            accounts.insert(pubkey, (found.written, account));
            ControlFlow::Continue(())
        })
        .expect("readable");
        accounts
    }

    /// The slots of which archives can be made, oldest first.
    pub(crate) fn creatable(&self) -> Vec<Slot> {
        let mut slots = Vec::new();
        self.store
            .for_each_kept_bank(|slot| {
                slots.insert(0, slot);
                ControlFlow::Continue(())
            })
            .expect("readable");
        slots
    }
}
