//! T1, T2: the status cache.

use std::collections::BTreeSet;

use icecore_programs::sysvar::SlotHistory;
use icecore_types::{Slot, programs};

use super::Subject;
use crate::{check_id::CheckId, findings::Findings};

/// Slots that a status cache covers (`MAX_CACHE_ENTRIES` of the reference client 4.2.2).
const SLOTS_MAX: usize = 300;

pub(super) fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let id = CheckId::T1;
    let Some(slots) = &subject.facts.status_slots else {
        if !findings.failed(id) {
            findings.skip(id, "none was decoded");
        }
        return findings.skip(CheckId::T2, "no status cache was decoded");
    };
    if slots.len() > SLOTS_MAX {
        findings.fail(id, format!("{} slots, more than {SLOTS_MAX}", slots.len()));
    }
    let mut seen = BTreeSet::new();
    let own = subject.facts.slot;
    for (slot, is_root) in slots {
        if !is_root {
            findings.fail(id, format!("slot {slot} is not rooted"));
        }
        if *slot > own {
            findings.fail(id, format!("slot {slot} is above the slot {own}"));
        }
        if !seen.insert(*slot) {
            findings.fail(id, format!("slot {slot} stands twice"));
        }
    }
    findings.note(id, format!("{} slots", slots.len()));
    history(subject, &seen, findings);
}

/// T2: both ways over the newest rooted slots.
fn history(subject: &Subject<'_>, cached: &BTreeSet<Slot>, findings: &mut Findings) {
    let id = CheckId::T2;
    let state = match subject.state {
        Ok(state) => state,
        Err(reason) => return findings.skip(id, reason),
    };
    let fact = state.sysvars.get(&programs::SYSVAR_SLOT_HISTORY);
    let Some(history) = fact.and_then(|fact| SlotHistory::decode(&fact.data)) else {
        return findings.fail(id, "no slot history to compare with");
    };
    for slot in cached.iter().filter(|slot| !history.contains(**slot)) {
        findings.fail(id, format!("slot {slot} is cached and not in the slot history"));
    }
    for slot in history.iter().take(SLOTS_MAX).filter(|slot| !cached.contains(slot)) {
        findings.fail(id, format!("slot {slot} is in the slot history and not cached"));
    }
}
