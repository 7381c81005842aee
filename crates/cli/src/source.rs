//! Where accounts come from: archives, or a store at a point of its history.

use std::path::PathBuf;

use clap::Args;
use icecore_restore::Pair;

use crate::{
    exit::Failure,
    moment::{AtOptions, Moment},
};

/// The variable that names the store where nothing else does.
const STORE_VARIABLE: &str = "ICECORE_STORE";

/// Why archives are not asked for a slot.
pub(crate) const ONE_SLOT: &str = "--at-slot and --fork are for stores: an archive holds one slot";

/// Where accounts come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceOptions {
    /// A folder (its best pair), or a full archive and perhaps, given again, an incremental one
    #[arg(long, value_name = "DIR|ARCHIVE", conflicts_with = "store")]
    from: Vec<PathBuf>,

    /// A store [without --from: the one that ICECORE_STORE names]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,

    #[command(flatten)]
    at: AtOptions,

    /// Read the archives even if their verdict is bad
    #[arg(long, conflicts_with = "store")]
    pub(crate) no_verify: bool,

    /// Read archives whole although they have indexes
    #[arg(long, conflicts_with = "store")]
    pub(crate) no_index: bool,
}

/// What was chosen.
pub(crate) enum Source<'a> {
    /// Archives, as they were named.
    Archives(&'a [PathBuf]),
    /// A store at a point of its history.
    Store(PathBuf, Moment),
}

impl SourceOptions {
    /// Archives or a store.
    pub(crate) fn chosen(&self) -> Result<Source<'_>, Failure> {
        let at = self.at.asked();
        if !self.from.is_empty() {
            return match at {
                None => Ok(Source::Archives(&self.from)),
                Some(_) => Err(Failure::Usage(ONE_SLOT.into())),
            };
        }
        match self.store.clone().or_else(|| std::env::var_os(STORE_VARIABLE).map(PathBuf::from)) {
            Some(folder) => Ok(Source::Store(folder, at.unwrap_or(Moment::Root))),
            None => Err(Failure::Usage(format!(
                "say where the accounts are: --from DIR|ARCHIVE, --store DIR, or {STORE_VARIABLE}"
            ))),
        }
    }
}

/// The store that a command is about.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreOptions {
    /// The store's folder
    #[arg(long, value_name = "DIR", env = STORE_VARIABLE, hide_env_values = true)]
    pub(crate) store: PathBuf,
}

/// A folder, a full archive, or a full and an incremental archive.
pub(crate) fn pair_of(paths: &[PathBuf]) -> Result<Pair, Failure> {
    match paths {
        [folder] if icecore_disk::is_folder(folder) => Ok(Pair::best_in(folder)?),
        [full] => Ok(Pair::files(full, None)?),
        [full, incremental] => Ok(Pair::files(full, Some(incremental))?),
        _ => Err(Failure::Usage(
            "give a folder, or a full and at most one incremental archive".into(),
        )),
    }
}
