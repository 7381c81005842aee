//! A crash leaves what was before or what comes after, and nothing that nobody knows.

use icecore_journal::{GAPS_STREAM, GapRecord};

use super::*;

fn prepared(seed: u64) -> (SimulatedDisk, Vec<Option<Event>>) {
    let disk = SimulatedDisk::new(seed);
    let journal = create(&disk);
    fill(&journal, 900);
    let before = events(journal.history());
    journal.close().expect("closed");
    (disk, before)
}

fn may_drop(event: &Event) -> bool {
    event.sequence() < 500 && !event.sequence().is_multiple_of(4)
}

/// Opens, drops, drops once more for another reason, and closes.
fn work(disk: &SimulatedDisk) -> Result<(), Error> {
    let journal = Journal::open_on(Arc::new(disk.clone()), Path::new(FOLDER), options())?;
    journal.drop_events(&rule(&may_drop, "first"))?;
    let is_old = |event: &Event| event.sequence() < 300;
    journal.drop_events(&rule(&is_old, "second"))?;
    journal.close()
}

/// Whether the journal is whole, whatever came of the drops; how many events are gone.
fn judge(disk: &SimulatedDisk, before: &[Option<Event>], when: &str) -> u64 {
    let journal = open(disk);
    assert!(journal.recovery().unknown_files.is_empty(), "{when}: {:?}", journal.recovery());
    let now = events(journal.history());
    let gone = |sequence: usize| now[sequence].is_none();
    for (sequence, event) in before.iter().enumerate() {
        match (&now[sequence], event) {
            (Some(now), Some(event)) => assert_eq!(now.record_bytes(), event.record_bytes()),
            (None, Some(event)) => {
                assert!(may_drop(event) || event.sequence() < 300, "{when}: event {sequence}");
            }
            (_, None) => panic!("all were there"),
        }
    }
    // Of each rewritten file an event says so, once.
    let mut recorded = Vec::new();
    for event in now.iter().flatten().filter(|event| event.stream() == GAPS_STREAM) {
        recorded.push(GapRecord::decode(event.payload()).expect("sound").file.segment);
    }
    assert!(recorded.is_sorted_by(|one, next| one < next), "{when}: {recorded:?}");
    let names = chain_files(disk);
    let is_known = |id: &u32| names.contains(&format!("{FOLDER}/chain-{id:08}.seg"));
    let any_gone = (0..before.len()).any(gone);
    assert_eq!(any_gone, recorded.iter().any(is_known), "{when}: {recorded:?} {names:?}");
    check_scans(journal.history(), &now);
    journal.verify(&Default::default(), &mut |_| std::ops::ControlFlow::Continue(())).expect(when);
    // Nothing is left behind: every chain file is read or is the next one.
    let count = (0..before.len()).filter(|sequence| gone(*sequence)).count() as u64;
    journal.close().expect("closed");
    count
}

#[test]
fn a_crash_at_any_operation_leaves_before_or_after() {
    let (disk, before) = prepared(31);
    let whole = disk.kill();
    let start = whole.operations();
    work(&whole).expect("no crash");
    let operations = whole.operations() - start;
    let most = judge(&whole, &before, "no crash");
    assert!(operations > 40 && most > 200, "{operations} operations, {most} gone");
    let names = chain_files(&whole).len();
    let mut seen = std::collections::BTreeSet::new();
    for operation in 0..operations {
        let crashed = disk.kill();
        crashed.crash_at(crashed.operations() + operation);
        assert!(work(&crashed).is_err(), "operation {operation}");
        for (kind, disk) in
            [("killed", crashed.kill()), ("lost power", crashed.power_loss(operation))]
        {
            let when = format!("{kind} at operation {operation}");
            seen.insert(judge(&disk, &before, &when));
            // Going on as if nothing had been.
            work(&disk).expect("it goes on");
            assert_eq!(judge(&disk, &before, &when), most, "{when}");
            assert!(chain_files(&disk).len() <= names + 1, "{when}: {:?}", chain_files(&disk));
        }
    }
    assert!(seen.contains(&0) && seen.contains(&most) && seen.len() > 2, "{seen:?}");
}

#[test]
fn a_full_disk_or_a_failed_call_changes_nothing_and_the_next_call_does_it() {
    use icecore_disk::{Fault, FaultKind, FaultPoint};
    let (disk, before) = prepared(32);
    let whole = disk.kill();
    let start = whole.operations();
    work(&whole).expect("no fault");
    let operations = whole.operations() - start;
    let most = judge(&whole, &before, "no fault");
    let kinds = [
        FaultKind::WriteFails { errno: 28 },
        FaultKind::ChangeFails { errno: 28 },
        FaultKind::SyncFails,
        FaultKind::RenameFails,
    ];
    for operation in 0..operations {
        for kind in kinds {
            let disk = disk.kill();
            let point = FaultPoint::Operation(disk.operations() + operation);
            disk.add_fault(Fault { point, kind });
            let first = work(&disk);
            if !disk.faults().is_empty() {
                continue;
            }
            if first.is_err() {
                work(&disk).expect("the next call does it");
            }
            let when = format!("{kind:?} at operation {operation}");
            assert_eq!(judge(&disk, &before, &when), most, "{when}");
        }
    }
}
