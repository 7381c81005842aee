//! Cursors against a model: what was committed is neither skipped nor repeated, whatever happens.

use icecore_disk::{Fault, FaultKind, FaultPoint};
use icecore_journal::{By, Cursor, Query};

use super::*;

/// What a consumer has taken, and what it knows to be committed.
struct Model {
    query: Query,
    name: String,
    taken: Vec<(u64, u64)>,
    committed: u64,
    /// Commits that a crash may have cut short.
    attempted: Vec<u64>,
}

impl Model {
    fn new(by: By, name: &str) -> Self {
        let query = Query::new(by);
        Self { query, name: name.into(), taken: Vec::new(), committed: 0, attempted: Vec::new() }
    }

    /// Opens the cursor: it stands where it was committed, and what came behind comes again.
    fn open(&mut self, journal: &Journal) -> Cursor {
        let cursor = Cursor::open(journal.history(), &self.name, self.query.clone())
            .expect("the journal has everything that was committed");
        let at = cursor.end_sequence();
        assert!(
            at == self.committed || self.attempted.contains(&at),
            "{at} was never committed, {} was, {:?} were tried",
            self.committed,
            self.attempted
        );
        self.committed = at;
        self.attempted.clear();
        self.taken.retain(|(sequence, _)| *sequence < at);
        cursor
    }

    fn take(&mut self, journal: &Journal, cursor: &mut Cursor, limit: usize) {
        let Ok(batch) = cursor.next_batch(limit) else { return };
        for followed in batch {
            let event = followed.into_event().expect("nothing was dropped");
            assert!(event.sequence() < journal.durable_end(), "only what is durable");
            self.taken.push((event.sequence(), number_of(&event)));
        }
    }

    fn commit(&mut self, cursor: &mut Cursor) {
        let end = cursor.end_sequence();
        match cursor.commit() {
            Ok(()) => self.committed = end,
            Err(_) => self.attempted.push(end),
        }
    }

    /// What was taken is what is in the journal, all of it and in order.
    fn check(&mut self, journal: &Journal) {
        let mut cursor = self.open(journal);
        self.take(journal, &mut cursor, usize::MAX);
        let all = journal.history().scan(self.query.clone()).expect("indexed").map(|event| {
            let event = event.expect("read");
            (event.sequence(), number_of(&event))
        });
        assert_eq!(self.taken, all.collect::<Vec<_>>());
    }
}

fn models() -> Vec<Model> {
    vec![
        Model::new(By::Sequence, "all"),
        Model::new(By::Stream(b"s1".to_vec()), "stream"),
        Model::new(By::Kind(1), "kind"),
    ]
}

/// Works until the machine stops; each number is appended once.
fn work(
    journal: &Journal,
    models: &mut [Model],
    cursors: &mut [Cursor],
    random: &mut Random,
    number: &mut u64,
) -> Result<(), Error> {
    for _ in 0..60 {
        let which = random.below(models.len() as u64) as usize;
        let (model, cursor) = (&mut models[which], &mut cursors[which]);
        let durability = match random.below(8) {
            0 | 1 => Durability::Buffered,
            2 => Durability::Written,
            3 => Durability::Durable,
            4 | 5 => {
                model.take(journal, cursor, random.below(9) as usize);
                continue;
            }
            6 => {
                model.commit(cursor);
                continue;
            }
            _ => {
                journal.tend()?;
                continue;
            }
        };
        *number += 1;
        try_fill(journal, *number, durability)?;
    }
    Ok(())
}

#[test]
fn cursors_neither_skip_nor_repeat_what_they_committed_across_crashes() {
    let mut crashes = 0;
    for seed in 0..150 {
        let mut random = Random(seed);
        let mut disk = SimulatedDisk::new(seed);
        let mut models = models();
        let mut number = 0;
        let mut journal = created(&disk);
        for _ in 0..4 {
            let mut cursors: Vec<_> = models.iter_mut().map(|model| model.open(&journal)).collect();
            disk.crash_at(disk.operations() + random.below(120));
            let worked = work(&journal, &mut models, &mut cursors, &mut random, &mut number);
            assert!(worked.is_ok() || disk.is_simulated_crash(), "seed {seed}: {worked:?}");
            crashes += u32::from(disk.is_simulated_crash());
            disk = match random.below(3) {
                0 => disk.kill(),
                _ => disk.power_loss(random.below(u64::MAX)),
            };
            journal = opened(&disk);
            for model in &mut models {
                model.check(&journal);
                let mut cursor = model.open(&journal);
                model.take(&journal, &mut cursor, 5);
                model.commit(&mut cursor);
            }
        }
        journal.sync().expect("synced");
        models.iter_mut().for_each(|model| model.check(&journal));
    }
    assert!(crashes > 200, "most rounds ended in the middle of something");
}

#[test]
fn a_cursor_survives_a_crash_at_each_operation_of_its_first_two_commits() {
    let before = SimulatedDisk::new(7);
    let journal = created(&before);
    fill(&journal, 0..20, Durability::Durable);
    drop(journal);
    for operation in 0.. {
        let disk = before.kill();
        let journal = opened(&disk);
        disk.crash_at(disk.operations() + operation);
        let mut committed = [0, 0];
        let all = || Query::new(By::Sequence);
        if let Ok(mut cursor) = Cursor::open(journal.history(), "c", all()) {
            for done in &mut committed {
                let taken = cursor.next_batch(5).expect("reading is no operation");
                assert_eq!(taken.len(), 5);
                *done = cursor.commit().map_or(0, |()| cursor.end_sequence());
            }
        }
        let committed = committed.into_iter().max().expect("two");
        for seed in 0..4 {
            let journal = opened(&disk.power_loss(seed));
            let mut cursor = Cursor::open(journal.history(), "c", all()).expect("opened");
            let at = cursor.end_sequence();
            assert!((committed..=committed + 5).contains(&at), "{at} after {committed}");
            let rest = numbers(cursor.next_batch(100).expect("read"));
            assert_eq!(rest, (at..20).collect::<Vec<_>>());
            cursor.commit().expect("committed");
        }
        if !disk.is_simulated_crash() {
            assert_eq!(committed, 10);
            return;
        }
    }
}

/// batpak defect 5: cursors gave out what was not durable, kept their own position durably, and
/// after the tail was lost its sequences were given to events that were never delivered.
#[test]
fn a_durable_cursor_skips_events_that_take_the_place_of_a_lost_tail() {
    let disk = SimulatedDisk::new(5);
    let journal = created(&disk);
    fill(&journal, 0..5, Durability::Durable);
    fill(&journal, 5..10, Durability::Written);
    fill(&journal, 10..12, Durability::Buffered);
    let all = || Query::new(By::Sequence);
    let mut cursor = Cursor::open(journal.history(), "c", all()).expect("opened");
    assert_eq!(numbers(cursor.next_batch(100).expect("read")), [0, 1, 2, 3, 4]);
    assert!(cursor.next().is_none(), "what is written is not durable");
    cursor.commit().expect("committed");
    let mut was_lost = false;
    for seed in 0..20 {
        let journal = opened(&disk.power_loss(seed));
        let end = journal.end();
        was_lost |= end == 5;
        fill(&journal, 100..105, Durability::Durable);
        let mut cursor = Cursor::open(journal.history(), "c", all()).expect("opened");
        let expected: Vec<_> = (5..end).chain(100..105).collect();
        assert_eq!(numbers(cursor.next_batch(100).expect("read")), expected);
    }
    assert!(was_lost, "the tail was lost at least once");
}

/// The file of cursor `c`, as it is after it has taken so many events.
fn checkpoint_after(disk: &SimulatedDisk, events: usize) -> Vec<u8> {
    let journal = opened(disk);
    let mut cursor =
        Cursor::open_at(journal.history(), "c", Query::new(By::Sequence), 0).expect("opened");
    assert_eq!(cursor.next_batch(events).expect("read").len(), events);
    cursor.commit().expect("committed");
    disk.read_file("/journal/cursors/c.cursor")
}

#[test]
fn a_position_of_another_past_is_refused() {
    let trunk = SimulatedDisk::new(3);
    let journal = created(&trunk);
    fill(&journal, 0..5, Durability::Durable);
    journal.close().expect("closed");
    let (left, right) = (trunk.kill(), trunk.kill());
    let journal = opened(&left);
    fill(&journal, 5..10, Durability::Durable);
    journal.close().expect("closed");
    let file = checkpoint_after(&left, 8);

    let journal = opened(&right);
    let place = |disk: &SimulatedDisk, file: &[u8]| {
        let journal = opened(disk);
        let mut cursor =
            Cursor::open_at(journal.history(), "c", Query::new(By::Sequence), 0).expect("opened");
        cursor.commit().expect("committed");
        drop((cursor, journal));
        disk.overwrite("/journal/cursors/c.cursor", 0, file);
    };
    let open = |journal: &Journal| {
        Cursor::open(journal.history(), "c", Query::new(By::Sequence)).map(|_| ())
    };
    journal.close().expect("closed");
    place(&right, &file);
    let journal = opened(&right);
    let refused = open(&journal).expect_err("the journal has only five events");
    assert!(matches!(refused, Error::Diverged { end_sequence: 8, .. }), "{refused}");
    fill(&journal, 50..60, Durability::Durable);
    let refused = open(&journal).expect_err("event 7 is another one here");
    assert!(matches!(refused, Error::Diverged { end_sequence: 8, .. }), "{refused}");
    assert!(refused.to_string().contains("another frame"), "{refused}");

    let stranger = SimulatedDisk::new(4);
    let journal = created(&stranger);
    fill(&journal, 0..10, Durability::Durable);
    journal.close().expect("closed");
    place(&stranger, &file);
    let journal = opened(&stranger);
    let refused = open(&journal).expect_err("another journal");
    assert!(refused.to_string().contains("another journal"), "{refused}");

    // Whoever knows better goes on where they want to.
    let mut cursor =
        Cursor::open_at(journal.history(), "c", Query::new(By::Sequence), 4).expect("opened");
    assert_eq!(numbers(cursor.next_batch(2).expect("read")), [4, 5]);
    cursor.commit().expect("committed");
    drop(cursor);
    open(&journal).expect("it is this journal's now");
}

#[test]
fn a_damaged_checkpoint_is_refused_with_its_path() {
    let disk = SimulatedDisk::new(3);
    let journal = created(&disk);
    fill(&journal, 0..5, Durability::Durable);
    journal.close().expect("closed");
    let file = checkpoint_after(&disk, 3);
    let journal = opened(&disk);
    for byte in 0..file.len() as u64 {
        disk.flip_bit("/journal/cursors/c.cursor", byte, 3);
        let refused = Cursor::open(journal.history(), "c", Query::new(By::Sequence))
            .map(|_| ())
            .expect_err("damaged");
        assert!(refused.to_string().contains("c.cursor"), "{refused}");
        disk.flip_bit("/journal/cursors/c.cursor", byte, 3);
    }
    Cursor::open(journal.history(), "c", Query::new(By::Sequence)).expect("as it was");
}

#[test]
fn a_cursor_has_one_name_one_query_and_one_holder() {
    let disk = SimulatedDisk::new(3);
    let journal = created(&disk);
    fill(&journal, 0..10, Durability::Durable);
    let kind = || Query::new(By::Kind(1));
    let mut cursor = Cursor::open(journal.history(), "c", kind()).expect("opened");
    assert_eq!(numbers(cursor.next_batch(3).expect("read")), [1, 3, 5]);
    let taken = Cursor::open(journal.history(), "c", kind()).map(|_| ());
    assert!(matches!(taken, Err(Error::Taken { .. })), "{taken:?}");
    assert!(matches!(Cursor::remove(journal.history(), "c"), Err(Error::Taken { .. })));
    cursor.commit().expect("committed");
    let commits = |journal: &Journal| journal.cursors().expect("read")[0].commits;
    assert_eq!(commits(&journal), 1);
    cursor.commit().expect("nothing to do");
    assert_eq!(commits(&journal), 1);
    drop(cursor);
    for by in [By::Sequence, By::Kind(0), By::Stream(vec![1, 0])] {
        let other = Cursor::open(journal.history(), "c", Query::new(by)).map(|_| ());
        assert!(matches!(other, Err(Error::OtherQuery { .. })), "{other:?}");
    }
    let status = journal.cursors().expect("read");
    assert_eq!((status.len(), &*status[0].name, status[0].end_sequence), (1, "c", 6));
    Cursor::remove(journal.history(), "c").expect("removed");
    Cursor::remove(journal.history(), "c").expect("it is gone already");
    assert_eq!(journal.cursors().expect("read"), []);
    for name in ["", "a/b", "..", "ä", ".x", &"x".repeat(129)] {
        let refused = Cursor::open(journal.history(), name, kind()).map(|_| ());
        assert!(matches!(refused, Err(Error::Unfit { .. })), "{name}");
    }
    let backward = Cursor::open(journal.history(), "b", kind().backward()).map(|_| ());
    assert!(matches!(backward, Err(Error::Unfit { .. })), "{backward:?}");
}

#[test]
fn a_cursor_goes_where_it_is_sent_and_no_further_than_what_is_durable() {
    let disk = SimulatedDisk::new(3);
    let journal = created(&disk);
    fill(&journal, 0..10, Durability::Durable);
    fill(&journal, 10..12, Durability::Written);
    let all = Query::new(By::Sequence).sequences(2..7);
    let mut cursor = Cursor::open(journal.history(), "c", all).expect("opened");
    assert_eq!(numbers(cursor.next_batch(100).expect("read")), [2, 3, 4, 5, 6]);
    assert_eq!(cursor.end_sequence(), 10);
    cursor.seek(4).expect("it is there");
    assert_eq!(numbers(cursor.by_ref().map(|item| item.expect("read")).collect()), [4, 5, 6]);
    cursor.seek(10).expect("the end");
    let beyond = cursor.seek(11);
    assert!(matches!(beyond, Err(Error::NoSuchEvent { sequence: 10, end: 10 })), "{beyond:?}");
    let times = journal.read(3).expect("read").time()..journal.read(6).expect("read").time();
    let timed = Query::new(By::Stream(b"s0".to_vec())).times(times);
    let mut cursor = Cursor::open(journal.history(), "t", timed).expect("opened");
    assert_eq!(numbers(cursor.next_batch(100).expect("read")), [3]);
}

#[test]
fn what_was_taken_before_an_error_is_given_out_and_the_error_comes_again() {
    let disk = SimulatedDisk::new(3);
    let journal = created(&disk);
    fill(&journal, 0..40, Durability::Durable);
    // Found by an index, each event is read alone.
    let query = Query::new(By::Stream(b"s1".to_vec()));
    let all = journal.history().scan(query.clone()).expect("indexed");
    let all: Vec<u64> = all.map(|event| number_of(&event.expect("read"))).collect();
    let mut cursor = Cursor::open(journal.history(), "c", query).expect("opened");
    assert_eq!(numbers(cursor.next_batch(2).expect("read")), all[..2]);
    let point = FaultPoint::Path { part: "chain-".into(), passed: 3 };
    disk.add_fault(Fault { point, kind: FaultKind::ReadFails });
    assert_eq!(numbers(cursor.next_batch(100).expect("the first ones")), all[2..5]);
    let point = FaultPoint::Path { part: "chain-".into(), passed: 0 };
    disk.add_fault(Fault { point, kind: FaultKind::ReadFails });
    assert!(cursor.next_batch(100).is_err());
    assert_eq!(numbers(cursor.next_batch(100).expect("read")), all[5..]);
}

#[test]
fn a_commit_that_fails_can_be_tried_again() {
    for part in ["c.new", "c.cursor", "cursors"] {
        for kind in [
            FaultKind::WriteFails { errno: 28 },
            FaultKind::ChangeFails { errno: 28 },
            FaultKind::SyncFails,
            FaultKind::RenameFails,
            FaultKind::SyncFolderFails,
        ] {
            let disk = SimulatedDisk::new(3);
            let journal = created(&disk);
            fill(&journal, 0..10, Durability::Durable);
            let all = || Query::new(By::Sequence);
            let mut cursor = Cursor::open(journal.history(), "c", all()).expect("opened");
            assert_eq!(cursor.next_batch(4).expect("read").len(), 4);
            let point = FaultPoint::Path { part: part.into(), passed: 0 };
            disk.add_fault(Fault { point, kind });
            let failed = cursor.commit().is_err();
            assert_eq!(failed, disk.faults().is_empty());
            cursor.commit().expect("committed");
            let journal = opened(&disk.power_loss(1));
            let cursor = Cursor::open(journal.history(), "c", all()).expect("opened");
            assert_eq!(cursor.end_sequence(), 4);
        }
    }
}

#[test]
fn dropped_events_are_told_by_their_name() {
    let dropped =
        icecore_journal::Dropped { first_sequence: 3, end_sequence: 7, reason: "too old".into() };
    let error = Followed::Dropped(dropped).into_event().expect_err("it is none");
    assert!(matches!(error, Error::Dropped { sequence: 3, first: 3, end: 7, .. }), "{error}");
}
