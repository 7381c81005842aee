//! The events of a store: what its journal's chain says (design D1).
//!
//! | kind | event | stream | parents | extents |
//! |---|---|---|---|---|
//! | 1 | store created | `store` | | |
//! | 2 | base point restored | `bases` | | records, manifest, status cache, verdict, perhaps closed accounts |
//! | 3 | slot begun | `slots` | the parent slot's event | |
//! | 4 | slot committed | `slots` | the parent slot's event | records, bank, status cache |
//! | 5 | slots rooted | `roots` | the new root's event | |
//! | 6 | slots abandoned | `roots` | | |
//! | 7 | gap | `bases` | | |
//! | 8 | records moved | `moves` | | records |
//! | 9 | horizon raised | `moves` | | |
//! | 10 | snapshot made | `made` | the slot's event | |
//! | 11 | accounts hash | `made` | the slot's event | |
//!
//! A slot's *event* is its commit, or the base point that it was restored as; its *identity* is the
//! sequence of its begin event, or of the base point (rule R18).
//!
//! Payloads are the fields below in order, little-endian, without padding. The bytes must end where
//! the fields do.

use icecore_journal::{Event, Extent, NewEvent};
use icecore_types::{Cursor, Pubkey, Slot, Wire, WireError, wire_struct};

use crate::{
    Error,
    bank::{BankFields, BaseFacts, StateTotals},
    made::{AccountsHashed, SnapshotIntent, SnapshotMade},
    run_set::PairEntry,
};

/// Kinds of a store's events.
pub(crate) mod kind {
    pub(crate) const CREATED: u16 = 1;
    pub(crate) const BASE: u16 = 2;
    pub(crate) const BEGUN: u16 = 3;
    pub(crate) const COMMITTED: u16 = 4;
    pub(crate) const ROOTED: u16 = 5;
    pub(crate) const ABANDONED: u16 = 6;
    pub(crate) const GAP: u16 = 7;
    pub(crate) const MOVED: u16 = 8;
    pub(crate) const HORIZON: u16 = 9;
    pub(crate) const SNAPSHOT: u16 = 10;
    pub(crate) const ACCOUNTS_HASH: u16 = 11;
    pub(crate) const SNAPSHOT_INTENT: u16 = 12;
}

/// The names of [`kind`], for whoever looks into the journal.
pub const KIND_NAMES: [(u16, &str); 12] = [
    (kind::CREATED, "store created"),
    (kind::BASE, "base point restored"),
    (kind::BEGUN, "slot begun"),
    (kind::COMMITTED, "slot committed"),
    (kind::ROOTED, "slots rooted"),
    (kind::ABANDONED, "slots abandoned"),
    (kind::GAP, "gap"),
    (kind::MOVED, "records moved"),
    (kind::HORIZON, "horizon raised"),
    (kind::SNAPSHOT, "snapshot made"),
    (kind::ACCOUNTS_HASH, "accounts hash"),
    (kind::SNAPSHOT_INTENT, "snapshot to be named"),
];

/// The streams of a store's events.
pub(crate) mod stream {
    pub(crate) const STORE: &[u8] = b"store";
    pub(crate) const BASES: &[u8] = b"bases";
    pub(crate) const SLOTS: &[u8] = b"slots";
    pub(crate) const ROOTS: &[u8] = b"roots";
    pub(crate) const MOVES: &[u8] = b"moves";
    pub(crate) const MADE: &[u8] = b"made";
}

/// A slot: the sequence of its begin event, or of its base point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u64);

impl Wire for SlotId {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        cursor.read().map(Self)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

/// Items of a list in an event, at most.
const LIST_ITEMS_MAX: u64 = 1 << 20;

/// A list with its length before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T: Wire> Wire for List<T> {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        let value: u64 = cursor.read()?;
        if value > LIST_ITEMS_MAX {
            return Err(WireError::Invalid { what: "length of a list", value });
        }
        (0..value).map(|_| cursor.read()).collect::<Result<_, _>>().map(Self)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        (self.0.len() as u64).encode(out);
        self.0.iter().for_each(|item| item.encode(out));
    }
}

wire_struct! {
    /// The store's first event.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Created {
        /// Seeds the checksums of its records. Copies of the store keep it.
        pub(crate) record_seed: u64,
        /// Owners whose accounts are kept; none: all are.
        pub(crate) kept_owners: List<Pubkey>,
        /// Whether there are runs by owner.
        pub(crate) owner_order: bool,
    }
}

/// A complete state was restored. Extents: `record_extents`, then the manifest, the status cache, the
/// verdict; perhaps the addresses of closed accounts of which older records are among those that count
/// here, 32 bytes each, going upward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BasePoint {
    pub(crate) facts: BaseFacts,
    pub(crate) record_extents: u32,
    /// The complete runs that were made of the records.
    pub(crate) runs: PairEntry,
    /// The event of the base point whose records count here as well, but for those of accounts that
    /// were written or closed since. An event without such a base point ends before this field.
    pub(crate) built_on: Option<u64>,
}

impl Wire for BasePoint {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        Ok(Self {
            facts: cursor.read()?,
            record_extents: cursor.read()?,
            runs: cursor.read()?,
            built_on: match cursor.remaining() {
                [] => None,
                _ => Some(cursor.read()?),
            },
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.facts.encode(out);
        self.record_extents.encode(out);
        self.runs.encode(out);
        if let Some(event) = self.built_on {
            event.encode(out);
        }
    }
}

wire_struct! {
    /// A slot was begun.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Begun {
        pub(crate) number: Slot,
        pub(crate) parent: SlotId,
    }
}

wire_struct! {
    /// A slot was committed. Extents: `record_extents`, then the bank and the status cache, if they
    /// are there.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Committed {
        pub(crate) id: SlotId,
        pub(crate) parent: SlotId,
        pub(crate) bank: BankFields,
        pub(crate) totals: StateTotals,
        pub(crate) accounts_written: u64,
        pub(crate) record_extents: u32,
        pub(crate) has_bank: bool,
        pub(crate) has_status_cache: bool,
    }
}

wire_struct! {
    /// Slots became final: a chain, in order, that begins with a child of the root before. Every other
    /// slot that does not descend from the last of them is abandoned by that.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Rooted {
        pub(crate) chain: List<SlotId>,
    }
}

wire_struct! {
    /// Slots were given up: dead ones (begun, never committed), or forks.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Abandoned {
        pub(crate) slots: List<SlotId>,
    }
}

wire_struct! {
    /// Slots of which nothing is known: from the first to the last, both included.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Gap {
        pub(crate) first: Slot,
        pub(crate) last: Slot,
    }
}

wire_struct! {
    /// Records were written again elsewhere: all that is alive of these data segments. Extents: the
    /// new records. The lattice hashes of what was moved and of what was left out add up to that of
    /// all records that events had adopted there.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) struct Moved {
        /// Data segments whose records are not used any more.
        pub(crate) inputs: List<u32>,
        /// Versions whose successor is at or below this slot were left out.
        pub(crate) horizon: Slot,
        /// Records moved.
        pub(crate) records: u64,
        /// Of these, such that say that an account was closed and that no run leads to: they are
        /// needed to rebuild runs as long as older versions of these accounts may be somewhere.
        pub(crate) closed: u64,
        /// Lattice hash of the records moved.
        pub(crate) lattice: [u8; 2048],
        /// Lattice hash of the records left out that were once adopted.
        pub(crate) lattice_left_out: [u8; 2048],
        /// Records left out.
        pub(crate) left_out: u64,
    }
}

wire_struct! {
    /// What lies before this slot is not kept any more.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Horizon {
        pub(crate) slot: Slot,
        /// The states at base points before it are kept.
        pub(crate) keeps_bases: bool,
    }
}

/// A store's event, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreEvent {
    Created(Created),
    Base(Box<BasePoint>),
    Begun(Begun),
    Committed(Box<Committed>),
    Rooted(Rooted),
    Abandoned(Abandoned),
    Gap(Gap),
    Moved(Box<Moved>),
    Horizon(Horizon),
    Snapshot(Box<SnapshotMade>),
    AccountsHash(Box<AccountsHashed>),
    SnapshotIntent(Box<SnapshotIntent>),
}

impl StoreEvent {
    /// Decodes an event; `None`: it is the journal's own.
    ///
    /// # Errors
    /// [`Error::Event`] when the payload is not what its kind says.
    pub(crate) fn decode(event: &Event, payload: &[u8]) -> Result<Option<Self>, Error> {
        let wrong = |what: String| Error::Event { sequence: event.sequence(), what };
        let mut cursor = Cursor::new(payload);
        let read =
            Self::read(event.kind(), &mut cursor).map_err(|error| wrong(error.to_string()))?;
        let Some(decoded) = read else { return Ok(None) };
        if !cursor.remaining().is_empty() {
            return Err(wrong("bytes behind the last field".to_string()));
        }
        Ok(Some(decoded))
    }

    fn read(of: u16, cursor: &mut Cursor<'_>) -> Result<Option<Self>, WireError> {
        Ok(Some(match of {
            kind::CREATED => Self::Created(cursor.read()?),
            kind::BASE => Self::Base(Box::new(cursor.read()?)),
            kind::BEGUN => Self::Begun(cursor.read()?),
            kind::COMMITTED => Self::Committed(Box::new(cursor.read()?)),
            kind::ROOTED => Self::Rooted(cursor.read()?),
            kind::ABANDONED => Self::Abandoned(cursor.read()?),
            kind::GAP => Self::Gap(cursor.read()?),
            kind::MOVED => Self::Moved(Box::new(cursor.read()?)),
            kind::HORIZON => Self::Horizon(cursor.read()?),
            kind::SNAPSHOT => Self::Snapshot(Box::new(cursor.read()?)),
            kind::ACCOUNTS_HASH => Self::AccountsHash(Box::new(cursor.read()?)),
            kind::SNAPSHOT_INTENT => Self::SnapshotIntent(Box::new(cursor.read()?)),
            _ => return Ok(None),
        }))
    }
}

/// An event's payload.
pub(crate) fn encoded(payload: &impl Wire) -> Vec<u8> {
    let mut bytes = Vec::new();
    payload.encode(&mut bytes);
    bytes
}

/// An event of a store, to be appended.
pub(crate) fn new_event<'a>(
    stream: &'a [u8],
    kind: u16,
    payload: &'a [u8],
    extents: &'a [Extent],
) -> NewEvent<'a> {
    NewEvent { extents, ..NewEvent::new(stream, kind, payload) }
}
