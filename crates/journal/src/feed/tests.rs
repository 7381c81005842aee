//! What following costs, counted in pages, and what is told about dropped events.

use std::path::Path;

use icecore_disk::SimulatedDisk;

use super::*;
use crate::{
    AppendOptions, Batch, By, CausalityError, CreateOptions, Cursor, EventRef, Indexes, Journal,
    NewEvent, Options, Projection, Projector, ProjectorOptions, format::manifest::Gap,
    segment::Segment,
};

/// A journal of many small segments, all but the last of them sealed. Kinds and streams repeat
/// after 5 and 7 events; each event is a child of the one before it.
fn journal(events: u64) -> Journal {
    let options = Options {
        background: false,
        segment_bytes_max: 64 << 10,
        stream_heads_max: 1 << 10,
        ..Options::default()
    };
    let create = CreateOptions { indexes: Indexes::ALL, ..CreateOptions::default() };
    let disk = Arc::new(SimulatedDisk::new(1));
    let journal = Journal::create_on(disk, Path::new("/journal"), create, options).expect("made");
    let mut batch = Batch::new();
    for number in 0..events {
        let stream = format!("stream-{}", number % 7);
        let parents: Vec<_> = number.checked_sub(1).map(EventRef::Sequence).into_iter().collect();
        let event = NewEvent {
            parents: &parents,
            ..NewEvent::new(stream.as_bytes(), (number % 5) as u16, &[3; 100])
        };
        batch.clear();
        batch.push(&event).expect("fits");
        journal.append(&batch, &AppendOptions::default()).expect("appended");
    }
    journal.sync().expect("synced");
    journal.tend().expect("tended");
    journal
}

/// Pages of index files that were touched so far.
fn pages_touched(history: &History) -> u64 {
    let catalog = history.catalog();
    let of_segments = catalog.segments.iter().map(|segment| match segment {
        Segment::Sealed(segment) => segment.index_pages_touched(),
        Segment::Open(_) => 0,
    });
    let of_groups = catalog.groups.iter().map(|group| group.file().pages_touched());
    of_segments.chain(of_groups).sum()
}

#[test]
fn a_page_costs_the_same_at_the_start_and_at_the_end() {
    const EVENTS: u64 = 14_000;
    const PAGE: usize = 40;
    let journal = journal(EVENTS);
    let history = journal.history();
    assert!(history.catalog().segments.len() > 64, "there is something to search");
    for by in [By::Sequence, By::Stream(b"stream-3".to_vec()), By::Kind(2), By::Parent(13_000)] {
        let query = Query::new(by.clone());
        let cost = |position: u64| {
            let before = pages_touched(history);
            let mut cursor =
                Cursor::open_at(history, "page", query.clone(), position).expect("opened");
            let page = cursor.next_batch(PAGE).expect("read");
            let expected = if by == By::Parent(13_000) { 1 } else { PAGE };
            assert_eq!(page.len(), expected, "{by:?} at {position}");
            pages_touched(history) - before
        };
        let costs = [0, 100, EVENTS / 4, EVENTS / 2, EVENTS - 2000].map(cost);
        // Each event is looked up by its place, and a search starts in a few pages.
        let bound = if by == By::Parent(13_000) { 30 } else { 3 * PAGE as u64 };
        assert!(costs.iter().all(|pages| *pages <= bound), "{by:?} costs {costs:?} pages");
    }
}

#[test]
fn draining_costs_each_event_once_whatever_the_size_of_the_batches() {
    const EVENTS: u64 = 5000;
    let journal = journal(EVENTS);
    let history = journal.history();
    let cost = |limit: usize| {
        let before = pages_touched(history);
        let mut feed = Cursor::open(history, "drain", Query::new(By::Kind(2))).expect("opened");
        let mut taken = 0;
        loop {
            match feed.next_batch(limit).expect("read").len() {
                0 => break,
                count => taken += count as u64,
            }
        }
        assert_eq!(taken, EVENTS / 5);
        pages_touched(history) - before
    };
    cost(1000);
    assert_eq!(cost(1), cost(1000));
}

/// Takes the second and the third segment away, as dropping old events does.
fn drop_segments(history: &History) -> Dropped {
    let mut dropped = None;
    history.change_catalog(|catalog| {
        let gone: Vec<_> = catalog.segments.drain(1..3).collect();
        let infos: Vec<_> = gone
            .iter()
            .map(|segment| match segment {
                Segment::Sealed(segment) => segment.info,
                Segment::Open(_) => panic!("a sealed one"),
            })
            .collect();
        catalog.groups.clear();
        catalog.gaps.push(Gap {
            first_sequence: infos[0].first_sequence,
            end_sequence: infos[1].end_sequence,
            first_frame: infos[0].first_frame,
            end_frame: infos[1].end_frame,
            last: infos[1].last,
            time: 0,
            reason: "too old".into(),
        });
        dropped = Some(Dropped {
            first_sequence: infos[0].first_sequence,
            end_sequence: infos[1].end_sequence,
            reason: "too old".into(),
        });
    });
    dropped.expect("just done")
}

/// What a cursor gives: sequences, and dropped ones as their range.
fn drain(cursor: &mut Cursor) -> (Vec<u64>, Vec<Dropped>) {
    let (mut events, mut dropped) = (Vec::new(), Vec::new());
    for followed in cursor {
        match followed.expect("read") {
            Followed::Event(event) => events.push(event.sequence()),
            Followed::Dropped(range) => {
                assert!(events.last().is_none_or(|last| *last < range.first_sequence));
                dropped.push(range);
            }
        }
    }
    (events, dropped)
}

#[test]
fn dropped_events_are_given_out_as_such_in_their_place() {
    const EVENTS: u64 = 2000;
    let journal = journal(EVENTS);
    let history = journal.history();
    let open = |name: &str, by: By| Cursor::open(history, name, Query::new(by)).expect("opened");
    let mut inside = open("inside", By::Sequence);
    let gone = drop_segments(history);
    let is_kept = |at: &u64| !(gone.first_sequence..gone.end_sequence).contains(at);
    for by in [By::Sequence, By::Kind(2)] {
        let step = if by == By::Sequence { (1, 0) } else { (5, 2) };
        let expected: Vec<_> =
            (0..EVENTS).filter(|at| at % step.0 == step.1).filter(is_kept).collect();
        let mut cursor = open(&format!("all-{}", step.0), by.clone());
        assert_eq!(drain(&mut cursor), (expected, vec![gone.clone()]));
        cursor.seek(gone.end_sequence).expect("the end of a gap is a position");
        cursor.commit().expect("committed");
        drop(cursor);
        let cursor = open(&format!("all-{}", step.0), by);
        assert_eq!(cursor.end_sequence(), gone.end_sequence);
    }
    let refused = inside.seek(gone.first_sequence + 3);
    assert!(matches!(refused, Err(Error::Dropped { .. })), "{refused:?}");
}

#[test]
fn a_cursor_that_stands_in_what_was_dropped_since_is_told_of_the_rest() {
    let journal = journal(2000);
    let history = journal.history();
    let all = || Query::new(By::Sequence);
    let mut cursor = Cursor::open(history, "c", all()).expect("opened");
    let middle = history.catalog().segments[2].first_sequence();
    assert_eq!(cursor.next_batch(middle as usize).expect("read").len() as u64, middle);
    cursor.commit().expect("committed");
    drop(cursor);
    let gone = drop_segments(history);
    let mut cursor = Cursor::open(history, "c", all()).expect("its journal");
    let Some(Ok(Followed::Dropped(rest))) = cursor.next() else { panic!("dropped events") };
    assert_eq!((rest.first_sequence, rest.end_sequence), (middle, gone.end_sequence));
}

/// Counts events; `MINDS` dropped ones.
struct Counting<const MINDS: bool>;

impl<const MINDS: bool> Projection for Counting<MINDS> {
    type State = u64;
    const NAME: &'static str = "count";
    const VERSION: u32 = 1;

    fn initial(&self) -> u64 {
        0
    }

    fn apply(&self, state: &mut u64, _: &Event) -> Result<(), Error> {
        *state += 1;
        Ok(())
    }

    fn skip(&self, _: &mut u64, dropped: &Dropped) -> Result<(), Error> {
        if MINDS { Err(dropped.clone().into()) } else { Ok(()) }
    }

    fn encode(&self, state: &u64, out: &mut Vec<u8>) {
        out.extend(state.to_le_bytes());
    }

    fn decode(&self, bytes: &[u8]) -> Result<u64, crate::PayloadError> {
        let bytes = bytes.try_into().map_err(|_| crate::PayloadError::new("eight bytes"))?;
        Ok(u64::from_le_bytes(bytes))
    }
}

#[test]
fn a_projection_says_whether_it_can_do_without_dropped_events() {
    let journal = journal(2000);
    let history = journal.history();
    let (all, options) = (|| Query::new(By::Sequence), ProjectorOptions::default);
    let mut before = Projector::open(history, all(), Counting::<true>, options()).expect("opened");
    before.update().expect("all is there");
    before.save().expect("saved");
    let gone = drop_segments(history);
    let again = Projector::open(history, all(), Counting::<true>, options()).expect("opened");
    assert_eq!(*again.state(), 2000, "what was saved was made of all of them");
    let before_gap = again.as_of_sequence(gone.first_sequence).expect("all of them are there");
    assert_eq!(before_gap, gone.first_sequence);
    let refused = again.as_of_sequence(1999).expect_err("some are not");
    assert!(matches!(refused, Error::Dropped { .. }), "{refused}");
    let minds_not = Projector::open(history, all(), Counting::<false>, options()).expect("opened");
    let kept = 1999 - (gone.end_sequence - gone.first_sequence);
    assert_eq!(minds_not.as_of_sequence(1999).expect("folded"), kept);
}

#[test]
fn questions_about_dropped_ancestors_and_children_name_the_gap() {
    let journal = journal(2000);
    let history = journal.history();
    let gone = drop_segments(history);
    let causality = history.causality(10_000);
    let is_gap = |error: CausalityError<Error>| match error {
        CausalityError::Graph(Error::Dropped { first, end, .. }) => {
            (first, end) == (gone.first_sequence, gone.end_sequence)
        }
        _ => false,
    };
    assert!(causality.is_ancestor(1990, 1999).expect("nothing dropped is needed"));
    let ancestors: Result<Vec<_>, _> = causality.ancestors(1999).collect();
    assert!(is_gap(ancestors.expect_err("they lead through the gap")));
    let asked = causality.is_ancestor(gone.first_sequence, 1999);
    assert!(is_gap(asked.expect_err("it is in the gap")));
    assert!(is_gap(causality.branch_heads(3).expect_err("children may have been dropped")));
    assert_eq!(causality.branch_heads(1990).expect("all behind the gap"), [1999]);
}

/// A segment was sealed when all of it and nothing behind it was durable, and readers looked for the
/// new one behind the old one.
#[test]
fn a_reader_looks_for_the_new_segment_behind_the_one_that_was_just_sealed() {
    let journal = journal(1);
    let disk = Arc::clone(&journal.history().disk);
    let reader = crate::Reader::open_on(disk, Path::new("/journal")).expect("opened");
    let mut subscription =
        crate::Subscription::from(reader.history(), Query::new(By::Sequence), 0).expect("opened");
    let mut taken = 0;
    let mut take = |subscription: &mut crate::Subscription| {
        while let Some(followed) = subscription.next(std::time::Duration::ZERO).expect("read") {
            assert_eq!(followed.into_event().expect("kept").sequence(), taken);
            taken += 1;
        }
        taken
    };
    let append = |durability| {
        let event = NewEvent::new(b"stream", 1, &[7; 20_000]);
        let options = AppendOptions { durability, ..AppendOptions::default() };
        journal.append(&Batch::of(&event).expect("fits"), &options).expect("appended");
    };
    for _ in 0..40 {
        append(crate::Durability::Durable);
        assert_eq!(take(&mut subscription), journal.durable_end());
        append(crate::Durability::Written);
        while journal.shared.seal_oldest().expect("sealed") {}
        assert_eq!(take(&mut subscription), journal.durable_end());
    }
}
