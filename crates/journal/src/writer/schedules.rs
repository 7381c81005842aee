//! Threads that append, wait, sync and read, under random schedules (shuttle): the code is the
//! journal's own, on a simulated disk; only the locks are shuttle's.
//!
//! A thread that would wait for ever is a deadlock, which shuttle reports.

use std::{path::Path, sync::Arc};

use icecore_disk::{Disk, Fault, FaultKind, FaultPoint, SimulatedDisk};
use shuttle::thread;

use crate::{
    AppendOptions, Batch, CreateOptions, Durability, Error, Journal, NewEvent, Options, Receipt,
};

const SCHEDULES: usize = 1000;
const FOLDER: &str = "/journal";

fn journal(disk: &SimulatedDisk) -> Arc<Journal> {
    let options = Options {
        background: false,
        stream_heads_max: 8,
        segment_events_max: 5,
        ..Options::default()
    };
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let journal = Journal::create_on(disk, Path::new(FOLDER), CreateOptions::default(), options);
    Arc::new(journal.expect("created"))
}

fn append(journal: &Journal, name: u8, durability: Durability) -> Result<Receipt, Error> {
    let stream = [b's', name];
    let batch = Batch::of(&NewEvent::new(&stream, 1, &[name; 9]))?;
    journal.append(&batch, &AppendOptions { durability, ..AppendOptions::default() })
}

/// What a receipt says is there, and nobody else's.
fn is_there(journal: &Journal, receipt: &Receipt, name: u8) {
    let event = journal.read(receipt.first_sequence).expect("written");
    assert_eq!(event.payload(), [name; 9]);
    assert_eq!(event.stream_version(), receipt.stream_versions[0]);
}

#[test]
fn whoever_waits_is_served_once_and_nobody_sleeps_for_ever() {
    shuttle::check_random(
        || {
            let disk = SimulatedDisk::new(1);
            let journal = journal(&disk);
            let threads: Vec<_> = (0..3u8)
                .map(|name| {
                    let journal = Arc::clone(&journal);
                    thread::spawn(move || {
                        for durability in [Durability::Durable, Durability::Written] {
                            let receipt = append(&journal, name, durability).expect("appended");
                            is_there(&journal, &receipt, name);
                            if durability == Durability::Durable {
                                assert!(journal.durable_end() >= receipt.end_sequence());
                            }
                            let progress = journal.progress();
                            assert!(progress.accepted >= progress.written);
                            assert!(progress.written >= progress.durable);
                        }
                    })
                })
                .collect();
            let tender = {
                let journal = Arc::clone(&journal);
                thread::spawn(move || journal.tend().expect("tended"))
            };
            for thread in threads {
                thread.join().expect("no panic");
            }
            tender.join().expect("no panic");
            assert_eq!(journal.end(), 6);
            journal.sync().expect("synced");
            assert_eq!(journal.durable_end(), 6);
            let seen = (0..6).map(|sequence| journal.read(sequence).expect("read").payload()[0]);
            let mut seen: Vec<u8> = seen.collect();
            seen.sort_unstable();
            assert_eq!(seen, [0, 0, 1, 1, 2, 2]);
        },
        SCHEDULES,
    );
}

#[test]
fn what_a_failed_write_takes_back_nobody_takes_for_written() {
    shuttle::check_random(
        || {
            let disk = SimulatedDisk::new(2);
            let journal = journal(&disk);
            append(&journal, 9, Durability::Durable).expect("appended");
            // The next write to a segment fails; whoever is in it has to hear of it.
            disk.add_fault(Fault {
                point: FaultPoint::Path { part: "chain-".into(), passed: 0 },
                kind: FaultKind::WriteFails { errno: 28 },
            });
            let threads: Vec<_> = (0..3u8)
                .map(|name| {
                    let journal = Arc::clone(&journal);
                    thread::spawn(move || {
                        // A few tries are enough: the disk refuses once.
                        for _ in 0..4 {
                            match append(&journal, name, Durability::Durable) {
                                Ok(receipt) => {
                                    is_there(&journal, &receipt, name);
                                    return receipt.first_sequence;
                                }
                                Err(Error::TakenBack { .. } | Error::Disk(_)) => {}
                                Err(error) => panic!("{error}"),
                            }
                        }
                        panic!("the disk refused again and again");
                    })
                })
                .collect();
            let mut sequences: Vec<u64> =
                threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
            sequences.sort_unstable();
            assert_eq!(sequences, [1, 2, 3], "each once, no hole");
            assert_eq!((journal.end(), journal.durable_end()), (4, 4));
        },
        SCHEDULES,
    );
}

#[test]
fn after_a_failed_sync_nobody_is_told_that_anything_is_durable() {
    shuttle::check_random(
        || {
            let disk = SimulatedDisk::new(3);
            let journal = journal(&disk);
            append(&journal, 9, Durability::Durable).expect("appended");
            disk.add_fault(Fault {
                point: FaultPoint::Path { part: "chain-".into(), passed: 0 },
                kind: FaultKind::SyncFails,
            });
            let threads: Vec<_> = (0..3u8)
                .map(|name| {
                    let journal = Arc::clone(&journal);
                    thread::spawn(move || {
                        let result = append(&journal, name, Durability::Durable);
                        assert!(result.is_err(), "{result:?}");
                    })
                })
                .collect();
            for thread in threads {
                thread.join().expect("no panic");
            }
            assert_eq!(journal.durable_end(), 1);
            let refused = append(&journal, 5, Durability::Buffered);
            assert!(matches!(refused, Err(Error::Poisoned { .. })), "{refused:?}");
        },
        SCHEDULES,
    );
}
