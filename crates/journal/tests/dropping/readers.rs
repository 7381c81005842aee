//! Whoever is reading goes on with what it has.

use icecore_journal::{DropRule, Reader};

use super::*;

#[test]
fn a_scan_that_began_before_reads_what_was_there_and_files_go_when_it_ends() {
    let disk = SimulatedDisk::new(21);
    let journal = create(&disk);
    fill(&journal, 2000);
    let names = chain_files(&disk);
    let mut scan = journal.history().scan(Query::new(By::Sequence)).expect("a scan");
    let first = scan.next().expect("there").expect("read");
    assert_eq!(first.sequence(), 0);
    journal.drop_events(&DropRule::new("all")).expect("dropped");
    for name in &names {
        assert!(chain_files(&disk).contains(name), "{name} is still read");
    }
    let rest: Vec<u64> = (&mut scan).map(|event| event.expect("read").sequence()).collect();
    assert_eq!(rest, (1..2000).collect::<Vec<_>>());
    drop(scan);
    journal.tend().expect("tended");
    let left = names.iter().filter(|name| chain_files(&disk).contains(name)).count();
    assert!(left < names.len() / 2, "{left} of {}", names.len());
    assert!(journal.read(1).is_err());
}

#[test]
fn a_pin_of_another_process_keeps_the_files_of_its_catalog() {
    let disk = SimulatedDisk::new(22);
    let journal = create(&disk);
    fill(&journal, 2000);
    let names = chain_files(&disk);
    let other = disk.with_process(77, 1);
    let reader = Reader::open_on(Arc::new(other), Path::new(FOLDER)).expect("opened");
    // The reader's catalog is at most as new as the pinned number says.
    let pin = reader.pin_files(3_600_000_000_000).expect("pinned");
    journal.drop_events(&DropRule::new("all")).expect("dropped");
    for name in &names {
        assert!(chain_files(&disk).contains(name), "{name} is pinned");
    }
    for sequence in 0..2000 {
        let event = reader.history().read(sequence).expect("the reader has its catalog");
        assert_eq!(event.sequence(), sequence);
    }
    // Files that were kept for a reader are known when the journal is opened again.
    journal.close().expect("closed");
    let journal = open(&disk);
    assert!(journal.recovery().unknown_files.is_empty());
    assert!(names.iter().all(|name| chain_files(&disk).contains(name)));
    drop(pin);
    journal.tend().expect("tended");
    let left = names.iter().filter(|name| chain_files(&disk).contains(name)).count();
    assert!(left < names.len() / 2, "{left} of {}", names.len());
    reader.history().refresh().expect("refreshed");
    assert!(matches!(reader.history().read(1), Err(Error::Dropped { .. })));
}
