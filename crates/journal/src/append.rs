//! Appending: the one verb that changes a journal.
//!
//! 1. Gates are evaluated, all of them; a denied batch is not written, its denial can be.
//! 2. Large payloads are written to extents.
//! 3. What has to be read for the batch is read: what its parents say about ancestry.
//! 4. The batch is accepted (see `writer::accept`): its place is known now.
//! 5. The caller waits as long as it wants to.

use std::{any::Any, collections::HashMap, sync::Arc, time::Duration};

use crate::{
    Batch, DenialRecord, Durability, Error, Event, Expectation, Gate, Gates, NewEvent, Node,
    Placement, Proposal, ProposedEvent, Receipt, Ticket,
    format::{
        annex::{IDEMPOTENCY_KEY_BYTES_MAX, put_gates},
        record::{self, Ancestry, Record},
    },
    journal::{Journal, Shared},
    kinds::reserved,
    writer::{accept::Prepared, watermarks::Stage},
};

/// How a batch is appended.
#[derive(Clone, Copy)]
pub struct AppendOptions<'a> {
    /// How far it has to come before [`Journal::append`] returns.
    pub durability: Durability,
    /// What is expected of streams, of those in the batch and of others.
    pub expectations: &'a [(&'a [u8], Expectation)],
    /// A request with the same key and content is accepted once: 1 to 255 bytes.
    pub idempotency_key: Option<&'a [u8]>,
    /// Predicates that have to let the batch pass.
    pub gates: &'a [&'a dyn Gate],
    /// What gates look at beside the batch.
    pub context: &'a dyn Any,
    /// Where the denial of a refused batch is recorded, as an event: a stream.
    pub record_denial: Option<&'a [u8]>,
    /// Whether [`Journal::append`] may use the room that is kept in reserve when the disk is full
    /// (see [`Options::reserve_bytes`](crate::Options::reserve_bytes)).
    pub use_reserve: bool,
    /// The batch is accepted only if nothing was taken back since this generation (see
    /// [`Journal::generation`]): for callers whose batch builds on what they remember of earlier ones.
    pub generation: Option<u64>,
}

impl Default for AppendOptions<'_> {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            expectations: &[],
            idempotency_key: None,
            gates: &[],
            context: &(),
            record_denial: None,
            use_reserve: false,
            generation: None,
        }
    }
}

/// What has to hold when a batch is accepted.
#[derive(Clone, Copy, Default)]
pub(crate) struct Conditions<'a> {
    pub(crate) expectations: &'a [(&'a [u8], Expectation)],
    pub(crate) idempotency_key: Option<&'a [u8]>,
    pub(crate) generation: Option<u64>,
}

impl<'a> AppendOptions<'a> {
    pub(crate) fn conditions(&self) -> Conditions<'a> {
        Conditions {
            expectations: self.expectations,
            idempotency_key: self.idempotency_key,
            generation: self.generation,
        }
    }
}

/// How long one wait for room lasts before it is looked whether writing goes on.
const ROOM_INTERVAL: Duration = Duration::from_millis(100);

impl Journal {
    /// Appends a batch and waits until it has come as far as the options say.
    ///
    /// # Errors
    /// Nothing of the batch is in the journal after [`Error::Unexpected`],
    /// [`Error::IdempotencyConflict`], [`Error::Denied`], [`Error::NoSuchEvent`], [`Error::Unfit`],
    /// [`Error::OtherGeneration`] and [`Error::TakenBack`]. After [`Error::Poisoned`] it may or may not be.
    pub fn append(&self, batch: &Batch, options: &AppendOptions<'_>) -> Result<Receipt, Error> {
        let append = || {
            let ticket = self.submit(batch, options)?;
            ticket.wait(options.durability)?;
            Ok(ticket.receipt)
        };
        if options.use_reserve { self.shared.with_reserve(append) } else { append() }
    }

    /// Appends a batch without waiting for anything but room: many can be under way.
    ///
    /// # Errors
    /// As [`Self::append`], but for what only waiting can tell.
    pub fn submit(&self, batch: &Batch, options: &AppendOptions<'_>) -> Result<Ticket, Error> {
        self.shared.wait_for_room()?;
        self.submit_now(batch, options)
    }

    /// As [`Self::submit`], without waiting for room either.
    ///
    /// # Errors
    /// [`Error::Busy`] with the figures when there is none.
    pub fn try_submit(&self, batch: &Batch, options: &AppendOptions<'_>) -> Result<Ticket, Error> {
        let buffered_bytes = self.shared.accept().buffer.len();
        let bytes_max = self.shared.options.buffer_bytes_max;
        if buffered_bytes >= bytes_max {
            self.shared.keeper.want_writing();
            return Err(Error::Busy { buffered_bytes, bytes_max });
        }
        self.submit_now(batch, options)
    }

    fn submit_now(&self, batch: &Batch, options: &AppendOptions<'_>) -> Result<Ticket, Error> {
        if batch.has_reserved_kinds {
            let what = "kinds from 0xF000 on are the journal's own";
            return Err(Error::Unfit { what });
        }
        self.shared.check_extents(batch, |_| None)?;
        let mut annex = Vec::new();
        if !options.gates.is_empty() {
            self.shared.pass_gates(batch, options, &mut annex)?;
        }
        self.shared.submit(batch, options.conditions(), annex)
    }
}

impl Shared {
    /// Accepts a batch of any kinds, gates having been passed.
    pub(crate) fn submit(
        self: &Arc<Self>,
        batch: &Batch,
        conditions: Conditions<'_>,
        annex: Vec<u8>,
    ) -> Result<Ticket, Error> {
        let Conditions { expectations, idempotency_key, generation } = conditions;
        if batch.is_empty() {
            return Err(Error::Unfit { what: "a batch has at least one event" });
        }
        if idempotency_key.is_some_and(|key| !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()))
        {
            return Err(Error::Unfit { what: "an idempotency key has 1 to 255 bytes" });
        }
        let with_extents = match batch.large.is_empty() {
            true => None,
            false => Some(self.write_payloads(batch)?),
        };
        let records = with_extents.as_deref().unwrap_or(&batch.records);
        let reads_last =
            |expectation: &Expectation| matches!(expectation, Expectation::LastEvent(_));
        if expectations.iter().any(|(_, expectation)| reads_last(expectation)) {
            self.flush(false)?;
        }
        let prepared = Prepared {
            batch,
            records,
            streams: self.stream_ids(batch),
            ancestry: if batch.has_parents { self.ancestry(batch)? } else { Vec::new() },
            expectations,
            idempotency: idempotency_key.map(|key| (key, batch.request_digest())),
            generation,
            annex,
        };
        let accepted = self.accept_batch(&prepared)?;
        if accepted.buffered_bytes >= self.options.buffer_bytes_max / 16 {
            self.keeper.want_writing();
        }
        Ok(Ticket {
            shared: Arc::clone(self),
            receipt: accepted.receipt,
            generation: accepted.generation,
        })
    }

    /// Waits until what is accepted and not written is below its bound.
    fn wait_for_room(&self) -> Result<(), Error> {
        loop {
            let (buffered, end) = {
                let accept = self.accept();
                (accept.buffer.len(), accept.next.sequence)
            };
            if buffered < self.options.buffer_bytes_max {
                return Ok(());
            }
            self.watermarks.check()?;
            if !self.options.background {
                self.flush(false)?;
                continue;
            }
            self.keeper.want_writing();
            self.watermarks.wait(Stage::Written, end.saturating_sub(1), ROOM_INTERVAL);
        }
    }

    fn stream_ids(&self, batch: &Batch) -> Vec<[u8; 16]> {
        let mut ids: Vec<[u8; 16]> = Vec::with_capacity(batch.len());
        let mut last: &[u8] = &[];
        for start in &batch.starts {
            let stream = record::stream(&batch.records[*start as usize..]);
            // Batches often go to one stream.
            match ids.last() {
                Some(id) if last == stream => ids.push(*id),
                _ => ids.push(self.identity.keys.stream_id(stream)),
            }
            last = stream;
        }
        ids
    }

    /// What the parents of each event say about its ancestry. Parents do not change: this is done
    /// before the lock. Events of the batch are known by their references until they are accepted.
    fn ancestry(&self, batch: &Batch) -> Result<Vec<(u32, Ancestry)>, Error> {
        let mut known: HashMap<u64, Node> = HashMap::new();
        let mut placed = Vec::new();
        for (index, (start, end)) in batch.ranges().enumerate() {
            let own = record::IN_BATCH | index as u64;
            let record =
                Record::decode(&batch.records[start..end]).expect("records are made soundly");
            let parents: Vec<_> = record.parents().collect();
            if parents.is_empty() {
                known.insert(own, node(own, Vec::new(), &record.ancestry(own)));
                continue;
            }
            for parent in &parents {
                self.know(&mut known, *parent)?;
            }
            let first_jump = known[&parents[0]].jump;
            // An ancestor that was dropped cannot be jumped to.
            let jump = match self.know(&mut known, first_jump) {
                Ok(()) => known.get(&first_jump),
                Err(Error::Dropped { .. }) => None,
                Err(error) => return Err(error),
            };
            let nodes: Vec<_> = parents.iter().map(|parent| known[parent].clone()).collect();
            let placement = Placement::below(&nodes, jump).ok_or(Error::Unfit {
                what: "an event has at most 4,294,967,295 ancestors in a row",
            })?;
            let ancestry = Ancestry {
                depth: placement.depth,
                jump: placement.jump,
                jump_depth: placement.jump_depth,
                is_tree: placement.is_tree,
            };
            known.insert(own, node(own, parents, &ancestry));
            placed.push((index as u32, ancestry));
        }
        Ok(placed)
    }

    fn know(&self, known: &mut HashMap<u64, Node>, sequence: u64) -> Result<(), Error> {
        if known.contains_key(&sequence) {
            return Ok(());
        }
        // Events of the batch come before those that refer to them.
        assert_eq!(sequence & record::IN_BATCH, 0, "an event of the batch was placed before");
        if sequence >= self.watermarks.at(Stage::Written) {
            self.flush(false)?;
        }
        let event = self.history.read(sequence)?;
        known.insert(sequence, event_node(&event));
        Ok(())
    }

    /// Evaluates all gates; on denial records it if that is wanted.
    pub(crate) fn pass_gates(
        self: &Arc<Self>,
        batch: &Batch,
        options: &AppendOptions<'_>,
        annex: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let gates = Gates::new(options.gates)?;
        let end_sequence = self.watermarks.at(Stage::Accepted);
        let resolve = |reference: u64| match reference & record::IN_BATCH {
            0 => reference,
            _ => end_sequence + (reference & !record::IN_BATCH),
        };
        let records: Vec<_> = batch
            .ranges()
            .map(|(start, end)| {
                Record::decode(&batch.records[start..end]).expect("records are made soundly")
            })
            .collect();
        let parents: Vec<Vec<u64>> =
            records.iter().map(|record| record.parents().map(resolve).collect()).collect();
        let large: HashMap<u32, &[u8]> =
            batch.large.iter().map(|large| (large.event, &large.payload[..])).collect();
        let events: Vec<_> = records
            .iter()
            .zip(&parents)
            .enumerate()
            .map(|(index, (record, parents))| ProposedEvent {
                stream: record.stream,
                scope: record.scope,
                kind: record.kind,
                payload_version: record.payload_version,
                payload: large.get(&(index as u32)).copied().unwrap_or(record.payload),
                causation: record.causation.map(resolve),
                correlation: record.correlation,
                parents,
            })
            .collect();
        let proposal = Proposal { events: &events, end_sequence };
        let outcomes = gates.evaluate_all(&proposal, options.context);
        if outcomes.is_allowed() {
            put_gates(annex, outcomes.passed());
            return Ok(());
        }
        let recorded = match options.record_denial {
            None => None,
            Some(stream) => {
                let mut payload = Vec::new();
                DenialRecord::new(outcomes.clone(), batch.len() as u32, &batch.records)
                    .encode(&mut payload);
                let mut denial = NewEvent::new(stream, reserved::DENIAL, &payload);
                denial.payload_version = DenialRecord::VERSION;
                let denial = Batch::of(&denial)?;
                let ticket = self.submit(&denial, Conditions::default(), Vec::new())?;
                ticket.wait(options.durability)?;
                Some(Box::new(ticket.receipt))
            }
        };
        Err(Error::Denied { outcomes: Box::new(outcomes), recorded })
    }
}

fn node(sequence: u64, parents: Vec<u64>, ancestry: &Ancestry) -> Node {
    Node {
        sequence,
        parents,
        depth: ancestry.depth,
        jump: ancestry.jump,
        jump_depth: ancestry.jump_depth,
        is_tree: ancestry.is_tree,
    }
}

/// An event as a node of the graph that events form.
pub(crate) fn event_node(event: &Event) -> Node {
    node(event.sequence(), event.parents(), &event.ancestry())
}
