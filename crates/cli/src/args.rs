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
    /// Print completions for a shell
    Completions(commands::completions::Options),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// List the archives in a folder and which pair would be used
    Ls(commands::ls::Options),
    /// Say whether a full archive, or a full and an incremental one, hold together
    Verify(commands::verify::Options),
}
