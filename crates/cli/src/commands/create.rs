//! `icecore snapshot create`: an archive of a store's state at a slot, full or incremental.

use clap::Args;
use icecore_batch::{Created, Extent, Made, Proof, WriteOptions, create, newest_base};
use icecore_types::Slot;
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    made::{Lines, State, answer},
    making::{Making, Packed, Storages},
    moment::Moment,
    options::CommonOptions,
    reading,
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
    storages: Storages,

    #[command(flatten)]
    packed: Packed,
}

#[derive(Serialize)]
struct Json {
    base_slot: Option<Slot>,
    num_tombstones: u64,
    /// How: by a verdict, by that on the pair, or by reading it back.
    proof: &'static str,
    #[serde(flatten)]
    state: State,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let write = options.packed.write_options(&options.making)?;
    let write = WriteOptions { pack: options.storages.pack, ..write };
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
    let created = create(&store, at, extent, folder, &write, &scan, &watch.progress)?;
    let seconds = watch.seconds();
    watch.finish()?;
    let verified = match &created.proof {
        Proof::Nothing => "not verified",
        Proof::Verdict => "verified",
        Proof::PairVerdict { .. } => "verified with its full archive",
        Proof::ReadBack => "read back (its full archive is not in this folder)",
    };
    let proof = created.proof.word();
    let Created { base_slot, bank_hash, capitalization, num_accounts, num_tombstones, .. } =
        created;
    let made = Made {
        is_verified: created.proof != Proof::Nothing,
        path: created.path,
        slot: created.slot,
        snapshot_hash: created.snapshot_hash,
        bytes: created.bytes,
        frames: created.frames,
    };
    let on = match base_slot {
        Some(base) => format!(" on {base}, {num_tombstones} closed accounts"),
        None => String::new(),
    };
    let content = vec![format!(
        "slot {}{on}, {num_accounts} accounts, capitalization {capitalization}, bank hash \
         {bank_hash}",
        made.slot
    )];
    let state = State { bank_hash, capitalization, num_accounts };
    let more = Json { base_slot, num_tombstones, proof, state };
    answer(common, &made, seconds, more, Lines { content, verified, last: None })
}
