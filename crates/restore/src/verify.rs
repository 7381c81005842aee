//! Verification: archives to a verdict.
//!
//! 1. The incremental archive is looked at first, so that its keys are known.
//! 2. The full archive is looked at; what the incremental replaces is summed apart.
//! 3. Keys are settled: which version of each account counts, in the full archive's own view and
//!    in the pair's.
//! 4. Records whose sum was wrong (duplicates) are looked at again, and for archives named by a
//!    Merkle accounts hash all accounts that count.
//! 5. The checks compare what is stated with what was recomputed.
//!
//! An incremental archive alone, on its way into a store that keeps its base point, is looked at like a
//! full one; before the checks the base point's state is added, without what was replaced
//! ([`Destination::beneath`]).
//!
//! What is wrong in the bytes ends in a verdict; only what keeps the work from being done is an
//! error.

mod judge;
mod merkle;

use std::{collections::HashSet, path::PathBuf, sync::Arc, thread};

use icecore_archive::names::ArchiveName;
use icecore_hash::Kernel;
use icecore_types::{Hash, Slot};

use crate::{
    Error, Genesis, Pair, Progress, Source,
    account_facts::{ArchiveAccounts, ByKey, NewestFacts},
    checks::{Merkle, State},
    destination::{Beneath, Destination, Nowhere},
    first_look::{ArchiveFacts, FirstLook, IndexWorker, LookContext, Wrong},
    key_bins::{Entry, KeyBins, Mark},
    key_filter::KeyFilter,
    memory_plan::{MEMORY_BYTES_DEFAULT, MemoryPlan},
    pass::{
        Pipeline, Setup,
        batch::Place,
        borders::{Selection, Selector},
        with_pipeline,
    },
    second_look::{CorrectionWorker, Corrections, Excluded, SecondLook, Storages},
    settle::{Correction, Lower, Settlement, Upper, settle},
    spill::{SpillFile, SpillSpace, sorted::Sorted, sorter::Sorter},
    tiles::{Placement, TilePlan},
    totals::{Hashing, Totals, ViewTotals},
    verdict::{Report, Work},
};

/// What is known from outside, to hold the last archive against.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expected {
    /// The bank hash: the only anchor.
    pub bank_hash: Option<Hash>,
    /// The slot.
    pub slot: Option<Slot>,
    /// The capitalization.
    pub capitalization: Option<u64>,
    /// The genesis hash, held against the ledger.
    pub genesis_hash: Option<Hash>,
}

impl Expected {
    pub(crate) fn is_empty(&self) -> bool {
        self.bank_hash.is_none() && self.slot.is_none() && self.capitalization.is_none()
    }
}

/// How to verify, and to scan.
#[derive(Debug, Clone)]
pub struct Options {
    /// Cores to work with.
    pub cores: usize,
    /// Which tiles there are.
    pub tiles: TilePlan,
    /// Where they run, and what they may do.
    pub placement: Placement,
    /// What may be held of all that grows with the number of records; the rest goes to scratch
    /// files. Buffers of fixed size come on top.
    pub memory_bytes_max: u64,
    /// The folder of scratch files; `None` is the system's own for temporary files.
    pub scratch: Option<PathBuf>,
    /// The lattice kernel; `None` takes the best, or what `ICECORE_SIMD` names.
    pub kernel: Option<Kernel>,
    /// Warnings are failures.
    pub strict: bool,
    /// Known from outside.
    pub expected: Expected,
    /// The ledger's genesis.
    pub genesis: Option<Genesis>,
}

impl Options {
    /// The defaults, for this many cores.
    pub fn for_cores(cores: usize) -> Self {
        Self {
            cores,
            tiles: TilePlan::default(),
            placement: Placement::default(),
            memory_bytes_max: MEMORY_BYTES_DEFAULT,
            scratch: None,
            kernel: None,
            strict: false,
            expected: Expected::default(),
            genesis: None,
        }
    }
}

impl Default for Options {
    /// The defaults, for the cores there are.
    fn default() -> Self {
        Self::for_cores(thread::available_parallelism().map_or(1, usize::from))
    }
}

/// Verifies a full archive or a pair.
pub fn verify(pair: &mut Pair, options: &Options, progress: &Progress) -> Result<Report, Error> {
    if pair.is_alone() {
        let archive = pair.full.label().to_string();
        let why = "an incremental archive says nothing of most accounts".to_string();
        return Err(Error::NeedsFull { archive, why });
    }
    Ok(examine(pair, options, progress, &mut Nowhere::default())?.report)
}

/// A report, and what a scan of the same archives needs to pass over what does not count.
pub(crate) struct Examined {
    pub(crate) report: Report,
    pub(crate) full: ArchiveFacts,
    pub(crate) incremental: Option<ArchiveFacts>,
    /// Records that do not count in the last archive's view.
    pub(crate) excluded: Sorted<Place>,
    /// Where that list lies, as far as it was spilled.
    pub(crate) found: Arc<SpillFile>,
    /// Of the last archive's view; of no account if that view could not be had.
    pub(crate) totals: ViewTotals,
}

/// The feeds of a pipeline.
const FULL: usize = 0;
const INCREMENTAL: usize = 1;

/// One archive after the first look.
struct Looked<M> {
    look: FirstLook,
    kept: ViewTotals,
    replaced: ViewTotals,
    keys: Vec<KeyBins<M>>,
    accounts: ArchiveAccounts,
    wrong: Vec<Wrong>,
    wrong_count: u64,
}

impl<M: Mark> Looked<M> {
    fn facts(&self) -> &ArchiveFacts {
        &self.look.facts
    }

    /// Whether every record was read.
    fn is_whole(&self) -> bool {
        self.facts().end.tar.is_some()
    }
}

struct Examination<'a, D> {
    options: &'a Options,
    destination: &'a mut D,
    /// Unless the lattice hash is taken as stated.
    kernel: Option<Kernel>,
    /// How many archives there are.
    archives: usize,
    plan: MemoryPlan,
    space: SpillSpace,
    /// Of each worker.
    spills: Vec<Arc<SpillFile>>,
    found: Arc<SpillFile>,
    progress: &'a Progress,
    work: Work,
}

pub(crate) fn examine<D: Destination>(
    pair: &mut Pair,
    options: &Options,
    progress: &Progress,
    destination: &mut D,
) -> Result<Examined, Error> {
    let kernel = match (destination.hashing(), options.kernel) {
        (Hashing::AsStated, _) => None,
        (Hashing::Recomputed, Some(kernel)) => Some(kernel),
        (Hashing::Recomputed, None) => Some(Kernel::chosen()?),
    };
    let has_frames = pair.may_have_frames()?;
    let (decompressors, workers) = options.tiles.counts(options.cores, has_frames);
    let space = SpillSpace::new(options.scratch.as_deref());
    let spills: Vec<_> = (0..workers).map(|_| space.file()).collect();
    let found = space.file();
    let mut feeds = vec![pair.full.open("a first look", options.tiles.read_options())?];
    if let Some(incremental) = &mut pair.incremental {
        feeds.push(incremental.open("a first look", options.tiles.read_options())?);
    }
    for source in pair.incremental.iter().chain([&pair.full]) {
        progress.expect_bytes(source.bytes().unwrap_or(0));
    }
    let with_found: Vec<_> = spills.iter().chain([&found]).cloned().collect();
    let mut setup = Setup::restore(options, decompressors, workers, &with_found);
    setup.writes = destination.prepare(workers)?;
    let mut examination = Examination {
        options,
        destination,
        kernel,
        archives: feeds.len(),
        plan: MemoryPlan::new(options.memory_bytes_max, workers),
        space,
        spills,
        found,
        progress,
        work: Work {
            kernel: kernel.map_or("no", Kernel::name),
            decompress_tiles: decompressors,
            hash_tiles: workers,
            sandbox: options.placement.sandbox.to_string(),
            ..Work::default()
        },
    };
    with_pipeline(&setup, feeds, progress, |pipeline| examination.run(pair, pipeline))
}

/// Slots of the full archive's storages that the incremental brings again.
fn replaced_slots(name: &ArchiveName, facts: &ArchiveFacts) -> HashSet<Slot> {
    let base = name.base().unwrap_or(0);
    facts.storages.iter().map(|storage| storage.slot).filter(|slot| *slot <= base).collect()
}

impl<'a, D: Destination> Examination<'a, D>
where
    D::Keeper: 'a,
{
    fn run(
        &mut self,
        pair: &mut Pair,
        pipeline: &mut Pipeline<'_, '_, 'a>,
    ) -> Result<Examined, Error> {
        self.work.reading = pipeline.reading(FULL);
        self.work.hosts = pipeline.sandbox();
        // They are listed as they started, which is another order every time.
        self.work.hosts.sort_by(|one, other| one.host.cmp(&other.host));
        let fits = pair
            .incremental
            .as_ref()
            .is_none_or(|incremental| incremental.name().base() == Some(pair.full.name().slot()));
        let mut upper = None;
        if let Some(source) = &pair.incremental {
            let bytes_max = self.plan.incremental_bins_bytes();
            let context = self.context(None, Arc::default());
            let looked = self.first_look(pipeline, source, INCREMENTAL, context, bytes_max)?;
            let replaced = Arc::new(replaced_slots(source.name(), looked.facts()));
            upper = Some((looked, replaced));
        }
        // An incremental archive that is not whole, or builds on another full one, leaves the full
        // archive's own verdict alone.
        let above = upper.as_ref().filter(|(looked, _)| fits && looked.is_whole());
        let filter = match above {
            Some((looked, _)) => {
                let bytes_max = self.plan.filter_bytes();
                KeyFilter::build(&looked.keys, bytes_max, &self.space)?.map(Arc::new)
            }
            None => None,
        };
        let replaced = above.map(|(_, replaced)| Arc::clone(replaced)).unwrap_or_default();
        let context = self.context(filter.clone(), Arc::clone(&replaced));
        let bytes_max = self.plan.full_bins_bytes(self.space.bytes_held());
        let mut lower = self.first_look(pipeline, &pair.full, FULL, context, bytes_max)?;

        self.progress.begin("settle");
        let above = above.map(|(looked, replaced)| (looked, &**replaced));
        let (mut settled, has_all) = self.settle(&lower, above, filter.as_deref(), &[])?;
        let is_pair = above.is_some();
        self.work.bins_split = settled.work.bins_split;
        // The files that live on are counted in the end.
        self.work.bytes_spilled = settled.work.bytes_spilled - self.found.bytes();
        if has_all {
            lower.keys.clear();
            upper.iter_mut().for_each(|(looked, _)| looked.keys.clear());
        }
        let filter = filter.filter(|_| !has_all);
        let above = upper.as_ref().filter(|_| is_pair);
        let mut totals_full = lower.kept.clone();
        totals_full.add(&lower.replaced);
        let mut totals_pair = lower.kept.clone();
        if let Some((looked, _)) = above {
            totals_pair.add(&looked.kept);
        }
        let Corrected { offsets, late } = self.correct(
            pipeline,
            pair,
            (&lower, upper.as_ref().map(|(looked, _)| looked)),
            &settled,
            (&mut totals_full, &mut totals_pair),
        )?;
        if !has_all {
            // Records counted that had not been kept, as the filter has their keys by chance; they
            // have been kept since. This is so rare that everything is settled again.
            let above = above.map(|(looked, replaced)| (looked, &**replaced));
            let (_, has_all) = self.settle(&lower, above, filter.as_deref(), &late)?;
            assert!(has_all, "all that counts and was not kept has been corrected");
            lower.keys.clear();
            upper.iter_mut().for_each(|(looked, _)| looked.keys.clear());
        }
        drop(filter);
        let upper = upper.map(|(looked, _)| looked);
        let above = upper.as_ref().filter(|_| is_pair);

        // An incremental archive alone lies on a base point of the store.
        let base = self.destination.take_base();
        let beneath = match base.is_some() && lower.is_whole() {
            true => Some(self.destination.beneath(&pair.full, lower.facts())?),
            false => None,
        };
        if let Some(beneath) = &beneath {
            totals_full.all.add(&beneath.totals);
        }

        let merkle_full = match lower.is_whole() {
            true => {
                let archives = &[(FULL, &pair.full, lower.facts())];
                // On a base point it is named by the hash of its changes, if by a Merkle hash.
                self.merkle(pipeline, archives, &settled.excluded_full, base.is_some())?
            }
            false => None,
        };
        let merkle_pair = match (&pair.incremental, above) {
            (Some(source), Some(looked)) if lower.is_whole() => {
                let facts = looked.facts();
                let own = (INCREMENTAL, source, facts);
                let of_changes = facts.manifest.as_ref().is_some_and(|m| m.persistence.is_some());
                if of_changes {
                    self.merkle(pipeline, &[own], &settled.excluded_pair, true)?
                } else {
                    // The first clients that wrote incremental archives named them by the hash of
                    // the whole state.
                    let archives = &[(FULL, &pair.full, lower.facts()), own];
                    self.merkle(pipeline, archives, &settled.excluded_pair, false)?
                }
            }
            _ => None,
        };

        let excluded = &settled.excluded_full;
        let state_full =
            self.state(totals_full.all, merkle_full, &[&lower.accounts], excluded, beneath)?;
        let state_pair = match above {
            Some(looked) => {
                let both = [&lower.accounts, &looked.accounts];
                Some(self.state(
                    totals_pair.all,
                    merkle_pair,
                    &both,
                    &settled.excluded_pair,
                    None,
                )?)
            }
            None => None,
        };
        let left_out = if is_pair { totals_pair.left_out } else { totals_full.left_out };
        let excluded = match is_pair {
            true => std::mem::take(&mut settled.excluded_pair),
            false => std::mem::take(&mut settled.excluded_full),
        };
        let judged =
            Judged { settled, base, state_full, state_pair, left_out, is_pair, fits, offsets };
        self.judge(pair, lower, upper, judged, excluded)
    }

    /// Settles versions; says whether all that count were kept. `late` was kept after it streamed
    /// by.
    fn settle(
        &mut self,
        lower: &Looked<D::Mark>,
        above: Option<(&Looked<D::Mark>, &HashSet<Slot>)>,
        filter: Option<&KeyFilter>,
        late: &[Entry<D::Mark>],
    ) -> Result<(Settlement, bool), Error> {
        let rows = self.destination.rows(late)?;
        let (bins, storages) = (&lower.keys[..], &lower.look.facts.storages[..]);
        let upper = above.map(|(looked, replaced)| Upper {
            bins: &looked.keys,
            storages: &looked.look.facts.storages,
            filter,
            replaced,
        });
        let lower = Lower { bins, storages };
        let settled = settle(lower, upper, &self.plan, &self.space, &self.found, &rows)?;
        Ok((settled, self.destination.received(rows)?))
    }

    fn context(&self, filter: Option<Arc<KeyFilter>>, replaced: Arc<HashSet<Slot>>) -> LookContext {
        LookContext { kernel: self.kernel, filter, replaced }
    }

    fn first_look(
        &mut self,
        pipeline: &mut Pipeline<'_, '_, 'a>,
        source: &Source,
        feed: usize,
        context: LookContext,
        bytes_max: usize,
    ) -> Result<Looked<D::Mark>, Error> {
        self.progress.begin(format!("read {}", source.label()));
        let facts_bytes = self.plan.facts_bytes();
        let worker = |(spill, keeper): (&Arc<SpillFile>, D::Keeper)| {
            IndexWorker::new(context.clone(), keeper, bytes_max, facts_bytes, Arc::clone(spill))
        };
        let workers = self.spills.iter().zip(self.destination.send()).map(worker).collect();
        let delegations_bytes = self.plan.delegations_bytes();
        let found = Arc::clone(&self.found);
        let is_incremental = feed == INCREMENTAL;
        let capture = match is_incremental || self.archives == 1 {
            true => self.destination.capture(),
            false => None,
        };
        let look = FirstLook::new(source.name(), delegations_bytes, found, capture);
        let (mut look, workers, end) =
            pipeline.pass(feed, "a first look", is_incremental, look, workers)?;
        look.finish(end);
        if let Some(refused) = look.refused.take() {
            return Err(refused.into());
        }
        if let Some(mut capture) = look.capture.take() {
            capture.check()?;
            self.destination.captured(capture, look.facts.manifest.as_ref())?;
        }
        let mut keepers = Vec::with_capacity(workers.len());
        let mut looked = Looked {
            wrong: std::mem::take(&mut look.wrong),
            wrong_count: look.wrong_count,
            look,
            kept: ViewTotals::default(),
            replaced: ViewTotals::default(),
            keys: Vec::new(),
            accounts: ArchiveAccounts::default(),
        };
        for worker in workers {
            looked.kept.add_accounts(&worker.kept.finish(), false);
            looked.kept.add_accounts(&worker.kept_left_out.finish(), true);
            looked.replaced.add_accounts(&worker.replaced.finish(), false);
            looked.replaced.add_accounts(&worker.replaced_left_out.finish(), true);
            looked.keys.push(worker.keys);
            looked.accounts.add(worker.facts)?;
            looked.wrong.extend(worker.wrong);
            looked.wrong_count += worker.wrong_count;
            keepers.push(worker.keeper);
        }
        self.destination.receive(keepers);
        looked.wrong.sort_by_key(|wrong| (wrong.place, wrong.offset));
        Ok(looked)
    }

    /// Looks again at the records whose sum was wrong.
    fn correct(
        &mut self,
        pipeline: &mut Pipeline<'_, '_, 'a>,
        pair: &Pair,
        (lower, upper): (&Looked<D::Mark>, Option<&Looked<D::Mark>>),
        settled: &Settlement,
        (full, both): (&mut ViewTotals, &mut ViewTotals),
    ) -> Result<Corrected<D::Mark>, Error> {
        let none = Arc::default();
        let borders = |looked: Option<&Looked<D::Mark>>| {
            Selector::new(looked.map_or(&none, |looked| &looked.facts().end.borders))
        };
        let mut counts = [0u64; 2];
        let mut selectors = [borders(Some(lower)), borders(upper)];
        let mut corrections = settled.corrections.reader(self.plan.reader_bytes())?;
        while let Some(Correction { place, .. }) = corrections.next()? {
            counts[usize::from(place.is_incremental())] += 1;
            selectors[usize::from(place.is_incremental())].want(place);
        }
        for twice in &settled.twice {
            selectors[usize::from(twice.place.is_incremental())].want(twice.place);
        }
        let mut selections = selectors.map(|selector| Some(selector.finish()));
        let archives = [
            // Of an archive that is not whole no sum will be compared.
            (FULL, Some(&pair.full), Some(lower).filter(|lower| lower.is_whole())),
            (INCREMENTAL, pair.incremental.as_ref(), upper),
        ];
        let mut corrected = Corrected { offsets: Vec::new(), late: Vec::new() };
        for (feed, source, looked) in archives {
            let (Some(source), Some(looked)) = (source, looked) else { continue };
            let count = counts[feed];
            if count == 0 {
                continue;
            }
            let label = source.label();
            self.progress.begin(format!("look again at {count} records of {label}"));
            self.progress.expect_bytes(source.bytes().unwrap_or(0));
            let reason = format!("{count} records are older versions");
            let twice = settled.twice.iter().map(|twice| twice.place).collect();
            let bytes_max = self.plan.reader_bytes();
            let choice = Corrections::new(&settled.corrections, twice, bytes_max)?;
            let look = SecondLook::new(Storages::of(looked.facts()), choice);
            let worker = |keeper| CorrectionWorker::new(self.kernel, keeper);
            let workers = self.destination.send().into_iter().map(worker).collect();
            let is_incremental = feed == INCREMENTAL;
            let selection = selections[feed].take();
            let passed_over = selection.as_ref().map_or(0, Selection::passed_over);
            self.work.frames_passed_over += passed_over;
            let (_, workers, _) =
                pipeline.pass_over(feed, &reason, is_incremental, look, workers, selection)?;
            let mut keepers = Vec::with_capacity(workers.len());
            for mut worker in workers {
                self.work.records_looked_at_again += worker.looked_at;
                corrected.offsets.append(&mut worker.offsets);
                corrected.late.append(&mut worker.late);
                worker.apply(full, both);
                keepers.push(worker.keeper);
            }
            self.destination.receive(keepers);
        }
        Ok(corrected)
    }

    /// The state in a view: newest versions only. With two archives it is the pair's.
    fn state(
        &self,
        totals: Totals,
        merkle: Option<Merkle>,
        archives: &[&ArchiveAccounts],
        excluded: &Sorted<Place>,
        beneath: Option<Beneath>,
    ) -> Result<State, Error> {
        let bytes_max = self.plan.reader_bytes();
        let lists = archives.iter().flat_map(|accounts| accounts.facts.iter().cloned());
        let mut facts = Sorted::merged(lists, &self.found, bytes_max)?.reader(bytes_max)?;
        let mut excluded = Excluded::new(excluded, bytes_max)?;
        let sorter_bytes = self.plan.newest_facts_bytes();
        let mut newest = Sorter::new(sorter_bytes, Arc::clone(&self.found));
        while let Some(fact) = facts.next()? {
            if excluded.counts(fact.spot.place)? {
                newest.push(ByKey(fact))?;
            }
        }
        let beneath = beneath.unwrap_or_default();
        let mut facts = beneath.facts.reader(bytes_max)?;
        while let Some(fact) = facts.next()? {
            newest.push(fact)?;
        }
        let facts = NewestFacts::new(newest.finish()?, sorter_bytes);
        let mut sysvars = beneath.sysvars;
        let is_pair = archives.len() > 1;
        for (number, accounts) in archives.iter().enumerate() {
            let below = is_pair && number == 0;
            sysvars.merge(if below { &accounts.sysvars_kept } else { &accounts.sysvars });
        }
        let hashing = self.destination.hashing();
        Ok(State { totals, hashing, merkle, facts, sysvars })
    }
}

/// What came of looking again.
struct Corrected<M> {
    /// Of records that stand twice in one storage.
    offsets: Vec<(Place, u64)>,
    /// What was kept of records that seemed to be replaced.
    late: Vec<Entry<M>>,
}

/// What the checks need from the examination.
struct Judged {
    settled: Settlement,
    /// That the only archive builds on.
    base: Option<ArchiveFacts>,
    state_full: State,
    state_pair: Option<State>,
    left_out: Totals,
    is_pair: bool,
    fits: bool,
    offsets: Vec<(Place, u64)>,
}
