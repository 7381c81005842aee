//! What can go wrong, with the place and what to do about it.

use std::path::PathBuf;

use icecore_types::{Hash, Slot};

use crate::events::SlotId;

/// An operation on a store that did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    Disk(#[from] icecore_disk::Error),
    /// The journal below refused.
    #[error(transparent)]
    Journal(#[from] icecore_journal::Error),
    /// Bytes on disk are not what they should be.
    #[error("{}: {what} at byte {offset}; run `icecore store check`, and restore the store from a copy if records are damaged, or run `icecore store rebuild-index` if only runs are", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// An event of the journal is not what its kind says.
    #[error(
        "event {sequence} of the store's journal cannot be understood: {what}; it may have been written by a newer version, which then has to be used"
    )]
    Event {
        /// The event.
        sequence: u64,
        /// What is wrong.
        what: String,
    },
    /// There is no store in the folder.
    #[error("{}: there is no store here; `icecore restore ARCHIVE --store {}` makes one", folder.display(), folder.display())]
    NoStore {
        /// The folder.
        folder: PathBuf,
    },
    /// The runs do not fit the chain.
    #[error("{}: {why}; run `icecore store rebuild-index`", folder.display())]
    StaleRuns {
        /// The store.
        folder: PathBuf,
        /// What does not fit.
        why: &'static str,
    },
    /// The lattice kernel that was asked for cannot be used.
    #[error(transparent)]
    Hash(#[from] icecore_hash::Error),
    /// The store holds no state yet.
    #[error("the store holds no state yet: restore an archive into it first")]
    Empty,
    /// A slot is not known, or not any more.
    #[error("slot identity {} is not known, or was forgotten: it is too far behind the root", slot.0)]
    NoSuchSlot {
        /// The slot.
        slot: SlotId,
    },
    /// No slot of this number is kept off the final chain.
    #[error("no fork with slot {slot} is kept; `icecore coverage` lists what is")]
    NoFork {
        /// The number.
        slot: Slot,
    },
    /// Several kept slots bear the number.
    #[error(
        "several kept slots have the number {slot}; name one as {slot}@BANK_HASH: {}",
        list(bank_hashes)
    )]
    SeveralForks {
        /// The number.
        slot: Slot,
        /// Their bank hashes.
        bank_hashes: Vec<Hash>,
    },
    /// Something cannot be done with a slot.
    #[error("slot {slot}: {why}")]
    SlotRefused {
        /// Its number.
        slot: Slot,
        /// Why not.
        why: &'static str,
    },
    /// The slot lies outside of what is kept.
    #[error("slot {slot} lies outside of what is kept: slots {first} to {last}")]
    NotCovered {
        /// The slot.
        slot: Slot,
        /// The first slot that is kept.
        first: Slot,
        /// The last.
        last: Slot,
    },
    /// The slot lies in a gap.
    #[error(
        "slot {slot} lies in a gap: nothing is known of slots {first} to {last}, between two base points"
    )]
    InGap {
        /// The slot.
        slot: Slot,
        /// The first slot of the gap.
        first: Slot,
        /// The last.
        last: Slot,
    },
    /// A view's lease is over, and what it read is not kept any more.
    #[error(
        "the view of slot {slot} has expired: its lease ended and older versions were dropped; open a new view"
    )]
    Expired {
        /// The slot.
        slot: Slot,
    },
    /// An account was given twice in a slot.
    #[error("slot {slot}: account {pubkey} is written twice; give only its last version")]
    WrittenTwice {
        /// The slot.
        slot: Slot,
        /// The account.
        pubkey: icecore_types::Pubkey,
    },
    /// An account has more data than any can have.
    #[error(
        "slot {slot}: account {pubkey} has {bytes} bytes of data, more than the 10 MiB that an account can have"
    )]
    DataTooLong {
        /// The slot.
        slot: Slot,
        /// The account.
        pubkey: icecore_types::Pubkey,
        /// Its length.
        bytes: u64,
    },
    /// A base point cannot be restored here.
    #[error("the archive of slot {slot} does not fit this store: {why}")]
    BaseRefused {
        /// Its slot.
        slot: Slot,
        /// Why not.
        why: String,
    },
    /// An incremental archive's base slot is no base point here that it could build on.
    #[error(
        "slot {slot} is no base point of this store that was restored from a full archive alone ({}); give the full archive with the incremental one",
        kept_bases(kept)
    )]
    NoBase {
        /// The base slot.
        slot: Slot,
        /// The base points that are.
        kept: Vec<Slot>,
    },
    /// It is not known of all slots between two what they wrote.
    #[error(
        "what was written between slots {base} and {slot} is not known: the store knows what was written from slot {first} on, at which an archive was restored, or before which nothing is kept"
    )]
    NotSince {
        /// The slot from which it was asked for.
        base: Slot,
        /// The slot up to which.
        slot: Slot,
        /// The first slot from which it could be asked for.
        first: Slot,
    },
    /// Another process must do it, or this one was opened for reading.
    #[error("the store is open for reading only")]
    ReadOnly,
}

fn kept_bases(slots: &[Slot]) -> String {
    match slots {
        [] => "it keeps none".to_string(),
        slots => {
            let slots: Vec<_> = slots.iter().map(ToString::to_string).collect();
            format!("those that it keeps: {}", slots.join(", "))
        }
    }
}

fn list(hashes: &[Hash]) -> String {
    hashes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// Whether a file is gone that was there before: whoever wrote it has replaced it.
    pub(crate) fn is_replaced(&self) -> bool {
        match self {
            Self::Disk(error) => error.is_absent(),
            Self::Journal(icecore_journal::Error::SegmentGone { .. }) => true,
            Self::Journal(icecore_journal::Error::Disk(error)) => error.is_absent(),
            _ => false,
        }
    }

    /// Whether a gate of a commit refused it: the slot is not what it states.
    pub fn denial(&self) -> Option<&icecore_journal::GateOutcomes> {
        match self {
            Self::Journal(icecore_journal::Error::Denied { outcomes, .. }) => Some(outcomes),
            _ => None,
        }
    }
}
