//! Subscriptions beside a writer: every event once, in order, from the past into the present.

use std::{thread, time::Duration};

use icecore_journal::{By, Query, Reader, Subscription};

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn live_options() -> Options {
    Options { background: true, sync_interval: Duration::from_millis(2), ..options() }
}

/// Takes the events until it has this many.
fn take(subscription: &mut Subscription, count: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let followed = subscription.next(LONG).expect("read").expect("it comes in time");
        taken.push(number_of(&followed.into_event().expect("kept")));
    }
    taken
}

#[test]
fn subscriptions_beside_a_writer_see_every_event_once_and_in_order() {
    const EVENTS: u64 = 6000;
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("journal");
    let create = CreateOptions { indexes: Indexes::ALL, ..CreateOptions::default() };
    let journal = Journal::create(&path, create, live_options()).expect("created");
    fill(&journal, 0..1000, Durability::Durable);
    let follow = |history: &Arc<icecore_journal::History>, by: By, first: u64| {
        Subscription::from(history, Query::new(by), first).expect("indexed")
    };
    let history = journal.history();
    let mut all = follow(history, By::Sequence, 0);
    let mut stream = follow(history, By::Stream(b"s2".to_vec()), 500);
    let mut late = follow(history, By::Kind(1), 4000);
    let reader = Reader::open(&path).expect("opened");
    let mut other = follow(reader.history(), By::Sequence, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1000..EVENTS {
                let durability = match number % 97 {
                    0 => Durability::Durable,
                    1..50 => Durability::Written,
                    _ => Durability::Buffered,
                };
                try_fill(&journal, number, durability).expect("appended");
            }
        });
        let expected = |step: u64, first: u64, from: u64| -> Vec<u64> {
            (from..EVENTS).filter(|number| number % step == first).collect()
        };
        let every = expected(1, 0, 0);
        scope.spawn(move || assert_eq!(take(&mut all, EVENTS as usize), every));
        let every = expected(1, 0, 0);
        scope.spawn(move || assert_eq!(take(&mut other, EVENTS as usize), every));
        let third = expected(3, 2, 500);
        scope.spawn(move || assert_eq!(take(&mut stream, third.len()), third));
        let second = expected(2, 1, 4000);
        scope.spawn(move || assert_eq!(take(&mut late, second.len()), second));
    });
    journal.close().expect("closed");
}

#[test]
fn a_subscription_waits_no_longer_than_it_is_told_and_hears_of_the_end() {
    let disk = SimulatedDisk::new(1);
    let journal = created(&disk);
    fill(&journal, 0..3, Durability::Durable);
    fill(&journal, 3..4, Durability::Written);
    let history = Arc::clone(journal.history());
    let mut subscription =
        Subscription::from(&history, Query::new(By::Sequence), 1).expect("opened");
    assert_eq!(take(&mut subscription, 2), [1, 2]);
    let short = Duration::from_millis(20);
    assert!(subscription.next(short).expect("nothing wrong").is_none(), "it is not durable");
    assert_eq!(subscription.end_sequence(), 3);
    journal.close().expect("closed");
    assert_eq!(take(&mut subscription, 1), [3], "closing has made it durable");
    let ended = subscription.next(LONG);
    assert!(matches!(ended, Err(Error::Closed)), "{ended:?}");
}
