//! C1 to C5, M1, M3, M12, A3: that everything is there, once, and belongs together.

use icecore_archive::tar::EndBlocks;

use super::Subject;
use crate::{check_id::CheckId, findings::Findings, first_look::ArchiveFacts};

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let facts = subject.facts;
    findings.note(CheckId::C1, subject.name.to_string());
    container(facts, findings);
    members(subject, findings);
    match &facts.manifest {
        Some(manifest) => {
            for what in &manifest.beyond {
                findings.fail(CheckId::M1, format!("more {what} than are believed"));
            }
            match manifest.end.trailing_bytes {
                0 => {}
                bytes => findings.warn(CheckId::M1, format!("{bytes} bytes after its last field")),
            }
            storages(subject, manifest, findings);
        }
        None if !findings.failed(CheckId::M1) => findings.skip(CheckId::M1, "none was found"),
        None => {}
    }
    if subject.state.is_err() {
        for id in [CheckId::A1, CheckId::A2] {
            findings.skip(id, "the records were not all read");
        }
    }
    let above = facts.storages.iter().filter(|storage| storage.slot > subject.name.slot());
    for storage in above {
        findings.warn(
            CheckId::A3,
            format!("accounts/{}.{} is of a later slot", storage.slot, storage.id),
        );
    }
    pair(subject, findings);
}

fn container(facts: &ArchiveFacts, findings: &mut Findings) {
    let id = CheckId::C2;
    match &facts.end.container {
        Some(report) => {
            findings.note(
                id,
                format!("{}, {} frames, {} bytes", report.kind, report.frames, report.bytes),
            );
            if report.trailing_bytes > 0 {
                findings.warn(id, format!("{} bytes after the last frame", report.trailing_bytes));
            }
        }
        None => findings.skip(id, "not read to its end"),
    }
    let id = CheckId::C3;
    match &facts.end.tar {
        Some(end) if end.end_blocks != EndBlocks::Present => {
            findings.warn(id, "the two zero blocks that end a tar stream are missing");
        }
        Some(_) => {}
        None => findings.skip(id, "not read to its end"),
    }
    if let Some(end) = &facts.end.tar
        && let Some(offset) = end.trailing_nonzero
    {
        findings
            .warn(id, format!("bytes that are not zero after its end, from offset {offset} on"));
    }
}

fn members(subject: &Subject<'_>, findings: &mut Findings) {
    let facts = subject.facts;
    if facts.versions == 0 && !findings.failed(CheckId::C4) {
        match facts.end.tar {
            Some(_) => findings.fail(CheckId::C4, "no member 'version'"),
            None => findings.skip(CheckId::C4, "not met before the archive ended"),
        }
    }
    let id = CheckId::C5;
    if facts.end.tar.is_none() {
        return findings.skip(id, "not all members were met");
    }
    match &facts.manifests[..] {
        [] => findings.fail(id, "no manifest (snapshots/SLOT/SLOT)"),
        [(folder, file)] => {
            findings.equal(id, "folder of the manifest", subject.name.slot(), *folder);
            findings.equal(id, "file name of the manifest", subject.name.slot(), *file);
        }
        several => findings.fail(id, format!("{} manifests", several.len())),
    }
    match facts.status_caches {
        1 => {}
        count => findings.fail(id, format!("{count} members 'snapshots/status_cache', not one")),
    }
    if facts.storages.is_empty() {
        findings.fail(id, "no storage (accounts/SLOT.ID)");
    }
    let mut slots: Vec<_> =
        facts.storages.iter().map(|storage| (storage.slot, storage.id)).collect();
    slots.sort_unstable();
    for pair in slots.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let (slot, first) = pair[0];
        findings.fail(id, format!("two storages for slot {slot}: ids {first} and {}", pair[1].1));
    }
    findings.note(id, format!("{} storages", facts.storages.len()));
}

/// M12: slot, id and length of each storage, as the manifest lists them.
fn storages(
    subject: &Subject<'_>,
    manifest: &crate::manifest_facts::ManifestFacts,
    findings: &mut Findings,
) {
    let id = CheckId::M12;
    let facts = subject.facts;
    if facts.end.tar.is_none() {
        return findings.skip(id, "not all members were met");
    }
    let mut listed = 0;
    for storage in &facts.storages {
        let member = format!("accounts/{}.{}", storage.slot, storage.id);
        let Some((listed_id, length)) = manifest.storages.get(&storage.slot) else {
            findings.warn(id, format!("{member} is not in the manifest's list"));
            continue;
        };
        listed += 1;
        if *listed_id != storage.id {
            findings.warn(id, format!("{member} is listed with id {listed_id}"));
        }
        // Up to 2.x a file may be longer than its records; its list says where they end.
        let governs = manifest.lattice.is_none() && *length <= storage.bytes;
        if *length != storage.bytes && length.next_multiple_of(8) != storage.bytes && !governs {
            findings.warn(id, format!("{member} has {} bytes, {length} are listed", storage.bytes));
        }
    }
    let missing = manifest.storages.len() as u64 - listed.min(manifest.storages.len() as u64);
    if missing > 0 {
        findings.warn(id, format!("{missing} listed storages are not in the archive"));
    }
    if manifest.storages_odd > 0 {
        findings
            .warn(id, format!("{} slots are listed without one storage", manifest.storages_odd));
    }
}

/// M3: an incremental archive against its full one.
fn pair(subject: &Subject<'_>, findings: &mut Findings) {
    let id = CheckId::M3;
    let Some(base) = subject.base else {
        return findings.skip(id, "a full archive by itself");
    };
    let base_slot = subject.name.base().expect("only an incremental archive has a base");
    if base_slot >= subject.name.slot() {
        findings
            .fail(id, format!("base slot {base_slot} is not below slot {}", subject.name.slot()));
    }
    findings.equal(id, "slot of the full archive", base_slot, base.slot);
    if let (Some(full), Some(own)) = (&base.manifest, &subject.facts.manifest) {
        findings.equal(
            id,
            "genesis creation time",
            full.bank.genesis_creation_time,
            own.bank.genesis_creation_time,
        );
    }
    for storage in subject.facts.storages.iter().filter(|storage| storage.slot <= base_slot) {
        findings.warn(
            id,
            format!(
                "accounts/{}.{} is not above the base: it replaces the full archive's whole storage of that slot",
                storage.slot, storage.id
            ),
        );
    }
}

/// Whether the name may be a Merkle accounts hash: it is not the checksum of the manifest's lattice
/// hash, and the manifest states a Merkle hash. Clients from 3.0 on state none, so that a wrong name
/// of theirs needs no second look.
pub(crate) fn names_hash_by_merkle(facts: &ArchiveFacts, named: &icecore_types::Hash) -> bool {
    facts.manifest.as_ref().is_some_and(|manifest| {
        let lattice = manifest.lattice.as_ref().map(icecore_hash::lattice_checksum);
        let accounts_hash = &manifest.accounts_db.bank_hash_info.accounts_hash;
        let states_merkle = !accounts_hash.is_zero() || manifest.persistence.is_some();
        lattice.as_ref() != Some(named) && states_merkle
    })
}
