//! An incremental archive alone, onto the base point that the store keeps of its full one (rule R20).
//!
//! 1. The archive is looked at, and its keys are settled, as those of a full archive. Its newest versions
//!    go to lists, closed accounts among them.
//! 2. The lists and the base point's complete runs are walked through side by side, which gives the
//!    complete runs of the new slot ([`Succession`](icecore_store::Succession)).
//! 3. The records that are replaced are read and summed up. What the base point's accounts added up to,
//!    when it was verified, without these, and the archive's own accounts are the state; the base
//!    point's manifest, stake accounts, vote accounts and sysvars stand in for those of the full
//!    archive. So every check is made that a pair's verdict has.
//! 4. All is adopted by one event, which names the base point.
//!
//! Memory is that of a restore, and a batch of replaced records; lists spill.
//!
//! What it does *not* do: read the full archive; judge it again; work where the base point does not
//! have all accounts, or where the archive replaces whole storages of the full one.

use std::ops::ControlFlow;

use icecore_archive::manifest::{ManifestDecoder, ManifestError};
use icecore_hash::Kernel;
use icecore_store::{
    Adopted, BaseFacts, KeptBase, Locator, OwnerFilter, SlotId, Store, run::RunInfo,
};
use icecore_types::{Pubkey, programs};

use super::{
    BYTES_EXPECTED_DEFAULT, IntoStore, LIST_BYTES, Restored, base_facts,
    keeper::{StoreKeeper, Stored},
    lists::{ListIndex, ListRow},
    rows::{StoreRows, closed},
};
use crate::{
    Answer, Error, Options, Pair, Progress, Report, Source,
    account_facts::{ByKey, Content as FactContent, Fact, SYSVARS, Spot, Sysvars},
    capture::Capture,
    checks::names_hash_by_merkle,
    destination::{Beneath, Destination},
    first_look::ArchiveFacts,
    key_bins::Entry,
    manifest_facts::{ManifestFacts, ManifestFold},
    memory_plan::MemoryPlan,
    pass::{Writes, batch::Place},
    preflight::unpacked_bytes,
    spill::{SpillError, sorted::Sorted, sorter::Sorter},
    totals::{Summer, Totals},
    verify::examine,
};

/// Replaced records that are read together, in the order in which they lie: 512 KiB of places.
const REPLACED_MAX: usize = 1 << 16;

/// Where an account of the base point lies, as far as that is told.
const BASE_SPOT: Spot = Spot { place: Place::new(true, 0, 0), offset: 0 };

/// As [`super::restore_into`], of an incremental archive alone.
pub(super) fn restore(
    pair: &mut Pair,
    options: &Options,
    store: &Store,
    progress: &Progress,
    verdict: impl FnOnce(&Report) -> Vec<u8>,
) -> Result<Restored, Error> {
    let name = *pair.full.name();
    if !store.kept_owners().is_empty() {
        let why = "the store keeps accounts of some programs only, and what the archive replaces of the others cannot be checked";
        let archive = pair.full.label().to_string();
        return Err(Error::NeedsFull { archive, why: why.to_string() });
    }
    let base = store.keep_base(name.base().expect("it is an incremental archive"))?;
    let restoring = store.begin_restore(name.slot())?;
    let bytes_expected = unpacked_bytes(pair)?.unwrap_or(BYTES_EXPECTED_DEFAULT);
    let into = IntoStore::new(restoring, options, progress, bytes_expected);
    let mut onto = OntoBase::new(into, base)?;
    let examined = examine(pair, options, progress, &mut onto)?;
    if examined.report.answer() == Answer::Bad {
        onto.into.restoring.abort()?;
        return Err(Error::Bad { report: Box::new(examined.report) });
    }
    let archives = onto.base.facts().archives.iter().cloned();
    let archives = archives.chain([pair.full.label().to_string()]).collect();
    let facts = base_facts(&examined, archives);
    let text = verdict(&examined.report);
    let base = onto.adopt(facts, text)?;
    Ok(Restored { base, report: examined.report })
}

/// The way onto a base point.
struct OntoBase<'a> {
    into: IntoStore<'a>,
    base: KeptBase<'a>,
    /// Until they are asked for.
    base_facts: Option<ArchiveFacts>,
    /// By pubkey, with those that are closed.
    newest: Sorted<ListRow<32>>,
    made: Option<Made>,
}

/// What is to be adopted besides what every restore has.
struct Made {
    by_pubkey: RunInfo,
    by_owner: Option<RunInfo>,
}

impl<'a> OntoBase<'a> {
    fn new(into: IntoStore<'a>, base: KeptBase<'a>) -> Result<Self, Error> {
        let base_facts = Some(Self::facts_of(&into, &base)?);
        Ok(Self { into, base, base_facts, newest: Sorted::default(), made: None })
    }

    /// What the kept manifest says.
    fn facts_of(into: &IntoStore<'_>, base: &KeptBase<'_>) -> Result<ArchiveFacts, Error> {
        // Before hash tiles have their shares.
        let bytes_max = MemoryPlan::new(into.options.memory_bytes_max, 1).delegations_bytes();
        let mut decoder = ManifestDecoder::new();
        let mut fold = ManifestFold::new(Sorter::new(bytes_max, into.space.file()));
        let mut fed = Ok(());
        base.manifest(|bytes| {
            if fed.is_ok() {
                fed = decoder.feed(bytes, &mut |_, item| fold.visit(&item));
            }
        })?;
        let slot = base.facts().bank.slot;
        let damaged = |error: ManifestError| Error::Damaged {
            archive: format!("base point of slot {slot}"),
            problem: format!("its manifest: {error}"),
        };
        fed.map_err(damaged)?;
        let manifest = fold.finish(decoder.finish().map_err(damaged)?, bytes_max)?;
        Ok(ArchiveFacts { slot, manifest: Some(manifest), ..ArchiveFacts::default() })
    }

    /// Refuses what only the full archive can say.
    fn check(&self, archive: &Source, facts: &ArchiveFacts) -> Result<(), Error> {
        let base = self.base.facts().bank.slot;
        let needs_full =
            |why: String| Err(Error::NeedsFull { archive: archive.label().to_string(), why });
        if let Some(storage) = facts.storages.iter().find(|storage| storage.slot <= base) {
            return needs_full(format!(
                "accounts/{}.{} is not above the base slot {base}: it replaces the full archive's whole storage of that slot, which a store does not know",
                storage.slot, storage.id
            ));
        }
        let of_changes = facts.manifest.as_ref().is_some_and(|m| m.persistence.is_some());
        if names_hash_by_merkle(facts, archive.name().hash()) && !of_changes {
            let why = "it is named by the Merkle hash of all accounts";
            return needs_full(why.to_string());
        }
        Ok(())
    }

    /// Writes the complete run by pubkey; gives what the accounts that it replaces add up to.
    fn by_pubkey(&mut self, gone: &mut Sorter<ListRow<64>>) -> Result<(RunInfo, Totals), Error> {
        let slot = self.into.restoring.slot();
        let mut succession = self.base.succession(slot, self.into.restoring.run::<32>()?)?;
        let kernel = match self.into.options.kernel {
            Some(kernel) => kernel,
            None => Kernel::chosen()?,
        };
        let mut replaced =
            Replaced { base: &self.base, batch: Vec::new(), sum: Summer::new(Some(kernel)), gone };
        let mut newest = self.newest.reader(LIST_BYTES)?;
        while let Some(row) = newest.next()? {
            self.into.progress.check()?;
            let found = row.newest();
            if let Some(locator) = succession.put(&row.key, found)? {
                replaced.push(locator)?;
            }
        }
        let sum = replaced.finish()?;
        Ok((succession.finish()?, sum))
    }

    /// Writes the complete run by owner. `rows` has the accounts that are gone from an owner, or
    /// written again, already.
    fn by_owner(&mut self, rows: Sorter<ListRow<64>>) -> Result<Option<RunInfo>, Error> {
        let Some(order) = self.into.by_owner.take() else { return Ok(None) };
        let (threads, progress) = (self.into.tiles, self.into.progress);
        let rows = order.write(&ListIndex, rows, threads, progress)?.finish()?;
        let slot = self.into.restoring.slot();
        let mut succession =
            self.base.succession_by_owner(slot, self.into.restoring.run::<64>()?)?;
        let mut rows = rows.reader(LIST_BYTES)?;
        while let Some(row) = rows.next()? {
            let mut newest = row.newest();
            while rows.peek().is_some_and(|next| next.key == row.key) {
                newest = rows.next()?.and_then(|next| next.newest()).or(newest);
            }
            succession.put(&row.key, newest)?;
        }
        Ok(Some(succession.finish()?))
    }

    /// The base point's stake and vote accounts that were not written since.
    fn facts(&self) -> Result<Sorted<ByKey>, Error> {
        let bytes_max = MemoryPlan::new(self.into.options.memory_bytes_max, self.into.tiles)
            .newest_facts_bytes();
        let mut all = Sorter::new(bytes_max, self.into.space.file());
        let mut failure: Option<SpillError> = None;
        for owner in [programs::STAKE, programs::VOTE] {
            self.base.view().scan_owner(&owner, &OwnerFilter::default(), |found| {
                let key = *found.account.pubkey;
                let content = FactContent::of(&found.account);
                let content = content.expect("it is of one of the two programs");
                match all.push(ByKey(Fact { spot: BASE_SPOT, key, content })) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })?;
        }
        if let Some(error) = failure {
            return Err(error.into());
        }
        let mut all = all.finish()?.reader(bytes_max)?;
        let mut newest = self.newest.reader(LIST_BYTES)?;
        let mut left = Sorter::new(bytes_max, self.into.space.file());
        while let Some(fact) = all.next()? {
            let key = fact.0.key.0;
            let next = newest.skip_while(|row| row.key < key)?;
            if next.is_none_or(|row| row.key != key) {
                left.push(fact)?;
            }
        }
        Ok(left.finish()?)
    }

    fn sysvars(&self) -> Result<Sysvars, Error> {
        let mut sysvars = Sysvars::default();
        for key in SYSVARS {
            self.base.view().get_with(&key, |found| {
                if *found.account.owner == programs::SYSVAR {
                    sysvars.offer(&key, found.written, BASE_SPOT, found.account.data);
                }
            })?;
        }
        Ok(sysvars)
    }

    /// The verdict is reached, and good.
    fn adopt(mut self, facts: BaseFacts, verdict: Vec<u8>) -> Result<SlotId, Error> {
        let Made { by_pubkey, by_owner } =
            self.made.take().expect("a good verdict is of a whole archive");
        let mut into = self.into;
        let closed = into.closed_content()?;
        let (records, manifest, status_cache) = into.finish_content()?;
        into.progress.begin("make durable");
        into.restoring.sync()?;
        into.progress.check()?;
        let adopted =
            Adopted { facts, records, manifest, status_cache, verdict, by_pubkey, by_owner };
        Ok(into.restoring.adopt_closing(adopted, closed, Some(&self.base))?)
    }
}

/// Reads the base point's records that count no more.
struct Replaced<'a, 'b> {
    base: &'a KeptBase<'b>,
    batch: Vec<Locator>,
    sum: Summer,
    /// Takes the accounts by their owners there.
    gone: &'a mut Sorter<ListRow<64>>,
}

impl Replaced<'_, '_> {
    fn push(&mut self, locator: Locator) -> Result<(), Error> {
        self.batch.push(locator);
        if self.batch.len() == REPLACED_MAX { self.read() } else { Ok(()) }
    }

    fn read(&mut self) -> Result<(), Error> {
        self.batch.sort_unstable();
        for locator in self.batch.drain(..) {
            let (sum, gone) = (&mut self.sum, &mut *self.gone);
            self.base.read(locator, |account| {
                sum.add(std::slice::from_ref(account));
                gone.push(ListRow {
                    key: owner_key(account.owner, account.pubkey),
                    locator: closed(),
                })
            })??;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Totals, Error> {
        self.read()?;
        Ok(self.sum.finish())
    }
}

/// The key of the second order.
fn owner_key(owner: &Pubkey, pubkey: &Pubkey) -> [u8; 64] {
    let mut key = [0; 64];
    key[..32].copy_from_slice(&owner.0);
    key[32..].copy_from_slice(&pubkey.0);
    key
}

impl Destination for OntoBase<'_> {
    type Mark = Stored;
    type Keeper = StoreKeeper;
    type Rows = StoreRows<ListIndex>;

    fn prepare(&mut self, tiles: usize) -> Result<Writes, Error> {
        self.into.prepare(tiles)
    }

    fn send(&mut self) -> Vec<StoreKeeper> {
        self.into.send()
    }

    fn receive(&mut self, keepers: Vec<StoreKeeper>) {
        self.into.receive(keepers);
    }

    fn capture(&mut self) -> Option<Capture> {
        Destination::capture(&mut self.into)
    }

    fn captured(
        &mut self,
        capture: Capture,
        manifest: Option<&ManifestFacts>,
    ) -> Result<(), Error> {
        self.into.captured(capture, manifest)
    }

    fn rows(&mut self, late: &[Entry<Stored>]) -> Result<StoreRows<ListIndex>, Error> {
        let list = Sorter::new(LIST_BYTES, self.into.space.file());
        Ok(self.into.rows_to(ListIndex, list, late, true))
    }

    fn received(&mut self, rows: StoreRows<ListIndex>) -> Result<bool, Error> {
        let (list, has_all) = self.into.take_back(rows)?;
        let lists = [list.finish()?, self.into.closed.clone()];
        self.newest = Sorted::merged(lists, &self.into.space.file(), LIST_BYTES)?;
        Ok(has_all)
    }

    fn take_base(&mut self) -> Option<ArchiveFacts> {
        self.base_facts.take()
    }

    fn beneath(&mut self, archive: &Source, facts: &ArchiveFacts) -> Result<Beneath, Error> {
        self.check(archive, facts)?;
        self.into.progress.begin("write index");
        let mut gone = Sorter::new(LIST_BYTES, self.into.space.file());
        let (by_pubkey, replaced) = self.by_pubkey(&mut gone)?;
        let by_owner = self.by_owner(gone)?;
        self.made = Some(Made { by_pubkey, by_owner });
        let stated = &self.base.facts().totals;
        let mut totals = Totals {
            lattice: stated.lattice.clone(),
            lamports: stated.capitalization.into(),
            accounts: stated.num_accounts,
            data_bytes: stated.total_data_len,
            tombstones: 0,
        };
        totals.subtract(&replaced);
        Ok(Beneath { totals, facts: self.facts()?, sysvars: self.sysvars()? })
    }
}
