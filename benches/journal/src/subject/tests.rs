//! Everybody gives back what was appended, in every way that is measured.

use std::sync::Arc;

use super::*;
use crate::scratch::Scratch;

const EVENTS: u64 = 250;

fn scratch(name: &str) -> Scratch {
    Scratch::new(&std::env::temp_dir(), name).expect("a folder")
}

fn workload() -> Arc<Workload> {
    Arc::new(Workload::new(7))
}

/// What everybody has to give back of the first [`EVENTS`] events.
fn check(contender: Contender, subject: &dyn Subject, workload: &Workload) -> Result<(), Failure> {
    subject.ready_to_read(EVENTS)?;
    for event in 0..EVENTS {
        let mut payload = Vec::new();
        subject.read(event, &mut |bytes| payload = bytes.to_vec())?;
        assert_eq!(payload, workload.payload(event), "{contender}, event {event}");
    }
    let mut next = 0;
    let count = subject.drain(&mut |payload| {
        assert_eq!(payload, workload.payload(next), "{contender}, event {next}");
        next += 1;
    })?;
    assert_eq!((count, next), (EVENTS, EVENTS), "{contender}");
    let mut next = EVENTS - 20;
    let count = subject.page(next, 20, &mut |payload| {
        assert_eq!(payload, workload.payload(next), "{contender}, event {next}");
        next += 1;
    })?;
    assert_eq!(count, 20, "{contender}");
    if contender.verifies() {
        subject.verify()?;
    }
    Ok(())
}

#[test]
fn everybody_gives_back_what_was_appended_singly_and_in_batches() -> Result<(), Failure> {
    let (scratch, workload) = (scratch("gives-back"), workload());
    for contender in ALL {
        let folder = scratch.path().join(contender.to_string());
        let subject = contender.open(&folder, &workload, Mode::Buffered)?;
        subject.append_singly(0..30)?;
        subject.append_batches(30..EVENTS)?;
        subject.close()?;
        let subject = contender.open(&folder, &workload, Mode::Buffered)?;
        check(contender, &*subject, &workload)?;
        subject.close()?;
    }
    Ok(())
}

#[test]
fn everybody_appends_durably_in_every_way() -> Result<(), Failure> {
    let (scratch, workload) = (scratch("durably"), workload());
    for contender in ALL {
        for (at, way) in contender.durable_modes().iter().enumerate() {
            let folder = scratch.path().join(format!("{contender}-{at}"));
            let subject = contender.open(&folder, &workload, Mode::Durable(way.name))?;
            // 16 events, so that it ends where a sync comes only with the 16th.
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..16 / way.events_at_once)
                    .map(|at| {
                        let first = at * way.events_at_once;
                        let subject = &subject;
                        scope.spawn(move || {
                            subject.append_durably(first..first + way.events_at_once)
                        })
                    })
                    .collect();
                threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
            })?;
            subject.ready_to_read(16)?;
            assert_eq!(subject.drain(&mut |_| {})?, 16, "{}", way.name);
            subject.close()?;
        }
    }
    Ok(())
}

#[test]
fn a_range_is_cut_into_batches() {
    let cut: Vec<_> = batches(5..12, 3).collect();
    assert_eq!(cut, [5..8, 8..11, 11..12]);
}
