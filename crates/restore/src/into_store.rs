//! Restore: archives to a verdict, and to a base point of a store.
//!
//! 1. Archives are verified as always ([`examine`]). While they stream by,
//!    hash tiles copy records into data segments of a bulk session ([`keeper`]), and the walker
//!    copies manifest and status cache of the last archive.
//! 2. Keys are settled. The records that count become the complete run by pubkey, and are dealt out
//!    by owners ([`rows`]).
//! 3. The verdict is reached. If it is bad the session is aborted: the store is as it was.
//! 4. The complete run by owner is written ([`owner_order`]), and everything is made durable side
//!    by side. One event then adopts all of it. It also says which accounts are closed of which older
//!    records were written, so that runs can be made anew.
//!
//! Whatever happens before the last step leaves the store as it was (rule R8).
//!
//! An incremental archive alone is restored onto a base point that is kept: see [`onto_base`].
//!
//! Memory, besides that of a verification: [`EXTRA_BYTES`], what owners take
//! ([`OWNERS_MAX`]), lists ([`LIST_BYTES`]), buffers of about 2 MiB for each hash tile and two more,
//! and the fences of the runs being written, 0.4 MB for a million accounts.
//!
//! What it does *not* do: print, or make room on a full disk.

mod in_order;
mod index;
mod keeper;
mod lists;
mod onto_base;
mod owner_order;
mod owners;
mod rows;
mod runs;

use std::{
    collections::{HashMap, HashSet},
    panic::resume_unwind,
    sync::{Arc, Mutex},
    thread,
};

use icecore_store::{
    Adopted, BankFields, BaseFacts, Content, ContentWriter, Records, Restoring, SlotId,
    StateTotals, Store,
    run::{RunInfo, RunWriter},
};

use self::{
    in_order::InOrder,
    index::Index,
    keeper::{OtherOwner, StoreKeeper, Stored},
    lists::ListRow,
    owner_order::{OrderMemory, OwnerOrder, Ranks},
    owners::{OWNERS_MAX, Owners},
    rows::{Others, StoreRows},
    runs::RunIndex,
};
use crate::{
    Answer, Error, Options, Pair, Progress, Report,
    capture::Capture,
    destination::Destination,
    key_bins::{Entry, KeyBins},
    manifest_facts::ManifestFacts,
    memory_plan::MemoryPlan,
    pass::Writes,
    preflight::unpacked_bytes,
    spill::{SpillSpace, sorted::Sorted, sorter::Sorter},
    verify::{Examined, examine},
};

/// What restoring takes of memory besides what a verification does, shared out to all threads:
/// three quarters for gathering accounts by owner, the rest for owners without a number.
const EXTRA_BYTES: usize = 64 << 20;

/// Each list of accounts that are not rows at once: closed ones, and those of an incremental archive
/// alone by either key. What is more goes to scratch files.
const LIST_BYTES: usize = 8 << 20;

/// All of that, for who wants to know what a restore takes: owners are kept twice with their ranks.
pub(crate) const MEMORY_BYTES: u64 = (EXTRA_BYTES + OWNERS_MAX * 96 + 3 * LIST_BYTES) as u64;

/// Bytes of records that room is prepared for when nothing is known of them: of standard input.
const BYTES_EXPECTED_DEFAULT: u64 = 16 << 30;

/// What became of a restore.
#[derive(Debug)]
pub struct Restored {
    /// The base point.
    pub base: SlotId,
    /// What was said of the archives.
    pub report: Report,
}

/// Restores a full archive or a pair into a store, or an incremental archive alone onto the base point
/// that the store keeps of its full one: verifies it, and adopts it unless the verdict is bad. `verdict` makes the text that the store keeps of the report.
///
/// # Errors
/// [`Error::Bad`] with the report when the verdict is bad; [`icecore_store::Error::NoBase`] and
/// [`Error::NeedsFull`] when an incremental archive cannot be restored alone. After any error the store is as it was.
pub fn restore_into(
    pair: &mut Pair,
    options: &Options,
    store: &Store,
    progress: &Progress,
    verdict: impl FnOnce(&Report) -> Vec<u8>,
) -> Result<Restored, Error> {
    if pair.is_alone() {
        return onto_base::restore(pair, options, store, progress, verdict);
    }
    let last = pair.incremental.as_ref().unwrap_or(&pair.full);
    let restoring = store.begin_restore(last.name().slot())?;
    let bytes_expected = unpacked_bytes(pair)?.unwrap_or(BYTES_EXPECTED_DEFAULT);
    let mut into = IntoStore::new(restoring, options, progress, bytes_expected);
    let examined = examine(pair, options, progress, &mut into)?;
    if examined.report.answer() == Answer::Bad {
        into.restoring.abort()?;
        return Err(Error::Bad { report: Box::new(examined.report) });
    }
    let names = [Some(&pair.full), pair.incremental.as_ref()];
    let names = names.into_iter().flatten().map(|source| source.label().to_string()).collect();
    let facts = base_facts(&examined, names);
    let text = verdict(&examined.report);
    let base = into.adopt(facts, text)?;
    Ok(Restored { base, report: examined.report })
}

/// What the store keeps of the last archive's bank and accounts.
fn base_facts(examined: &Examined, archives: Vec<String>) -> BaseFacts {
    let whole = "an archive whose verdict is not bad has a manifest";
    let facts = examined.incremental.as_ref().unwrap_or(&examined.full);
    let manifest = facts.manifest.as_ref().expect(whole);
    let (bank, totals) = (&manifest.bank, &examined.totals.all);
    let left_out = &examined.totals.left_out;
    BaseFacts {
        bank: BankFields {
            slot: bank.slot,
            parent_slot: manifest.hashes.parent_slot,
            bank_hash: manifest.hashes.hash,
            parent_bank_hash: manifest.hashes.parent_hash,
            last_blockhash: manifest.blockhash_queue.last_hash.unwrap_or_default(),
            signature_count: bank.signature_count,
            transaction_count: bank.transaction_count,
            block_height: bank.block_height,
        },
        totals: StateTotals {
            lattice: totals.lattice.clone(),
            // It was held against the manifest's.
            capitalization: u64::try_from(totals.lamports).unwrap_or(u64::MAX),
            num_accounts: totals.accounts - left_out.accounts,
            total_data_len: totals.data_bytes - left_out.data_bytes,
            lattice_left_out: left_out.lattice.clone(),
            capitalization_left_out: u64::try_from(left_out.lamports).unwrap_or(u64::MAX),
        },
        epoch_schedule: bank.epoch_schedule,
        hard_forks: manifest.hard_forks.clone(),
        archives,
        is_anchored: examined.report.last().anchored,
    }
}

/// The way into a store.
struct IntoStore<'a> {
    restoring: Restoring<'a>,
    options: &'a Options,
    progress: &'a Progress,
    bytes_expected: u64,
    space: SpillSpace,
    owners: Arc<Owners>,
    tiles: usize,
    keepers: Vec<StoreKeeper>,
    capture: Option<Capture>,
    others: Vec<KeyBins<OtherOwner>>,
    by_pubkey: Option<RunWriter<32>>,
    by_owner: Option<OwnerOrder>,
    closed: Sorted<ListRow<32>>,
}

impl<'a> IntoStore<'a> {
    fn new(
        restoring: Restoring<'a>,
        options: &'a Options,
        progress: &'a Progress,
        bytes_expected: u64,
    ) -> Self {
        Self {
            restoring,
            options,
            progress,
            bytes_expected,
            space: SpillSpace::new(options.scratch.as_deref()),
            owners: Arc::new(Owners::new(OWNERS_MAX)),
            tiles: 0,
            keepers: Vec::new(),
            capture: None,
            others: Vec::new(),
            by_pubkey: None,
            by_owner: None,
            closed: Sorted::default(),
        }
    }

    /// A part of [`EXTRA_BYTES`], for each thread.
    fn share(&self, sixteenths: usize) -> usize {
        EXTRA_BYTES / 16 * sixteenths / self.tiles
    }

    fn order_memory(&self) -> OrderMemory {
        let plan = MemoryPlan::new(self.options.memory_bytes_max, self.tiles);
        OrderMemory {
            gather_bytes: self.share(12),
            sort_bytes: plan.owner_sort_bytes(),
            others_bytes: EXTRA_BYTES / 16,
        }
    }

    /// All records are written, and the members that are kept as they are.
    fn finish_content(&mut self) -> Result<(Vec<Records>, Content, Content), Error> {
        let (keepers, capture) = (std::mem::take(&mut self.keepers), self.capture.take());
        let records = keepers.into_iter().map(|keeper| keeper.writer.finish());
        let records = records.collect::<Result<Vec<_>, _>>()?;
        let capture = capture.expect("a good archive was captured");
        Ok((records, capture.manifest.finish()?, capture.status_cache.finish()?))
    }

    /// The verdict is reached, and good.
    fn adopt(mut self, facts: BaseFacts, verdict: Vec<u8>) -> Result<SlotId, Error> {
        let settled = "keys were settled";
        self.progress.begin("write index");
        let (records, manifest, status_cache) = self.finish_content()?;
        let by_pubkey = self.by_pubkey.take().expect(settled);
        let by_owner = match self.by_owner.take() {
            Some(order) => Some((order, self.restoring.run::<64>()?)),
            None => None,
        };
        let index = RunIndex::new(&self.restoring);
        let (restoring, progress, threads) = (&self.restoring, self.progress, self.tiles);
        let (by_pubkey, by_owner) = thread::scope(|scope| {
            let syncing = scope.spawn(|| restoring.sync());
            let finishing = scope.spawn(|| by_pubkey.finish(Vec::new()));
            let by_owner = by_owner.map(|(order, run)| -> Result<RunInfo, Error> {
                let run = order.write(&index, run, threads, progress)?;
                progress.begin("make durable");
                Ok(run.finish(Vec::new())?)
            });
            let by_pubkey = finishing.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            syncing.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            Ok::<_, Error>((by_pubkey, by_owner.transpose()?))
        })?;
        self.progress.check()?;
        let adopted =
            Adopted { facts, records, manifest, status_cache, verdict, by_pubkey, by_owner };
        match self.closed.is_empty() {
            true => Ok(self.restoring.adopt(adopted)?),
            false => {
                let closed = self.closed_content()?;
                Ok(self.restoring.adopt_closing(adopted, closed, None)?)
            }
        }
    }
}

impl Destination for IntoStore<'_> {
    type Mark = Stored;
    type Keeper = StoreKeeper;
    type Rows = StoreRows<RunIndex>;

    fn prepare(&mut self, tiles: usize) -> Result<Writes, Error> {
        self.tiles = tiles;
        let mut writes = Writes::default();
        let kept_owners: HashSet<_> = self.restoring.kept_owners().iter().copied().collect();
        let kept_owners = Arc::new(kept_owners);
        for writer in self.restoring.writers(tiles, self.bytes_expected)? {
            let spill = self.space.file();
            writes.workers.push(writer.raw_fds().into_iter().chain(spill.raw_fd()).collect());
            let owners = Arc::clone(&self.owners);
            let kept_owners = Arc::clone(&kept_owners);
            let others_bytes = self.share(2);
            let keeper = StoreKeeper::new(writer, kept_owners, owners, others_bytes, spill);
            self.keepers.push(keeper);
        }
        let capture = Capture::new(self.restoring.content()?, self.restoring.content()?);
        let members = [&capture.manifest, &capture.status_cache];
        writes.parser = members.into_iter().flat_map(ContentWriter::raw_fds).collect();
        self.capture = Some(capture);
        Ok(writes)
    }

    fn send(&mut self) -> Vec<StoreKeeper> {
        std::mem::take(&mut self.keepers)
    }

    fn receive(&mut self, keepers: Vec<StoreKeeper>) {
        self.keepers = keepers;
    }

    fn capture(&mut self) -> Option<Capture> {
        self.capture.take()
    }

    fn captured(
        &mut self,
        capture: Capture,
        manifest: Option<&ManifestFacts>,
    ) -> Result<(), Error> {
        self.capture = Some(capture);
        // The store looks again when it adopts; who cannot restore hears of it as soon as can be.
        match manifest {
            Some(manifest) => Ok(self.restoring.check(&manifest.hashes.hash)?),
            None => Ok(()),
        }
    }

    fn rows(&mut self, late: &[Entry<Stored>]) -> Result<StoreRows<RunIndex>, Error> {
        let run = self.restoring.run::<32>()?;
        Ok(self.rows_to(RunIndex::new(&self.restoring), run, late, false))
    }

    fn received(&mut self, rows: StoreRows<RunIndex>) -> Result<bool, Error> {
        let (run, has_all) = self.take_back(rows)?;
        self.by_pubkey = Some(run);
        Ok(has_all)
    }
}

impl IntoStore<'_> {
    /// Rows that go to a run by pubkey, and are gathered by owner.
    fn rows_to<I: Index<32>>(
        &mut self,
        index: I,
        run: I::Run,
        late: &[Entry<Stored>],
        keeps_all_closed: bool,
    ) -> StoreRows<I> {
        let mut counts = Vec::new();
        for keeper in &mut self.keepers {
            self.others.push(keeper.take_others());
            let of_tile = keeper.owners.counts();
            counts.resize(counts.len().max(of_tile.len()), 0u64);
            for (sum, count) in counts.iter_mut().zip(of_tile) {
                *sum += u64::from(*count);
            }
        }
        let by_owner = self.restoring.owner_order().then(|| {
            let ranks = Ranks::new(self.owners.all(), &counts);
            OwnerOrder::new(ranks, self.order_memory(), self.space.file())
        });
        StoreRows {
            index,
            by_pubkey: InOrder::new(run),
            by_owner,
            closed: Mutex::new(Sorter::new(LIST_BYTES, self.space.file())),
            keeps_all_closed,
            others: Others {
                bins: std::mem::take(&mut self.others),
                bytes_max: self.share(1),
                space: self.space.clone(),
            },
            late: late.iter().map(|entry| (entry.place, entry.mark)).collect::<HashMap<_, _>>(),
            missing: 0.into(),
        }
    }

    /// All rows were given: the run, and whether all of their records were kept.
    fn take_back<I: Index<32>>(&mut self, rows: StoreRows<I>) -> Result<(I::Run, bool), Error> {
        self.by_owner = rows.by_owner;
        self.others = rows.others.bins;
        self.closed = rows.closed.into_inner().expect("no holder of this lock panics").finish()?;
        Ok((rows.by_pubkey.into_target(), rows.missing.into_inner() == 0))
    }

    /// Writes which accounts are closed of which a record may have been written.
    fn closed_content(&self) -> Result<Content, Error> {
        let mut content = self.restoring.content()?;
        let mut closed = self.closed.reader(LIST_BYTES)?;
        while let Some(row) = closed.next()? {
            content.write(&row.key)?;
        }
        Ok(content.finish()?)
    }
}

#[cfg(test)]
mod tests;
