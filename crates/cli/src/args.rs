//! What can be typed.

use clap::{Parser, Subcommand};

use crate::{commands, options::CommonOptions};

/// An engine for Solana account state
#[derive(Debug, Parser)]
#[command(name = "icecore", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: CommonOptions,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verify, list and look into snapshot archives
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Show accounts by their address
    Account(commands::account::Options),
    /// Work with all accounts at once
    #[command(subcommand)]
    Accounts(commands::export::AccountsCommand),
    /// List the accounts that a program owns
    ProgramAccounts(commands::program_accounts::Options),
    /// List the token accounts of a mint, largest first
    TokenHolders(commands::token_holders::Options),
    /// Print completions for a shell
    Completions(commands::completions::Options),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// List the archives in a folder and which pair would be used
    Ls(commands::ls::Options),
    /// Say whether a full archive, or a full and an incremental one, hold together
    Verify(commands::verify::Options),
    /// Look into one archive: a summary, its manifest, members, frames or status cache
    Inspect(commands::inspect::Options),
    /// Count the live accounts by owner, size and slot
    Stats(commands::stats::Options),
    /// Find the accounts that differ between two states
    Diff(commands::diff::Options),
}
