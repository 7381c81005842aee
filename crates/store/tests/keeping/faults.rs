//! The disk refuses something while a store is kept.

use icecore_disk::{Fault, FaultKind, FaultPoint, SimulatedDisk};
use icecore_store::{Error, Options, Retention, Store};

use crate::{crashes::prepared, kit::reopen, world::World};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Every so many operations one meets a fault.
const STEP: usize = 7;

/// Times that something is tried on a disk on which one call fails.
const ATTEMPTS: usize = 3;

fn is_of_the_disk(error: &Error) -> bool {
    matches!(error, Error::Disk(_) | Error::Journal(_))
}

/// Opens and compacts a store; what it said if it had to be opened once more.
fn compact(disk: &SimulatedDisk, options: &Options) -> (Store, Option<Error>) {
    let mut opened = Err(Error::ReadOnly);
    for attempt in 0..ATTEMPTS {
        opened = reopen(disk, options.clone());
        let Err(error) = &opened else { break };
        assert!(attempt + 1 < ATTEMPTS && is_of_the_disk(error), "{error}");
    }
    let mut store = opened.expect("asked just now");
    let mut last = None;
    for _ in 0..ATTEMPTS {
        match store.compact() {
            Ok(_) => return (store, None),
            Err(error) => {
                assert!(is_of_the_disk(&error), "{error}");
                last = Some(error);
            }
        }
    }
    drop(store);
    store = reopen(disk, options.clone()).expect("opened");
    store.compact().expect("nothing fails any more");
    (store, last)
}

fn strike_everywhere(kind: FaultKind) {
    let World { disk, store, options, random, finals, root, .. } = prepared(Retention::Slots(3));
    store.close().expect("closed");
    let first = disk.power_loss(0);
    let begin = first.operations();
    let (store, error) = compact(&first, &options);
    assert!(error.is_none(), "nothing goes wrong");
    let wanted: u64 = store.history().data_segments().iter().map(|info| info.bytes).sum();
    let end = first.operations();
    let mut struck = 0;
    for operation in (begin..end).step_by(STEP) {
        let disk = disk.power_loss(0);
        let passing = FaultPoint::Operation(operation);
        disk.add_fault(Fault { point: passing, kind });
        let (store, error) = compact(&disk, &options);
        // After others nobody knows what is on the medium, and the journal ends.
        let goes_on = matches!(kind, FaultKind::WriteFails { .. } | FaultKind::ChangeFails { .. });
        assert!(error.is_none() || !goes_on, "{kind:?} at {operation}: {error:?}");
        struck += usize::from(disk.faults().is_empty());
        let (options, random, finals) = (options.clone(), random.clone(), finals.clone());
        let forks = Default::default();
        let world = World { disk, store, options, random, finals, root, forks };
        world.check();
        let left = world.data_bytes();
        assert!(left < wanted + wanted / 4, "operation {operation}: {left} bytes, not {wanted}");
        world.reopen().check();
    }
    assert!(struck > 0, "{kind:?} has struck");
}

#[test]
fn a_full_disk_in_any_operation_of_compaction_is_survived() {
    strike_everywhere(FaultKind::WriteFails { errno: ENOSPC });
    strike_everywhere(FaultKind::ChangeFails { errno: ENOSPC });
}

#[test]
fn an_error_of_the_disk_in_any_operation_of_compaction_is_survived() {
    strike_everywhere(FaultKind::WriteFails { errno: EIO });
    strike_everywhere(FaultKind::RenameFails);
    strike_everywhere(FaultKind::SyncFails);
    strike_everywhere(FaultKind::SyncFolderFails);
}
