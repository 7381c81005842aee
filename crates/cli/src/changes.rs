//! Accounts that differ between two states, for a person: one shape for archives and stores.

use icecore_restore::{AccountDiff, AccountState};

use crate::{exit::Failure, output::Answer};

/// Writes an account that differs as lines.
pub(crate) fn show(account: &AccountDiff, answer: &mut Answer) -> Result<(), Failure> {
    answer.line(format!("{:7} {}", account.change.word(), account.pubkey))?;
    match (&account.before, &account.after) {
        (Some(before), Some(after)) => {
            for field in &account.fields {
                let [before, after] = [before, after].map(|state| value(state, field));
                answer.line(format!("  {field:11} {before} -> {after}"))?;
            }
            if before.slot != after.slot {
                answer.line(format!("  {:11} {} -> {}", "(slot)", before.slot, after.slot))?;
            }
        }
        (Some(state), None) | (None, Some(state)) => {
            answer.line(format!(
                "  lamports {}, owner {}{}, {} bytes of data, slot {}",
                state.lamports,
                state.owner,
                if state.executable { ", executable" } else { "" },
                state.data_len,
                state.slot
            ))?;
        }
        (None, None) => {}
    }
    Ok(())
}

/// A field by its name.
fn value(state: &AccountState, field: &str) -> String {
    match field {
        "lamports" => state.lamports.to_string(),
        "owner" => state.owner.to_string(),
        "executable" => state.executable.to_string(),
        "rent_epoch" => state.rent_epoch.to_string(),
        "data_len" => state.data_len.to_string(),
        _ => state.data_blake3.to_string(),
    }
}
