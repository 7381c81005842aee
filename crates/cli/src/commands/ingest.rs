//! `icecore ingest`: a slot feed into a store, by this process or by the node that has the store open.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use icecore_store::{Options as StoreOpening, Store, ingest::IngestOptions};
use icecore_types::Slot;

use crate::{
    exit::{Exit, Failure},
    feed_input::FeedInput,
    ingesting::{Report, counts, ingest},
    node::{Request, client},
    options::CommonOptions,
    output::Answer,
    source::StoreOptions,
    work_watch::WorkWatch,
    writing,
};

#[derive(Debug, Subcommand)]
pub(crate) enum IngestCommand {
    /// Ingest a slot feed: everything that happens after a base point, fork by fork
    Slots(Options),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Each slot is checked before it counts: what it writes must give the lattice hash, the \
capitalization and the bank hash that it states. The same feed can be given again: it goes on where it \
ended. Ctrl-C ends it with everything durable that was taken; slots that were not complete begin again."
)]
pub(crate) struct Options {
    /// The feed, plain or compressed; '-': standard input
    #[arg(value_name = "FILE|-")]
    feed: PathBuf,

    #[command(flatten)]
    store: StoreOptions,

    /// Stop after the first slot of this number that is complete, so that forks around it can be read
    #[arg(long, value_name = "SLOT")]
    until: Option<Slot>,

    /// Pass over slots whose parent is not in the store, and record that they are missing
    #[arg(long)]
    allow_gap: bool,
}

pub(crate) fn run(common: &CommonOptions, command: &IngestCommand) -> Result<Exit, Failure> {
    let IngestCommand::Slots(options) = command;
    let folder = &options.store.store;
    let how = IngestOptions { until: options.until, allow_gap: options.allow_gap };
    let report = match Store::open(folder, StoreOpening::default()) {
        Ok(store) => {
            writing::tell(store.opened());
            let report = by_itself(common, &store, options, how);
            // What was taken is durable; closing lets the store open at once.
            let closed = store.close();
            let report = report?;
            closed?;
            report
        }
        Err(error) if writing::is_locked(&error) => match client::connect(folder)? {
            Some(node) => by_node(node, options)?,
            None => return Err(writing::taken(error, folder)),
        },
        Err(error) => return Err(error.into()),
    };
    let mut answer = Answer::new(common.output);
    match answer.is_display() {
        true => report.display(&mut answer)?,
        false => answer.object(&report)?,
    }
    answer.finish()?;
    eprintln!("{}", report.speed());
    if report.interrupted {
        eprintln!("icecore: interrupted; give the feed again to go on");
        return Ok(Exit::Interrupted);
    }
    match options.until {
        Some(slot) if !report.stopped => {
            eprintln!("icecore: the feed ends before slot {slot} is complete");
            Ok(Exit::Incomplete)
        }
        _ => Ok(Exit::Good),
    }
}

fn by_itself(
    common: &CommonOptions,
    store: &Store,
    options: &Options,
    how: IngestOptions,
) -> Result<Report, Failure> {
    let mut input = FeedInput::open(&options.feed)?;
    let total = input.bytes_total();
    let mut watch = WorkWatch::start(common, "ingesting")?;
    let report = ingest(store, &mut input, how, &mut |bytes, done| {
        watch.look(bytes, total, |seconds| counts(done, seconds))
    })?;
    watch.finish()?;
    Ok(report)
}

fn by_node(mut node: client::Client, options: &Options) -> Result<Report, Failure> {
    if options.feed.as_os_str() == "-" {
        let text = "a node has the store open, and cannot read this standard input: give it a file, \
                    or start it with `icecore run --ingest slots:-`";
        return Err(Failure::System(text.into()));
    }
    eprintln!("a node has the store open: it ingests the feed");
    let request = Request::Ingest {
        file: icecore_disk::absolute(&options.feed)?,
        until: options.until,
        allow_gap: options.allow_gap,
    };
    let result = node.ask(&request)?;
    serde_json::from_value(result)
        .map_err(|error| Failure::System(format!("the node's answer is not understood: {error}")))
}
