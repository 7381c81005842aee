//! M2, M4, M5, M6, M9, M10, S1, S2: the bank's own fields, and the accounts against them.

use icecore_hash::{
    BankHashParts, BankHashScheme, bank_hash, lattice_checksum, with_epoch_accounts_hash,
};
use icecore_types::{Hash, LatticeHash};

use super::{Computed, Merkle, State, Subject};
use crate::{check_id::CheckId, findings::Findings, manifest_facts::ManifestFacts};

/// Blockhashes that a queue keeps (`MAX_RECENT_BLOCKHASHES` of the reference client 4.2.2).
const BLOCKHASH_AGE_MAX: u64 = 300;

pub(super) fn check(
    subject: &Subject<'_>,
    manifest: &ManifestFacts,
    findings: &mut Findings,
    computed: &mut Computed,
) {
    slots(subject, manifest, findings);
    ticks(manifest, findings);
    blockhash_queue(manifest, findings);
    hard_forks(manifest, findings);
    accounts(subject, manifest, findings, computed);
    bank_hash_from_parts(subject, manifest, findings, computed);
}

fn slots(subject: &Subject<'_>, manifest: &ManifestFacts, findings: &mut Findings) {
    let named = subject.name.slot();
    findings.equal(CheckId::M2, "slot of the bank", named, manifest.bank.slot);
    findings.equal(CheckId::M2, "slot of the accounts database", named, manifest.accounts_db.slot);
}

fn ticks(manifest: &ManifestFacts, findings: &mut Findings) {
    let id = CheckId::M6;
    let expected = u128::from(manifest.bank.slot)
        .saturating_add(1)
        .saturating_mul(manifest.bank.ticks_per_slot.into());
    findings.equal(id, "max_tick_height", expected, manifest.bank.max_tick_height.into());
    findings.equal(id, "tick_height", expected, manifest.bank.tick_height.into());
    let schedule = &manifest.bank.epoch_schedule;
    if schedule.slots_per_epoch == 0 {
        findings.fail(id, "the epoch schedule has no slots in an epoch");
    }
    let first_normal_slot = match schedule.first_normal_epoch {
        0 => 0,
        epoch => schedule.first_slot(epoch),
    };
    findings.equal(id, "first_normal_slot", first_normal_slot, schedule.first_normal_slot);
    if !schedule.warmup && schedule.first_normal_epoch != 0 {
        let epoch = schedule.first_normal_epoch;
        findings.fail(id, format!("no warm-up, but the first normal epoch is {epoch}"));
    }
    let epoch = schedule.epoch_of(manifest.bank.slot);
    match manifest.bank.epoch {
        0 if epoch != 0 => {
            findings.note(id, format!("the epoch field is 0, the slot's epoch is {epoch}"))
        }
        stated => {
            findings.equal(id, "epoch", epoch, stated);
        }
    }
}

fn blockhash_queue(manifest: &ManifestFacts, findings: &mut Findings) {
    let id = CheckId::M9;
    let queue = &manifest.blockhash_queue;
    let length = queue.entries.len() as u64;
    if queue.max_age != BLOCKHASH_AGE_MAX {
        findings.warn(id, format!("max_age is {}, not {BLOCKHASH_AGE_MAX}", queue.max_age));
    }
    if length > queue.max_age.saturating_add(1) {
        findings.fail(id, format!("{length} entries, more than max_age {} and one", queue.max_age));
    }
    let mut indices: Vec<u64> = queue.entries.iter().map(|(_, index)| *index).collect();
    indices.sort_unstable();
    if let Some(pair) = indices.windows(2).find(|pair| pair[1] != pair[0].wrapping_add(1)) {
        findings.fail(id, format!("index {} is followed by {}", pair[0], pair[1]));
    }
    let mut hashes: Vec<Hash> = queue.entries.iter().map(|(hash, _)| *hash).collect();
    hashes.sort_unstable();
    if let Some(pair) = hashes.windows(2).find(|pair| pair[0] == pair[1]) {
        findings.fail(id, format!("blockhash {} stands twice", pair[0]));
    }
    if let Some(highest) = indices.last() {
        findings.equal(id, "last_hash_index", *highest, queue.last_hash_index);
    }
    match queue.last_hash {
        None => findings.fail(id, "no last blockhash"),
        Some(last) => match queue.entries.iter().find(|(hash, _)| *hash == last) {
            None => findings.fail(id, format!("the last blockhash {last} is not in the queue")),
            Some((_, index)) => {
                findings.equal(id, "index of the last blockhash", queue.last_hash_index, *index);
            }
        },
    }
}

fn hard_forks(manifest: &ManifestFacts, findings: &mut Findings) {
    let id = CheckId::M10;
    for pair in manifest.hard_forks.windows(2) {
        if pair[0].0 >= pair[1].0 {
            findings.fail(id, format!("fork at {} is followed by one at {}", pair[0].0, pair[1].0));
        }
    }
    for (slot, _) in manifest.hard_forks.iter().filter(|(slot, _)| *slot > manifest.bank.slot) {
        findings.fail(id, format!("fork at {slot}, above the slot {}", manifest.bank.slot));
    }
}

/// M4, S1, S2.
fn accounts(
    subject: &Subject<'_>,
    manifest: &ManifestFacts,
    findings: &mut Findings,
    computed: &mut Computed,
) {
    let named = *subject.name.hash();
    let stated = manifest.lattice.as_ref().map(lattice_checksum);
    if stated == Some(named) {
        findings.note(CheckId::M4, "named by the lattice hash");
    }
    let state = match subject.state {
        Ok(state) => state,
        Err(reason) => {
            findings.skip(CheckId::S1, reason);
            findings.skip(CheckId::S2, reason);
            match stated {
                Some(stated) => {
                    findings.equal(CheckId::M4, "hash in the name", stated, named);
                }
                None => findings.skip(CheckId::M4, reason),
            }
            return;
        }
    };

    let lamports = state.totals.lamports;
    findings.equal(
        CheckId::S1,
        "sum of lamports against the manifest's capitalization",
        u128::from(manifest.bank.capitalization),
        lamports,
    );
    findings.note(CheckId::S1, format!("{lamports} lamports"));

    let recomputed = state.lattice().map(lattice_checksum);
    match (stated, recomputed) {
        (Some(stated), Some(recomputed)) => {
            findings.equal(CheckId::S2, "checksum of the lattice hash", stated, recomputed);
            findings.note(CheckId::S2, format!("lattice hash {recomputed}"));
        }
        (Some(_), None) => findings.skip(CheckId::S2, "accounts were not hashed"),
        (None, _) => {}
    }
    match &state.merkle {
        Some(merkle) => merkle_hash(subject, manifest, merkle, stated, findings, computed),
        None => {
            computed.snapshot_hash = recomputed;
            match stated {
                Some(stated) => {
                    findings.equal(CheckId::M4, "hash in the name", stated, named);
                }
                None => {
                    let nothing =
                        "the manifest has neither a lattice hash nor a Merkle accounts hash";
                    findings.fail(CheckId::M4, nothing);
                    let given = recomputed.map_or("nothing".to_string(), |hash| hash.to_string());
                    findings.fail(CheckId::S2, format!("{nothing}; the accounts give {given}"));
                }
            }
        }
    }
}

/// Archives named by a Merkle accounts hash.
fn merkle_hash(
    subject: &Subject<'_>,
    manifest: &ManifestFacts,
    merkle: &Merkle,
    lattice: Option<Hash>,
    findings: &mut Findings,
    computed: &mut Computed,
) {
    let named = *subject.name.hash();
    for wrong in &merkle.wrong {
        let record = subject.naming.wrong(
            wrong.place,
            wrong.offset,
            wrong.key,
            wrong.expected,
            wrong.found.clone(),
        );
        findings.wrong(CheckId::S2, record);
    }
    findings.fail_untold(CheckId::S2, merkle.wrong_count - merkle.wrong.len() as u64);
    let merkle = merkle.root;
    let stated = match (subject.base, &manifest.persistence) {
        (Some(_), Some(persistence)) => persistence.incremental_hash,
        _ => manifest.accounts_db.bank_hash_info.accounts_hash,
    };
    let name_of = |hash: Hash| match &manifest.epoch_accounts_hash {
        Some(epoch_accounts_hash) => with_epoch_accounts_hash(&hash, epoch_accounts_hash),
        None => hash,
    };
    computed.snapshot_hash = Some(name_of(merkle));
    if let Some(lattice) = lattice
        && name_of(merkle) != named
    {
        // Neither scheme gives the name: the manifest's own is what it should have been.
        findings.equal(CheckId::M4, "hash in the name", lattice, named);
        return;
    }
    findings.note(CheckId::M4, match lattice {
        Some(_) => "named by the Merkle accounts hash",
        None => "the manifest has no lattice hash: named by the Merkle accounts hash, if by anything",
    });
    findings.equal(CheckId::M4, "hash in the name", name_of(merkle), named);
    if !stated.is_zero() {
        findings.equal(CheckId::S2, "Merkle accounts hash", stated, merkle);
    } else if name_of(merkle) != named {
        findings.fail(CheckId::S2, format!("Merkle accounts hash: found {merkle}"));
    }
    findings.note(CheckId::S2, format!("Merkle accounts hash {merkle}"));
    if let (Some(base), Some(persistence)) = (subject.base, &manifest.persistence) {
        persistence_of(base, persistence, findings);
    }
}

/// What an incremental archive of 2.x says of the full one.
fn persistence_of(
    base: &crate::first_look::ArchiveFacts,
    persistence: &icecore_archive::manifest::IncrementalSnapshotPersistence,
    findings: &mut Findings,
) {
    let id = CheckId::M3;
    let Some(full) = &base.manifest else { return };
    findings.equal(id, "full_slot", full.bank.slot, persistence.full_slot);
    findings.equal(
        id,
        "full_capitalization",
        full.bank.capitalization,
        persistence.full_capitalization,
    );
    if !full.accounts_db.bank_hash_info.accounts_hash.is_zero() {
        findings.equal(
            id,
            "full_hash",
            full.accounts_db.bank_hash_info.accounts_hash,
            persistence.full_hash,
        );
    }
}

fn parts<'a>(
    manifest: &'a ManifestFacts,
    lattice: Option<&'a LatticeHash>,
    accounts_delta_hash: Hash,
    with_epoch_accounts_hash: bool,
) -> BankHashParts<'a> {
    BankHashParts {
        parent_hash: manifest.hashes.parent_hash,
        signature_count: manifest.bank.signature_count,
        last_blockhash: manifest.blockhash_queue.last_hash.unwrap_or_default(),
        lattice,
        accounts_delta_hash: Some(accounts_delta_hash),
        epoch_accounts_hash: manifest.epoch_accounts_hash.filter(|_| with_epoch_accounts_hash),
        hard_forks: &manifest.hard_forks,
        parent_slot: manifest.hashes.parent_slot,
        slot: manifest.bank.slot,
    }
}

/// The scheme and parts of a client are not stated: the one that gives the stated hash holds.
/// The epoch accounts hash is in the hash of one bank of its epoch only.
const SCHEMES: [(BankHashScheme, bool); 4] = [
    (BankHashScheme::Lattice, false),
    (BankHashScheme::DeltaAndLattice, false),
    (BankHashScheme::Delta, false),
    (BankHashScheme::Delta, true),
];

/// The hash of the slot's own writes: as stated, or as recomputed where the manifest has none.
fn delta_hash(subject: &Subject<'_>, manifest: &ManifestFacts, findings: &mut Findings) -> Hash {
    let stated = manifest.accounts_db.bank_hash_info.accounts_delta_hash;
    let merkle = subject.state.ok().and_then(|state| state.merkle.as_ref());
    match merkle {
        Some(merkle) if stated.is_zero() => merkle.delta,
        Some(merkle) if manifest.lattice.is_none() => {
            findings.equal(CheckId::M5, "hash of the slot's own writes", merkle.delta, stated);
            stated
        }
        _ => stated,
    }
}

fn bank_hash_from_parts(
    subject: &Subject<'_>,
    manifest: &ManifestFacts,
    findings: &mut Findings,
    computed: &mut Computed,
) {
    let id = CheckId::M5;
    let delta = delta_hash(subject, manifest, findings);
    let hash = |lattice, (scheme, with_epoch)| {
        bank_hash(&parts(manifest, lattice, delta, with_epoch), scheme).ok()
    };
    let stated = manifest.hashes.hash;
    let lattice = manifest.lattice.as_ref();
    let holds = SCHEMES.into_iter().find(|scheme| hash(lattice, *scheme) == Some(stated));
    let scheme = holds.unwrap_or(if lattice.is_some() { SCHEMES[0] } else { SCHEMES[2] });
    match holds {
        Some((scheme, _)) => findings.note(id, format!("{stated} by the {scheme} rule")),
        None => {
            let found =
                hash(lattice, scheme).map_or_else(|| "none".into(), |hash| hash.to_string());
            findings.fail(id, format!("the manifest states {stated}, its parts give {found}"));
        }
    }
    // Beside it, the hash that the accounts themselves give.
    let own = lattice.and(subject.state.ok()).and_then(State::lattice);
    computed.bank_hash = hash(own.or(lattice), scheme);
}
