//! `redb`: a copy-on-write B-tree. One transaction per event or batch; its cache at the default,
//! 1 GiB.

use std::{
    ops::Range,
    path::Path,
    sync::{Arc, OnceLock},
};

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};

use super::{DurableMode, Subject};
use crate::{
    Failure,
    workload::{BATCH_EVENTS, Workload},
};

const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

/// A transaction that is durable when its commit returns.
pub(super) const DURABLE_MODES: [DurableMode; 1] =
    [DurableMode { name: "redb, Durability::Immediate", events_at_once: 1 }];

pub(super) struct Store {
    database: Database,
    workload: Arc<Workload>,
    reading: OnceLock<ReadOnlyTable<u64, &'static [u8]>>,
}

impl Store {
    pub(super) fn open(folder: &Path, workload: Arc<Workload>) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder)?;
        let database = Database::create(folder.join("events.redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(EVENTS)?;
        transaction.commit()?;
        Ok(Self { database, workload, reading: OnceLock::new() })
    }

    fn append(&self, events: Range<u64>, durability: Durability) -> Result<(), Failure> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(durability)?;
        {
            let mut table = transaction.open_table(EVENTS)?;
            let mut value = Vec::new();
            for event in events {
                super::value_of(&self.workload, event, &mut value);
                table.insert(event, value.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn table(&self) -> Result<&ReadOnlyTable<u64, &'static [u8]>, Failure> {
        self.reading.get().ok_or_else(|| "redb: not ready to read".into())
    }
}

impl Subject for Store {
    fn append_singly(&self, events: Range<u64>) -> Result<(), Failure> {
        for event in events {
            self.append(event..event + 1, Durability::None)?;
        }
        Ok(())
    }

    fn append_batches(&self, events: Range<u64>) -> Result<(), Failure> {
        for batch in super::batches(events, BATCH_EVENTS) {
            self.append(batch, Durability::None)?;
        }
        Ok(())
    }

    fn append_durably(&self, events: Range<u64>) -> Result<(), Failure> {
        self.append(events, Durability::Immediate)
    }

    fn sync(&self) -> Result<(), Failure> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        Ok(transaction.commit()?)
    }

    fn ready_to_read(&self, _: u64) -> Result<(), Failure> {
        let table = self.database.begin_read()?.open_table(EVENTS)?;
        self.reading.get_or_init(|| table);
        Ok(())
    }

    fn read(&self, sequence: u64, look: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let value = self.table()?.get(sequence)?.ok_or("redb: an event is absent")?;
        look(super::payload_of(value.value()));
        Ok(())
    }

    fn drain(&self, look: &mut dyn FnMut(&[u8])) -> Result<u64, Failure> {
        let mut count = 0;
        for entry in self.table()?.iter()? {
            look(super::payload_of(entry?.1.value()));
            count += 1;
        }
        Ok(count)
    }

    fn page(&self, first: u64, count: u64, look: &mut dyn FnMut(&[u8])) -> Result<u64, Failure> {
        let mut read = 0;
        for entry in self.table()?.range(first..first + count)? {
            look(super::payload_of(entry?.1.value()));
            read += 1;
        }
        Ok(read)
    }

    fn verify(&self) -> Result<Option<u64>, Failure> {
        Err("redb: there is no chain to verify".into())
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        drop(self.reading);
        Ok(self.database.close()?)
    }
}
