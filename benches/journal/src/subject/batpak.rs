//! `batpak` 0.10.0. Never syncs by itself when that is not measured; its writer takes all that
//! waits at once; the fewest indexes. `read_raw`, so that payloads are not decoded as JSON.
//!
//! Its durable gate waits for a sync and does not ask for one, so what counts is after how many
//! events the writer syncs. All ways that it offers are measured:
//! - group commit without limit (setting 0), a sync after every round of the writer, or after 16
//!   events: exactly as many as there are threads that wait, which no program could know;
//! - group commit of at most 16, which demands an idempotency key of every event;
//! - `append_batch`, which syncs before it returns.

use std::{
    collections::VecDeque,
    ops::Range,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use batpak::{
    coordinate::{Coordinate, KindFilter, Region},
    event::EventKind,
    id::{EventId, IdempotencyKey},
    store::{
        AppendOptions, AppendTicket, BatchAppendItem, BatchAppendTicket, CausationRef,
        DurabilityGate, Open, StoreConfig, SyncMode, WatermarkKind,
    },
};
use serde::{Serialize, Serializer};

use super::{DurableMode, Mode, Subject};
use crate::{
    Failure,
    workload::{BATCH_EVENTS, Workload, scatter},
};

const KIND: EventKind = EventKind::custom(0xF, 1);
/// Tickets that are waited for later: more than the writer's queue drains in one round, less than
/// its 4,096 places.
const TICKETS_MAX: usize = 1024;
/// A cursor's poll costs as much as the whole index: few large ones are best.
const POLL_EVENTS: usize = 1 << 16;
/// Longest that a gate is waited for; never reached unless something is wrong.
const GATE_LONGEST: Duration = Duration::from_secs(60);

const GATE_UNLIMITED: &str = "batpak, gate, group commit 0";
const GATE_UNLIMITED_16: &str = "batpak, gate, group commit 0, sync per 16";
const GATE_16: &str = "batpak, gate, group commit 16, keys";
const BATCH_OF_1: &str = "batpak, append_batch of 1";
const BATCH_OF_16: &str = "batpak, append_batch of 16, one thread";

pub(super) const DURABLE_MODES: [DurableMode; 5] = [
    DurableMode { name: GATE_UNLIMITED, events_at_once: 1 },
    DurableMode { name: GATE_UNLIMITED_16, events_at_once: 1 },
    DurableMode { name: GATE_16, events_at_once: 1 },
    DurableMode { name: BATCH_OF_1, events_at_once: 1 },
    DurableMode { name: BATCH_OF_16, events_at_once: 16 },
];

/// A payload that is written as bytes, not as a list of numbers.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

pub(super) struct Store {
    store: batpak::store::Store<Open>,
    workload: Arc<Workload>,
    coordinates: Vec<Coordinate>,
    mode: Mode,
    /// Id and global sequence of every event: opening and closing take sequences, too.
    known: OnceLock<Vec<(EventId, u64)>>,
}

impl Store {
    pub(super) fn open(
        folder: &Path,
        workload: Arc<Workload>,
        mode: Mode,
    ) -> Result<Self, Failure> {
        let (group_commit, sync_events) = match mode {
            Mode::Durable(GATE_16) => (16, 1),
            Mode::Durable(GATE_UNLIMITED_16) => (0, 16),
            Mode::Durable(_) => (0, 1),
            Mode::Buffered | Mode::Unsealed => (0, u32::MAX),
        };
        let config = StoreConfig::new(folder)
            .with_sync_mode(SyncMode::SyncData)
            .with_group_commit_max_batch(group_commit)
            .with_sync_every_n_events(sync_events);
        let store = batpak::store::Store::open(config)?;
        let coordinates = workload
            .streams()
            .iter()
            .map(|stream| Coordinate::new(stream, "benches"))
            .collect::<Result<_, _>>()?;
        Ok(Self { store, workload, coordinates, mode, known: OnceLock::new() })
    }

    fn coordinate(&self, event: u64) -> &Coordinate {
        &self.coordinates[self.workload.stream_index(event)]
    }

    fn items(&self, events: Range<u64>) -> Result<Vec<BatchAppendItem>, Failure> {
        events
            .map(|event| {
                Ok(BatchAppendItem::new(
                    self.coordinate(event).clone(),
                    KIND,
                    &Bytes(self.workload.payload(event)),
                    AppendOptions::new(),
                    CausationRef::None,
                )?)
            })
            .collect()
    }

    fn known(&self, event: u64) -> Result<(EventId, u64), Failure> {
        let known = self.known.get().ok_or("batpak: not ready to read")?;
        let known = usize::try_from(event).ok().and_then(|event| known.get(event));
        Ok(*known.ok_or("batpak: an event is absent")?)
    }

    /// The payload is behind the header that its encoding puts before bytes.
    fn read_raw(&self, id: EventId, look: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let payload = self.store.read_raw(id)?.event.payload;
        let header_bytes = payload.len().checked_sub(self.workload.payload_bytes());
        look(&payload[header_bytes.ok_or("batpak: a payload is too short")?..]);
        Ok(())
    }
}

impl Subject for Store {
    fn append_singly(&self, events: Range<u64>) -> Result<(), Failure> {
        let mut tickets = VecDeque::with_capacity(TICKETS_MAX);
        for event in events {
            if tickets.len() == TICKETS_MAX
                && let Some(ticket) = tickets.pop_front()
            {
                let _receipt = AppendTicket::wait(ticket)?;
            }
            let payload = Bytes(self.workload.payload(event));
            tickets.push_back(self.store.submit(self.coordinate(event), KIND, &payload)?);
        }
        for ticket in tickets {
            let _receipt = ticket.wait()?;
        }
        Ok(())
    }

    fn append_batches(&self, events: Range<u64>) -> Result<(), Failure> {
        let mut tickets = VecDeque::with_capacity(TICKETS_MAX);
        for batch in super::batches(events, BATCH_EVENTS) {
            if tickets.len() == TICKETS_MAX
                && let Some(ticket) = tickets.pop_front()
            {
                let _receipts = BatchAppendTicket::wait(ticket)?;
            }
            tickets.push_back(self.store.submit_batch(self.items(batch)?)?);
        }
        for ticket in tickets {
            let _receipt = ticket.wait()?;
        }
        Ok(())
    }

    fn append_durably(&self, events: Range<u64>) -> Result<(), Failure> {
        if let Mode::Durable(BATCH_OF_1 | BATCH_OF_16) = self.mode {
            self.store.append_batch(self.items(events)?)?;
            return Ok(());
        }
        for event in events {
            let gate = DurabilityGate::new(WatermarkKind::Durable, GATE_LONGEST);
            let mut options = AppendOptions::new().with_gate(gate);
            if self.mode == Mode::Durable(GATE_16) {
                let key = (u128::from(scatter(event)) << 64) | (u128::from(event) + 1);
                options = options.with_idempotency(IdempotencyKey::from(key));
            }
            let payload = Bytes(self.workload.payload(event));
            let _receipt =
                self.store.append_with_options(self.coordinate(event), KIND, &payload, options)?;
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), Failure> {
        Ok(self.store.sync()?)
    }

    fn ready_to_read(&self, events: u64) -> Result<(), Failure> {
        let region = Region::all().with_fact(KindFilter::Exact(KIND));
        let mut known: Vec<_> = self
            .store
            .query(&region)
            .iter()
            .map(|entry| (entry.event_id(), entry.global_sequence()))
            .collect();
        known.sort_by_key(|(_, sequence)| *sequence);
        if (known.len() as u64) < events {
            return Err("batpak: events are absent".into());
        }
        self.known.get_or_init(|| known);
        Ok(())
    }

    fn read(&self, sequence: u64, look: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        self.read_raw(self.known(sequence)?.0, look)
    }

    fn drain(&self, look: &mut dyn FnMut(&[u8])) -> Result<u64, Failure> {
        let mut cursor = self.store.cursor_guaranteed(&Region::all());
        let mut count = 0;
        loop {
            let entries = cursor.poll_batch(POLL_EVENTS);
            if entries.is_empty() {
                return Ok(count);
            }
            for entry in entries.iter().filter(|entry| entry.event_kind() == KIND) {
                self.read_raw(entry.event_id(), look)?;
                count += 1;
            }
        }
    }

    fn page(&self, first: u64, count: u64, look: &mut dyn FnMut(&[u8])) -> Result<u64, Failure> {
        let after = match first {
            0 => None,
            first => Some(self.known(first - 1)?.1),
        };
        let limit = usize::try_from(count)?;
        let entries = self.store.query_entries_after(&Region::all(), after, limit);
        for entry in &entries {
            self.read_raw(entry.event_id(), look)?;
        }
        Ok(entries.len() as u64)
    }

    fn verify(&self) -> Result<Option<u64>, Failure> {
        match self.store.verify_chain()?.is_intact() {
            true => Ok(None),
            false => Err("batpak: the chain is not intact".into()),
        }
    }

    fn close(self: Box<Self>) -> Result<(), Failure> {
        self.store.close()?;
        Ok(())
    }
}
