//! `icecore debug topology`: the tiles of a pipeline, as a table, as JSON or for Graphviz.

use clap::Args;
use icecore_restore::restore_topology;

use crate::{
    exit::{Exit, Failure},
    options::CommonOptions,
    output::Answer,
};

/// The pipelines there are.
const NAMES: [&str; 1] = ["restore"];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The pipeline: restore
    #[arg(value_name = "NAME")]
    name: String,

    /// As it is for an archive of a single frame, which one tile decompresses
    #[arg(long)]
    one_frame: bool,

    /// Write it for Graphviz, as in: icecore debug topology restore --graphviz | dot -Tsvg
    #[arg(long)]
    graphviz: bool,
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    if !NAMES.contains(&options.name.as_str()) {
        let names = NAMES.join(", ");
        let text = format!("there is no topology '{}'; there are: {names}", options.name);
        return Err(Failure::Usage(text));
    }
    let topology = restore_topology(&common.scan(), !options.one_frame)?;
    let mut answer = Answer::new(common.output);
    if options.graphviz {
        answer.line(topology.graphviz().trim_end())?;
    } else if answer.is_display() {
        answer.line(topology.table().trim_end())?;
    } else {
        answer.object(&topology.json())?;
    }
    answer.finish()?;
    Ok(Exit::Good)
}
