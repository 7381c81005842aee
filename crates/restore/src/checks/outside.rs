//! G1, K1: what is known from outside the archive.

use super::{Computed, Subject};
use crate::{check_id::CheckId, findings::Findings};

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings, computed: &mut Computed) {
    genesis(subject, findings);
    anchors(subject, findings, computed);
}

fn genesis(subject: &Subject<'_>, findings: &mut Findings) {
    let id = CheckId::G1;
    let Some(genesis) = subject.genesis else {
        return findings.skip(id, "no ledger was given (--ledger)");
    };
    if let Some(expected) = subject.expected.and_then(|expected| expected.genesis_hash) {
        findings.equal(id, "genesis hash", expected, genesis.hash);
    }
    if let Some(stated) = genesis.stated_hash {
        findings.equal(id, "genesis hash of the ledger's file genesis_hash", stated, genesis.hash);
    }
    let Some(manifest) = &subject.facts.manifest else { return };
    let bank = &manifest.bank;
    findings.equal(id, "creation time", genesis.creation_time, bank.genesis_creation_time);
    findings.equal(id, "ticks per slot", genesis.ticks_per_slot, bank.ticks_per_slot);
    if genesis.epoch_schedule != bank.epoch_schedule {
        findings.fail(
            id,
            format!("expected {:?}, found {:?}", genesis.epoch_schedule, bank.epoch_schedule),
        );
    }
    findings.note(id, format!("genesis hash {}", genesis.hash));
}

fn anchors(subject: &Subject<'_>, findings: &mut Findings, computed: &mut Computed) {
    let id = CheckId::K1;
    let Some(expected) = subject.expected else {
        return findings.skip(id, "for the last archive");
    };
    if expected.is_empty() {
        return findings.skip(id, "no anchor was given (--expected-bank-hash)");
    }
    if let Some(slot) = expected.slot {
        findings.equal(id, "slot", slot, subject.facts.slot);
    }
    let Some(manifest) = &subject.facts.manifest else {
        return findings.fail(id, "no manifest was decoded to compare with");
    };
    if let Some(capitalization) = expected.capitalization {
        findings.equal(id, "capitalization", capitalization, manifest.bank.capitalization);
    }
    if let Some(bank_hash) = expected.bank_hash {
        computed.anchored = findings.equal(id, "bank hash", bank_hash, manifest.hashes.hash);
    }
}
