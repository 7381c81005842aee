//! `icecore completions`: a completion script for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{
    args::Arguments,
    exit::{Exit, Failure},
    options::Format,
    output::Answer,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(options: &Options) -> Result<Exit, Failure> {
    // clap_complete panics when its writer fails: it writes to memory, memory to the pipe.
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "icecore", &mut script);
    let mut answer = Answer::new(Format::Display);
    std::io::Write::write_all(&mut answer, &script)?;
    answer.finish()?;
    Ok(Exit::Good)
}
