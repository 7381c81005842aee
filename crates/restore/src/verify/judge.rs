//! From what was looked at to verdicts: one for the full archive, one for the pair.

use std::sync::Arc;

use super::{Examination, Examined, Judged, Looked};
use crate::{
    Answer, Error, NOT_COVERED, Pair, Recomputed, Report, Source, Stated, StorageHead, Verdict,
    check_id::CheckId,
    checks::{Computed, Naming, State, Subject, check},
    destination::Destination,
    findings::Findings,
    first_look::ArchiveFacts,
    key_bins::Mark,
    pass::batch::Place,
    spill::sorted::Sorted,
    totals::ViewTotals,
    verdict::outcomes,
};

impl<D: Destination> Examination<'_, D> {
    pub(super) fn judge(
        &mut self,
        pair: &Pair,
        lower: Looked<D::Mark>,
        upper: Option<Looked<D::Mark>>,
        judged: Judged,
        excluded: Sorted<Place>,
    ) -> Result<Examined, Error> {
        self.progress.begin("check");
        let upper_storages: &[StorageHead] =
            upper.as_ref().map_or(&[], |upper| &upper.look.facts.storages);
        let upper_label = pair.incremental.as_ref().map_or("", |source| source.label());
        let upper_label = match judged.base {
            Some(_) => "the base point",
            None => upper_label,
        };
        let naming = Naming {
            full: (pair.full.label(), &lower.look.facts.storages),
            incremental: (upper_label, upper_storages),
        };
        let full_state = match lower.is_whole() {
            true => Ok(&judged.state_full),
            false => Err("the archive was not read to its end"),
        };
        let has_incremental = upper.is_some();
        let mut archives = Vec::new();
        archives.push(self.verdict(
            &pair.full,
            &lower,
            judged.base.as_ref(),
            full_state,
            naming,
            &judged,
            !has_incremental,
        )?);
        if let (Some(source), Some(upper)) = (&pair.incremental, &upper) {
            let state = match &judged.state_pair {
                Some(state) if lower.is_whole() && judged.is_pair => Ok(state),
                _ if !judged.fits => Err("the archives do not belong together"),
                _ => Err("the archives were not read to their ends"),
            };
            archives.push(self.verdict(
                source,
                upper,
                Some(&lower.look.facts),
                state,
                naming,
                &judged,
                true,
            )?);
        }
        self.work.bytes_read = self.progress.bytes_read();
        self.work.bytes_unpacked = self.progress.bytes_unpacked();
        self.work.records = self.progress.records();
        let files = self.spills.iter().chain([&self.found]);
        self.work.bytes_spilled += files.map(|file| file.bytes()).sum::<u64>();
        Ok(Examined {
            report: Report { archives, work: self.work.clone() },
            full: lower.look.facts,
            incremental: upper.map(|upper| upper.look.facts),
            excluded,
            found: Arc::clone(&self.found),
            totals: ViewTotals {
                all: judged.state_pair.unwrap_or(judged.state_full).totals,
                left_out: judged.left_out,
            },
        })
    }

    #[allow(clippy::too_many_arguments, reason = "one archive's whole case")]
    fn verdict(
        &self,
        source: &Source,
        looked: &Looked<D::Mark>,
        base: Option<&ArchiveFacts>,
        state: Result<&State, &str>,
        naming: Naming<'_>,
        judged: &Judged,
        is_last: bool,
    ) -> Result<Verdict, Error> {
        let mut findings = looked.look.findings.clone();
        let is_upper = base.is_some() && judged.base.is_none();
        records(looked, is_upper, naming, judged, &mut findings);
        let subject = Subject {
            name: source.name(),
            facts: looked.facts(),
            base,
            state,
            naming,
            genesis: self.options.genesis.as_ref(),
            expected: is_last.then_some(&self.options.expected),
        };
        let computed = check(&subject, &mut findings)?;
        Ok(summarize(&subject, source, computed, findings, self.options.strict))
    }
}

/// A1 and A2: what was wrong in records.
fn records<M: Mark>(
    looked: &Looked<M>,
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
    twice(looked, incremental, naming, judged, findings);
}

/// A2. Clients before the lattice hash appended to a storage, so that a key may stand in it again:
/// the later record counts. The clients since refuse such a storage.
fn twice<M: Mark>(
    looked: &Looked<M>,
    incremental: bool,
    naming: Naming<'_>,
    judged: &Judged,
    findings: &mut Findings,
) {
    let id = CheckId::A2;
    let manifest = looked.facts().manifest.as_ref();
    let is_old = manifest.is_some_and(|manifest| manifest.lattice.is_none());
    let mut told = 0;
    let of_archive =
        judged.settled.twice.iter().filter(|twice| twice.place.is_incremental() == incremental);
    for twice in of_archive {
        let offset = judged.offsets.iter().find(|(place, _)| *place == twice.place);
        let record = naming.wrong(
            twice.place,
            offset.map_or(0, |(_, offset)| *offset),
            Some(twice.key),
            "each key once in a storage",
            format!("the key of record {} again", twice.other.record()),
        );
        match is_old {
            true => findings.warn(id, record.to_string()),
            false => findings.wrong(id, record),
        }
        told += 1;
    }
    if told > 0 && !is_old {
        findings.fail_untold(id, judged.settled.twice_count.saturating_sub(told));
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
    let lattice = subject.state.ok().and_then(State::lattice).map(icecore_hash::lattice_checksum);
    let merkle = subject.state.ok().and_then(|state| state.merkle.as_ref()).map(|m| m.root);
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
