//! `icecore snapshot create`: an archive of a store's state at a slot, full or incremental.

use std::path::Path;

use clap::Args;
use icecore_batch::{Created, Extent, Proof, create, newest_base};
use icecore_types::{Hash, Slot};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    making::{Making, Packed},
    moment::Moment,
    options::CommonOptions,
    output::Answer,
    reading,
    size::human,
    source::StoreOptions,
};

#[derive(Debug, Args)]
#[command(
    after_help = "An archive can be made of any final slot whose bank and status cache the store \
keeps: a restored archive's, or those of a feed that carries them. The store is only read, beside its \
node or without one, and what it writes meanwhile does not show. The new archive is looked at before it \
gets its name: a full one is verified, an incremental one together with its full one if that lies in the \
folder; otherwise it is read back."
)]
pub(crate) struct Options {
    /// The slot, or the last final one before it
    #[arg(value_name = "SLOT|ROOT", default_value = "ROOT")]
    moment: Moment,

    #[command(flatten)]
    store: StoreOptions,

    /// Only what was written since a full archive
    #[arg(long)]
    incremental: bool,

    /// The slot of that full archive [default: the newest one in the folder of the result that is of
    /// this store]
    #[arg(long, value_name = "SLOT", requires = "incremental")]
    base: Option<Slot>,

    #[command(flatten)]
    making: Making,

    #[command(flatten)]
    packed: Packed,
}

#[derive(Serialize)]
struct Json<'a> {
    file: &'a Path,
    slot: Slot,
    base_slot: Option<Slot>,
    snapshot_hash: Hash,
    bank_hash: Hash,
    capitalization: u64,
    num_accounts: u64,
    num_tombstones: u64,
    bytes: u64,
    frames: u64,
    verified: bool,
    /// How: by a verdict, by that on the pair, or by reading it back.
    proof: &'static str,
    seconds: f64,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let write = options.packed.write_options(&options.making)?;
    let store = reading::open(&options.store.store)?;
    let at = options.moment.find(&store)?;
    let folder = &options.making.folder;
    let extent = match (options.incremental, options.base) {
        (false, _) => Extent::Full,
        (true, Some(base)) => Extent::Incremental { base },
        (true, None) => Extent::Incremental { base: newest_base(&store, at, folder)? },
    };
    let watch = common.watch_scan(false)?;
    let scan = common.scan();
    let made = create(&store, at, extent, folder, &write, &scan, &watch.progress)?;
    let seconds = watch.seconds();
    watch.finish()?;
    let mut answer = Answer::new(common.output);
    if answer.is_display() {
        display(&made, seconds, &mut answer)?;
    } else {
        answer.object(&Json {
            file: &made.path,
            slot: made.slot,
            base_slot: made.base_slot,
            snapshot_hash: made.snapshot_hash,
            bank_hash: made.bank_hash,
            capitalization: made.capitalization,
            num_accounts: made.num_accounts,
            num_tombstones: made.num_tombstones,
            bytes: made.bytes,
            frames: made.frames,
            verified: made.proof != Proof::Nothing,
            proof: made.proof.word(),
            seconds,
        })?;
    }
    answer.finish()?;
    Ok(Exit::Good)
}

fn display(made: &Created, seconds: f64, answer: &mut Answer) -> Result<(), Failure> {
    answer.line(format!("made {}", made.path.display()))?;
    let on = match made.base_slot {
        Some(base) => format!(" on {base}, {} closed accounts", made.num_tombstones),
        None => String::new(),
    };
    answer.line(format!(
        "slot {}{on}, {} accounts, capitalization {}, bank hash {}",
        made.slot, made.num_accounts, made.capitalization, made.bank_hash,
    ))?;
    let proof = match &made.proof {
        Proof::Nothing => "not verified",
        Proof::Verdict => "verified",
        Proof::PairVerdict { .. } => "verified with its full archive",
        Proof::ReadBack => "read back (its full archive is not in this folder)",
    };
    let (bytes, frames) = (human(made.bytes), made.frames);
    answer.line(format!("{bytes} in {frames} frames, {proof}; {seconds:.2} s"))?;
    Ok(())
}
