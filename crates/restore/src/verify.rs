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

use std::collections::HashSet;

use icecore_archive::names::ArchiveName;
use icecore_hash::{AccountHashRule, Kernel, merkle_accounts_hash, with_epoch_accounts_hash};
use icecore_types::{Hash, Slot};

use crate::{
    Error, Genesis, Pair, Progress, Source,
    account_facts::{AccountFacts, StakeFact, VoteFact},
    check_id::CheckId,
    checks::{Computed, Naming, State, Subject, check, names_hash_by_merkle},
    findings::Findings,
    first_look::{ArchiveFacts, FirstLook, IndexWorker, LookContext, Wrong},
    index::{Budget, Index, KeySet},
    pipeline::{
        batch::Place,
        run::{Threads, pass},
        walk::StorageHead,
    },
    second_look::{CorrectionWorker, MerkleWorker, SecondLook},
    settle::{Correction, Settled, Upper, settle},
    totals::Totals,
    verdict::{Answer, NOT_COVERED, Recomputed, Report, Stated, Verdict, Work, outcomes},
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
            true => self.merkle(&mut pair.full, lower.facts(), &settled.excluded_full)?,
            false => None,
        };
        let merkle_pair = match (&mut pair.incremental, above) {
            (Some(source), Some((looked, ..))) if lower.is_whole() => {
                self.merkle(source, looked.facts(), &settled.excluded_pair)?
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

    /// The Merkle accounts hash that the archive's name should be, if its name is not that of a
    /// lattice hash. Which fields the account hashes cover changed over time and is not stated: the
    /// rule that gives the name holds.
    fn merkle(
        &mut self,
        source: &mut Source,
        facts: &ArchiveFacts,
        excluded: &[Place],
    ) -> Result<Option<Hash>, Error> {
        let named = *source.name().hash();
        if !names_hash_by_merkle(facts, &named) {
            return Ok(None);
        }
        let epoch_accounts_hash =
            facts.manifest.as_ref().and_then(|manifest| manifest.epoch_accounts_hash.as_ref());
        let incremental = source.name().is_incremental();
        let mut first = None;
        for rule in RULES {
            self.progress.begin(format!("Merkle accounts hash of {}", source.label()));
            self.progress.expect_bytes(source.bytes().unwrap_or(0));
            let workers = (0..self.options.threads.workers)
                .map(|_| MerkleWorker::new(excluded, rule, incremental))
                .collect();
            let (workers, _) = pass(
                source.read("it is named by a Merkle accounts hash")?,
                incremental,
                self.options.threads.decompressors,
                workers,
                &mut SecondLook::new(facts),
                self.progress,
            )?;
            let mut leaves: Vec<_> = workers.into_iter().flat_map(|worker| worker.leaves).collect();
            leaves.sort_unstable_by_key(|(key, _)| *key);
            let root = merkle_accounts_hash(leaves.into_iter().map(|(_, hash)| hash));
            let name = match epoch_accounts_hash {
                Some(epoch_accounts_hash) => with_epoch_accounts_hash(&root, epoch_accounts_hash),
                None => root,
            };
            if name == named {
                return Ok(Some(root));
            }
            first.get_or_insert(root);
        }
        Ok(first)
    }

    fn judge(
        mut self: &mut Self,
        pair: &Pair,
        lower: Looked,
        upper: Option<Looked>,
        judged: Judged,
    ) -> Result<Examined, Error> {
        self.progress.begin("check");
        let upper_storages: &[StorageHead] =
            upper.as_ref().map_or(&[], |upper| &upper.look.facts.storages);
        let upper_label = pair.incremental.as_ref().map_or("", |source| source.label());
        let naming = Naming {
            full: (pair.full.label(), &lower.look.facts.storages),
            incremental: (upper_label, upper_storages),
        };
        let this = &mut self;
        let full_state = match lower.is_whole() {
            true => Ok(&judged.state_full),
            false => Err("the archive was not read to its end"),
        };
        let has_incremental = upper.is_some();
        let mut archives = Vec::new();
        archives.push(this.verdict(
            &pair.full,
            &lower,
            None,
            full_state,
            naming,
            &judged,
            !has_incremental,
        ));
        if let (Some(source), Some(upper)) = (&pair.incremental, &upper) {
            let state = match &judged.state_pair {
                Some(state) if lower.is_whole() && judged.is_pair => Ok(state),
                _ if !judged.fits => Err("the archives do not belong together"),
                _ => Err("the archives were not read to their ends"),
            };
            archives.push(this.verdict(
                source,
                upper,
                Some(&lower.look.facts),
                state,
                naming,
                &judged,
                true,
            ));
        }
        this.work.bytes_read = this.progress.bytes_read();
        this.work.bytes_unpacked = this.progress.bytes_unpacked();
        this.work.records = this.progress.records();
        let excluded = match judged.is_pair {
            true => judged.settled.excluded_pair,
            false => judged.settled.excluded_full,
        };
        Ok(Examined {
            report: Report { archives, work: this.work.clone() },
            full: lower.look.facts,
            incremental: upper.map(|upper| upper.look.facts),
            excluded,
        })
    }

    #[allow(clippy::too_many_arguments, reason = "one archive's whole case")]
    fn verdict(
        &self,
        source: &Source,
        looked: &Looked,
        base: Option<&ArchiveFacts>,
        state: Result<&State, &str>,
        naming: Naming<'_>,
        judged: &Judged,
        is_last: bool,
    ) -> Verdict {
        let mut findings = looked.look.findings.clone();
        records(looked, base.is_some(), naming, judged, &mut findings);
        let subject = Subject {
            name: source.name(),
            facts: looked.facts(),
            base,
            state,
            naming,
            genesis: self.options.genesis.as_ref(),
            expected: is_last.then_some(&self.options.expected),
        };
        let computed = check(&subject, &mut findings);
        summarize(&subject, source, computed, findings, self.options.strict)
    }
}

/// The rules of account hashes, newest first.
const RULES: [AccountHashRule; 3] = [
    AccountHashRule::WithoutRentEpoch,
    AccountHashRule::WithRentEpoch,
    AccountHashRule::WithSlotAndRentEpoch,
];

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
    merkle: Option<Hash>,
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
    let mut sysvars = crate::account_facts::Sysvars::default();
    for (number, facts) in facts.iter().enumerate() {
        let below = is_pair && number == 0;
        sysvars.merge(if below { &facts.sysvars_kept } else { &facts.sysvars });
    }
    State { totals, merkle, stakes, votes, sysvars }
}

/// A1 and A2: what was wrong in records.
fn records(
    looked: &Looked,
    incremental: bool,
    naming: Naming<'_>,
    judged: &Judged,
    findings: &mut Findings,
) {
    for wrong in &looked.wrong {
        let record =
            naming.wrong(wrong.place, wrong.offset, wrong.key, wrong.expected, wrong.found.clone());
        findings.wrong(CheckId::A1, record);
    }
    findings.fail_untold(CheckId::A1, looked.wrong_count - looked.wrong.len() as u64);
    let mut told = 0;
    for twice in
        judged.settled.twice.iter().filter(|twice| twice.place.is_incremental() == incremental)
    {
        let offset = judged.offsets.iter().find(|(place, _)| *place == twice.place);
        let record = naming.wrong(
            twice.place,
            offset.map_or(0, |(_, offset)| *offset),
            Some(twice.key),
            "each key once in a storage",
            format!("the key of record {} again", twice.other.record()),
        );
        findings.wrong(CheckId::A2, record);
        told += 1;
    }
    if told > 0 {
        findings.fail_untold(CheckId::A2, judged.settled.twice_count.saturating_sub(told));
    }
}

fn summarize(
    subject: &Subject<'_>,
    source: &Source,
    computed: Computed,
    findings: Findings,
    strict: bool,
) -> Verdict {
    let checks = outcomes(findings, strict);
    let bad = checks.iter().any(|check| check.outcome == crate::Outcome::Fail);
    let answer = match (bad, computed.anchored) {
        (true, _) => Answer::Bad,
        (false, true) => Answer::Anchored,
        (false, false) => Answer::Consistent,
    };
    let manifest = subject.facts.manifest.as_ref();
    let totals = subject.state.ok().map(|state| &state.totals);
    let lattice = totals.map(|totals| icecore_hash::lattice_checksum(&totals.lattice));
    let merkle = subject.state.ok().and_then(|state| state.merkle);
    let capitalization = totals.map(|totals| totals.lamports);
    let bank = manifest.map(|manifest| &manifest.bank);
    let accounts_hash = manifest
        .map(|manifest| manifest.accounts_db.bank_hash_info.accounts_hash)
        .filter(|hash| !hash.is_zero());
    Verdict {
        archive: source.label().to_string(),
        kind: if subject.base.is_some() { "incremental" } else { "full" },
        slot: bank.map_or(subject.name.slot(), |bank| bank.slot),
        base_slot: subject.name.base(),
        parent_slot: manifest.map(|manifest| manifest.hashes.parent_slot),
        epoch: bank.map(|bank| bank.epoch_schedule.epoch_of(bank.slot)),
        block_height: bank.map(|bank| bank.block_height),
        bank_hash: manifest.map(|manifest| manifest.hashes.hash),
        accounts_lt_hash_checksum: lattice,
        capitalization,
        num_accounts: totals.map(|totals| totals.accounts),
        total_data_len: totals.map(|totals| totals.data_bytes),
        verdict: answer,
        anchored: answer == Answer::Anchored,
        stated: Stated {
            snapshot_hash: Some(*subject.name.hash()),
            bank_hash: manifest.map(|manifest| manifest.hashes.hash),
            accounts_lt_hash_checksum: manifest
                .and_then(|manifest| manifest.lattice.as_ref())
                .map(icecore_hash::lattice_checksum),
            accounts_hash,
            capitalization: bank.map(|bank| bank.capitalization),
        },
        recomputed: Recomputed {
            snapshot_hash: computed.snapshot_hash,
            bank_hash: computed.bank_hash,
            accounts_lt_hash_checksum: lattice,
            accounts_hash: merkle,
            capitalization,
        },
        checks,
        not_covered: NOT_COVERED,
    }
}
