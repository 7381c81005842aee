//! Data generators, and benchmarks that print ratios against a peer or a bound measured in the same
//! run.
//!
//! ```sh
//! cargo run --release -p icecore-benches -- lattice [ROUNDS]
//! cargo run --release -p icecore-benches -- generate DIR --accounts 1000000 --incremental 5
//! cargo run --release -p icecore-benches -- bound DIR [ROUNDS] [--no-variants] [--json FILE]
//! cargo run --release -p icecore-benches -- restore DIR SCRATCH [ROUNDS]
//! cargo run --release -p icecore-benches -- factory DIR SCRATCH [ROUNDS]
//! cargo run --release -p icecore-benches -- beside DIR SCRATCH
//! cargo run --release -p icecore-benches -- ingest ARCHIVE FEED STORE [ROUNDS]
//! cargo run --release -p icecore-benches -- store DIR --accounts 8000000
//! ```
//!
//! What it does *not* do: fail because of a figure. Machines are shared and noisy; figures go into
//! `docs/benchmarks.md` with their command.

mod beside;
mod blake3_sum;
mod bound;
mod factory;
mod generate;
mod ingest;
mod lattice;
mod restore;
mod store;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What ends a command early, in words.
type Failure = Box<dyn std::error::Error>;

/// Data generators and benchmarks.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lattice hashes per second and core, beside the peers
    Lattice {
        /// Interleaved rounds; the best counts
        #[arg(default_value_t = lattice::ROUNDS)]
        rounds: usize,
    },
    /// Writes archives of any size and shape that are consistent
    Generate(generate::Arguments),
    /// Verification of the best pair in a folder, against what the machine allows
    Bound(bound::Arguments),
    /// Restoring the best pair in a folder, against what the machine allows
    Restore(restore::Arguments),
    /// One run of `restore`, as it executes itself
    #[command(hide = true)]
    RestoreRun(restore::RunArguments),
    /// Recompressing and merging the best pair in a folder, against what the machine allows
    Factory(factory::Arguments),
    /// One run of `factory`, as it executes itself
    #[command(hide = true)]
    FactoryRun(factory::RunArguments),
    /// What a writer feels of a full archive that is made beside it
    Beside(beside::Arguments),
    /// Applying a slot feed
    Ingest(ingest::Arguments),
    /// Reading a store that is warm
    Store(store::Arguments),
    /// One run of `bound`, as it executes itself
    #[command(hide = true)]
    BoundRun(bound::RunArguments),
}

fn main() -> ExitCode {
    // Decompressors are this binary, executed again, as they are those of `icecore`.
    if let Some(code) = icecore_restore::enter_tile() {
        return code.into();
    }
    let done = match Arguments::parse().command {
        Command::Lattice { rounds } => {
            lattice::run(rounds);
            Ok(())
        }
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Bound(arguments) => bound::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::RestoreRun(arguments) => restore::run_once(&arguments),
        Command::Factory(arguments) => factory::run(&arguments),
        Command::FactoryRun(arguments) => factory::run_once(&arguments),
        Command::Beside(arguments) => beside::run(&arguments),
        Command::Ingest(arguments) => ingest::run(&arguments),
        Command::Store(arguments) => store::run(&arguments),
        Command::BoundRun(arguments) => bound::run_once(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
