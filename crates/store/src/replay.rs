//! From the chain to the tree and the tail: what an open, and a reader that follows, make of events.
//!
//! Each event is applied once, in order. What a slot wrote is read from its extents, which are checked
//! by their digests, and every record by its own checksum.
//!
//! What it does *not* do: read versions that runs hold already.

use std::sync::Arc;

use icecore_journal::{Event, Extent, History};

use crate::{
    Error, SlotState,
    bank::{BankFields, StateTotals},
    events::{BasePoint, Committed, SlotId, StoreEvent},
    record::{RecordFault, RecordSeed, Version},
    run_set::{NodeEntry, RunPair, RunSet, Window},
    shared::{Mirror, Shared, State},
    tail::{SlotIndex, TailVersion},
    tree::Node,
};

impl Shared {
    /// Applies the events that the chain has and the mirror has not. After an error the mirror and the
    /// state have what came before it.
    pub(crate) fn catch_up(
        &self,
        mirror: &mut Mirror,
        state: &mut Arc<State>,
    ) -> Result<(), Error> {
        let end = self.history.end();
        while mirror.applied_end < end {
            let event = self.history.read(mirror.applied_end)?;
            self.apply(mirror, state, &event)?;
            mirror.applied_end += 1;
        }
        Ok(())
    }

    fn apply(
        &self,
        mirror: &mut Mirror,
        state: &mut Arc<State>,
        event: &Event,
    ) -> Result<(), Error> {
        let payload = self.history.payload(event)?;
        let Some(decoded) = StoreEvent::decode(event, &payload)? else { return Ok(()) };
        let id = SlotId(event.sequence());
        match decoded {
            StoreEvent::Created(_) | StoreEvent::Moved(_) => {}
            StoreEvent::Begun(begun) => mirror.tree.begin(id, begun.number, begun.parent)?,
            StoreEvent::Committed(committed) => {
                let node = mirror.tree.get(committed.id);
                let index = node.ok_or(Error::NoSuchSlot { slot: committed.id })?.index;
                let versions = self.versions_of(event, &committed, index)?;
                let count = versions.len() as u64;
                state.tail.add(versions);
                let Committed { id, bank, totals, .. } = *committed;
                mirror.tree.commit(id, event.sequence(), bank, totals, count);
            }
            StoreEvent::Rooted(rooted) => mirror.tree.apply_root(&rooted.chain.0, id.0),
            StoreEvent::Abandoned(abandoned) => {
                for id in abandoned.slots.0 {
                    // One that was forgotten since is as good as abandoned.
                    if mirror.tree.get(id).is_some() {
                        mirror.tree.abandon(id)?;
                    }
                }
            }
            StoreEvent::Base(base) => *state = self.apply_base(mirror, state, id, &base)?,
            StoreEvent::Gap(gap) => mirror.gaps.push((gap.first, gap.last)),
            StoreEvent::Horizon(horizon) => mirror.horizon = mirror.horizon.max(horizon.slot),
            StoreEvent::Snapshot(_)
            | StoreEvent::AccountsHash(_)
            | StoreEvent::SnapshotIntent(_) => {}
        }
        Ok(())
    }

    /// A base point: its runs begin a window, and the tree begins anew.
    pub(crate) fn apply_base(
        &self,
        mirror: &mut Mirror,
        state: &State,
        id: SlotId,
        base: &BasePoint,
    ) -> Result<Arc<State>, Error> {
        let facts = &base.facts;
        let slot = facts.bank.slot;
        let complete =
            RunPair::open(&*self.disk, &self.folder, self.identity, &base.runs, &state.runs)?;
        let mut windows = state.runs.windows.clone();
        let root = mirror.tree.root().map(|root| root.number);
        if let (Some(before), Some(root)) = (windows.last_mut(), root) {
            before.last = Some(root);
            if root + 1 < slot {
                mirror.gaps.push((root + 1, slot - 1));
            }
        }
        windows.push(Window { complete, deltas: Vec::new(), base: Some(id.0), last: None });
        let index = mirror.tree.take_index();
        mirror.tree.set_base(Node {
            id,
            index,
            number: slot,
            parent: None,
            state: SlotState::Rooted,
            event: Some(id.0),
            rooted_by: Some(id.0),
            bank: facts.bank,
            totals: Arc::new(facts.totals.clone()),
            versions: 0,
            is_flushed: true,
            is_spilled: false,
        });
        mirror.base = Some(Arc::new(facts.clone()));
        let runs = RunSet {
            number: state.runs.number + 1,
            windows,
            spilled: state.runs.spilled.clone(),
            segments: self.renewed_segments(&state.runs.segments, &[]),
        };
        Ok(Arc::new(State { tail: state.tail.retained(|_| true), runs }))
    }

    /// The versions that a slot wrote.
    pub(crate) fn versions_of(
        &self,
        event: &Event,
        committed: &Committed,
        index: SlotIndex,
    ) -> Result<Vec<TailVersion>, Error> {
        let mut versions = Vec::new();
        for extent in event.extents().iter().take(committed.record_extents as usize) {
            for_each_record(&self.history, self.seed(), extent, |locator_of, version| {
                versions.push(TailVersion {
                    key: *version.account.pubkey,
                    owner: *version.account.owner,
                    locator: version.locator(locator_of.0, locator_of.1),
                    slot: index,
                    has_previous_owner: version.previous_owner.is_some(),
                });
                Ok(())
            })?;
        }
        Ok(versions)
    }

    /// A node as a run set names it.
    pub(crate) fn node_of(&self, mirror: &mut Mirror, entry: &NodeEntry) -> Result<Node, Error> {
        let state = match entry.state {
            0 => SlotState::Open,
            1 => SlotState::Committed,
            2 => SlotState::Rooted,
            3 => SlotState::Abandoned,
            _ => SlotState::Dead,
        };
        let (bank, totals) = match entry.event {
            None => (BankFields::default(), StateTotals::default()),
            Some(event) => self.bank_at(event)?,
        };
        let index = mirror.tree.take_index();
        Ok(Node {
            id: entry.id,
            index,
            number: entry.number,
            parent: entry.parent,
            state,
            event: entry.event,
            rooted_by: entry.rooted_by,
            bank,
            totals: Arc::new(totals),
            versions: 0,
            is_flushed: entry.is_flushed,
            is_spilled: entry.is_spilled,
        })
    }

    /// What a slot's event says of its bank.
    pub(crate) fn bank_at(&self, sequence: u64) -> Result<(BankFields, StateTotals), Error> {
        match self.store_event(sequence)? {
            StoreEvent::Committed(committed) => Ok((committed.bank, committed.totals)),
            StoreEvent::Base(base) => Ok((base.facts.bank, base.facts.totals)),
            _ => {
                let what = "a slot's event is neither a commit nor a base point".to_string();
                Err(Error::Event { sequence, what })
            }
        }
    }

    /// Reads one of the store's events.
    pub(crate) fn store_event(&self, sequence: u64) -> Result<StoreEvent, Error> {
        let event = self.history.read(sequence)?;
        let payload = self.history.payload(&event)?;
        StoreEvent::decode(&event, &payload)?
            .ok_or_else(|| Error::Event { sequence, what: "it is the journal's own".to_string() })
    }
}

/// Bytes of an extent that are read at a time, at least: an extent of a slot is one piece.
const PIECE_BYTES: u64 = 16 << 20;

/// Calls `visit` with the place of every record of an extent, and the record, in order.
///
/// # Errors
/// [`Error::Corrupt`] when the extent is not a row of sound records; what `visit` says.
pub(crate) fn for_each_record(
    history: &History,
    seed: RecordSeed,
    extent: &Extent,
    mut visit: impl FnMut((u32, u64), &Version<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let reader = history.open_extent(extent)?;
    let mut start = 0;
    while start < extent.bytes {
        let end = (start + PIECE_BYTES).min(extent.bytes);
        let bytes = reader.read(start..end)?;
        let mut at = 0;
        while at < bytes.len() {
            let place = (extent.segment, extent.offset + start + at as u64);
            let version = match Version::decode(seed, place, &bytes[at..]) {
                Ok(version) => version,
                // It goes on in the next piece, which begins with it.
                Err(RecordFault::Short) if end < extent.bytes && at > 0 => break,
                Err(fault) => {
                    let path = history.data_segment(extent.segment)?.path().to_path_buf();
                    let what = match fault {
                        RecordFault::Short => "an extent ends within a record",
                        RecordFault::Checksum => "the checksum of a record does not match",
                        RecordFault::Fields => "a record has fields without a meaning",
                    };
                    return Err(Error::Corrupt { path, offset: place.1, what });
                }
            };
            let length = version.record_bytes();
            visit(place, &version)?;
            at += length;
        }
        start += at as u64;
    }
    Ok(())
}
