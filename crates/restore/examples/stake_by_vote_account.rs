//! An epoch job: the stake of each vote account, out of archives that were verified first.
//!
//! ```text
//! cargo run --example stake_by_vote_account -- FULL [INCREMENTAL] | FOLDER
//! ```
//!
//! It prints the slot, the epoch and the bank hash to which the sums belong, then a line for each
//! vote account: its address and the lamports delegated to it, largest first.

use std::{collections::BTreeMap, env, error, ops::ControlFlow, path::PathBuf};

use icecore_programs::stake;
use icecore_restore::{Error, LiveAccounts, Options, Pair, Progress, live_accounts};
use icecore_types::{Delegation, Epoch, Pubkey, programs};

/// Lamports delegated to each vote account by the delegations that are [active](is_active) in
/// `epoch`; vote accounts without any are left out.
///
/// This is the plain sum of delegations. What a validator calls effective stake differs from it in
/// three ways that are left out here:
/// - *Warm-up and cool-down.* The cluster lets only a part of all stake start or end in an epoch
///   (9 %, by the stake history sysvar), and none in the epoch of the delegation itself. Here a
///   delegation counts in full from its activation epoch on, and not at all from its deactivation
///   epoch on.
/// - *Which vote accounts count.* A delegation counts even if its vote account is closed.
/// - *Leader schedules* of an epoch go by the stake at an earlier epoch's end, which the manifest's
///   epoch stakes hold.
///
/// # Errors
/// Those of [`LiveAccounts::for_each`].
pub(crate) fn stake_by_vote_account(
    accounts: &mut LiveAccounts,
    epoch: Epoch,
    progress: &Progress,
) -> Result<BTreeMap<Pubkey, u128>, Error> {
    let mut stakes = BTreeMap::new();
    accounts.for_each(progress, |live| {
        let account = live.account;
        if *account.owner == programs::STAKE
            && let Some(delegation) = stake::delegation(account.data)
            && is_active(&delegation, epoch)
        {
            // Wider than one delegation: nothing keeps hostile ones from adding up to more.
            *stakes.entry(delegation.voter_pubkey).or_default() += u128::from(delegation.stake);
        }
        ControlFlow::Continue(())
    })?;
    Ok(stakes)
}

/// Whether a delegation has begun and not ended in `epoch`. Those of genesis have `u64::MAX` for
/// their beginning and have always been active.
pub(crate) fn is_active(delegation: &Delegation, epoch: Epoch) -> bool {
    let from_genesis = delegation.activation_epoch == Epoch::MAX;
    let begun = from_genesis || delegation.activation_epoch <= epoch;
    begun && epoch < delegation.deactivation_epoch
}

fn main() -> Result<(), Box<dyn error::Error>> {
    let paths: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let pair = match &paths[..] {
        [folder] if folder.is_dir() => Pair::best_in(folder)?,
        [full] => Pair::files(full, None)?,
        [full, incremental] => Pair::files(full, Some(incremental))?,
        _ => return Err("give a folder, or a full archive and perhaps an incremental one".into()),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let progress = Progress::default();
    let mut accounts = live_accounts(pair, Options::for_cores(cores), &progress)?;

    let verdict = accounts.report().last();
    let (slot, epoch) = (verdict.slot, verdict.epoch.ok_or("the manifest states no epoch")?);
    let bank_hash = verdict.bank_hash.ok_or("the manifest states no bank hash")?;
    println!("slot {slot}, epoch {epoch}, bank hash {bank_hash}");

    let stakes = stake_by_vote_account(&mut accounts, epoch, &progress)?;
    let mut stakes: Vec<_> = stakes.into_iter().collect();
    stakes.sort_by_key(|(vote_account, lamports)| (std::cmp::Reverse(*lamports), *vote_account));
    for (vote_account, lamports) in stakes {
        println!("{vote_account} {lamports}");
    }
    Ok(())
}
