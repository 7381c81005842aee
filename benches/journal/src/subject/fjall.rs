//! `fjall`: an LSM tree. One keyspace; its log is handed to the operating system when asked for,
//! not at every write; blocks are not compressed, as payloads cannot be; a cache of 1 GiB, as
//! `redb` has.

use std::{ops::Range, path::Path, sync::Arc};

use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, UserValue,
    config::CompressionPolicy,
};

use super::{DurableMode, Subject};
use crate::{
    Failure,
    workload::{BATCH_EVENTS, Workload},
};

const CACHE_BYTES: u64 = 1 << 30;

/// Insert, then `persist`: every thread syncs.
pub(super) const DURABLE_MODES: [DurableMode; 1] =
    [DurableMode { name: "fjall, persist(SyncData)", events_at_once: 1 }];

pub(super) struct Store {
    database: Database,
    events: Keyspace,
    workload: Arc<Workload>,
}

impl Store {
    pub(super) fn open(folder: &Path, workload: Arc<Workload>) -> Result<Self, Failure> {
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .manual_journal_persist(true)
            .journal_compression(CompressionType::None)
            .open()?;
        let events = database.keyspace("events", || {
            KeyspaceCreateOptions::default()
                .manual_journal_persist(true)
                .expect_point_read_hits(true)
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
        })?;
        Ok(Self { database, events, workload })
    }

    fn append(&self, events: Range<u64>) -> Result<(), Failure> {
        let mut batch = self.database.batch();
        let mut value = Vec::new();
        for event in events {
            super::value_of(&self.workload, event, &mut value);
            batch.insert(&self.events, key(event), value.as_slice());
        }
        Ok(batch.commit()?)
    }
}

/// Keys sort as their numbers do.
#[expect(clippy::big_endian_bytes, reason = "the tree sorts by bytes")]
fn key(event: u64) -> [u8; 8] {
    event.to_be_bytes()
}

fn look_at(value: &UserValue, look: &mut dyn FnMut(&[u8])) {
    look(super::payload_of(value));
}

impl Subject for Store {
    fn append_singly(&self, events: Range<u64>) -> Result<(), Failure> {
        let mut value = Vec::new();
        for event in events {
            super::value_of(&self.workload, event, &mut value);
            self.events.insert(key(event), value.as_slice())?;
        }
        Ok(self.database.persist(PersistMode::Buffer)?)
    }

    fn append_batches(&self, events: Range<u64>) -> Result<(), Failure> {
        for batch in super::batches(events, BATCH_EVENTS) {
            self.append(batch)?;
        }
        Ok(self.database.persist(PersistMode::Buffer)?)
    }

    fn append_durably(&self, events: Range<u64>) -> Result<(), Failure> {
        self.append(events)?;
        self.sync()
    }

    fn sync(&self) -> Result<(), Failure> {
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    fn ready_to_read(&self, _: u64) -> Result<(), Failure> {
        // Reads are not to meet what is still being sorted.
        self.events.rotate_memtable_and_wait()?;
        Ok(self.events.major_compact()?)
    }

    fn read(&self, sequence: u64, look: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let value = self.events.get(key(sequence))?.ok_or("fjall: an event is absent")?;
        look_at(&value, look);
        Ok(())
    }

    fn drain(&self, look: &mut dyn FnMut(&[u8])) -> Result<u64, Failure> {
        let mut count = 0;
        for entry in self.events.iter() {
            look_at(&entry.value()?, look);
            count += 1;
        }
        Ok(count)
    }

    fn page(&self, first: u64, count: u64, look: &mut dyn FnMut(&[u8])) -> Result<u64, Failure> {
        let mut read = 0;
        for entry in self.events.range(key(first)..key(first + count)) {
            look_at(&entry.value()?, look);
            read += 1;
        }
        Ok(read)
    }

    fn verify(&self) -> Result<Option<u64>, Failure> {
        Err("fjall: there is no chain to verify".into())
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}
