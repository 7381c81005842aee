//! The slots of a feed, message by message: what each of them is in the store, and what is to be done
//! with it.
//!
//! ```text
//! begin ──> written ────────────end──> commit ──> waiting ──rooted, abandoned──> forgotten here
//!       ├─> held ──end──┬─ there already ──────────┘
//!       │               └─ another one: begin, write, commit
//!       └─> passed over ──end──> passed ──rooted, abandoned──> forgotten here
//! any of these ──abandoned before the end──> dead
//! ```
//!
//! What it does *not* do: read bytes.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    ops::ControlFlow,
};

use icecore_types::{Hash, Slot};

use super::{
    Counters, HELD_BYTES_MAX, IngestError, IngestOptions, OPEN_SLOTS_MAX, Refusal, SlotFacts,
    SlotSink, WAITING_SLOTS_MAX, held::Held,
};
use crate::{
    Attachment, BankFields, SlotId, SlotState, SlotStatement,
    feed::{FeedItem, SlotAccount, SlotBegin, SlotEnd},
};

/// The slots of a feed.
pub(super) struct Slots<S: SlotSink> {
    sink: S,
    options: IngestOptions,
    /// The number of the oldest slot that the store holds, and the root that it had at the beginning:
    /// what lies between them and is not known is forgotten.
    first_slot: Slot,
    first_root: Slot,
    has_begun: bool,
    open: BTreeMap<Slot, Open<S::Open>>,
    ending: Option<Ending<S::Open>>,
    /// Slots that have ended and are neither rooted nor abandoned, by number.
    waiting: BTreeMap<Slot, SlotId>,
    /// Slots passed over that have ended and are neither rooted nor abandoned.
    passed: BTreeMap<Slot, Hash>,
    /// The store's slots that already stand for a slot of this feed, from its last root on.
    claimed: BTreeSet<(Slot, SlotId)>,
    held_bytes: usize,
    gap: Option<(Slot, Slot)>,
    counters: Counters,
}

/// A slot that has begun and not ended.
struct Open<H> {
    begin: SlotBegin,
    accounts: u64,
    fate: Fate<H>,
}

enum Fate<H> {
    /// It is written.
    Written(H),
    /// It may be there already.
    Held(Place, Held),
    /// It is taken for one that is there: it is too large to be held.
    Believed(Place),
    /// It is passed over.
    Passed,
}

/// Where a slot begins.
#[derive(Clone, Copy)]
struct Place {
    parent: SlotId,
    /// It will never be final: if it is not there, it is forgotten.
    is_behind: bool,
}

/// A slot whose end is being read.
struct Ending<H> {
    slot: Slot,
    bank_bytes: u64,
    status_cache_bytes: u64,
    outcome: Outcome<H>,
}

enum Outcome<H> {
    Commit(H, Box<SlotStatement>),
    There(SlotId),
    Pass(Hash),
}

/// What went wrong, before its place is known.
pub(super) enum Wrong<E> {
    Refused(Refusal),
    Store(E),
}

impl<E> From<Refusal> for Wrong<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<S: SlotSink> Slots<S> {
    pub(super) fn new(sink: S, options: IngestOptions) -> Result<Self, S::Error> {
        Ok(Self {
            options,
            first_slot: sink.first_slot()?,
            first_root: sink.root()?.number,
            sink,
            has_begun: false,
            open: BTreeMap::new(),
            ending: None,
            waiting: BTreeMap::new(),
            passed: BTreeMap::new(),
            claimed: BTreeSet::new(),
            held_bytes: 0,
            gap: None,
            counters: Counters::default(),
        })
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn gap(&self) -> Option<(Slot, Slot)> {
        self.gap
    }

    /// Applies an item whose message begins at `offset`. `Break`: this was the end to stop at.
    pub(super) fn apply(
        &mut self,
        offset: u64,
        item: FeedItem<'_>,
    ) -> Result<ControlFlow<()>, IngestError<S::Error>> {
        let ending = self.ending.as_ref().map(|ending| ending.slot);
        let slot = match &item {
            FeedItem::SlotBegin(begin) => begin.slot,
            FeedItem::Account(account) => account.slot,
            FeedItem::SlotEnd(end) => end.slot,
            FeedItem::Rooted(slot) | FeedItem::Abandoned(slot) => *slot,
            FeedItem::Bank(_) | FeedItem::StatusCache(_) | FeedItem::SlotEnded => {
                ending.expect("the reader gives these within a slot's end only")
            }
        };
        let mut flow = ControlFlow::Continue(());
        let done = match item {
            FeedItem::SlotBegin(begin) => self.begin(begin),
            FeedItem::Account(account) => self.account(account),
            FeedItem::SlotEnd(end) => self.end(*end),
            FeedItem::Bank(piece) => self.attach(Attachment::Bank, piece),
            FeedItem::StatusCache(piece) => self.attach(Attachment::StatusCache, piece),
            FeedItem::SlotEnded => {
                if self.options.until == Some(slot) {
                    flow = ControlFlow::Break(());
                }
                self.ended()
            }
            FeedItem::Rooted(slot) => self.rooted(slot),
            FeedItem::Abandoned(slot) => self.abandoned(slot),
        };
        match done {
            Ok(()) => Ok(flow),
            Err(Wrong::Refused(refusal)) => Err(IngestError::Refused { offset, slot, refusal }),
            Err(Wrong::Store(source)) => Err(IngestError::Store { offset, slot, source }),
        }
    }

    /// Leaves what is open: it is dead. Records the gap.
    pub(super) fn close(&mut self) -> Result<(), (Slot, S::Error)> {
        for (slot, open) in mem::take(&mut self.open) {
            if let Fate::Written(open) = open.fate {
                self.sink.abandon_open(open).map_err(|error| (slot, error))?;
                self.counters.slots_dead += 1;
            }
        }
        if let Some((first, last)) = self.gap {
            self.sink.record_gap(first, last).map_err(|error| (first, error))?;
        }
        Ok(())
    }

    fn begin(&mut self, begin: SlotBegin) -> Result<(), Wrong<S::Error>> {
        let SlotBegin { slot, parent_slot, .. } = begin;
        if parent_slot >= slot {
            return Err(Refusal::ParentNumber { parent_slot }.into());
        }
        if self.open.contains_key(&slot) {
            return Err(Refusal::BegunTwice.into());
        }
        if self.waiting.contains_key(&slot) || self.passed.contains_key(&slot) {
            return Err(Refusal::NotAbandoned.into());
        }
        if self.open.len() >= OPEN_SLOTS_MAX {
            return Err(Refusal::TooManyOpen.into());
        }
        let fate = match self.parent(&begin)? {
            Some(parent) => self.fate(slot, &parent)?,
            None => Fate::Passed,
        };
        self.has_begun = true;
        self.counters.slots_passed += u64::from(matches!(fate, Fate::Passed));
        self.open.insert(slot, Open { begin, accounts: 0, fate });
        Ok(())
    }

    /// The store's slot that is meant; `None`: the slot is to be passed over.
    fn parent(&self, begin: &SlotBegin) -> Result<Option<SlotFacts>, Wrong<S::Error>> {
        let SlotBegin { parent_slot, parent_bank_hash, .. } = *begin;
        let known = self.sink.slots(parent_slot).map_err(Wrong::Store)?;
        let waiting = self.waiting.get(&parent_slot).copied();
        let found =
            known.iter().filter(|facts| facts.bank_hash == Some(parent_bank_hash)).max_by_key(
                |facts| (Some(facts.id) == waiting, facts.state != SlotState::Abandoned, facts.id),
            );
        if let Some(found) = found {
            return Ok(Some(*found));
        }
        if self.passed.get(&parent_slot) == Some(&parent_bank_hash) {
            return Ok(None);
        }
        if self.open.contains_key(&parent_slot) {
            return Err(Refusal::ParentOpen { parent_slot }.into());
        }
        let known: Vec<_> = known.iter().filter_map(|facts| facts.bank_hash).collect();
        // A fork that ended behind the root may be forgotten, and its number be another slot's.
        let is_behind = (self.first_slot..self.first_root).contains(&parent_slot)
            && (known.is_empty() || self.has_begun);
        if is_behind || (known.is_empty() && self.options.allow_gap) {
            return Ok(None);
        }
        if !self.has_begun {
            let root = self.sink.root().map_err(Wrong::Store)?;
            let root_bank_hash = root.bank_hash.unwrap_or_default();
            let root_slot = root.number;
            return Err(Refusal::WrongBase {
                parent_slot,
                parent_bank_hash,
                root_slot,
                root_bank_hash,
            }
            .into());
        }
        Err(match known.is_empty() {
            true => Refusal::UnknownParent { parent_slot, parent_bank_hash },
            false => Refusal::ParentBankHash { parent_slot, stated: parent_bank_hash, known },
        }
        .into())
    }

    fn fate(&mut self, slot: Slot, parent: &SlotFacts) -> Result<Fate<S::Open>, Wrong<S::Error>> {
        let root = self.sink.root().map_err(Wrong::Store)?;
        let carries = parent.id == root.id || parent.state == SlotState::Committed;
        let twins = self.twins(slot, parent.id)?;
        // One that died when the process did is begun again, wherever the root went meanwhile.
        let is_known_dead = twins.iter().any(|facts| facts.state == SlotState::Dead);
        let is_behind = slot <= self.first_root && !carries && !is_known_dead;
        let place = Place { parent: parent.id, is_behind };
        if !twins.is_empty() {
            let held = Held::new();
            self.held_bytes += held.bytes();
            return Ok(Fate::Held(place, held));
        }
        if place.is_behind {
            return Ok(Fate::Passed);
        }
        let open = self.sink.begin_slot(slot, parent.id).map_err(Wrong::Store)?;
        Ok(Fate::Written(open))
    }

    /// The store's slots that a slot of the feed may be.
    fn twins(&self, slot: Slot, parent: SlotId) -> Result<Vec<SlotFacts>, Wrong<S::Error>> {
        let mut twins = self.sink.slots(slot).map_err(Wrong::Store)?;
        twins.retain(|facts| {
            facts.parent == Some(parent)
                && facts.state != SlotState::Open
                && !self.claimed.contains(&(slot, facts.id))
        });
        Ok(twins)
    }

    fn account(&mut self, item: SlotAccount<'_>) -> Result<(), Wrong<S::Error>> {
        let Some(open) = self.open.get_mut(&item.slot) else {
            return Err(Refusal::NotOpen.into());
        };
        if u64::from(item.write_index) != open.accounts {
            let (expected, found) = (open.accounts, item.write_index);
            return Err(Refusal::WriteIndex { expected, found }.into());
        }
        open.accounts += 1;
        match &mut open.fate {
            Fate::Written(open) => {
                self.sink.write(open, &item.account).map_err(Wrong::Store)?;
                self.counters.accounts_written += 1;
            }
            Fate::Held(_, held) => {
                self.held_bytes += held.push(item);
                if self.held_bytes > HELD_BYTES_MAX {
                    self.stop_holding(item.slot)?;
                }
            }
            Fate::Believed(_) | Fate::Passed => self.counters.accounts_passed += 1,
        }
        Ok(())
    }

    /// Decides about a slot before its end.
    fn stop_holding(&mut self, slot: Slot) -> Result<(), Wrong<S::Error>> {
        let mut open = self.open.remove(&slot).expect("it is held");
        let Fate::Held(place, held) = open.fate else { unreachable!("it is held") };
        self.held_bytes -= held.bytes();
        let twins = self.twins(slot, place.parent)?;
        let is_believed = place.is_behind || twins.iter().any(|facts| facts.bank_hash.is_some());
        open.fate = if is_believed {
            self.counters.accounts_passed += open.accounts;
            Fate::Believed(place)
        } else {
            Fate::Written(self.begin_with(slot, place.parent, &held)?)
        };
        self.open.insert(slot, open);
        Ok(())
    }

    /// Begins a slot and writes what was held for it.
    fn begin_with(
        &mut self,
        slot: Slot,
        parent: SlotId,
        held: &Held,
    ) -> Result<S::Open, Wrong<S::Error>> {
        let mut open = self.sink.begin_slot(slot, parent).map_err(Wrong::Store)?;
        held.for_each(|item| {
            self.counters.accounts_written += 1;
            self.sink.write(&mut open, &item.account).map_err(Wrong::Store)
        })?;
        Ok(open)
    }

    fn end(&mut self, end: SlotEnd) -> Result<(), Wrong<S::Error>> {
        let slot = end.slot;
        let Some(Open { begin, accounts, fate }) = self.open.remove(&slot) else {
            return Err(Refusal::NotOpen.into());
        };
        if end.accounts_written != accounts {
            let stated = end.accounts_written;
            return Err(Refusal::AccountCount { stated, there: accounts }.into());
        }
        let SlotEnd { bank_hash, bank_bytes, status_cache_bytes, .. } = end;
        let outcome = match fate {
            Fate::Passed => Outcome::Pass(bank_hash),
            Fate::Written(open) => Outcome::Commit(open, statement(&begin, end)),
            Fate::Held(place, held) => {
                self.held_bytes -= held.bytes();
                match self.there(slot, place, bank_hash)? {
                    Some(there) => {
                        self.counters.accounts_passed += accounts;
                        there
                    }
                    None => {
                        let open = self.begin_with(slot, place.parent, &held)?;
                        Outcome::Commit(open, statement(&begin, end))
                    }
                }
            }
            Fate::Believed(place) => match self.there(slot, place, bank_hash)? {
                Some(there) => there,
                None => return Err(Refusal::AnotherSlot { bank_hash }.into()),
            },
        };
        self.ending = Some(Ending { slot, bank_bytes, status_cache_bytes, outcome });
        Ok(())
    }

    /// What becomes of a slot that may be there; `None`: it is not.
    fn there(
        &mut self,
        slot: Slot,
        place: Place,
        bank_hash: Hash,
    ) -> Result<Option<Outcome<S::Open>>, Wrong<S::Error>> {
        let twins = self.twins(slot, place.parent)?;
        let same = twins.iter().find(|facts| facts.bank_hash == Some(bank_hash));
        if same.is_none() && place.is_behind {
            self.counters.slots_passed += 1;
            return Ok(Some(Outcome::Pass(bank_hash)));
        }
        Ok(same.map(|facts| Outcome::There(facts.id)))
    }

    fn attach(&mut self, what: Attachment, piece: &[u8]) -> Result<(), Wrong<S::Error>> {
        let Some(Ending {
            outcome: Outcome::Commit(open, _), bank_bytes, status_cache_bytes, ..
        }) = &mut self.ending
        else {
            return Ok(());
        };
        let bytes = match what {
            Attachment::Bank => *bank_bytes,
            Attachment::StatusCache => *status_cache_bytes,
        };
        self.sink.attach(open, what, bytes, piece).map_err(Wrong::Store)
    }

    fn ended(&mut self) -> Result<(), Wrong<S::Error>> {
        let Ending { slot, outcome, .. } = self.ending.take().expect("the reader began it");
        if self.waiting.len() + self.passed.len() >= WAITING_SLOTS_MAX {
            return Err(Refusal::TooManyWaiting.into());
        }
        let id = match outcome {
            Outcome::Pass(bank_hash) => {
                self.passed.insert(slot, bank_hash);
                return Ok(());
            }
            Outcome::Commit(open, statement) => {
                let id = self.sink.commit(open, &statement).map_err(Wrong::Store)?;
                self.counters.slots_committed += 1;
                id
            }
            Outcome::There(id) => {
                self.counters.slots_there += 1;
                id
            }
        };
        self.waiting.insert(slot, id);
        self.claim(slot, id);
        Ok(())
    }

    fn claim(&mut self, slot: Slot, id: SlotId) {
        self.claimed.insert((slot, id));
        if self.claimed.len() > WAITING_SLOTS_MAX {
            self.claimed.pop_first();
        }
    }

    fn rooted(&mut self, slot: Slot) -> Result<(), Wrong<S::Error>> {
        if self.open.contains_key(&slot) {
            return Err(Refusal::RootedOpen.into());
        }
        // What is behind a root does not begin again.
        self.claimed = self.claimed.split_off(&(slot, SlotId(0)));
        if self.passed.remove(&slot).is_some() {
            if slot > self.first_root {
                let root = self.sink.root().map_err(Wrong::Store)?.number;
                let (first, last) = self.gap.unwrap_or((root + 1, slot));
                self.gap = Some((first, last.max(slot)));
            }
            return Ok(());
        }
        let Some(facts) = self.meant(slot)? else {
            return Err(Refusal::RootedAbandoned.into());
        };
        match facts.state {
            SlotState::Rooted => return Ok(()),
            SlotState::Committed => {}
            _ => return Err(Refusal::RootedAbandoned.into()),
        }
        let root = self.sink.root().map_err(Wrong::Store)?;
        if facts.parent != Some(root.id) {
            return Err(Refusal::RootedOutOfOrder { root_slot: root.number }.into());
        }
        self.sink.root_slot(facts.id).map_err(Wrong::Store)?;
        self.counters.rooted += 1;
        Ok(())
    }

    fn abandoned(&mut self, slot: Slot) -> Result<(), Wrong<S::Error>> {
        if let Some(open) = self.open.remove(&slot) {
            return self.dies(slot, open);
        }
        if self.passed.remove(&slot).is_some() {
            return Ok(());
        }
        match self.meant(slot)? {
            Some(SlotFacts { state: SlotState::Rooted, .. }) => {
                Err(Refusal::AbandonedRooted.into())
            }
            Some(SlotFacts { id, state: SlotState::Committed, .. }) => {
                self.sink.abandon(id).map_err(Wrong::Store)?;
                self.counters.abandoned += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The slot of the store that a root or an abandonment is about; `None`: all there was of this
    /// number is abandoned or forgotten.
    fn meant(&mut self, slot: Slot) -> Result<Option<SlotFacts>, Wrong<S::Error>> {
        let known = self.sink.slots(slot).map_err(Wrong::Store)?;
        if let Some(id) = self.waiting.remove(&slot) {
            return Ok(known.into_iter().find(|facts| facts.id == id));
        }
        // It began before this feed.
        let of = |state| known.iter().filter(move |facts| facts.state == state);
        if let Some(rooted) = of(SlotState::Rooted).next() {
            return Ok(Some(*rooted));
        }
        let committed: Vec<_> = of(SlotState::Committed).collect();
        match committed[..] {
            [one] => Ok(Some(*one)),
            [] if known.is_empty() && !(self.first_slot..=self.first_root).contains(&slot) => {
                Err(Refusal::UnknownSlot.into())
            }
            [] => Ok(None),
            _ => {
                let bank_hashes = committed.iter().filter_map(|facts| facts.bank_hash).collect();
                Err(Refusal::SeveralSlots { bank_hashes }.into())
            }
        }
    }

    /// A slot that is given up before its end.
    fn dies(&mut self, slot: Slot, open: Open<S::Open>) -> Result<(), Wrong<S::Error>> {
        let handle = match open.fate {
            Fate::Passed => return Ok(()),
            Fate::Written(handle) => handle,
            Fate::Held(place, _) | Fate::Believed(place) => {
                if let Fate::Held(_, held) = &open.fate {
                    self.held_bytes -= held.bytes();
                    self.counters.accounts_passed += open.accounts;
                }
                let twins = self.twins(slot, place.parent)?;
                if let Some(dead) = twins.iter().find(|facts| facts.state == SlotState::Dead) {
                    self.claim(slot, dead.id);
                    self.counters.slots_there += 1;
                    return Ok(());
                }
                if place.is_behind {
                    self.counters.slots_passed += 1;
                    return Ok(());
                }
                self.sink.begin_slot(slot, place.parent).map_err(Wrong::Store)?
            }
        };
        let id = self.sink.abandon_open(handle).map_err(Wrong::Store)?;
        self.claim(slot, id);
        self.counters.slots_dead += 1;
        Ok(())
    }
}

fn statement(begin: &SlotBegin, end: SlotEnd) -> Box<SlotStatement> {
    Box::new(SlotStatement {
        bank: BankFields {
            slot: end.slot,
            parent_slot: begin.parent_slot,
            bank_hash: end.bank_hash,
            parent_bank_hash: begin.parent_bank_hash,
            last_blockhash: end.last_blockhash,
            signature_count: end.signature_count,
            transaction_count: end.transaction_count,
            block_height: end.block_height,
        },
        lattice: end.lattice,
        capitalization: end.capitalization,
        accounts_written: end.accounts_written,
    })
}
