//! `icecore debug`: what the program would run, and what the machine offers it.

mod hardware;
mod topology;

use clap::Subcommand;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
};

#[derive(Debug, Subcommand)]
pub(crate) enum DebugCommand {
    /// Show the tiles of a pipeline, and the links that join them, without running it
    Topology(topology::Options),
    /// Show what the machine offers: cores, SIMD, memory, sandbox, and how files can be read
    Hardware(hardware::Options),
}

pub(crate) fn run(common: &CommonOptions, command: &DebugCommand) -> Result<Exit, Failure> {
    match command {
        DebugCommand::Topology(options) => topology::run(common, options),
        DebugCommand::Hardware(options) => hardware::run(common, options),
    }
}
