//! Account versions on their way into an index: gathered by address, settled, dealt out by tag and
//! by owner.
//!
//! 1. Workers gather what every record is of and where it lies ([`VersionWorker`]).
//! 2. They are sorted by address and place. The newest of an address is the one of the highest slot,
//!    and of several of one slot the last: as records are settled everywhere else.
//! 3. The newest ones go to two lists, by tag and, if they live, by owner and place.
//!
//! Memory: the shares that the caller gives; what is more goes to scratch files.

use std::{ops::ControlFlow, sync::Arc};

use icecore_archive::index::rows::{AccountRow, Tag};
use icecore_tile::Frame;
use icecore_types::{Pubkey, RECORD_ALIGN, Slot};

use super::tag_of;
use crate::{
    Error,
    pass::{batch::Batch, slots::Worker, walk::StorageHead},
    progress::Progress,
    spill::{
        SpillError, SpillFile,
        item::{Item, read_u64},
        sorted::Sorted,
        sorter::Sorter,
    },
};

/// Records that are settled between two looks at whether to stop.
const RECORDS_BETWEEN_LOOKS: u64 = 1 << 16;

/// One record of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pubkey: Pubkey,
    /// The number of its storage.
    storage: u32,
    /// Where it begins there, in units of [`RECORD_ALIGN`]: a storage has 16 GiB at most.
    unit: u32,
    is_tombstone: bool,
    owner: Pubkey,
}

impl Item for Version {
    const BYTES: usize = 73;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..32].copy_from_slice(&self.pubkey.0);
        bytes[32..64].copy_from_slice(&self.owner.0);
        let place = u64::from(self.storage) << 32 | u64::from(self.unit);
        bytes[64..72].copy_from_slice(&place.to_le_bytes());
        bytes[72] = self.is_tombstone.into();
    }

    fn read(bytes: &[u8]) -> Self {
        let array = |at: usize| *bytes[at..].first_chunk().expect("73 bytes");
        let place = read_u64(bytes, 64);
        Self {
            pubkey: Pubkey(array(0)),
            owner: Pubkey(array(32)),
            storage: (place >> 32) as u32,
            unit: place as u32,
            is_tombstone: bytes[72] != 0,
        }
    }
}

/// An account's newest version, to be sorted by tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tagged {
    tag: Tag,
    place: u64,
}

impl Tagged {
    pub(super) fn row(&self) -> AccountRow {
        let (offset, is_tombstone) = (self.place & !1, self.place & 1 == 1);
        AccountRow { tag: self.tag, offset, is_tombstone }
    }
}

impl Item for Tagged {
    const BYTES: usize = 24;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..16].copy_from_slice(&self.tag);
        bytes[16..].copy_from_slice(&self.place.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        let tag = *bytes.first_chunk().expect("24 bytes");
        Self { tag, place: read_u64(bytes, 16) }
    }
}

/// A live account, to be sorted by owner and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owned {
    pub(super) owner: Pubkey,
    pub(super) offset: u64,
}

impl Item for Owned {
    const BYTES: usize = 40;

    fn write(&self, bytes: &mut [u8]) {
        bytes[..32].copy_from_slice(&self.owner.0);
        bytes[32..].copy_from_slice(&self.offset.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        let owner = Pubkey(*bytes.first_chunk().expect("40 bytes"));
        Self { owner, offset: read_u64(bytes, 32) }
    }
}

/// Gathers records.
pub(super) struct VersionWorker {
    pub(super) versions: Sorter<Version>,
}

impl Worker for VersionWorker {
    fn batch(&mut self, batch: &Batch<'_>, _: &Frame<'_>) -> Result<ControlFlow<()>, Error> {
        for (span, record) in batch.records() {
            let unit = span.offset / RECORD_ALIGN;
            let account = record.account();
            self.versions.push(Version {
                pubkey: *account.pubkey,
                storage: span.place.storage(),
                unit: u32::try_from(unit).expect("a storage has at most 2^31 units"),
                is_tombstone: account.is_tombstone(),
                owner: *account.owner,
            })?;
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The newest versions.
pub(super) struct Newest {
    pub(super) by_tag: Sorted<Tagged>,
    pub(super) by_owner: Sorted<Owned>,
}

/// Settles versions; reading them takes `bytes_max`, and so does each list that is made.
pub(super) fn settle(
    versions: Vec<Sorted<Version>>,
    storages: &[StorageHead],
    key: &[u8; 32],
    bytes_max: usize,
    file: &Arc<SpillFile>,
    progress: &Progress,
) -> Result<Newest, Error> {
    let mut by_tag = Sorter::new(bytes_max, Arc::clone(file));
    let mut by_owner = Sorter::new(bytes_max, Arc::clone(file));
    let mut push = |newest: Version| -> Result<(), SpillError> {
        let storage = &storages[newest.storage as usize];
        let offset = storage.tar_offset + u64::from(newest.unit) * RECORD_ALIGN;
        let place = offset | u64::from(newest.is_tombstone);
        by_tag.push(Tagged { tag: tag_of(key, &newest.pubkey), place })?;
        if !newest.is_tombstone {
            by_owner.push(Owned { owner: newest.owner, offset })?;
        }
        Ok(())
    };
    let slot = |version: &Version| -> Slot { storages[version.storage as usize].slot };
    let mut versions = Sorted::merged(versions, file, bytes_max)?.reader(bytes_max)?;
    let mut newest: Option<Version> = None;
    let mut seen = 0;
    while let Some(version) = versions.next()? {
        if seen % RECORDS_BETWEEN_LOOKS == 0 {
            progress.check()?;
        }
        seen += 1;
        match &mut newest {
            // They come by place, so that of one slot the last one stays.
            Some(newest) if newest.pubkey == version.pubkey => {
                if slot(newest) <= slot(&version) {
                    *newest = version;
                }
            }
            newest => {
                if let Some(before) = newest.replace(version) {
                    push(before)?;
                }
            }
        }
    }
    if let Some(last) = newest {
        push(last)?;
    }
    Ok(Newest { by_tag: by_tag.finish()?, by_owner: by_owner.finish()? })
}
