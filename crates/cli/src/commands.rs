//! One file for each command.

pub(crate) mod completions;
pub(crate) mod ls;
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
        },
        Command::Completions(options) => completions::run(&options),
    }
}
