//! What was made of a store's states: archives, and accounts hashes. The journal remembers it, for
//! whoever asks later and for the batch service, which builds incremental archives on full ones.
//!
//! What it does *not* do: make anything, or know whether a file is still there.

use std::collections::BTreeSet;

use icecore_journal::{AppendOptions, Batch, By, Durability, EventRef, Query};
use icecore_types::{Cursor, Hash, Slot, Wire, WireError, wire_struct};

use crate::{
    Error, Store, View,
    events::{StoreEvent, encoded, kind, new_event, stream},
};

/// Bytes of a file's name, at most: what file systems take.
const NAME_BYTES_MAX: u64 = 255;

/// A file's name in an event: its length (8 bytes) and its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileName(pub String);

impl Wire for FileName {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        let value: u64 = cursor.read()?;
        if value > NAME_BYTES_MAX {
            return Err(WireError::Invalid { what: "length of a file's name", value });
        }
        let bytes = cursor.take(usize::try_from(value).expect("bounded"))?;
        let invalid = WireError::Invalid { what: "file's name", value };
        std::str::from_utf8(bytes).map(|name| Self(name.to_string())).map_err(|_| invalid)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        (self.0.len() as u64).encode(out);
        out.extend_from_slice(self.0.as_bytes());
    }
}

wire_struct! {
    /// An archive was made and has its name.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SnapshotMade {
        /// The slot of its state.
        pub slot: Slot,
        /// The slot of the full archive on which an incremental one builds.
        pub base: Option<Slot>,
        /// The hash in its name.
        pub snapshot_hash: Hash,
        /// The slot's bank hash.
        pub bank_hash: Hash,
        /// The sum of all lamports.
        pub capitalization: u64,
        /// Accounts in it, tombstones apart.
        pub num_accounts: u64,
        /// Tombstones in it.
        pub num_tombstones: u64,
        /// Bytes of the file.
        pub bytes: u64,
        /// What it is called.
        pub name: FileName,
    }
}

wire_struct! {
    /// An archive is whole and is about to get its name: which file of the folder is ours, whatever
    /// happens from here on.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SnapshotIntent {
        /// The file's inode: one of the same name with another is somebody else's.
        pub inode: u64,
        /// The archive, as it is recorded when it has its name.
        pub made: SnapshotMade,
    }
}

wire_struct! {
    /// The accounts of a state were read from the disk and hashed.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AccountsHashed {
        /// The slot of the state.
        pub slot: Slot,
        /// Whether it was due in the window of an epoch accounts hash; otherwise it was asked for.
        pub is_of_window: bool,
        /// The checksum of the lattice hash as computed.
        pub lattice_checksum: Hash,
        /// The checksum of the lattice hash that the slot states.
        pub stated_lattice_checksum: Hash,
        /// The Merkle accounts hash.
        pub merkle: Hash,
        /// The sum of all lamports, as computed.
        pub capitalization: u64,
        /// The sum that the slot states.
        pub stated_capitalization: u64,
        /// Live accounts.
        pub num_accounts: u64,
    }
}

impl AccountsHashed {
    /// Whether the accounts are those that the slot states.
    pub fn agrees(&self) -> bool {
        self.lattice_checksum == self.stated_lattice_checksum
            && self.capitalization == self.stated_capitalization
    }
}

impl Store {
    /// Records durably that an archive of a view was made.
    ///
    /// # Errors
    /// [`Error::ReadOnly`]; what the journal said.
    ///
    /// # Panics
    /// When the name has more bytes than file systems take.
    pub fn record_snapshot(&self, view: &View, made: &SnapshotMade) -> Result<(), Error> {
        let bytes = made.name.0.len() as u64;
        assert!(bytes <= NAME_BYTES_MAX, "no name of a file: {bytes} bytes");
        self.record_made(view, kind::SNAPSHOT, &encoded(made))
    }

    /// Records durably that an archive of a view is about to get its name.
    ///
    /// # Errors
    /// As [`Self::record_snapshot`].
    ///
    /// # Panics
    /// As [`Self::record_snapshot`].
    pub fn record_snapshot_intent(
        &self,
        view: &View,
        intent: &SnapshotIntent,
    ) -> Result<(), Error> {
        let bytes = intent.made.name.0.len() as u64;
        assert!(bytes <= NAME_BYTES_MAX, "no name of a file: {bytes} bytes");
        self.record_made(view, kind::SNAPSHOT_INTENT, &encoded(intent))
    }

    /// Records durably what the accounts of a view hash to.
    ///
    /// # Errors
    /// As [`Self::record_snapshot`].
    pub fn record_accounts_hash(&self, view: &View, hashed: &AccountsHashed) -> Result<(), Error> {
        self.record_made(view, kind::ACCOUNTS_HASH, &encoded(hashed))
    }

    fn record_made(&self, view: &View, of: u16, payload: &[u8]) -> Result<(), Error> {
        let parents = [EventRef::Sequence(view.slot().event)];
        let mut event = new_event(stream::MADE, of, payload, &[]);
        event.parents = &parents;
        let ticket = {
            let mirror = self.shared.current_mirror()?;
            self.shared.append(&mirror, &Batch::of(&event)?, &AppendOptions::default())?
        };
        Ok(ticket.wait(Durability::Durable).map(|_| ())?)
    }

    /// The archives that were made, the last first, as many as are asked for.
    ///
    /// # Errors
    /// What reading the journal said.
    pub fn snapshots_made(&self, limit: usize) -> Result<Vec<SnapshotMade>, Error> {
        self.made(kind::SNAPSHOT, limit, |event| match event {
            StoreEvent::Snapshot(made) => Some(*made),
            _ => None,
        })
    }

    /// Which of these names were given to archives, by all that was recorded.
    ///
    /// # Errors
    /// What reading the journal said.
    pub fn snapshots_named(&self, names: &BTreeSet<String>) -> Result<BTreeSet<String>, Error> {
        let named = self.made(kind::SNAPSHOT, usize::MAX, |event| match event {
            StoreEvent::Snapshot(made) if names.contains(&made.name.0) => Some(made.name.0),
            _ => None,
        })?;
        Ok(named.into_iter().collect())
    }

    /// The archives of these names that were about to get them, the last first.
    ///
    /// # Errors
    /// What reading the journal said.
    pub fn snapshot_intents(&self, names: &BTreeSet<String>) -> Result<Vec<SnapshotIntent>, Error> {
        self.made(kind::SNAPSHOT_INTENT, usize::MAX, |event| match event {
            StoreEvent::SnapshotIntent(intent) if names.contains(&intent.made.name.0) => {
                Some(*intent)
            }
            _ => None,
        })
    }

    /// The accounts hashes that were computed, the last first, as many as are asked for.
    ///
    /// # Errors
    /// What reading the journal said.
    pub fn accounts_hashes(&self, limit: usize) -> Result<Vec<AccountsHashed>, Error> {
        self.made(kind::ACCOUNTS_HASH, limit, |event| match event {
            StoreEvent::AccountsHash(hashed) => Some(*hashed),
            _ => None,
        })
    }

    fn made<T>(
        &self,
        of: u16,
        limit: usize,
        is: impl Fn(StoreEvent) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let history = &self.shared.history;
        let mut found = Vec::new();
        for event in history.scan(Query::new(By::Kind(of)).backward())?.take(limit) {
            let event = event?;
            let payload = history.payload(&event)?;
            found.extend(StoreEvent::decode(&event, &payload)?.and_then(&is));
        }
        Ok(found)
    }
}
