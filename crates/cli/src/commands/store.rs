//! `icecore store`: care of a store.

mod compact;

use clap::Subcommand;

pub(crate) use self::compact::compact;
use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    source::StoreOptions,
};

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Give back the space of what is not kept; a node that has the store open does it
    Compact(StoreOptions),
}

/// Runs what was typed.
pub(crate) fn run(common: &CommonOptions, command: &StoreCommand) -> Result<Exit, Failure> {
    match command {
        StoreCommand::Compact(options) => compact::run(common, &options.store),
    }
}
