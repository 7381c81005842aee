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
//! What is wrong in the bytes ends in a verdict; only what keeps the work from being done is an
//! error.

mod judge;
mod merkle;

use std::collections::HashSet;

use icecore_archive::names::ArchiveName;
use icecore_hash::Kernel;
use icecore_types::{Hash, Slot};

use crate::{
    Error, Genesis, Pair, Progress, Source,
    account_facts::{AccountFacts, StakeFact, Sysvars, VoteFact},
    checks::{Merkle, State},
    first_look::{ArchiveFacts, FirstLook, IndexWorker, LookContext, Wrong},
    index::{Budget, Index, KeySet},
    pipeline::{
        batch::Place,
        run::{Threads, pass},
    },
    second_look::{CorrectionWorker, SecondLook},
    settle::{Correction, Settled, Upper, settle},
    totals::Totals,
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

/// How to verify.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads.
    pub threads: Threads,
    /// What the index may take.
    pub memory_bytes_max: u64,
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
            threads: Threads::for_cores(cores),
            memory_bytes_max: u64::MAX,
            kernel: None,
            strict: false,
            expected: Expected::default(),
            genesis: None,
        }
    }
}

/// Verifies a full archive or a pair.
pub fn verify(pair: &mut Pair, options: &Options, progress: &Progress) -> Result<Report, Error> {
    Ok(examine(pair, options, progress)?.report)
}

/// A report, and what a scan of the same archives needs to pass over what does not count.
pub(crate) struct Examined {
    pub(crate) report: Report,
    pub(crate) full: ArchiveFacts,
    pub(crate) incremental: Option<ArchiveFacts>,
    /// Records that do not count in the last archive's view.
    pub(crate) excluded: Vec<Place>,
}

/// One archive after the first look.
struct Looked {
    look: FirstLook,
    kept: Totals,
    replaced: Totals,
    index: Vec<Index>,
    facts: AccountFacts,
    wrong: Vec<Wrong>,
    wrong_count: u64,
}

impl Looked {
    fn facts(&self) -> &ArchiveFacts {
        &self.look.facts
    }

    /// Whether every record was read.
    fn is_whole(&self) -> bool {
        self.facts().end.tar.is_some()
    }
}

struct Examination<'a> {
    options: &'a Options,
    kernel: Kernel,
    budget: Budget,
    progress: &'a Progress,
    work: Work,
}

pub(crate) fn examine(
    pair: &mut Pair,
    options: &Options,
    progress: &Progress,
) -> Result<Examined, Error> {
    let kernel = match options.kernel {
        Some(kernel) => kernel,
        None => Kernel::chosen()?,
    };
    let mut examination = Examination {
        options,
        kernel,
        budget: Budget::new(options.memory_bytes_max),
        progress,
        work: Work { kernel: kernel.name(), ..Work::default() },
    };
    for source in pair.incremental.iter().chain([&pair.full]) {
        progress.expect_bytes(source.bytes().unwrap_or(0));
    }
    examination.run(pair)
}

/// Slots of the full archive's storages that the incremental brings again.
fn replaced_slots(name: &ArchiveName, facts: &ArchiveFacts) -> HashSet<Slot> {
    let base = name.base().unwrap_or(0);
    facts.storages.iter().map(|storage| storage.slot).filter(|slot| *slot <= base).collect()
}

impl Examination<'_> {
    fn run(&mut self, pair: &mut Pair) -> Result<Examined, Error> {
        let fits = pair
            .incremental
            .as_ref()
            .is_none_or(|incremental| incremental.name().base() == Some(pair.full.name().slot()));
        let none = HashSet::new();
        let mut upper = None;
        if let Some(source) = &mut pair.incremental {
            let mut looked = self.first_look(source, true, None, &none)?;
            let keys = KeySet::new(std::mem::take(&mut looked.index));
            let replaced = replaced_slots(source.name(), looked.facts());
            upper = Some((looked, keys, replaced));
        }
        // An incremental archive that is not whole, or builds on another full one, leaves the full
        // archive's own verdict alone.
        let above = upper.as_ref().filter(|(looked, ..)| fits && looked.is_whole());
        let (keys, replaced) = match above {
            Some((_, keys, replaced)) => (Some(keys), replaced),
            None => (None, &none),
        };
        let mut lower = self.first_look(&mut pair.full, false, keys, replaced)?;

        self.progress.begin("settle");
        let storages = lower.look.facts.storages.clone();
        let settled = settle(
            std::mem::take(&mut lower.index),
            &storages,
            above
                .map(|(looked, keys, replaced)| Upper {
                    keys,
                    storages: &looked.look.facts.storages,
                    replaced,
                })
                .as_ref(),
            self.options.threads.workers,
        );
        let is_pair = above.is_some();
        let mut totals_full = lower.kept.clone();
        totals_full.add(&lower.replaced);
        let mut totals_pair = lower.kept.clone();
        if let Some((looked, ..)) = above {
            totals_pair.add(&looked.kept);
        }
        let offsets = self.correct(
            pair,
            &lower,
            upper.as_ref().map(|(looked, ..)| looked),
            &settled,
            (&mut totals_full, &mut totals_pair),
        )?;

        let merkle_full = match lower.is_whole() {
            true => {
                let sources = &mut [(&mut pair.full, lower.facts())];
                self.merkle(sources, &settled.excluded_full, false)?
            }
            false => None,
        };
        let merkle_pair = match (&mut pair.incremental, above) {
            (Some(source), Some((looked, ..))) if lower.is_whole() => {
                let facts = looked.facts();
                let of_changes = facts.manifest.as_ref().is_some_and(|m| m.persistence.is_some());
                if of_changes {
                    self.merkle(&mut [(source, facts)], &settled.excluded_pair, true)?
                } else {
                    // The first clients that wrote incremental archives named them by the hash of
                    // the whole state.
                    let sources = &mut [(&mut pair.full, lower.facts()), (source, facts)];
                    self.merkle(sources, &settled.excluded_pair, false)?
                }
            }
            _ => None,
        };

        let state_full =
            state(totals_full, merkle_full, &[&lower.facts], &settled.excluded_full, false);
        let state_pair = match above {
            Some((looked, ..)) => Some(state(
                totals_pair,
                merkle_pair,
                &[&lower.facts, &looked.facts],
                &settled.excluded_pair,
                true,
            )),
            None => None,
        };
        self.judge(
            pair,
            lower,
            upper.map(|(looked, ..)| looked),
            Judged { settled, state_full, state_pair, is_pair, fits, offsets },
        )
    }

    fn first_look(
        &mut self,
        source: &mut Source,
        incremental: bool,
        keys: Option<&KeySet>,
        replaced: &HashSet<Slot>,
    ) -> Result<Looked, Error> {
        self.progress.begin(format!("read {}", source.label()));
        let context = LookContext { kernel: self.kernel, budget: &self.budget, keys, replaced };
        let workers =
            (0..self.options.threads.workers).map(|_| IndexWorker::new(&context)).collect();
        let mut look = FirstLook::new(source.name());
        let (workers, end) = pass(
            source.read("a first look")?,
            incremental,
            self.options.threads.decompressors,
            workers,
            &mut look,
            self.progress,
        )?;
        look.finish(end);
        let mut looked = Looked {
            wrong: std::mem::take(&mut look.wrong),
            wrong_count: look.wrong_count,
            look,
            kept: Totals::default(),
            replaced: Totals::default(),
            index: Vec::new(),
            facts: AccountFacts::default(),
        };
        for worker in workers {
            looked.kept.add(&worker.kept.finish());
            looked.replaced.add(&worker.replaced.finish());
            looked.index.push(worker.index);
            looked.facts.merge(worker.facts);
            looked.wrong.extend(worker.wrong);
            looked.wrong_count += worker.wrong_count;
        }
        looked.wrong.sort_by_key(|wrong| (wrong.place, wrong.offset));
        Ok(looked)
    }

    /// Looks again at the records whose sum was wrong; gives the offsets of records that stand
    /// twice in one storage.
    fn correct(
        &mut self,
        pair: &mut Pair,
        lower: &Looked,
        upper: Option<&Looked>,
        settled: &Settled,
        (full, both): (&mut Totals, &mut Totals),
    ) -> Result<Vec<(Place, u64)>, Error> {
        let mut offsets = Vec::new();
        let split =
            settled.corrections.partition_point(|correction| !correction.place.is_incremental());
        let (below, above) = settled.corrections.split_at(split);
        let twice: Vec<Place> = settled.twice.iter().map(|twice| twice.place).collect();
        // Of an archive that is not whole no sum will be compared.
        if lower.is_whole() {
            let source = &mut pair.full;
            self.correct_one(source, lower, below, &twice, (full, both), &mut offsets)?;
        }
        if let (Some(source), Some(looked)) = (&mut pair.incremental, upper) {
            self.correct_one(source, looked, above, &twice, (full, both), &mut offsets)?;
        }
        Ok(offsets)
    }

    fn correct_one(
        &mut self,
        source: &mut Source,
        looked: &Looked,
        corrections: &[Correction],
        twice: &[Place],
        (full, both): (&mut Totals, &mut Totals),
        offsets: &mut Vec<(Place, u64)>,
    ) -> Result<(), Error> {
        let Some(first) = corrections.first() else { return Ok(()) };
        self.progress.begin(format!(
            "look again at {} records of {}",
            corrections.len(),
            source.label()
        ));
        self.progress.expect_bytes(source.bytes().unwrap_or(0));
        let reason = format!("{} records are older versions", corrections.len());
        let workers = (0..self.options.threads.workers)
            .map(|_| CorrectionWorker::new(corrections, twice, self.kernel))
            .collect();
        let (workers, _) = pass(
            source.read(&reason)?,
            first.place.is_incremental(),
            self.options.threads.decompressors,
            workers,
            &mut SecondLook::new(looked.facts()),
            self.progress,
        )?;
        for mut worker in workers {
            self.work.records_looked_at_again += worker.looked_at;
            offsets.append(&mut worker.offsets);
            worker.apply(full, both);
        }
        Ok(())
    }
}

/// What the checks need from the examination.
struct Judged {
    settled: Settled,
    state_full: State,
    state_pair: Option<State>,
    is_pair: bool,
    fits: bool,
    offsets: Vec<(Place, u64)>,
}

/// The state in a view: newest versions only.
fn state(
    totals: Totals,
    merkle: Option<Merkle>,
    facts: &[&AccountFacts],
    excluded: &[Place],
    is_pair: bool,
) -> State {
    let counts = |place: Place| excluded.binary_search(&place).is_err();
    let mut stakes: Vec<StakeFact> = facts
        .iter()
        .flat_map(|facts| &facts.stakes)
        .filter(|fact| counts(fact.spot.place))
        .copied()
        .collect();
    stakes.sort_unstable_by_key(|fact| fact.key);
    let mut votes: Vec<VoteFact> = facts
        .iter()
        .flat_map(|facts| &facts.votes)
        .filter(|fact| counts(fact.spot.place))
        .copied()
        .collect();
    votes.sort_unstable_by_key(|fact| fact.key);
    let mut sysvars = Sysvars::default();
    for (number, facts) in facts.iter().enumerate() {
        let below = is_pair && number == 0;
        sysvars.merge(if below { &facts.sysvars_kept } else { &facts.sysvars });
    }
    State { totals, merkle, stakes, votes, sysvars }
}
