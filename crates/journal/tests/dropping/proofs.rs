//! What was proven can still be proven.

use icecore_journal::Head;

use super::*;

#[test]
fn kept_events_and_old_heads_verify_across_gaps() {
    let disk = SimulatedDisk::new(11);
    let journal = create(&disk);
    let mut heads: Vec<Head> = Vec::new();
    for end in [1, 300, 700, 1100, 2000] {
        fill(&journal, end);
        heads.push(journal.head().expect("a head"));
    }
    let before = events(journal.history());
    for (round, reason) in [(3, "first"), (5, "second"), (2, "third")] {
        let may_drop = |event: &Event| {
            event.sequence() < 1500 && !(event.sequence() / round).is_multiple_of(3)
        };
        journal.drop_events(&rule(&may_drop, reason)).expect("dropped");
        heads.push(journal.head().expect("a head"));
        let now = events(journal.history());
        assert!(now.iter().filter(|event| event.is_none()).count() > 200);
        for old in &heads {
            for new in &heads {
                if old.frame_count <= new.frame_count {
                    let proof = journal.prove_consistency(old, new).expect("one history");
                    proof.verify(old, new).expect("it verifies");
                }
            }
        }
        for event in now.iter().flatten().step_by(13) {
            for head in heads.iter().filter(|head| head.end_sequence > event.sequence()) {
                let proof = journal.prove(event.sequence(), head).expect("it is kept");
                let verified = proof.verify(event.record_bytes(), head).expect("it verifies");
                assert_eq!(verified.sequence, event.sequence());
                let proof = journal.prove_frame(event.sequence(), head).expect("it is kept");
                proof.verify(head).expect("it verifies");
            }
        }
        let gone = now.iter().position(Option::is_none).expect("some are gone") as u64;
        let head = heads.last().expect("some");
        assert!(matches!(journal.prove(gone, head), Err(Error::Dropped { .. })));
    }
    // What is left is what was there.
    for (now, before) in events(journal.history()).iter().zip(&before) {
        if let (Some(now), Some(before)) = (now, before) {
            assert_eq!(now.digest(), before.digest());
        }
    }
}
