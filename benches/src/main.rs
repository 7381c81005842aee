//! Benchmarks that print ratios against a peer or a bound measured in the same run.
//!
//! ```sh
//! cargo run --release -p icecore-benches -- lattice [ROUNDS]
//! cargo run --release -p icecore-benches -- verify DIR [ROUNDS]
//! ```
//!
//! What it does *not* do: fail. Machines are shared and noisy; figures go into
//! `docs/benchmarks.md` with their command.

mod lattice;
mod verify;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((name, rest)) if name == "lattice" => lattice::run(rest),
        Some((name, rest)) if name == "verify" && !rest.is_empty() => verify::run(rest),
        _ => {
            eprintln!("usage: icecore-benches lattice [ROUNDS] | verify DIR [ROUNDS]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
