//! Projections: what is folded bit by bit, across crashes, is what is folded from the start.

use std::collections::BTreeMap;

use icecore_disk::{Fault, FaultKind, FaultPoint};
use icecore_journal::{By, Event, PayloadError, Projection, Projector, ProjectorOptions, Query};

use super::*;

/// How many events each stream has, and a sum over all in which the order matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Summary {
    streams: BTreeMap<Vec<u8>, u64>,
    mixed: u64,
}

impl Summary {
    fn add(&mut self, stream: &[u8], number: u64) {
        *self.streams.entry(stream.to_vec()).or_default() += 1;
        self.mixed = self.mixed.wrapping_mul(31).wrapping_add(number + 1);
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Summing<const VERSION: u32> {
    refused: Option<u64>,
}

impl<const VERSION: u32> Projection for Summing<VERSION> {
    type State = Summary;
    const NAME: &'static str = "summary";
    const VERSION: u32 = VERSION;

    fn initial(&self) -> Summary {
        Summary::default()
    }

    fn apply(&self, state: &mut Summary, event: &Event) -> Result<(), Error> {
        let number = number_of(event);
        state.add(event.stream(), number);
        match self.refused == Some(number) {
            true => Err(PayloadError::new("not that one").into()),
            false => Ok(()),
        }
    }

    fn encode(&self, state: &Summary, out: &mut Vec<u8>) {
        out.extend(state.mixed.to_le_bytes());
        for (stream, count) in &state.streams {
            out.push(stream.len() as u8);
            out.extend(stream);
            out.extend(count.to_le_bytes());
        }
    }

    fn decode(&self, mut bytes: &[u8]) -> Result<Summary, PayloadError> {
        let short = || PayloadError::new("too short");
        let mut take = |count: usize| -> Result<Vec<u8>, PayloadError> {
            let (taken, rest) = bytes.split_at_checked(count).ok_or_else(short)?;
            bytes = rest;
            Ok(taken.to_vec())
        };
        let number = |bytes: Vec<u8>| u64::from_le_bytes(bytes.try_into().expect("eight"));
        let mut state = Summary { mixed: number(take(8)?), ..Summary::default() };
        while let Ok(length) = take(1) {
            let stream = take(length[0].into())?;
            state.streams.insert(stream, number(take(8)?));
        }
        Ok(state)
    }
}

type Projecting = Projector<Summing<1>>;

fn projector(journal: &Journal, by: By, options: ProjectorOptions) -> Projecting {
    let projection = Summing::default();
    Projector::open(journal.history(), Query::new(by), projection, options).expect("opened")
}

/// The state of a prefix, folded by hand.
fn folded(journal: &Journal, by: By, end: u64) -> Summary {
    let mut state = Summary::default();
    for event in journal.history().scan(Query::new(by).sequences(0..end)).expect("indexed") {
        let event = event.expect("read");
        state.add(event.stream(), number_of(&event));
    }
    state
}

fn queries() -> [By; 4] {
    [By::Sequence, By::Stream(b"s1".to_vec()), By::Kind(1), By::Scope(b"none".to_vec())]
}

#[test]
fn what_is_folded_bit_by_bit_is_what_is_folded_from_the_start() {
    let disk = SimulatedDisk::new(1);
    let mut journal = created(&disk);
    let mut random = Random(1);
    let mut number = 0;
    for round in 0..12 {
        let more = random.below(120);
        fill(&journal, number..number + more, Durability::Written);
        number += more;
        if random.below(2) == 0 {
            journal.sync().expect("synced");
        }
        for by in queries() {
            let mut projector = projector(&journal, by.clone(), ProjectorOptions::default());
            let before = projector.end_sequence();
            let applied = projector.update().expect("updated");
            assert!(applied <= journal.durable_end() - before, "only what is new");
            assert_eq!(projector.end_sequence(), journal.durable_end());
            assert_eq!(*projector.state(), folded(&journal, by, journal.durable_end()));
            assert_eq!(projector.update().expect("updated"), 0);
            projector.save().expect("saved");
        }
        if round % 3 == 0 {
            journal.close().expect("closed");
            journal = opened(&disk);
        }
    }
}

#[test]
fn the_state_as_of_a_sequence_or_a_time_is_that_of_the_prefix() {
    let disk = SimulatedDisk::new(1);
    let journal = created(&disk);
    fill(&journal, 0..300, Durability::Durable);
    let options = ProjectorOptions { checkpoints_max: 3, save_after_events: 40 };
    for by in queries() {
        let mut projector = projector(&journal, by.clone(), options.clone());
        projector.update().expect("updated");
        for end in (0..=300).step_by(7) {
            let state = projector.as_of_sequence(end).expect("folded");
            assert_eq!(state, folded(&journal, by.clone(), end));
        }
        for sequence in [0, 1, 17, 160, 299] {
            let time = journal.read(sequence).expect("read").time();
            let end = sequence + 1;
            let state = projector.as_of_time(time).expect("folded");
            assert_eq!(state, folded(&journal, by.clone(), end));
            let state = projector.as_of_time(time - 1).expect("folded");
            assert_eq!(state, folded(&journal, by.clone(), sequence));
        }
        assert_eq!(projector.as_of_time(0).expect("folded"), Summary::default());
        assert_eq!(projector.as_of_time(u64::MAX).expect("folded"), *projector.state());
        let beyond = projector.as_of_sequence(301);
        assert!(matches!(beyond, Err(Error::NoSuchEvent { .. })), "{beyond:?}");
    }
    let states = disk
        .file_names()
        .into_iter()
        .filter(|name| name.extension().is_some_and(|extension| extension == "state"));
    assert_eq!(states.count(), 3 + 2 + 3, "three at most, of 300, 100, 150 and no events");
}

#[test]
fn a_crash_at_each_operation_of_saving_leaves_a_projection_that_goes_on() {
    let before = SimulatedDisk::new(9);
    let journal = created(&before);
    fill(&journal, 0..30, Durability::Durable);
    let options = || ProjectorOptions { checkpoints_max: 1, save_after_events: 0 };
    let mut first = projector(&journal, By::Sequence, options());
    first.update().expect("updated");
    first.save().expect("saved");
    fill(&journal, 30..40, Durability::Durable);
    drop(journal);
    for operation in 0.. {
        let disk = before.kill();
        let journal = opened(&disk);
        let mut saving = projector(&journal, By::Sequence, options());
        assert_eq!((saving.end_sequence(), saving.update().expect("updated")), (30, 10));
        disk.crash_at(disk.operations() + operation);
        let saved = saving.save();
        for seed in 0..3 {
            let journal = opened(&disk.power_loss(seed));
            let mut projector = projector(&journal, By::Sequence, options());
            let at = projector.end_sequence();
            assert!(at == 40 || (at == 30 && saved.is_err()), "{at} after {saved:?}");
            projector.update().expect("updated");
            assert_eq!(*projector.state(), folded(&journal, By::Sequence, 40));
            projector.save().expect("saved");
        }
        if saved.is_ok() {
            return;
        }
    }
}

#[test]
fn checkpoints_of_another_version_or_damaged_ones_are_folded_again() {
    let disk = SimulatedDisk::new(1);
    let journal = created(&disk);
    fill(&journal, 0..50, Durability::Durable);
    let all = || Query::new(By::Sequence);
    let mut first = projector(&journal, By::Sequence, ProjectorOptions::default());
    first.update().expect("updated");
    first.save().expect("saved");
    let history = journal.history();
    let options = ProjectorOptions::default();
    let mut next =
        Projector::open(history, all(), Summing::<2>::default(), options.clone()).expect("opened");
    assert_eq!(next.end_sequence(), 0);
    next.update().expect("updated");
    assert_eq!(next.state(), first.state());
    next.save().expect("saved");
    let states = || {
        let mut names = disk.file_names();
        names.retain(|name| name.extension().is_some_and(|extension| extension == "state"));
        names
    };
    assert_eq!(states().len(), 1, "those of the older version are gone");

    disk.flip_bit(&states()[0], 150, 1);
    let again = Projector::open(history, all(), Summing::<2>::default(), options).expect("opened");
    assert_eq!(again.end_sequence(), 0);
    assert_eq!(again.as_of_sequence(50).expect("folded"), *first.state());
}

#[test]
fn a_checkpoint_of_another_past_is_refused_until_it_is_forgotten() {
    let trunk = SimulatedDisk::new(3);
    let journal = created(&trunk);
    fill(&journal, 0..5, Durability::Durable);
    let mut projector_at_5 = projector(&journal, By::Sequence, ProjectorOptions::default());
    projector_at_5.update().expect("updated");
    projector_at_5.save().expect("saved");
    journal.close().expect("closed");
    let (left, right) = (trunk.kill(), trunk.kill());
    let journal = opened(&left);
    fill(&journal, 5..10, Durability::Durable);
    let mut at_10 = projector(&journal, By::Sequence, ProjectorOptions::default());
    at_10.update().expect("updated");
    at_10.save().expect("saved");
    let newest = left
        .file_names()
        .into_iter()
        .rfind(|name| name.extension().is_some_and(|extension| extension == "state"));
    let newest = newest.expect("saved");
    let content = left.read_file(&newest);

    let journal = opened(&right);
    fill(&journal, 50..60, Durability::Durable);
    let disk: Arc<dyn Disk> = shared(&right);
    disk.create(&newest).and_then(|file| file.write_at(0, &content)).expect("written");
    let all = Query::new(By::Sequence);
    let options = ProjectorOptions::default;
    let refused =
        Projector::open(journal.history(), all.clone(), Summing::<1>::default(), options())
            .map(|_| ());
    assert!(matches!(refused, Err(Error::Diverged { end_sequence: 10, .. })), "{refused:?}");
    Projecting::forget(journal.history(), &all).expect("forgotten");
    let mut anew = projector(&journal, By::Sequence, options());
    assert_eq!(anew.update().expect("updated"), 15);
    assert_eq!(*anew.state(), folded(&journal, By::Sequence, 15));
}

#[test]
fn an_event_that_cannot_be_applied_leaves_no_half_state() {
    let disk = SimulatedDisk::new(1);
    let journal = created(&disk);
    fill(&journal, 0..20, Durability::Durable);
    let refusing = Summing::<1> { refused: Some(13) };
    let options = ProjectorOptions { save_after_events: 4, ..ProjectorOptions::default() };
    let query = Query::new(By::Sequence);
    let mut projector =
        Projector::open(journal.history(), query, refusing, options.clone()).expect("opened");
    for _ in 0..2 {
        let failed = projector.update().expect_err("refused");
        assert!(matches!(failed, Error::Projection { sequence: 13, .. }), "{failed}");
        assert_eq!(projector.end_sequence(), 12, "where it was saved last");
        assert_eq!(*projector.state(), folded(&journal, By::Sequence, 12));
    }
    assert_eq!(projector.as_of_sequence(13).expect("folded"), folded(&journal, By::Sequence, 13));
}

#[test]
fn saving_that_fails_can_be_tried_again() {
    for kind in [
        FaultKind::WriteFails { errno: 28 },
        FaultKind::ChangeFails { errno: 28 },
        FaultKind::SyncFails,
        FaultKind::RenameFails,
        FaultKind::SyncFolderFails,
    ] {
        let disk = SimulatedDisk::new(1);
        let journal = created(&disk);
        fill(&journal, 0..20, Durability::Durable);
        let mut saving = projector(&journal, By::Sequence, ProjectorOptions::default());
        saving.update().expect("updated");
        let point = FaultPoint::Path { part: "projections".into(), passed: 0 };
        disk.add_fault(Fault { point, kind });
        saving.save().expect_err("it struck");
        saving.save().expect("saved");
        let journal = opened(&disk.power_loss(3));
        let again = projector(&journal, By::Sequence, ProjectorOptions::default());
        assert_eq!(again.end_sequence(), 20);
    }
}
