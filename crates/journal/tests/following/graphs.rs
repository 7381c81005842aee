//! Questions about ancestry on a journal, against a naive walk.

use std::collections::BTreeSet;

use icecore_journal::{CausalityError, EventRef};

use super::*;

/// Appends events with these parents, one by one or several to a batch; lower ones of the same
/// batch are referred to within it.
fn append_graph(journal: &Journal, parents: &[Vec<u64>], random: &mut Random) {
    let mut next = 0;
    while next < parents.len() {
        let count = (1 + random.below(5) as usize).min(parents.len() - next);
        let mut batch = Batch::new();
        for of in &parents[next..next + count] {
            let refer = |parent: &u64| match parent.checked_sub(next as u64) {
                Some(within) => EventRef::InBatch(within as u32),
                None => EventRef::Sequence(*parent),
            };
            let references: Vec<_> = of.iter().map(refer).collect();
            let event = NewEvent { parents: &references, ..NewEvent::new(b"graph", 1, &[7; 200]) };
            batch.push(&event).expect("fits");
        }
        journal.append(&batch, &AppendOptions::default()).expect("appended");
        next += count;
    }
}

fn ancestors(parents: &[Vec<u64>], of: u64) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let mut open = parents[of as usize].clone();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(&parents[next as usize]);
        }
    }
    found
}

#[test]
fn the_journal_answers_as_a_naive_walk_does() {
    const EVENTS: u64 = 900;
    for merges in [0, 10] {
        let mut random = Random(merges);
        let parents: Vec<Vec<u64>> = (0..EVENTS)
            .map(|sequence| match sequence {
                0 => Vec::new(),
                _ if random.below(60) == 0 => Vec::new(),
                _ => {
                    let near = |random: &mut Random| sequence - 1 - random.below(sequence.min(4));
                    let first = near(&mut random);
                    match merges > 0 && random.below(merges) == 0 {
                        true => vec![first, near(&mut random)],
                        false => vec![first],
                    }
                }
            })
            .collect();
        let disk = SimulatedDisk::new(1);
        let journal = created(&disk);
        append_graph(&journal, &parents, &mut random);
        journal.tend().expect("tended");
        let causality = journal.causality(10_000);
        let answers = |of: u64| ancestors(&parents, of);
        for _ in 0..300 {
            let (one, other) = (random.below(EVENTS), random.below(EVENTS));
            let (above_one, above_other) = (answers(one), answers(other));
            assert_eq!(
                causality.is_ancestor(one, other).expect("answered"),
                one == other || above_other.contains(&one)
            );
            let with = |mut above: BTreeSet<u64>, own| {
                above.insert(own);
                above
            };
            let (with_one, with_other) =
                (with(above_one.clone(), one), with(above_other.clone(), other));
            assert_eq!(
                causality.common_ancestor(one, other).expect("answered"),
                with_one.intersection(&with_other).last().copied()
            );
            let found: Result<BTreeSet<_>, _> = causality.ancestors(one).collect();
            assert_eq!(found.expect("answered"), above_one);
        }
        for of in [0, 1, 50, 700] {
            let below: Vec<u64> =
                (of + 1..EVENTS).filter(|at| answers(*at).contains(&of)).collect();
            let found: Result<Vec<_>, _> = causality.descendants(of).collect();
            assert_eq!(found.expect("answered"), below);
            let mut heads: Vec<u64> = below
                .iter()
                .copied()
                .chain([of])
                .filter(|at| !parents.iter().any(|parents| parents.contains(at)))
                .collect();
            heads.sort_unstable();
            assert_eq!(causality.branch_heads(of).expect("answered"), heads);
        }
        let absent = causality.is_ancestor(0, EVENTS);
        assert!(matches!(absent, Err(CausalityError::Absent(EVENTS))), "{absent:?}");
    }
}

#[test]
fn descendants_need_the_index_by_parent() {
    let disk = SimulatedDisk::new(1);
    let create = CreateOptions::default();
    let journal = Journal::create_on(shared(&disk), FOLDER, create, options()).expect("created");
    append_graph(&journal, &[vec![], vec![0], vec![1]], &mut Random(1));
    let causality = journal.causality(100);
    assert!(causality.is_ancestor(0, 2).expect("answered"));
    let refused = causality.branch_heads(0);
    assert!(
        matches!(refused, Err(CausalityError::Graph(Error::NoIndex { index: "parent" }))),
        "{refused:?}"
    );
}
