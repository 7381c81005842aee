//! The first look at an archive: everything is read once, hashed, indexed and noted.
//!
//! The walker's side ([`FirstLook`]) decodes version, manifest and status cache while they stream
//! by; the workers' side ([`IndexWorker`]) sums and indexes account records.

use std::{collections::HashSet, ops::ControlFlow, sync::Arc};

use icecore_archive::{
    manifest::ManifestDecoder,
    members::{MemberKind, VERSION_BYTES_MAX, parse_version},
    names::ArchiveName,
    status_cache::{StatusCacheDecoder, StatusCacheItem},
    storage::StorageFault,
    tar::TarMember,
};
use icecore_hash::Kernel;
use icecore_tile::Frame;
use icecore_types::{AccountRef, Pubkey, Slot};

use crate::{
    Error,
    account_facts::AccountFacts,
    capture::{Capture, Member},
    check_id::CheckId,
    damage::Damage,
    destination::{Keeper, Passing},
    findings::Findings,
    key_bins::{Entry, KeyBins},
    key_filter::KeyFilter,
    manifest_facts::{ManifestFacts, ManifestFold},
    pass::{
        batch::{Batch, Place},
        slots::Worker,
        walk::{StorageHead, Visitor, WalkEnd, Wanted},
    },
    spill::{SpillError, SpillFile, sorter::Sorter},
    totals::Summer,
};

/// Slots of a status cache that are kept; a good one has 300 at most.
const STATUS_SLOTS_MAX: usize = 10_000;

/// Wrong records that a worker keeps; all are counted.
pub(crate) const WRONG_KEPT_MAX: usize = 16;

/// What is known of an archive after the first look.
#[derive(Debug, Default)]
pub(crate) struct ArchiveFacts {
    /// Of the name.
    pub(crate) slot: Slot,
    pub(crate) versions: u32,
    /// (folder, file) of each manifest.
    pub(crate) manifests: Vec<(Slot, Slot)>,
    pub(crate) status_caches: u32,
    /// In the order of the archive.
    pub(crate) storages: Vec<StorageHead>,
    /// For each storage the length that governs, where the file may be longer than its records.
    pub(crate) listed: Vec<Option<u64>>,
    pub(crate) manifest: Option<ManifestFacts>,
    /// (slot, rooted) of the status cache.
    pub(crate) status_slots: Option<Vec<(Slot, bool)>>,
    pub(crate) end: WalkEnd,
}

/// A record or storage that is wrong in itself.
#[derive(Debug, Clone)]
pub(crate) struct Wrong {
    pub(crate) place: Place,
    pub(crate) offset: u64,
    pub(crate) key: Option<Pubkey>,
    pub(crate) expected: &'static str,
    pub(crate) found: String,
}

enum Current {
    Nothing,
    Version(Vec<u8>),
    Manifest(Option<Box<(ManifestDecoder, ManifestFold)>>),
    StatusCache(Option<Box<StatusCacheDecoder>>, Vec<(Slot, bool)>),
}

/// The walker's side.
pub(crate) struct FirstLook {
    pub(crate) facts: ArchiveFacts,
    pub(crate) findings: Findings,
    pub(crate) wrong: Vec<Wrong>,
    pub(crate) wrong_count: u64,
    /// The scratch folder refused what a manifest states.
    pub(crate) refused: Option<SpillError>,
    /// Takes manifest and status cache as they are, if they are wanted.
    pub(crate) capture: Option<Capture>,
    storage_names: HashSet<(Slot, u64)>,
    current: Current,
    /// For the manifest's delegations; what does not fit goes to `spill`.
    delegations_bytes: usize,
    spill: Arc<SpillFile>,
}

impl FirstLook {
    /// What the manifest states without bound takes `delegations_bytes`, then goes to `spill`.
    pub(crate) fn new(
        name: &ArchiveName,
        delegations_bytes: usize,
        spill: Arc<SpillFile>,
        capture: Option<Capture>,
    ) -> Self {
        Self {
            facts: ArchiveFacts { slot: name.slot(), ..ArchiveFacts::default() },
            findings: Findings::default(),
            wrong: Vec::new(),
            wrong_count: 0,
            refused: None,
            capture,
            storage_names: HashSet::new(),
            current: Current::Nothing,
            delegations_bytes,
            spill,
        }
    }

    /// The archive's facts, once the walk has ended.
    pub(crate) fn finish(&mut self, end: WalkEnd) {
        self.facts.end = end;
        match std::mem::replace(&mut self.current, Current::Nothing) {
            Current::Manifest(Some(_)) => {
                self.findings.fail(CheckId::M1, "the archive ends within the manifest");
            }
            Current::StatusCache(Some(_), _) => {
                self.findings.fail(CheckId::T1, "the archive ends within the status cache");
            }
            _ => {}
        }
    }

    fn twice(&mut self, path: &str) {
        self.findings.fail(CheckId::C3, format!("member '{path}' stands twice"));
    }

    fn storage(&mut self, member: &TarMember, slot: Slot, id: u64) -> Wanted {
        if !self.storage_names.insert((slot, id)) {
            self.twice(&member.path);
        }
        let (bytes, tar_offset) = (member.size, member.data_offset);
        let head = StorageHead { slot, id, bytes, tar_offset };
        self.facts.storages.push(head);
        // Clients before the lattice hash made storages longer than their records; their
        // manifest's list says where the records end. Of a manifest that comes after its storages
        // nothing is known yet: then the records themselves must end cleanly.
        let listed = self
            .facts
            .manifest
            .as_ref()
            .filter(|manifest| manifest.lattice.is_none())
            .and_then(|manifest| manifest.storages.get(&slot))
            .filter(|(listed_id, length)| *listed_id == id && *length <= member.size)
            .map(|(_, length)| *length);
        self.facts.listed.push(listed);
        Wanted::Records { head, listed }
    }
}

impl Visitor for FirstLook {
    fn member(&mut self, member: &TarMember, kind: &MemberKind) -> Wanted {
        match *kind {
            MemberKind::Version => {
                self.facts.versions += 1;
                if self.facts.versions > 1 {
                    self.twice(&member.path);
                    return Wanted::Nothing;
                }
                self.current = Current::Version(Vec::new());
                Wanted::Bytes
            }
            MemberKind::Manifest { folder, file } => {
                // One more of another slot is told by the count of all.
                if self.facts.manifests.first() == Some(&(folder, file)) {
                    self.twice(&member.path);
                }
                self.facts.manifests.push((folder, file));
                if self.facts.manifests.len() > 1 {
                    return Wanted::Nothing;
                }
                let sorter = Sorter::new(self.delegations_bytes, Arc::clone(&self.spill));
                let decoder = Box::new((ManifestDecoder::new(), ManifestFold::new(sorter)));
                self.current = Current::Manifest(Some(decoder));
                Wanted::Bytes
            }
            MemberKind::StatusCache => {
                self.facts.status_caches += 1;
                if self.facts.status_caches > 1 {
                    self.twice(&member.path);
                    return Wanted::Nothing;
                }
                let decoder = Box::new(StatusCacheDecoder::new());
                self.current = Current::StatusCache(Some(decoder), Vec::new());
                Wanted::Bytes
            }
            MemberKind::Storage { slot, id } => self.storage(member, slot, id),
            MemberKind::SlotFolder(slot) => {
                // The reference client takes the manifest's slot from whichever folder it finds.
                if slot != self.facts.slot {
                    let sentence = format!("folder '{}' is of another slot", member.path);
                    self.findings.fail(CheckId::C5, sentence);
                }
                Wanted::Nothing
            }
            MemberKind::SnapshotsFolder | MemberKind::AccountsFolder => Wanted::Nothing,
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(capture) = &mut self.capture {
            match &self.current {
                Current::Manifest(_) => capture.take(Member::Manifest, bytes),
                Current::StatusCache(..) => capture.take(Member::StatusCache, bytes),
                Current::Nothing | Current::Version(_) => {}
            }
        }
        match &mut self.current {
            Current::Nothing | Current::Manifest(None) | Current::StatusCache(None, _) => {}
            Current::Version(text) => {
                // One byte more than is allowed tells that it is too long.
                let room = (VERSION_BYTES_MAX + 1).saturating_sub(text.len());
                text.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Current::Manifest(state @ Some(_)) => {
                let (decoder, fold) = &mut **state.as_mut().expect("just matched");
                if let Err(error) = decoder.feed(bytes, &mut |_, item| fold.visit(&item)) {
                    *state = None;
                    self.findings.fail(CheckId::M1, error.to_string());
                }
            }
            Current::StatusCache(state @ Some(_), slots) => {
                let decoder = state.as_mut().expect("just matched");
                let fed = decoder.feed(bytes, &mut |_, item| {
                    if let StatusCacheItem::Slot { slot, is_root, .. } = item
                        && slots.len() < STATUS_SLOTS_MAX
                    {
                        slots.push((slot, is_root));
                    }
                });
                if let Err(error) = fed {
                    *state = None;
                    self.findings.fail(CheckId::T1, error.to_string());
                }
            }
        }
    }

    fn member_end(&mut self) {
        match std::mem::replace(&mut self.current, Current::Nothing) {
            Current::Nothing | Current::Manifest(None) | Current::StatusCache(None, _) => {}
            Current::Version(text) => match parse_version(&text) {
                Ok(()) => self.findings.note(CheckId::C4, "1.2.0"),
                Err(error) => self.findings.fail(CheckId::C4, error.to_string()),
            },
            Current::Manifest(Some(state)) => {
                let (decoder, fold) = *state;
                match decoder.finish() {
                    Ok(end) => match fold.finish(end, self.delegations_bytes) {
                        Ok(facts) => self.facts.manifest = Some(facts),
                        Err(refused) => self.refused = Some(refused),
                    },
                    Err(error) => self.findings.fail(CheckId::M1, error.to_string()),
                }
            }
            Current::StatusCache(Some(decoder), slots) => match decoder.finish() {
                Ok(()) => self.facts.status_slots = Some(slots),
                Err(error) => self.findings.fail(CheckId::T1, error.to_string()),
            },
        }
    }

    fn choose(&mut self, _: Place) -> Result<Option<u32>, Error> {
        unreachable!("the first look wants all records")
    }

    fn padding_not_zero(&mut self, offset: u64) {
        let sentence = format!("tar, offset {offset}: padding after a member is not zero");
        self.findings.fail(CheckId::C3, sentence);
    }

    fn fault(&mut self, damage: Damage) {
        self.findings.fail(damage.check, damage.sentence);
    }

    fn storage_fault(&mut self, place: Place, offset: u64, fault: StorageFault) {
        self.wrong_count += 1;
        if self.wrong.len() < WRONG_KEPT_MAX {
            let found = fault.to_string();
            let expected = "whole records, then zeros or nothing";
            self.wrong.push(Wrong { place, offset, key: None, expected, found });
        }
    }
}

/// What the workers of one first look share.
#[derive(Clone)]
pub(crate) struct LookContext {
    /// Unless the lattice hash is taken as stated.
    pub(crate) kernel: Option<Kernel>,
    /// While the full archive of a pair is looked at: the keys of the incremental, if they fit.
    pub(crate) filter: Option<Arc<KeyFilter>>,
    /// And the slots whose storages it replaces.
    pub(crate) replaced: Arc<HashSet<Slot>>,
}

/// The workers' side.
pub(crate) struct IndexWorker<K: Keeper> {
    context: LookContext,
    pub(crate) keeper: K,
    /// Records whose key or slot is not in the incremental archive above, if there is one.
    pub(crate) kept: Summer,
    /// The other records.
    pub(crate) replaced: Summer,
    /// The same, of records whose accounts the keeper does not want.
    pub(crate) kept_left_out: Summer,
    pub(crate) replaced_left_out: Summer,
    pub(crate) keys: KeyBins<K::Mark>,
    pub(crate) facts: AccountFacts,
    pub(crate) wrong: Vec<Wrong>,
    pub(crate) wrong_count: u64,
    /// For each record of the batch whether the filter has its key.
    above: Vec<bool>,
}

impl<K: Keeper> IndexWorker<K> {
    /// Keys take `keys_bytes` and facts `facts_bytes`, then they go to `spill`.
    pub(crate) fn new(
        context: LookContext,
        keeper: K,
        keys_bytes: usize,
        facts_bytes: usize,
        spill: Arc<SpillFile>,
    ) -> Self {
        Self {
            kept: Summer::new(context.kernel),
            replaced: Summer::new(context.kernel),
            kept_left_out: Summer::new(context.kernel),
            replaced_left_out: Summer::new(context.kernel),
            context,
            keeper,
            keys: KeyBins::new(keys_bytes, Arc::clone(&spill)),
            facts: AccountFacts::new(facts_bytes, spill),
            wrong: Vec::new(),
            wrong_count: 0,
            above: Vec::new(),
        }
    }

    /// Asks the filter for all keys of a batch at once.
    fn ask_filter(&mut self, batch: &Batch<'_>) {
        self.above.clear();
        let Some(filter) = &self.context.filter else { return };
        for run in batch.runs() {
            let keys = run.map(|(_, record)| &record.header.pubkey);
            filter.contains_each(keys, &mut self.above);
        }
    }
}

impl<K: Keeper> Worker for IndexWorker<K> {
    fn batch(&mut self, batch: &Batch<'_>, frame: &Frame<'_>) -> Result<ControlFlow<()>, Error> {
        self.ask_filter(batch);
        self.keeper.look(batch);
        let mut kept = frame.list::<AccountRef<'_>>(batch.len())?;
        let mut replaced = frame.list::<AccountRef<'_>>(batch.len())?;
        // Nearly always empty: the frame has no room for them.
        let (mut kept_left_out, mut replaced_left_out) = (Vec::new(), Vec::new());
        let mut above = self.above.iter().copied();
        let mut next = 0;
        for run in batch.runs() {
            let in_replaced_slot = self.context.replaced.contains(&run.slot());
            for (span, record) in run {
                let account = record.account();
                let key = *account.pubkey;
                if record.header.executable > 1 {
                    self.wrong_count += 1;
                    if self.wrong.len() < WRONG_KEPT_MAX {
                        self.wrong.push(Wrong {
                            place: span.place,
                            offset: span.offset,
                            key: Some(key),
                            expected: "executable 0 or 1",
                            found: record.header.executable.to_string(),
                        });
                    }
                }
                let is_replaced = above.next().unwrap_or(false) || in_replaced_slot;
                let (number, place, slot) = (next, span.place, span.slot);
                next += 1;
                let passing = Passing { number, place, slot, account };
                let mark = self.keeper.keep(&passing, is_replaced)?;
                self.keys.push(Entry { key, place, mark })?;
                self.facts.look(&account, &span, in_replaced_slot)?;
                match (is_replaced, self.keeper.leaves_out(&account)) {
                    (false, false) => kept.push(account),
                    (true, false) => replaced.push(account),
                    (false, true) => kept_left_out.push(account),
                    (true, true) => replaced_left_out.push(account),
                }
            }
        }
        self.kept.add(&kept);
        self.replaced.add(&replaced);
        self.kept_left_out.add(&kept_left_out);
        self.replaced_left_out.add(&replaced_left_out);
        Ok(ControlFlow::Continue(()))
    }
}
