//! Y1 to Y8: sysvar accounts, which the accounts hash covers, against the manifest.

use icecore_programs::sysvar::{
    Clock, LastRestartSlot, RecentBlockhashes, Rent, SLOT_HISTORY_BITS, SlotHashes, SlotHistory,
    StakeHistory, epoch_schedule,
};
use icecore_types::{Pubkey, Slot, programs};

use super::{State, Subject};
use crate::{check_id::CheckId, findings::Findings, manifest_facts::ManifestFacts};

pub(super) fn check(subject: &Subject<'_>, manifest: &ManifestFacts, findings: &mut Findings) {
    let state = match subject.state {
        Ok(state) => state,
        Err(reason) => {
            for (id, ..) in SYSVARS {
                findings.skip(*id, reason);
            }
            return;
        }
    };
    for (id, address, compare) in SYSVARS {
        let Some(data) = data_of(state, address) else {
            match *id {
                // The last restart slot came with 1.17.
                CheckId::Y8 => findings.skip(*id, "no such account"),
                _ => findings.fail(*id, format!("no account {address}")),
            }
            continue;
        };
        if compare(manifest, data, findings).is_none() {
            findings.fail(*id, format!("the data of {address} does not decode"));
        }
    }
}

fn data_of<'a>(state: &'a State, address: &Pubkey) -> Option<&'a [u8]> {
    state.sysvars.get(address).map(|fact| &fact.data[..])
}

/// Compares a sysvar's data with the manifest; `None` when the data does not decode.
type Compare = fn(&ManifestFacts, &[u8], &mut Findings) -> Option<()>;

const SYSVARS: &[(CheckId, Pubkey, Compare)] = &[
    (CheckId::Y1, programs::SYSVAR_CLOCK, clock),
    (CheckId::Y2, programs::SYSVAR_EPOCH_SCHEDULE, schedule),
    (CheckId::Y3, programs::SYSVAR_RENT, rent),
    (CheckId::Y4, programs::SYSVAR_RECENT_BLOCKHASHES, recent_blockhashes),
    (CheckId::Y5, programs::SYSVAR_SLOT_HASHES, slot_hashes),
    (CheckId::Y6, programs::SYSVAR_STAKE_HISTORY, stake_history),
    (CheckId::Y7, programs::SYSVAR_SLOT_HISTORY, slot_history),
    (CheckId::Y8, programs::SYSVAR_LAST_RESTART_SLOT, last_restart_slot),
];

fn clock(manifest: &ManifestFacts, data: &[u8], findings: &mut Findings) -> Option<()> {
    let clock = Clock::decode(data)?;
    let (id, bank) = (CheckId::Y1, &manifest.bank);
    let schedule = &bank.epoch_schedule;
    findings.equal(id, "slot", clock.slot, bank.slot);
    findings.equal(id, "epoch", clock.epoch, schedule.epoch_of(bank.slot));
    let leaders = schedule.leader_schedule_epoch(bank.slot);
    findings.equal(id, "leader schedule epoch", clock.leader_schedule_epoch, leaders);
    Some(())
}

fn schedule(manifest: &ManifestFacts, data: &[u8], findings: &mut Findings) -> Option<()> {
    let schedule = epoch_schedule(data)?;
    if schedule != manifest.bank.epoch_schedule {
        let stated = manifest.bank.epoch_schedule;
        findings.fail(CheckId::Y2, format!("expected {schedule:?}, found {stated:?}"));
    }
    Some(())
}

fn rent(manifest: &ManifestFacts, data: &[u8], findings: &mut Findings) -> Option<()> {
    let sysvar = Rent::decode(data)?;
    let sysvar = (sysvar.lamports_per_byte_year, sysvar.exemption_threshold, sysvar.burn_percent);
    let stated = manifest.bank.rent_collector.rent;
    let stated = (stated.lamports_per_byte, stated.exemption_threshold, stated.burn_percent);
    if stated == Default::default() {
        findings.note(CheckId::Y3, "the manifest's own rent is zero, as 4.2 writes it");
    } else if stated != sysvar {
        findings.fail(CheckId::Y3, format!("expected {sysvar:?}, found {stated:?}"));
    }
    Some(())
}

fn recent_blockhashes(
    manifest: &ManifestFacts,
    data: &[u8],
    findings: &mut Findings,
) -> Option<()> {
    let recent = RecentBlockhashes::decode(data)?;
    let (id, queue) = (CheckId::Y4, &manifest.blockhash_queue);
    let mut known: Vec<_> = queue.entries.iter().map(|(hash, _)| *hash).collect();
    known.sort_unstable();
    for entry in recent.iter() {
        if known.binary_search(&entry.0).is_err() {
            findings.fail(id, format!("blockhash {} is not in the queue", entry.0));
        }
    }
    let newest = recent.newest().map(|entry| entry.0);
    if newest != queue.last_hash {
        findings
            .fail(id, format!("last blockhash: expected {newest:?}, found {:?}", queue.last_hash));
    }
    findings.note(id, format!("{} blockhashes", recent.len()));
    Some(())
}

fn slot_hashes(manifest: &ManifestFacts, data: &[u8], findings: &mut Findings) -> Option<()> {
    let (slot, hash) = SlotHashes::decode(data)?.newest()?;
    findings.equal(CheckId::Y5, "parent slot", slot, manifest.hashes.parent_slot);
    findings.equal(CheckId::Y5, "parent bank hash", hash, manifest.hashes.parent_hash);
    Some(())
}

fn stake_history(manifest: &ManifestFacts, data: &[u8], findings: &mut Findings) -> Option<()> {
    let history = StakeHistory::decode(data)?;
    let stated = &manifest.stakes.history;
    if manifest.stakes.is_empty() {
        findings.skip(CheckId::Y6, "the manifest caches no stakes");
        return Some(());
    }
    if history.len() != stated.len() {
        let (expected, found) = (history.len(), stated.len());
        findings.fail(CheckId::Y6, format!("entries: expected {expected}, found {found}"));
        return Some(());
    }
    for (entry, stated) in history.iter().zip(stated) {
        let expected = (entry.epoch, entry.effective, entry.activating, entry.deactivating);
        let found = (stated.epoch, stated.effective, stated.activating, stated.deactivating);
        if expected != found {
            findings.fail(CheckId::Y6, format!("expected {expected:?}, found {found:?}"));
        }
    }
    Some(())
}

fn slot_history(manifest: &ManifestFacts, data: &[u8], findings: &mut Findings) -> Option<()> {
    let history = SlotHistory::decode(data)?;
    let id = CheckId::Y7;
    findings.equal(id, "newest slot", history.newest_slot(), manifest.bank.slot);
    findings.equal(id, "bits", SLOT_HISTORY_BITS, history.bits_count());
    Some(())
}

fn last_restart_slot(manifest: &ManifestFacts, data: &[u8], findings: &mut Findings) -> Option<()> {
    let sysvar = LastRestartSlot::decode(data)?;
    let slot = manifest.bank.slot;
    let forks = manifest.hard_forks.iter().map(|(slot, _)| *slot);
    let last: Slot = forks.filter(|fork| *fork <= slot).max().unwrap_or(0);
    findings.equal(CheckId::Y8, "last hard fork", sysvar.last_restart_slot, last);
    Some(())
}
