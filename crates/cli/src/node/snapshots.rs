//! The batch service of a node: its options, its answers, what is told of it.

use std::{num::NonZeroUsize, path::PathBuf, thread, time::Duration};

use clap::Args;
use icecore_batch::{
    Retention,
    service::{
        Answer, Archives, FULL_INTERVAL_SLOTS_DEFAULT, FULL_RETAINED_DEFAULT,
        INCREMENTAL_INTERVAL_SLOTS_DEFAULT, INCREMENTAL_RETAINED_DEFAULT, Intervals, Outcome,
        Running, Service, ServiceError, ServiceOptions, Status, Wanted,
    },
};
use icecore_store::{AccountsHashed, Retention as Keeping, SnapshotMade, Store};
use serde_json::{Value, json};

use super::Reply;
use crate::{
    exit::{Exit, Failure},
    making::Packed,
    options::CommonOptions,
    writing::disk,
};

/// How often it is looked whether a service has begun.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Options of a node that makes snapshots.
#[derive(Debug, Clone, Args)]
pub(crate) struct SnapshotOptions {
    /// Make snapshot archives in this folder, while the node runs
    #[arg(long, value_name = "DIR")]
    snapshots: Option<PathBuf>,

    /// Slots between two full archives; 0: none but those that are asked for [default: 100000]
    #[arg(long, value_name = "N", requires = "snapshots")]
    full_snapshot_interval_slots: Option<u64>,

    /// Slots between two incremental archives; 0: none but those that are asked for [default: 100]
    #[arg(long, value_name = "N", requires = "snapshots")]
    snapshot_interval_slots: Option<u64>,

    /// Full archives that stay [default: 2]
    #[arg(long, value_name = "N", requires = "snapshots")]
    maximum_full_snapshots_to_retain: Option<NonZeroUsize>,

    /// Incremental archives that stay, of all full ones together [default: 4]
    #[arg(long, value_name = "N", requires = "snapshots")]
    maximum_incremental_snapshots_to_retain: Option<NonZeroUsize>,

    /// Hash all accounts at the first root at or past a quarter of each epoch
    #[arg(long, requires = "snapshots")]
    epoch_accounts_hash: bool,

    /// Do not look at what was written before it gets its name
    #[arg(long, requires = "snapshots")]
    no_verify: bool,

    #[command(flatten)]
    packed: Packed,
}

impl SnapshotOptions {
    /// What the service is to do and what writes its archives, if there is to be one; its folder is made.
    pub(crate) fn service(
        &self,
        common: &CommonOptions,
    ) -> Result<Option<(ServiceOptions, Archives)>, Failure> {
        let write = self.packed.options(!self.no_verify)?;
        let Some(folder) = self.snapshots.clone() else { return Ok(None) };
        disk().create_folder(&folder)?;
        let options = common.scan();
        let interval = |given: Option<u64>, default| given.unwrap_or(default).try_into().ok();
        let retained = |given: Option<NonZeroUsize>, default| {
            given.or(NonZeroUsize::new(default)).expect("the defaults are not zero")
        };
        let service = ServiceOptions {
            folder,
            intervals: Intervals {
                full: interval(self.full_snapshot_interval_slots, FULL_INTERVAL_SLOTS_DEFAULT),
                incremental: interval(
                    self.snapshot_interval_slots,
                    INCREMENTAL_INTERVAL_SLOTS_DEFAULT,
                ),
            },
            retention: Retention {
                full: retained(self.maximum_full_snapshots_to_retain, FULL_RETAINED_DEFAULT),
                incremental: retained(
                    self.maximum_incremental_snapshots_to_retain,
                    INCREMENTAL_RETAINED_DEFAULT,
                ),
            },
            epoch_accounts_hash: self.epoch_accounts_hash,
            options: options.clone(),
            sandbox: options.placement.sandbox,
        };
        Ok(Some((service, Archives { write, options })))
    }
}

/// Says so where the store is to forget sooner than the next full archive comes: incremental ones need
/// what was written since the last.
pub(crate) fn tell_what_is_kept_longer(service: &ServiceOptions, retention: Keeping) {
    let Keeping::Slots(slots) = retention else { return };
    let Intervals { full: Some(full), incremental: Some(_) } = service.intervals else { return };
    if full.get() > slots {
        eprintln!(
            "snapshots: full archives come every {full} slots, so what was written since the last one \
             is kept that long, not {slots} slots"
        );
    }
}

/// A service, at work on a thread of its own.
pub(crate) struct AtWork<'scope> {
    thread: thread::ScopedJoinHandle<'scope, Result<(), ServiceError>>,
}

impl<'scope> AtWork<'scope> {
    /// Starts it, and waits until it has begun.
    pub(crate) fn start<'env>(
        scope: &'scope thread::Scope<'scope, 'env>,
        service: &'scope Service<'_>,
        store: &'scope Store,
    ) -> Result<Self, Failure> {
        let thread = scope.spawn(|| {
            let ended = service.run(store);
            if let Err(error) = &ended {
                eprintln!("icecore: no snapshots are made any more: {error}");
            }
            ended
        });
        while !service.status().is_running {
            if thread.is_finished() {
                let ended = thread.join().expect("the service does not panic");
                let error = ended.map_or_else(|error| error.to_string(), |()| "it ended".into());
                return Err(Failure::System(error));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(Self { thread })
    }

    /// Ends it in order.
    pub(crate) fn end(self, service: &Service<'_>) {
        service.stop();
        // Its error was told when it came.
        let _ = self.thread.join().expect("the service does not panic");
    }
}

/// What to say to a request; `Err`: it is accepted, and the outcome can be waited for.
pub(crate) fn reply(
    service: Option<&Service<'_>>,
    store: &Store,
    wanted: Wanted,
) -> Result<Reply, icecore_batch::service::Waiting> {
    let Some(service) = service else {
        let message = "the node makes no snapshots; start it with --snapshots DIR".to_string();
        return Ok(Reply::NotAvailable { message });
    };
    match service.request(store, wanted) {
        Ok(Answer::Accepted(waiting)) => Err(waiting),
        Ok(Answer::Busy(message)) => Ok(Reply::Busy { message }),
        Ok(Answer::Past { slot, first }) => Ok(Reply::SlotInPast {
            message: format!("slot {slot} is in the past: what is kept begins with slot {first}"),
        }),
        Ok(Answer::NotAvailable { why, slots }) if slots.count > 0 => {
            Ok(Reply::NotAvailable { message: format!("{why}; of bank and status cache, {slots}") })
        }
        Ok(Answer::NotAvailable { why, .. }) => Ok(Reply::NotAvailable { message: why }),
        Err(error) => {
            let failure = Failure::from(error);
            Ok(Reply::Error { message: failure.to_string(), exit_code: failure.exit().code() })
        }
    }
}

/// What came of a request that was accepted.
pub(crate) fn outcome(outcome: Outcome) -> Reply {
    let failed = |message: String, exit: Exit| Reply::Error { message, exit_code: exit.code() };
    match outcome {
        Outcome::Snapshot(made) => Reply::Done { result: snapshot_json(&made) },
        Outcome::AccountsHash(hashed) if hashed.agrees() => {
            Reply::Done { result: accounts_hash_json(&hashed) }
        }
        Outcome::AccountsHash(hashed) => failed(
            format!(
                "the accounts of slot {} are not those that it states: lattice hash {}, stated {}; capitalization {}, stated {}",
                hashed.slot,
                hashed.lattice_checksum,
                hashed.stated_lattice_checksum,
                hashed.capitalization,
                hashed.stated_capitalization
            ),
            Exit::Bad,
        ),
        Outcome::Failed(why) => failed(why, Exit::System),
        Outcome::Ended => failed("the node has ended before it was done".into(), Exit::System),
    }
}

fn snapshot_json(made: &SnapshotMade) -> Value {
    json!({
        "file": made.name.0,
        "slot": made.slot,
        "base_slot": made.base,
        "snapshot_hash": made.snapshot_hash,
        "bank_hash": made.bank_hash,
        "capitalization": made.capitalization,
        "num_accounts": made.num_accounts,
        "num_tombstones": made.num_tombstones,
        "bytes": made.bytes,
    })
}

fn accounts_hash_json(hashed: &AccountsHashed) -> Value {
    json!({
        "slot": hashed.slot,
        "agrees": hashed.agrees(),
        "of_epoch_window": hashed.is_of_window,
        "lattice_checksum": hashed.lattice_checksum,
        "merkle_accounts_hash": hashed.merkle,
        "capitalization": hashed.capitalization,
        "num_accounts": hashed.num_accounts,
    })
}

/// What `request stats` says of the service.
pub(crate) fn status_json(status: &Status) -> Value {
    let running = |running: &Running| {
        json!({
            "what": running.what,
            "slot": running.slot,
            "base_slot": running.base,
            "phase": running.phase,
            "seconds": running.seconds,
        })
    };
    json!({
        "running": status.running.as_ref().map(running),
        "last_full": status.last_full.as_ref().map(snapshot_json),
        "last_incremental": status.last_incremental.as_ref().map(snapshot_json),
        "last_accounts_hash": status.last_accounts_hash.as_ref().map(accounts_hash_json),
        "next_full": status.next_full,
        "next_incremental": status.next_incremental,
        "far_behind": status.is_far_behind,
        "failures": status.failures,
        "last_failure": status.last_failure,
        "being_read": status.in_use,
    })
}
