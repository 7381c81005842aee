//! `icecore diff`: the accounts that differ between two points of a store's history. Rows are those of
//! `icecore snapshot diff`.

use std::{ops::ControlFlow, path::Path};

use clap::Args;
use icecore_restore::{AccountDiff, AccountState, Change};
use icecore_store::{AccountChange, AccountVersion, Options as StoreOpening, Store, View};
use icecore_types::{Hash, Pubkey, Slot};
use serde::Serialize;

use crate::{
    changes,
    exit::{Exit, Failure},
    interrupt::Interrupt,
    moment::Moment,
    options::CommonOptions,
    output::Answer,
    reading,
    source::StoreOptions,
};

#[derive(Debug, Args)]
#[command(
    after_help = "A slot is N, ROOT or N@BANK_HASH, which is one of any fork that is kept. Accounts that \
were written again without a change are no difference. Exits with 0 when no account differs, with 1 \
when one does."
)]
pub(crate) struct Options {
    /// The slot before
    #[arg(value_name = "SLOT_A")]
    before: Moment,

    /// The slot after
    #[arg(value_name = "SLOT_B")]
    after: Moment,

    #[command(flatten)]
    store: StoreOptions,

    /// Only accounts that this program owns at one of the slots; given again: or that one
    #[arg(long, value_name = "PROGRAM")]
    program_accounts: Vec<Pubkey>,
}

/// The last line in JSON.
#[derive(Debug, Serialize)]
struct Last {
    summary: Summary,
}

#[derive(Debug, Serialize)]
struct Summary {
    /// Whether no account differs.
    same: bool,
    added: u64,
    closed: u64,
    changed: u64,
    before: Side,
    after: Side,
}

/// A state.
#[derive(Debug, Clone, Serialize)]
struct Side {
    slot: Slot,
    parent_slot: Slot,
    bank_hash: Hash,
    accounts_lt_hash_checksum: Hash,
    capitalization: u64,
    num_accounts: u64,
    total_data_len: u64,
}

impl Side {
    fn of(view: &View) -> Result<Self, Failure> {
        let (slot, totals) = (view.slot(), view.totals()?);
        Ok(Self {
            slot: slot.number,
            parent_slot: slot.bank.parent_slot,
            bank_hash: slot.bank.bank_hash,
            accounts_lt_hash_checksum: icecore_hash::lattice_checksum(&totals.lattice),
            capitalization: totals.capitalization,
            num_accounts: totals.num_accounts,
            total_data_len: totals.total_data_len,
        })
    }
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let Options { before, after, store, program_accounts } = options;
    compare(common, &store.store, (*before, *after), program_accounts)
}

/// Compares two points of a store's history.
pub(super) fn compare(
    common: &CommonOptions,
    folder: &Path,
    moments: (Moment, Moment),
    owners: &[Pubkey],
) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen()?;
    let store = Store::read(folder, StoreOpening::default())?;
    reading::tell_kept(&store);
    let open = |moment: Moment| -> Result<View, Failure> {
        let view = store.view(moment.find(&store)?)?;
        let slot = view.slot();
        eprintln!("{}", moment.told(slot.number, slot.bank.bank_hash));
        Ok(view)
    };
    let (before, after) = (open(moments.0)?, open(moments.1)?);
    let (before_side, after_side) = (Side::of(&before)?, Side::of(&after)?);
    let mut counts = [0u64; 3];
    let mut answer = Answer::new(common.output);
    let mut failure = None;
    let is_wanted = |version: &Option<AccountVersion>| {
        version.as_ref().is_some_and(|version| owners.contains(&version.account.owner))
    };
    before.diff(&after, |change| {
        if interrupt.is_wanted() {
            failure = Some(Failure::Interrupted);
            return ControlFlow::Break(());
        }
        if !owners.is_empty() && !is_wanted(&change.before) && !is_wanted(&change.after) {
            return ControlFlow::Continue(());
        }
        let row = row(&change);
        counts[row.change as usize] += 1;
        let told = match answer.is_display() {
            true => changes::show(&row, &mut answer),
            false => answer.row(&row).map_err(Failure::from),
        };
        match told {
            Ok(()) => ControlFlow::Continue(()),
            Err(failed) => {
                failure = Some(failed);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    let count = |change: Change| counts[change as usize];
    let same = counts == [0; 3];
    if answer.is_display() {
        let all = [Change::Added, Change::Closed, Change::Changed];
        answer.line(match same {
            true => "same accounts".to_string(),
            false => all.map(|change| format!("{} {}", change.word(), count(change))).join(", "),
        })?;
    } else {
        answer.row(&Last {
            summary: Summary {
                same,
                added: count(Change::Added),
                closed: count(Change::Closed),
                changed: count(Change::Changed),
                before: before_side,
                after: after_side,
            },
        })?;
    }
    answer.finish()?;
    Ok(if same { Exit::Good } else { Exit::Bad })
}

fn state(version: &AccountVersion) -> AccountState {
    let account = &version.account;
    AccountState {
        lamports: account.lamports,
        owner: account.owner,
        executable: account.executable,
        rent_epoch: account.rent_epoch,
        slot: version.written,
        data_len: account.data.len() as u64,
        data_blake3: blake3::hash(&account.data),
    }
}

fn row(change: &AccountChange) -> AccountDiff {
    AccountDiff::new(
        change.pubkey,
        change.before.as_ref().map(state),
        change.after.as_ref().map(state),
    )
}
