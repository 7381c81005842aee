//! The journal beside its peers: figures and ratios of one run.
//!
//! ```sh
//! cd benches/journal
//! cargo run --release -- append DIR
//! cargo run --release -- durable DIR
//! cargo run --release -- read DIR
//! cargo run --release -- open DIR
//! cargo run --release -- drain DIR
//! cargo run --release -- verify DIR
//! ```
//!
//! Everybody is measured in every round, one after the other; the best of the rounds counts, as
//! machines are shared. `DIR` should lie on a real disk; what is made in it is removed.
//!
//! What it does *not* do: fail because of a figure. Figures go into `docs/benchmarks.md` with their
//! command.

mod append;
mod best;
mod drain;
mod durable;
mod open;
mod read;
mod scratch;
mod stores;
mod subject;
mod table;
mod verify;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What ends a command early, in words.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The journal beside its peers.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Events per second without waiting for the disk, singly and in batches
    Append(append::Arguments),
    /// Events per second of threads that each wait for the disk
    Durable(durable::Arguments),
    /// Point reads by sequence
    Read(read::Arguments),
    /// Time and memory to open, after a clean close and after a crash
    Open(open::Arguments),
    /// Reading everything in order, and pages at the start and at the end
    Drain(drain::Arguments),
    /// Verification of the whole store
    Verify(verify::Arguments),
    /// One process of `open`, as it executes itself
    #[command(hide = true)]
    OpenProcess(open::ProcessArguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Append(arguments) => append::run(&arguments),
        Command::Durable(arguments) => durable::run(&arguments),
        Command::Read(arguments) => read::run(&arguments),
        Command::Open(arguments) => open::run(&arguments),
        Command::Drain(arguments) => drain::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::OpenProcess(arguments) => open::run_process(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
