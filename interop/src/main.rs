//! Loads a snapshot archive with the reference client's own loader, all of its verification on, and
//! compares what the client then holds with what `icecore` states about the same archive.
//!
//! ```text
//! icecore-interop --icecore BIN --full FILE [--incremental FILE] [--genesis DIR] [--work DIR]
//! ```
//!
//! Steps:
//! 1. The client loads the archive, or the pair (see `client`).
//! 2. `icecore snapshot verify`, `inspect --manifest` and `accounts export` state what they find (see
//!    `stated`).
//! 3. Slot, bank hash, lattice hash, capitalization, counts; every field of the manifest; every account with
//!    all of its fields are compared (see `compare`).
//!
//! Exit codes: 0 all agrees, 1 something differs, 2 the client refuses the archive, 64 usage.
//!
//! What it does *not* do: compare the list of storages and what a loaded bank forgets: storage ids, bank hash
//! statistics, fields that the client writes as zeros, delegations within epoch stakes.

mod client;
mod compare;
mod stated;

use std::{path::PathBuf, process::ExitCode};

use crate::{client::Loaded, compare::Differences, stated::Stated};

const USAGE: &str =
    "icecore-interop --icecore BIN --full FILE [--incremental FILE] [--genesis DIR] [--work DIR]";

/// What is to be compared.
pub struct Arguments {
    icecore: PathBuf,
    full: PathBuf,
    incremental: Option<PathBuf>,
    /// Folder of `genesis.bin`.
    genesis: Option<PathBuf>,
    /// Where the client unpacks.
    work: PathBuf,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let [mut icecore, mut full, mut incremental, mut genesis, mut work] = [const { None }; 5];
        while let Some(name) = arguments.next() {
            let place = match name.as_str() {
                "--icecore" => &mut icecore,
                "--full" => &mut full,
                "--incremental" => &mut incremental,
                "--genesis" => &mut genesis,
                "--work" => &mut work,
                _ => return None,
            };
            *place = Some(PathBuf::from(arguments.next()?));
        }
        let work = work.unwrap_or_else(std::env::temp_dir);
        Some(Self { icecore: icecore?, full: full?, incremental, genesis, work })
    }
}

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    let loaded = match Loaded::load(&arguments) {
        Ok(loaded) => loaded,
        Err(refused) => {
            println!("refused by the reference client: {refused}");
            return ExitCode::from(2);
        }
    };
    let stated = match Stated::ask(&arguments) {
        Ok(stated) => stated,
        Err(problem) => {
            println!("icecore: {problem}");
            return ExitCode::from(1);
        }
    };
    let mut differences = Differences::default();
    differences.summary(&loaded.summary, &stated.verdict);
    let fields = differences.manifest(&loaded.manifest, &stated.manifest);
    differences.accounts(&loaded.accounts, &stated.accounts);
    for line in differences.lines() {
        println!("{line}");
    }
    let (slot, accounts) = (&loaded.summary["slot"], loaded.accounts.len());
    match differences.count() {
        0 => {
            println!(
                "slot {slot}: loaded, {fields} values of the manifest and {accounts} accounts agree"
            );
            ExitCode::SUCCESS
        }
        count => {
            println!("slot {slot}: {count} differences");
            ExitCode::from(1)
        }
    }
}
