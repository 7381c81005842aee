//! `icecore store`: care of a store.

mod check;
mod compact;
mod rebuild_index;
mod stats;

use clap::Subcommand;

pub(crate) use self::compact::compact;
use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    source::StoreOptions,
};

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Find out everything that is wrong with a store
    Check(StoreOptions),
    /// Show what a store consists of: slots, runs, data segments, who reads
    Stats(StoreOptions),
    /// Give back the space of what is not kept; a node that has the store open does it
    Compact(StoreOptions),
    /// Make all runs anew, from records and the journal alone
    RebuildIndex(StoreOptions),
}

/// Runs what was typed.
pub(crate) fn run(common: &CommonOptions, command: &StoreCommand) -> Result<Exit, Failure> {
    match command {
        StoreCommand::Check(options) => check::run(common, &options.store),
        StoreCommand::Stats(options) => stats::run(common, &options.store),
        StoreCommand::Compact(options) => compact::run(common, &options.store),
        StoreCommand::RebuildIndex(options) => rebuild_index::run(common, &options.store),
    }
}
