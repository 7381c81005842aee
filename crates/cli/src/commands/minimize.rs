//! `icecore snapshot minimize`: a full archive with few accounts.

use std::path::PathBuf;

use clap::Args;
use icecore_batch::{Minimized, Named, WriteOptions, minimize};
use icecore_types::{Hash, Pubkey};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    made::{Lines, State, answer},
    making::{Making, Packed, Storages},
    options::CommonOptions,
};

#[derive(Debug, Args)]
#[command(
    after_help = "Kept are sysvars, features, stake, vote and config accounts, programs with their \
data, and what is named. Capitalization, lattice hash and bank hash are computed anew: the new \
archive is sound in itself, and is not the cluster's state."
)]
pub(crate) struct Options {
    /// A full archive and perhaps an incremental one on it
    #[arg(required = true, num_args = 1..=2, value_name = "FULL [INCREMENTAL]")]
    archives: Vec<PathBuf>,

    /// Keep this account; given again: or that one
    #[arg(long, value_name = "PUBKEY", num_args = 1..)]
    account: Vec<Pubkey>,

    /// Keep the accounts that this program owns; given again: or that one
    #[arg(long, value_name = "PROGRAM", num_args = 1..)]
    program_accounts: Vec<Pubkey>,

    #[command(flatten)]
    storages: Storages,

    #[command(flatten)]
    making: Making,

    #[command(flatten)]
    packed: Packed,
}

#[derive(Serialize)]
struct Json {
    /// Always: this is not the cluster's state.
    minimized: bool,
    is_cluster_state: bool,
    bank_hash_before: Hash,
    capitalization_before: u64,
    #[serde(flatten)]
    state: State,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let write = options.packed.write_options(&options.making)?;
    let write = WriteOptions { pack: options.storages.pack, ..write };
    let named = Named {
        accounts: options.account.iter().copied().collect(),
        programs: options.program_accounts.iter().copied().collect(),
    };
    let (full, incremental) = match &options.archives[..] {
        [full, incremental] => (full, Some(incremental.as_path())),
        [full] => (full, None),
        _ => return Err(Failure::Usage("give one or two archives".into())),
    };
    let watch = common.watch_scan(false)?;
    let (scan, folder) = (common.scan(), &options.making.folder);
    let minimized = minimize((full, incremental), &named, folder, &write, &scan, &watch.progress)?;
    let seconds = watch.seconds();
    watch.finish()?;
    let Minimized { made, bank_hash, bank_hash_before, .. } = minimized;
    let Minimized { capitalization, capitalization_before, num_accounts, .. } = minimized;
    let content = vec![
        format!(
            "slot {}, {num_accounts} accounts, capitalization {capitalization} of \
             {capitalization_before}",
            made.slot
        ),
        format!("bank hash {bank_hash}, before {bank_hash_before}"),
    ];
    let more = Json {
        minimized: true,
        is_cluster_state: false,
        bank_hash_before,
        capitalization_before,
        state: State { bank_hash, capitalization, num_accounts },
    };
    let last = Some("minimized: this is not the cluster's state");
    answer(common, &made, seconds, more, Lines { content, verified: "verified", last })
}
