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
    /// List all versions of an account that a store keeps
    History(commands::history::Options),
    /// Find the accounts that differ between two slots of a store
    Diff(commands::slot_diff::Options),
    /// Show what a store keeps: stretches of slots, base points, gaps, forks
    Coverage(commands::coverage::Options),
    /// Verify archives and restore them into a store, as a base point
    Restore(commands::restore::Options),
    /// Take what happens after a base point into a store
    #[command(subcommand)]
    Ingest(commands::ingest::IngestCommand),
    /// Be the node of a store: keep it open for writing, ingest, serve requests
    Run(commands::run::Options),
    /// Ask the node of a store
    #[command(subcommand)]
    Request(commands::request::RequestCommand),
    /// Take care of a store
    #[command(subcommand)]
    Store(commands::store::StoreCommand),
    /// Look into a journal, check, save and copy it
    #[command(subcommand)]
    Journal(commands::journal::JournalCommand),
    /// Show what would run, and what the machine offers
    #[command(subcommand)]
    Debug(commands::debug::DebugCommand),
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
    /// Make an archive of a store's state, full or incremental
    Create(commands::create::Options),
    /// Pack an archive anew: another container, level or size of frames
    Recompress(commands::recompress::Options),
    /// Make one full archive of a full and an incremental one
    Merge(commands::merge::Options),
    /// Make a full archive with few accounts, for trying things on real state
    Minimize(commands::minimize::Options),
    /// Make an index beside archives, by which accounts are looked up without reading all of them
    Index(commands::index::Options),
    /// Take members of an archive out as files
    Extract(commands::extract::Options),
    /// Remove old archives from a folder, as the reference client does
    Prune(commands::prune::Options),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands in the documents, as they would be typed.
    fn commands(document: &str) -> Vec<Vec<String>> {
        let path = format!("{}/../../{document}", env!("CARGO_MANIFEST_DIR"));
        let file = icecore_disk::File::open(&path).expect("the document is there");
        let text = String::from_utf8(file.read_all(1 << 20).expect("readable")).expect("text");
        let mut commands = Vec::new();
        let mut is_shell = false;
        for line in text.lines() {
            match line {
                "```sh" => is_shell = true,
                line if line.starts_with("```") => is_shell = false,
                line if is_shell => commands.extend(line.split(" | ").filter_map(arguments)),
                _ => {}
            }
        }
        commands
    }

    /// What follows the name of the binary in one command of a pipe.
    fn arguments(command: &str) -> Option<Vec<String>> {
        let typed = command
            .strip_prefix("target/release/icecore ")
            .or_else(|| command.split_once("-p icecore -- ").map(|(_, typed)| typed))?;
        Some(typed.split_whitespace().map(str::to_string).collect())
    }

    #[test]
    fn every_command_in_the_readme_parses() {
        let commands = commands("README.md");
        assert!(commands.len() >= 10, "only {} commands were found", commands.len());
        for command in commands {
            let typed = std::iter::once("icecore".to_string()).chain(command.clone());
            if let Err(error) = Arguments::try_parse_from(typed) {
                panic!("{command:?}: {error}");
            }
        }
    }

    #[test]
    fn the_command_tree_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
