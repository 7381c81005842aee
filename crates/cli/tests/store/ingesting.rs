//! Ingesting: feeds whole and cut, plain and compressed, given again, interrupted, damaged.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use crate::support::*;

#[test]
fn a_feed_is_ingested_and_given_again_changes_nothing() {
    let (store, truth) = (Store::restored(), truth());
    let done = store.json(0, &["ingest", "slots", text(&feed())]);
    let slots = list(&truth, "slots");
    let rooted = slots.iter().filter(|slot| slot["rooted"] == true).count();
    let written: u64 = slots.iter().map(|slot| number(slot, "accounts_written")).sum();
    assert_eq!(number(&done, "slots_committed"), slots.len() as u64);
    assert_eq!(number(&done, "rooted"), rooted as u64);
    assert_eq!(number(&done, "accounts_written"), written);
    assert_eq!((number(&done, "root"), number(&done, "feed_bytes")), (127, 17_515_540));
    let again = store.json(0, &["ingest", "slots", text(&feed())]);
    assert_eq!((number(&again, "slots_committed"), number(&again, "accounts_written")), (0, 0));
    assert_eq!(again["bank_hash"], done["bank_hash"]);
    let shown = store.run(&["ingest", "slots", text(&feed())]).code(0).told(" of feed in ");
    assert!(shown.out.starts_with("root 127 EHrfmntTr2vnhYwBtDXhXnhkyDSVF1f19LkDZ4QQ4YDH\n"));
}

#[test]
fn a_feed_can_stop_after_a_slot_and_go_on() {
    let store = Store::fed_until("64");
    let stopped = store.json(0, &["coverage"]);
    assert!(number(&stopped, "last") < 64);
    assert!(list(&stopped, "forks").iter().any(|fork| fork["slot"] == 64));
    // 54 is a number that no block has.
    let never = store.run(&["ingest", "slots", text(&feed()), "--until", "54"]).code(3);
    never.told("ends before slot 54");
    assert_eq!(number(&store.json(0, &["coverage"]), "last"), 127);
}

#[test]
fn a_plain_feed_comes_on_standard_input_and_an_interrupted_one_goes_on() {
    let store = Store::restored();
    let plain = plain_feed();
    let mut child = store
        .command(&["ingest", "slots", "-", "--output", "json-compact"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut told = BufReader::new(child.stderr.take().expect("piped"));
    told.read_line(&mut String::new()).expect("a line");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(&plain[..plain.len() / 2]).expect("taken");
    signal("INT", child.id());
    let ran = child.wait_with_output().expect("it ends");
    drop(input);
    assert_eq!(ran.status.code(), Some(130));
    let done: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(done["interrupted"], true);
    // Everything is there that was taken, and the rest follows.
    let covered = store.run(&["coverage"]).code(0);
    assert!(!covered.err.contains("not closed"), "{}", covered.err);
    let mut child = store
        .command(&["ingest", "slots", "-", "--output", "json-compact"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child.stdin.take().expect("piped").write_all(&plain).expect("taken");
    let ran = Ran::of(child.wait_with_output().expect("it ends")).code(0);
    let rest = &ran.rows()[0];
    assert_eq!((number(rest, "root"), number(rest, "slots_dead")), (127, 0));
    let there = number(rest, "slots_there") + number(rest, "slots_committed");
    assert_eq!(there, list(&truth(), "slots").len() as u64);
    assert!(number(rest, "slots_there") >= number(&done, "slots_committed"), "{done} {rest}");
}

#[test]
fn a_feed_that_is_cut_or_damaged_is_refused_where_it_is_and_what_came_before_stays() {
    let plain = plain_feed();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("feed");
    let give = |store: &Store, bytes: &[u8]| {
        fs::write(&file, bytes).expect("written");
        store.run(&["ingest", "slots", text(&file)])
    };
    let store = Store::restored();
    give(&store, &plain[..plain.len() / 3]).code(1).told("it is cut off here");
    let compressed = fs::read(feed()).expect("read");
    give(&store, &compressed[..compressed.len() / 2]).code(1);
    let reached = number(&store.json(0, &["coverage"]), "last");
    assert!((25..127).contains(&reached), "{reached}");

    let other = Store::restored();
    // A byte in the data of some account of the first slot.
    let mut damaged = plain.clone();
    damaged[5000] ^= 1;
    let ran = give(&other, &damaged).code(1).told("slot 25");
    assert!(ran.err.contains("lattice"), "{}", ran.err);
    give(&other, b"no feed at all, but long enough for one").code(1).told("feed");
    give(&other, b"").code(1);
    other.run(&["ingest", "slots", "no-such-file"]).code(4).told("no-such-file");
    store.good(&["ingest", "slots", text(&feed())]);
    other.good(&["ingest", "slots", text(&feed())]);
    assert_eq!(
        store.json(0, &["coverage"])["bank_hash"],
        other.json(0, &["coverage"])["bank_hash"]
    );
}

#[test]
fn a_feed_that_begins_elsewhere_is_refused_by_name() {
    let store = Store::none();
    store.run(&["ingest", "slots", text(&feed())]).code(2).told("there is no store here");
    store.good(&["restore", text(&tiny())]);
    let ran = store.run(&["ingest", "slots", text(&feed())]).code(1);
    ran.told("the feed begins on slot 24");
}
