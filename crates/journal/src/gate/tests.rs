//! What gates are asked, what is kept of their answers, and how a denial is recorded.

use std::sync::Mutex;

use proptest::prelude::*;

use super::*;

/// A gate with a name and an answer.
struct Answers<F>(String, F);

impl<F: Fn(&Proposal<'_>, &dyn Any) -> Result<(), Denial> + Send + Sync> Gate for Answers<F> {
    fn name(&self) -> &str {
        &self.0
    }

    fn evaluate(&self, proposal: &Proposal<'_>, context: &dyn Any) -> Result<(), Denial> {
        self.1(proposal, context)
    }
}

fn gate<F>(name: impl Into<String>, answer: F) -> Answers<F>
where
    F: Fn(&Proposal<'_>, &dyn Any) -> Result<(), Denial> + Send + Sync,
{
    Answers(name.into(), answer)
}

const EVENT: ProposedEvent<'_> = ProposedEvent {
    stream: b"accounts/7",
    scope: b"bank",
    kind: 3,
    payload_version: 1,
    payload: &[9],
    causation: None,
    correlation: Some(5),
    parents: &[1, 2],
};

fn evaluate(gates: &[&dyn Gate], context: &dyn Any) -> GateOutcomes {
    let gates = Gates::new(gates).expect("names are fine");
    gates.evaluate_all(&Proposal { events: &[EVENT], end_sequence: 40 }, context)
}

#[test]
fn every_gate_is_asked_in_order_after_denials_and_panics_too() {
    let asked = Mutex::new(Vec::new());
    let note = |name| asked.lock().expect("nobody panics holding it").push(name);
    let outcomes = evaluate(
        &[
            &gate("first", |_, _| {
                note("first");
                Err(Denial::new("too-much", "the limit is 10"))
            }),
            &gate("second", |_, _| {
                note("second");
                Ok(())
            }),
            &gate("third", |_, _| {
                note("third");
                panic!("the third gate broke on {}", 7)
            }),
            &gate("fourth", |_, _| {
                note("fourth");
                Ok(())
            }),
        ],
        &(),
    );
    assert_eq!(*asked.lock().expect("nobody panicked"), ["first", "second", "third", "fourth"]);
    assert!(!outcomes.is_allowed());
    assert_eq!(outcomes.passed(), ["second", "fourth"]);
    let denied: Vec<_> =
        outcomes.denied().iter().map(|d| (d.gate(), d.code(), d.message())).collect();
    assert_eq!(
        denied,
        [
            ("first", "too-much", "the limit is 10"),
            ("third", GATE_PANICKED, "the third gate broke on 7"),
        ]
    );
}

#[test]
fn a_panic_with_a_value_that_panics_when_dropped_is_contained() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let bomb = gate("bomb", |_, _| panic::panic_any(Bomb));
    let literal = gate("literal", |_, _| panic!("as it is"));
    let outcomes = evaluate(&[&bomb, &literal], &());
    let messages: Vec<_> = outcomes.denied().iter().map(Denial::message).collect();
    assert_eq!(messages, ["it panicked without a message", "as it is"]);
}

#[test]
fn a_gate_sees_the_proposal_and_the_context() {
    let limit = gate("limit", |proposal: &Proposal<'_>, context: &dyn Any| {
        let limit = context.downcast_ref::<u64>().expect("the test passes a u64");
        assert_eq!(proposal.events, [EVENT]);
        if proposal.end_sequence < *limit { Ok(()) } else { Err(Denial::new("limit", "")) }
    });
    assert!(evaluate(&[&limit], &41_u64).is_allowed());
    assert!(!evaluate(&[&limit], &40_u64).is_allowed());
}

#[test]
fn without_gates_a_batch_is_allowed() {
    assert!(evaluate(&[], &()).is_allowed());
}

#[test]
fn too_many_gates_and_bad_names_are_refused() {
    let named = |bytes| gate("n".repeat(bytes), |_, _| Ok(()));
    let error = |gates: &[&dyn Gate]| Gates::new(gates).err();
    assert_eq!(error(&[&named(1), &named(GATE_NAME_BYTES_MAX)]), None);
    assert_eq!(error(&[&named(1), &named(0)]), Some(GatesError::NameLength { place: 1, bytes: 0 }));
    let bytes = GATE_NAME_BYTES_MAX + 1;
    assert_eq!(error(&[&named(bytes)]), Some(GatesError::NameLength { place: 0, bytes }));
    assert_eq!(
        error(&[&named(2), &named(2)]),
        Some(GatesError::NameTwice { name: "nn".to_owned() })
    );

    let gates: Vec<_> = (1..=GATES_MAX + 1)
        .map(|number| gate(number.to_string(), |_: &Proposal<'_>, _: &dyn Any| Ok(())))
        .collect();
    let gates: Vec<_> = gates.iter().map(|gate| gate as &dyn Gate).collect();
    assert_eq!(error(&gates[1..]), None);
    assert_eq!(error(&gates), Some(GatesError::TooMany { count: GATES_MAX + 1 }));
}

#[test]
fn long_codes_and_messages_are_cut_off_at_a_character() {
    let denial = Denial::new("c".repeat(70), "ä".repeat(300) + "x");
    assert_eq!(denial.code(), "c".repeat(DENIAL_CODE_BYTES_MAX));
    assert_eq!(denial.message(), "ä".repeat(DENIAL_MESSAGE_BYTES_MAX / 2));
    let denial = Denial::new("ab", "x".to_owned() + &"ä".repeat(300));
    assert_eq!((denial.code(), denial.message().len()), ("ab", DENIAL_MESSAGE_BYTES_MAX - 1));
}

/// Outcomes as gates with these answers give them: code and message of a denial, or a pass.
fn outcomes_of(answers: &[Option<(String, String)>]) -> GateOutcomes {
    let gates: Vec<_> = answers
        .iter()
        .enumerate()
        .map(|(place, answer)| {
            gate(format!("gate {place}"), move |_: &Proposal<'_>, _: &dyn Any| match answer {
                None => Ok(()),
                Some((code, message)) => Err(Denial::new(code, message)),
            })
        })
        .collect();
    evaluate(&gates.iter().map(|gate| gate as &dyn Gate).collect::<Vec<_>>(), &())
}

fn encoded(record: &DenialRecord) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

fn a_record() -> DenialRecord {
    let denial = Some(("code".to_owned(), "message".to_owned()));
    DenialRecord::new(outcomes_of(&[None, denial.clone(), None, denial]), 3, b"the batch")
}

#[test]
fn a_denial_record_has_the_bytes_of_its_format() {
    let outcomes = outcomes_of(&[None, Some(("no".to_owned(), "never".to_owned()))]);
    let record = DenialRecord::new(outcomes, 258, b"the batch");
    let mut expected = vec![2, 1, 0, 0, 1, 1, 0, 0];
    expected.extend_from_slice(blake3::hash(b"the batch").as_bytes());
    expected.extend_from_slice(b"\x06gate 0\x06gate 1\x02no\x05\x00never");
    assert_eq!(encoded(&record), expected);
}

#[test]
fn the_largest_denial_record_comes_back_and_is_no_extent() {
    let longest = Some(("c".repeat(99), "m".repeat(9999)));
    let record = DenialRecord::new(outcomes_of(&vec![longest; GATES_MAX]), u32::MAX, &[]);
    let bytes = encoded(&record);
    assert!(bytes.len() < 64 << 10);
    assert_eq!(DenialRecord::decode(&bytes), Ok(record));
}

#[test]
fn a_denial_record_cut_off_or_continued_is_refused() {
    let bytes = encoded(&a_record());
    for end in 0..bytes.len() {
        assert!(DenialRecord::decode(&bytes[..end]).is_err(), "cut off at {end}");
    }
    assert!(DenialRecord::decode(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn a_denial_record_with_a_gate_twice_is_refused() {
    let bytes = encoded(&a_record());
    let at = bytes.windows(6).position(|name| name == b"gate 2").expect("it passed");
    let mut twice = bytes;
    twice[at + 5] = b'1';
    let malformed = DenialRecord::decode(&twice).expect_err("gate 1 denied already");
    assert_eq!(malformed.what, "a gate is there twice");
}

proptest! {
    #[test]
    fn a_denial_record_comes_back_as_it_was(
        answers in prop::collection::vec(prop::option::of((".{0,80}", ".{0,600}")), 0..GATES_MAX),
        event_count in 1..=u32::MAX,
        batch: Vec<u8>,
    ) {
        let denial = Some(("one".to_owned(), "denies".to_owned()));
        let outcomes = outcomes_of(&[&answers[..], &[denial]].concat());
        let record = DenialRecord::new(outcomes, event_count, &batch);
        prop_assert_eq!(DenialRecord::decode(&encoded(&record)), Ok(record));
    }

    #[test]
    fn whatever_decodes_as_a_denial_encodes_to_the_same_bytes(
        bytes in prop::collection::vec(prop_oneof![3 => 0_u8..4, 1 => any::<u8>()], 0..120),
    ) {
        if let Ok(record) = DenialRecord::decode(&bytes) {
            prop_assert_eq!(encoded(&record), bytes);
        }
    }

    #[test]
    fn a_changed_denial_record_decodes_to_other_bytes_never_to_a_panic(
        place: prop::sample::Index,
        byte: u8,
    ) {
        let mut bytes = encoded(&a_record());
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok(record) = DenialRecord::decode(&bytes) {
            prop_assert_eq!(encoded(&record), bytes);
        }
    }
}
