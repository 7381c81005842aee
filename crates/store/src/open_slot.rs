//! A slot that is being written.
//!
//! 1. Accounts are gathered ([`BATCH_ACCOUNTS`] of them, or [`BATCH_BYTES`]).
//! 2. A full batch is looked up (see `looking_up`): the previous version of each along the fork goes out
//!    of the totals, the new version goes in, and the record is laid out.
//! 3. When enough records are laid out ([`EXTENT_BYTES`]) they become an extent: only now their places,
//!    and so their checksums, are known.
//! 4. The commit adopts the extents (see `commit`). A slot that is dropped before is dead: its extents
//!    belong to nobody.
//!
//! Invariants:
//! - An account is written once.
//! - Reads inside the slot see its own writes, then those of its ancestors, whether these are durable
//!   yet or not.
//!
//! What it does *not* do: judge what is written; the gates of the commit do.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use icecore_journal::{Batch, EventRef, Extent};
use icecore_types::{Account, AccountRef, DATA_BYTES_MAX, Pubkey, Slot};

use crate::{
    Error, SlotId,
    attachment::Attached,
    bank::{SlotStatement, StateTotals},
    events::{Begun, encoded, kind, new_event, stream},
    looking_up::{Previous, Sums, Waiting, look_up},
    record::{Origin, Version, seal, stated_bytes},
    shared::Shared,
    sight::Sight,
    tail::{SlotIndex, TailVersion},
    tree::Node,
};

/// Accounts that are looked up together.
pub(crate) const BATCH_ACCOUNTS: usize = 1024;

/// Bytes of data that are gathered before.
pub(crate) const BATCH_BYTES: usize = 512 << 10;

/// Bytes of an extent, about: one account more can be in it.
pub(crate) const EXTENT_BYTES: usize = 1 << 20;

/// Where an account of the slot is.
#[derive(Debug, Clone, Copy)]
enum Written {
    /// Among those that wait.
    Waiting(usize),
    /// Among the versions.
    LaidOut(usize),
    /// The store does not keep accounts of its owner.
    LeftOut,
}

/// A slot that is being written. Dropped, it is dead.
#[derive(Debug)]
pub struct OpenSlot {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: SlotId,
    pub(crate) number: Slot,
    pub(crate) index: SlotIndex,
    pub(crate) parent: Node,
    pub(crate) sight: Sight,
    written: HashMap<Pubkey, Written>,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    /// Records without checksums, and where in `versions` their rows begin.
    laid_out: Vec<u8>,
    sealed_versions: usize,
    pub(crate) versions: Vec<TailVersion>,
    pub(crate) extents: Vec<Extent>,
    /// Bank and status cache.
    pub(crate) attached: [Attached; 2],
    pub(crate) sums: Sums,
    /// Whether an error left it half written: then it can only be given up.
    has_failed: bool,
    pub(crate) has_ended: bool,
}

impl Shared {
    /// Begins a slot.
    pub(crate) fn begin_slot(
        self: &Arc<Self>,
        number: Slot,
        parent: SlotId,
    ) -> Result<OpenSlot, Error> {
        self.make_room_in_tail()?;
        let mut mirror = self.current_mirror()?;
        self.give_up_forsaken(&mut mirror)?;
        let parent_node = mirror.tree.check_begin(number, parent)?.clone();
        let sight = self.sight_of(&mirror, parent)?;
        self.pass_over_ids(&mirror)?;
        let payload = encoded(&Begun { number, parent });
        let parents =
            [EventRef::Sequence(parent_node.event.expect("a slot with children is complete"))];
        let mut event = new_event(stream::SLOTS, kind::BEGUN, &payload, &[]);
        event.parents = &parents;
        let ticket = self.append(&mirror, &Batch::of(&event)?, &Default::default())?;
        let id = SlotId(ticket.receipt().first_sequence);
        self.has_given_id(id);
        self.underway.begin(id);
        mirror.tree.begin(id, number, parent)?;
        let index = mirror.tree.get(id).expect("just begun").index;
        Ok(OpenSlot {
            shared: Arc::clone(self),
            id,
            number,
            index,
            parent: parent_node,
            sight,
            written: HashMap::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            laid_out: Vec::new(),
            sealed_versions: 0,
            versions: Vec::new(),
            extents: Vec::new(),
            attached: Default::default(),
            sums: Sums::default(),
            has_failed: false,
            has_ended: false,
        })
    }
}

impl OpenSlot {
    /// The slot's identity.
    pub fn id(&self) -> SlotId {
        self.id
    }

    /// The totals behind the slot, and all lamports, if they stay within 64 bits. What a filtered
    /// store leaves out it takes from what is stated, on trust: all but the kept accounts.
    pub(crate) fn totals_after(&self, stated: &SlotStatement) -> (StateTotals, Option<u64>) {
        let before = &self.parent.totals;
        let (mut after, lamports) = self.sums.after(before);
        if self.shared.kept_owners.is_empty() {
            return (after, lamports);
        }
        let mut kept = after.lattice.clone();
        kept.mix_out(&before.lattice_left_out);
        let kept_lamports =
            lamports.and_then(|lamports| lamports.checked_sub(before.capitalization_left_out));
        let left_out =
            kept_lamports.and_then(|lamports| stated.capitalization.checked_sub(lamports));
        after.lattice = stated.lattice.clone();
        after.lattice_left_out = stated.lattice.clone();
        after.lattice_left_out.mix_out(&kept);
        after.capitalization = stated.capitalization;
        after.capitalization_left_out = left_out.unwrap_or(0);
        (after, left_out.map(|_| stated.capitalization))
    }

    /// Its number.
    pub fn number(&self) -> Slot {
        self.number
    }

    /// Accounts written so far.
    pub fn accounts_written(&self) -> u64 {
        self.written.len() as u64
    }

    /// Writes an account's final version in this slot; zero lamports close it, and of what is closed
    /// neither data nor owner is kept.
    ///
    /// # Errors
    /// [`Error::WrittenTwice`], [`Error::DataTooLong`]; what reading the version before, or writing
    /// said. The slot can only be abandoned after an error of the disk.
    pub fn write(&mut self, account: &AccountRef<'_>) -> Result<(), Error> {
        let bytes = account.data.len() as u64;
        let pubkey = *account.pubkey;
        if bytes > DATA_BYTES_MAX {
            return Err(Error::DataTooLong { slot: self.number, pubkey, bytes });
        }
        self.check_sound()?;
        match self.written.entry(pubkey) {
            Entry::Occupied(_) => {
                return Err(Error::WrittenTwice { slot: self.number, pubkey });
            }
            Entry::Vacant(entry) => entry.insert(Written::Waiting(self.waiting.len())),
        };
        let (pubkey, mut account) = account.to_owned();
        if account.lamports == 0 {
            account.data = Default::default();
            account.owner = Pubkey::default();
        }
        self.waiting_bytes += account.data.len();
        self.waiting.push(Waiting { pubkey, account });
        if self.waiting.len() >= BATCH_ACCOUNTS || self.waiting_bytes >= BATCH_BYTES {
            self.take_waiting()?;
        }
        Ok(())
    }

    /// The version that a reader inside the slot sees; `None` when there is none or it is closed.
    ///
    /// # Errors
    /// What reading said.
    pub fn get(&self, pubkey: &Pubkey) -> Result<Option<Account>, Error> {
        self.check_sound()?;
        let live =
            |account: &AccountRef<'_>| (!account.is_tombstone()).then(|| account.to_owned().1);
        let place = match self.written.get(pubkey) {
            Some(Written::LaidOut(place)) => *place,
            Some(Written::LeftOut) => return Ok(None),
            Some(Written::Waiting(place)) => {
                let Waiting { pubkey, account } = &self.waiting[*place];
                return Ok(live(&account.borrowed(pubkey)));
            }
            None => {
                let found = self
                    .sight
                    .find(&self.shared, pubkey, |_, _, version| live(&version.account))?;
                return Ok(found.flatten());
            }
        };
        let version = &self.versions[place];
        if place < self.sealed_versions {
            let segments = &self.sight.state.runs.segments;
            return self.shared.record(segments, version.locator, |version| live(&version.account));
        }
        // It has no place yet: its locator says where it is laid out.
        let at = usize::try_from(version.locator.offset()).expect("within the buffer");
        let length = stated_bytes(&self.laid_out[at..]).expect("laid out soundly");
        let mut record = self.laid_out[at..at + length].to_vec();
        seal(self.shared.seed(), (0, 0), &mut record);
        let version =
            Version::decode(self.shared.seed(), (0, 0), &record).expect("laid out soundly");
        Ok(live(&version.account))
    }

    /// What the slot's state would be if nothing more were written: lattice hash, capitalization,
    /// counts.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn totals(&mut self) -> Result<StateTotals, Error> {
        self.take_waiting()?;
        Ok(self.sums.after(&self.parent.totals).0)
    }

    /// Looks up and lays out what waits.
    pub(crate) fn take_waiting(&mut self) -> Result<(), Error> {
        self.check_sound()?;
        if self.waiting.is_empty() {
            return Ok(());
        }
        let taken = self.look_up_and_lay_out();
        self.has_failed |= taken.is_err();
        taken
    }

    /// After an error part of what was written is nowhere.
    fn check_sound(&self) -> Result<(), Error> {
        let why = "a write of it failed; give it up and begin it again";
        match self.has_failed {
            true => Err(Error::SlotRefused { slot: self.number, why }),
            false => Ok(()),
        }
    }

    fn look_up_and_lay_out(&mut self) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let shared = Arc::clone(&self.shared);
        for part in look_up(&shared, &self.sight, &waiting)? {
            self.sums.mix_in(&part.sums);
            for (Waiting { pubkey, account }, previous) in part.accounts.iter().zip(&part.previous)
            {
                let Some(account) = shared.kept(account.borrowed(pubkey), previous) else {
                    self.written.insert(*pubkey, Written::LeftOut);
                    continue;
                };
                self.written.insert(*pubkey, Written::LaidOut(self.versions.len()));
                self.lay_out(&account, previous);
                if self.laid_out.len() >= EXTENT_BYTES {
                    self.write_extent()?;
                }
            }
        }
        Ok(())
    }

    fn lay_out(&mut self, account: &AccountRef<'_>, previous: &Previous) {
        // An account that is closed has left its owner, even if the tombstone names the same one.
        let has_left = |owner: &&Pubkey| account.is_tombstone() || **owner != *account.owner;
        let version = Version {
            slot: self.number,
            origin: match previous.slot {
                Some(slot) => Origin::Replaces { slot },
                None => Origin::First,
            },
            previous_owner: previous.owner.as_ref().filter(has_left),
            account: *account,
        };
        let at = self.laid_out.len();
        self.laid_out.resize(at + version.record_bytes(), 0);
        version.lay_out(&mut self.laid_out[at..]);
        self.versions.push(TailVersion {
            key: *account.pubkey,
            owner: *account.owner,
            locator: version.locator(0, at as u64),
            slot: self.index,
            has_previous_owner: version.previous_owner.is_some(),
        });
    }

    /// Gives what is laid out its place.
    pub(crate) fn write_extent(&mut self) -> Result<(), Error> {
        self.check_sound()?;
        if self.laid_out.is_empty() {
            return Ok(());
        }
        let written = self.write_laid_out();
        self.has_failed |= written.is_err();
        written
    }

    fn write_laid_out(&mut self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let chain = shared.chain();
        let mut writer = chain.writer()?.extent_writer(self.laid_out.len() as u64)?;
        let (segment, start) = writer.position();
        shared.underway.note(self.id, segment);
        let mut records = &mut self.laid_out[..];
        let mut at = 0;
        for version in &mut self.versions[self.sealed_versions..] {
            let length = stated_bytes(records).expect("laid out soundly");
            let (record, rest) = records.split_at_mut(length);
            seal(shared.seed(), (segment, start + at), record);
            version.locator = crate::Locator::new(segment, start + at, version.locator.class());
            records = rest;
            at += length as u64;
        }
        self.sealed_versions = self.versions.len();
        writer.write(&self.laid_out)?;
        self.extents.push(writer.finish()?);
        self.laid_out.clear();
        Ok(())
    }

    /// Gives the slot up: it is dead.
    ///
    /// # Errors
    /// What the journal said; the slot is dead all the same when the store is opened next.
    pub fn abandon(mut self) -> Result<(), Error> {
        self.has_ended = true;
        self.shared.abandon_slots(&[self.id])
    }
}

impl Drop for OpenSlot {
    fn drop(&mut self) {
        if !self.has_ended {
            // Nobody is there to hear of an error; the next open records it.
            let _ = self.shared.abandon_slots(&[self.id]);
        }
        self.shared.underway.end(self.id);
    }
}
