//! The `icecore` binary: what was typed, to a command, to an exit code.
//!
//! ```text
//! arguments ──> args (clap) ──> commands/* ──> library crates
//!                                   └──> output (stdout), progress (stderr), exit (code)
//! ```
//!
//! Invariants:
//! - Answers go to stdout, everything else to stderr. JSON is one object for one answer, one
//!   object a line for many.
//! - Exit codes are those of [`exit::Exit`]; only `main` ends the process.
//! - A reader that closes the pipe ends the command quietly.
//!
//! What it does *not* do: know formats, hashes or checks.

mod args;
mod changes;
mod commands;
mod dates;
mod document;
mod exit;
mod feed_input;
mod filters;
mod ingesting;
mod interrupt;
mod made;
mod making;
mod moment;
mod monitor;
mod node;
mod options;
mod output;
mod progress;
mod reading;
mod rows;
mod scan;
mod size;
mod source;
mod watcher;
mod work_watch;
mod writing;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Arguments, exit::Exit};

fn main() -> ExitCode {
    // Decompressors are this binary, executed again.
    if let Some(code) = icecore_restore::enter_tile() {
        return code.into();
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are answers; a closed pipe is not an error of theirs.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Good.into() };
        }
    };
    match commands::run(arguments) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    }
}
