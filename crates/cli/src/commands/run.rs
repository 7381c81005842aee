//! `icecore run`: the node: it keeps a store open for writing, ingests, and does for other processes
//! what only it can do.

use std::{path::PathBuf, str::FromStr, thread, time::Duration};

use clap::Args;
use icecore_batch::service::Service;
use icecore_store::{Options as StoreOpening, Retention, Store, ingest::IngestOptions};

use crate::{
    exit::{Exit, Failure},
    feed_input::FeedInput,
    interrupt::Interrupt,
    node::{
        server::Server,
        snapshots::{AtWork, SnapshotOptions, tell_what_is_kept_longer},
    },
    options::CommonOptions,
    source::StoreOptions,
    writing,
};

/// How often the node looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
#[command(
    after_help = "Ctrl-C and SIGTERM end it in order; it then exits with 0. Commands that read open the \
store beside it, without asking it; `icecore request`, `icecore ingest` and `icecore store compact` ask it \
through the socket node.sock in the store's folder. A feed that does not fit ends it with an error. With \
--snapshots it makes archives of roots of which the feed has bank and status cache, at the first one at or \
past each multiple of an interval; what it makes, and why it does not, is told on stderr and by `icecore \
request stats`."
)]
pub(crate) struct Options {
    #[command(flatten)]
    store: StoreOptions,

    /// A slot feed to ingest, plain or compressed; '-': standard input
    #[arg(long, value_name = "slots:FILE|-")]
    ingest: Option<FeedName>,

    /// Keep what can be read at any of so many slots behind the root [default: everything is kept]
    #[arg(long, value_name = "N", conflicts_with = "base_points_only")]
    retain_slots: Option<u64>,

    /// Keep the state at each base point, and what came after the last one
    #[arg(long)]
    base_points_only: bool,

    /// Abandoned forks can be read until the root is so many slots past them
    #[arg(long, value_name = "N", default_value_t = 1000)]
    keep_abandoned: u64,

    #[command(flatten)]
    snapshots: SnapshotOptions,
}

/// A feed with its kind.
#[derive(Debug, Clone)]
struct FeedName(PathBuf);

impl FromStr for FeedName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("slots:").unwrap_or(text) {
            "-" => Ok(Self("-".into())),
            "" => Err("name a file behind 'slots:'".into()),
            path if text.starts_with("slots:") => Ok(Self(path.into())),
            _ => Err("it is written slots:FILE, or '-'".into()),
        }
    }
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen()?;
    let retention = match (options.retain_slots, options.base_points_only) {
        (Some(slots), _) => Retention::Slots(slots),
        (None, true) => Retention::BasePoints,
        (None, false) => Retention::Everything,
    };
    let folder = &options.store.store;
    let mut feed = options.ingest.as_ref().map(|name| FeedInput::open(&name.0)).transpose()?;
    let opening = StoreOpening {
        retention,
        keep_abandoned_slots: options.keep_abandoned,
        ..StoreOpening::default()
    };
    let batch = options.snapshots.service(common)?;
    if let Some((service, _)) = &batch {
        tell_what_is_kept_longer(service, retention);
    }
    let store = writing::open(folder, opening)?;
    let service = batch.as_ref().map(|(options, archives)| {
        Service::new(options.clone(), archives, |told| eprintln!("snapshots: {told}"))
    });
    let service = service.as_ref();
    let served = Server::listen(&store, service, folder, interrupt.clone()).and_then(|server| {
        thread::scope(|scope| {
            let at_work = match service {
                Some(service) => Some((AtWork::start(scope, service, &store)?, service)),
                None => None,
            };
            server.start(scope);
            let ended = keep(&store, &server, feed.as_mut(), &interrupt);
            // First, as clients may wait for it.
            if let Some((at_work, service)) = at_work {
                at_work.end(service);
            }
            server.end();
            ended
        })
    });
    let closed = store.close();
    served?;
    closed?;
    eprintln!("the store is closed");
    Ok(Exit::Good)
}

/// Ingests, if there is a feed, and stays until a signal comes.
fn keep(
    store: &Store,
    server: &Server<'_, '_>,
    feed: Option<&mut FeedInput>,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let coverage = store.coverage();
    let slots = match (coverage.first, coverage.last) {
        (Some(first), Some(last)) => format!("slots {first} to {last}"),
        _ => "no state yet".to_string(),
    };
    eprintln!("node {}: {slots}, listening at {}", std::process::id(), server.path().display());
    if let Some(feed) = feed {
        let name = feed.label().to_string();
        eprintln!("ingesting {name}");
        let report = server.ingest(feed, IngestOptions::default())?;
        eprintln!("{name}: {}", report.speed());
    }
    let mut told = None;
    while !interrupt.is_wanted() {
        let error = store.keeping_error();
        if error != told {
            match &error {
                Some(error) => {
                    eprintln!("icecore: cannot tidy up the store: {error}; trying again")
                }
                None => eprintln!("the store is tidied up again"),
            }
            told = error;
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_named_with_its_kind() {
        let name = |text: &str| text.parse::<FeedName>().map(|name| name.0);
        assert_eq!(name("slots:feed.zst"), Ok("feed.zst".into()));
        assert_eq!(name("slots:-"), Ok("-".into()));
        assert_eq!(name("-"), Ok("-".into()));
        assert!(name("feed.zst").is_err_and(|error| error.contains("slots:FILE")));
        assert!(name("slots:").is_err_and(|error| error.contains("name a file")));
    }
}
