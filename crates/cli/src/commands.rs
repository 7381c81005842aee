//! One file for each command.

pub(crate) mod account;
pub(crate) mod completions;
pub(crate) mod coverage;
pub(crate) mod create;
pub(crate) mod debug;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod extract;
pub(crate) mod history;
pub(crate) mod index;
pub(crate) mod ingest;
pub(crate) mod inspect;
pub(crate) mod journal;
pub(crate) mod ls;
pub(crate) mod merge;
pub(crate) mod minimize;
pub(crate) mod program_accounts;
pub(crate) mod prune;
pub(crate) mod recompress;
pub(crate) mod request;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod slot_diff;
pub(crate) mod stats;
pub(crate) mod store;
pub(crate) mod token_holders;
pub(crate) mod verify;

use crate::{
    args::{Arguments, Command, SnapshotCommand},
    exit::{Exit, Failure},
};

/// Runs what was typed.
pub(crate) fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let common = &arguments.common;
    match arguments.command {
        Command::Snapshot(command) => match command {
            SnapshotCommand::Ls(options) => ls::run(common, &options),
            SnapshotCommand::Verify(options) => verify::run(common, &options),
            SnapshotCommand::Inspect(options) => inspect::run(common, &options),
            SnapshotCommand::Stats(options) => stats::run(common, &options),
            SnapshotCommand::Diff(options) => diff::run(common, &options),
            SnapshotCommand::Create(options) => create::run(common, &options),
            SnapshotCommand::Recompress(options) => recompress::run(common, &options),
            SnapshotCommand::Merge(options) => merge::run(common, &options),
            SnapshotCommand::Minimize(options) => minimize::run(common, &options),
            SnapshotCommand::Index(options) => index::run(common, &options),
            SnapshotCommand::Extract(options) => extract::run(common, &options),
            SnapshotCommand::Prune(options) => prune::run(common, &options),
        },
        Command::Account(options) => account::run(common, &options),
        Command::Accounts(export::AccountsCommand::Export(options)) => {
            export::run(common, &options)
        }
        Command::ProgramAccounts(options) => program_accounts::run(common, &options),
        Command::TokenHolders(options) => token_holders::run(common, &options),
        Command::History(options) => history::run(common, &options),
        Command::Diff(options) => slot_diff::run(common, &options),
        Command::Coverage(options) => coverage::run(common, &options),
        Command::Restore(options) => restore::run(common, &options),
        Command::Ingest(command) => ingest::run(common, &command),
        Command::Run(options) => run::run(common, &options),
        Command::Request(command) => request::run(common, &command),
        Command::Store(command) => store::run(common, &command),
        Command::Journal(command) => journal::run(common, &command),
        Command::Debug(command) => debug::run(common, &command),
        Command::Completions(options) => completions::run(&options),
    }
}
