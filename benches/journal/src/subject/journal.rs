//! The journal, with the settings that it comes with, on the real disk.

use std::{
    ops::{ControlFlow, Range},
    path::Path,
    sync::Arc,
};

use icecore_journal::{
    AppendOptions, Batch, By, CreateOptions, Cursor, Durability, Error, Journal, NewEvent, Options,
    Query, Ticket, VerifyOptions,
};

use super::{DurableMode, Mode, Subject};
use crate::{
    Failure,
    workload::{BATCH_EVENTS, Workload},
};

const KIND: u16 = 1;

/// One way: a batch, [`Durability::Durable`].
pub(super) const DURABLE_MODES: [DurableMode; 1] =
    [DurableMode { name: "journal, Durability::Durable", events_at_once: 1 }];

pub(super) struct Store {
    journal: Journal,
    workload: Arc<Workload>,
}

impl Store {
    pub(super) fn open(
        folder: &Path,
        workload: Arc<Workload>,
        mode: Mode,
    ) -> Result<Self, Failure> {
        let options = Options { background: mode != Mode::Unsealed, ..Options::default() };
        let journal = match Journal::open(folder, options.clone()) {
            Err(Error::NoJournal { .. }) => {
                Journal::create(folder, CreateOptions::default(), options)?
            }
            opened => opened?,
        };
        Ok(Self { journal, workload })
    }

    fn fill(&self, batch: &mut Batch, events: Range<u64>) -> Result<(), Failure> {
        batch.clear();
        for event in events {
            let stream = self.workload.stream(event).as_bytes();
            batch.push(&NewEvent::new(stream, KIND, self.workload.payload(event)))?;
        }
        Ok(())
    }

    /// Submits batches and waits for the last.
    fn submit(&self, events: Range<u64>, batch_events: u64) -> Result<(), Failure> {
        let end = events.end;
        let mut batch = Batch::new();
        let mut last: Option<Ticket> = None;
        for events in super::batches(events, batch_events) {
            self.fill(&mut batch, events)?;
            last = Some(self.journal.submit(&batch, &AppendOptions::default())?);
        }
        let Some(last) = last else { return Ok(()) };
        last.wait(Durability::Written)?;
        // Had a batch before it been taken back, the last one would stand lower.
        match last.receipt().end_sequence() {
            sequence if sequence == end => Ok(()),
            sequence => Err(format!("journal: ends at {sequence}, not at {end}").into()),
        }
    }
}

impl Subject for Store {
    fn append_singly(&self, events: Range<u64>) -> Result<(), Failure> {
        self.submit(events, 1)
    }

    fn append_batches(&self, events: Range<u64>) -> Result<(), Failure> {
        self.submit(events, BATCH_EVENTS)
    }

    fn append_durably(&self, events: Range<u64>) -> Result<(), Failure> {
        let mut batch = Batch::new();
        self.fill(&mut batch, events)?;
        self.journal.append(&batch, &AppendOptions::default())?;
        Ok(())
    }

    fn sync(&self) -> Result<(), Failure> {
        Ok(self.journal.sync()?)
    }

    fn ready_to_read(&self, events: u64) -> Result<(), Failure> {
        match self.journal.end() {
            end if end >= events => Ok(()),
            end => Err(format!("journal: ends at {end}, not at {events}").into()),
        }
    }

    fn read(&self, sequence: u64, look: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        look(self.journal.read(sequence)?.payload());
        Ok(())
    }

    /// By a cursor from the start, whose position is made durable at the end.
    fn drain(&self, look: &mut dyn FnMut(&[u8])) -> Result<u64, Failure> {
        let query = Query::new(By::Sequence);
        let mut cursor = Cursor::open_at(self.journal.history(), "benches", query, 0)?;
        let mut count = 0;
        for followed in &mut cursor {
            look(followed?.into_event()?.payload());
            count += 1;
        }
        cursor.commit()?;
        Ok(count)
    }

    fn page(&self, first: u64, count: u64, look: &mut dyn FnMut(&[u8])) -> Result<u64, Failure> {
        let query = Query::new(By::Sequence).sequences(first..first + count);
        let mut read = 0;
        for event in self.journal.history().scan(query)? {
            look(event?.payload());
            read += 1;
        }
        Ok(read)
    }

    fn verify(&self) -> Result<Option<u64>, Failure> {
        let mut go_on = |_: &_| ControlFlow::Continue(());
        Ok(Some(self.journal.verify(&VerifyOptions::default(), &mut go_on)?.bytes))
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        Ok(self.journal.close()?)
    }
}
