//! `icecore snapshot minimize`: a full archive with few accounts.

use std::path::{Path, PathBuf};

use clap::Args;
use icecore_batch::{Minimized, Named, minimize};
use icecore_types::{Hash, Pubkey, Slot};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    making::{Making, Packed},
    options::CommonOptions,
    output::Answer,
    size::human,
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
    making: Making,

    #[command(flatten)]
    packed: Packed,
}

#[derive(Serialize)]
struct Json<'a> {
    file: &'a Path,
    /// Always: this is not the cluster's state.
    minimized: bool,
    is_cluster_state: bool,
    slot: Slot,
    snapshot_hash: Hash,
    bank_hash: Hash,
    bank_hash_before: Hash,
    capitalization: u64,
    capitalization_before: u64,
    num_accounts: u64,
    bytes: u64,
    frames: u64,
    verified: bool,
    seconds: f64,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let write = options.packed.write_options(&options.making)?;
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
    let made = minimize((full, incremental), &named, folder, &write, &scan, &watch.progress)?;
    let seconds = watch.seconds();
    watch.finish()?;
    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        display(&made, seconds, &mut answer)?;
    } else {
        answer.object(&Json {
            file: &made.path,
            minimized: true,
            is_cluster_state: false,
            slot: made.slot,
            snapshot_hash: made.snapshot_hash,
            bank_hash: made.bank_hash,
            bank_hash_before: made.bank_hash_before,
            capitalization: made.capitalization,
            capitalization_before: made.capitalization_before,
            num_accounts: made.num_accounts,
            bytes: made.bytes,
            frames: made.frames,
            verified: made.is_verified,
            seconds,
        })?;
    }
    answer.finish()?;
    Ok(Exit::Good)
}

fn display(made: &Minimized, seconds: f64, answer: &mut Answer) -> Result<(), Failure> {
    answer.line(format!("made {}", made.path.display()))?;
    answer.line(format!(
        "slot {}, {} accounts, capitalization {} of {}",
        made.slot, made.num_accounts, made.capitalization, made.capitalization_before,
    ))?;
    let (now, before) = (made.bank_hash, made.bank_hash_before);
    answer.line(format!("bank hash {now}, before {before}"))?;
    let verified = if made.is_verified { "verified" } else { "not verified" };
    let (bytes, frames) = (human(made.bytes), made.frames);
    answer.line(format!("{bytes} in {frames} frames, {verified}; {seconds:.2} s"))?;
    answer.line("minimized: this is not the cluster's state")?;
    Ok(())
}
