//! The answers against reachability worked out naively, and how many reads they take.

use std::{cell::Cell, convert::Infallible, slice};

use proptest::prelude::*;

use super::*;

/// Events 0.. with their parents; counts what is read.
#[derive(Debug)]
struct Events {
    nodes: Vec<Node>,
    children: Vec<Vec<u64>>,
    /// Events below this were dropped.
    kept_from: u64,
    reads: Cell<usize>,
}

impl Events {
    fn new() -> Self {
        Self { nodes: Vec::new(), children: Vec::new(), kept_from: 0, reads: Cell::new(0) }
    }

    fn from_parents(lists: impl IntoIterator<Item = Vec<u64>>) -> Self {
        let mut events = Self::new();
        for parents in lists {
            events.push(parents);
        }
        events
    }

    /// Adds an event as a writer does.
    fn push(&mut self, parents: Vec<u64>) -> u64 {
        let sequence = self.nodes.len() as u64;
        let nodes: Vec<_> =
            parents.iter().map(|&parent| self.kept(parent).expect("kept").clone()).collect();
        let placement = match nodes.first() {
            None => Placement::root(sequence),
            Some(first) => Placement::below(&nodes, self.kept(first.jump)).expect("not so deep"),
        };
        let Placement { depth, jump, jump_depth, is_tree } = placement;
        for &parent in &parents {
            let children = &mut self.children[parent as usize];
            if children.last() != Some(&sequence) {
                children.push(sequence);
            }
        }
        self.nodes.push(Node { sequence, parents, depth, jump, jump_depth, is_tree });
        self.children.push(Vec::new());
        sequence
    }

    fn kept(&self, sequence: u64) -> Option<&Node> {
        self.nodes.get(sequence as usize).filter(|_| sequence >= self.kept_from)
    }

    fn reads_of<T>(&self, question: impl FnOnce() -> T) -> (T, usize) {
        let before = self.reads.get();
        let answer = question();
        (answer, self.reads.get() - before)
    }

    fn any_bound(&self) -> Causality<'_, Self> {
        Causality::new(self, usize::MAX)
    }

    /// For each event, which events are itself or its ancestors.
    fn reachable(&self) -> Vec<BTreeSet<u64>> {
        let mut all: Vec<BTreeSet<u64>> = Vec::new();
        for node in &self.nodes {
            let mut own = BTreeSet::from([node.sequence]);
            own.extend(node.parents.iter().flat_map(|&parent| &all[parent as usize]));
            all.push(own);
        }
        all
    }
}

impl Graph for Events {
    type Error = Infallible;

    fn node(&self, sequence: u64) -> Result<Option<Node>, Infallible> {
        self.reads.set(self.reads.get() + 1);
        Ok(self.kept(sequence).cloned())
    }

    fn children(
        &self,
        sequence: u64,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<u64>, Infallible> {
        let children = self.children[sequence as usize].iter().copied();
        Ok(children.filter(|&child| after.is_none_or(|after| child > after)).take(limit).collect())
    }
}

/// Numbers that look random, the same each time.
fn scattered(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (state >> 33) % below
    }
}

const MANY: u64 = 100_000;

fn chain() -> Events {
    Events::from_parents((0..MANY).map(|event| event.checked_sub(1).into_iter().collect()))
}

fn star() -> Events {
    Events::from_parents((0..MANY).map(|event| if event == 0 { vec![] } else { vec![0] }))
}

/// Each event below one of the `span` events before it: a small span makes it deep.
fn random_tree(span: u64) -> Events {
    let mut below = scattered(span);
    Events::from_parents((0..MANY).map(|event| match event {
        0 => vec![],
        event => vec![event - 1 - below(span.min(event))],
    }))
}

/// Most reads for climbing from a depth, by Myers: three for each binary digit, and the start.
fn climb_reads_max(depth: u32) -> usize {
    3 * (u32::BITS - depth.leading_zeros()) as usize + 1
}

#[test]
fn trees_of_100_000_events_are_answered_in_logarithmic_reads() {
    for events in [chain(), star(), random_tree(3), random_tree(50), random_tree(MANY)] {
        let causality = events.any_bound();
        let mut below = scattered(7);
        for _ in 0..2_000 {
            let (left, right) = (below(MANY), below(MANY));
            // The path of first parents, as it is.
            let path = |of: u64| {
                std::iter::successors(Some(of), |&event| {
                    events.nodes[event as usize].parents.first().copied()
                })
            };
            let node = &events.nodes[left as usize];
            let depth = below(u64::from(node.depth) + 1) as u32;
            let climb_reads = climb_reads_max(node.depth);

            let (found, reads) = events.reads_of(|| causality.ancestor_at_depth(left, depth));
            if below(20) == 0 {
                assert_eq!(found, Ok(path(left).nth((node.depth - depth) as usize)));
            }
            assert!(reads <= climb_reads, "{reads} reads to climb from {}", node.depth);

            let ancestor = found.expect("it is there").expect("it is not too deep");
            let (is_ancestor, reads) = events.reads_of(|| causality.is_ancestor(ancestor, left));
            assert_eq!(is_ancestor, Ok(true));
            assert!(reads <= climb_reads + 1);

            let (common, reads) = events.reads_of(|| causality.common_ancestor(left, right));
            let other_depth = events.nodes[right as usize].depth;
            let reads_max = 3 * climb_reads_max(node.depth.max(other_depth)) + 2;
            assert!(reads <= reads_max, "{reads} reads, not {reads_max}");
            if below(20) == 0 {
                let of_left: BTreeSet<_> = path(left).collect();
                assert_eq!(common, Ok(path(right).find(|event| of_left.contains(event))));
            }
        }
    }
}

#[test]
fn a_tree_below_a_merge_far_away_is_not_walked() {
    // Two roots with long chains, merged at the newest event.
    let mut events = chain();
    let root = events.push(vec![]);
    let merge = events.push(vec![MANY - 1, root]);
    let (answer, reads) = events.reads_of(|| Causality::new(&events, 3).is_ancestor(17, merge));
    assert_eq!(answer, Ok(true));
    assert!(reads < 64, "{reads} reads");
}

#[test]
fn events_without_common_root_have_no_common_ancestor() {
    let events = Events::from_parents([vec![], vec![], vec![0], vec![1], vec![2]]);
    assert_eq!(events.any_bound().common_ancestor(4, 3), Ok(None));
    assert_eq!(events.any_bound().common_ancestor(0, 1), Ok(None));
}

#[test]
fn a_walk_ends_at_its_bound_and_answers_within_it() {
    // A ladder of merges: each event has the two before it as parents.
    let ladder = (0..100_u64).map(|event| (event.saturating_sub(2)..event).collect());
    let events = Events::from_parents(ladder);
    let too_far = |bound| CausalityError::TooFar { bound };
    let all = Causality::new(&events, 100);
    assert_eq!(all.is_ancestor(0, 99), Ok(true));
    assert_eq!(all.ancestors(99).count(), 99);
    assert_eq!(all.descendants(0).count(), 99);
    assert_eq!(all.branch_heads(0), Ok(vec![99]));

    let fewer = Causality::new(&events, 50);
    assert_eq!(fewer.is_ancestor(0, 99), Err(too_far(50)));
    assert_eq!(fewer.is_ancestor(60, 99), Ok(true), "it is near enough");
    assert_eq!(fewer.branch_heads(0), Err(too_far(50)));
    assert_eq!(fewer.branch_heads(60), Ok(vec![99]), "it is near enough");
    let lone = Events::from_parents((0..100).map(|_| vec![]));
    assert_eq!(Causality::new(&lone, 1).branch_heads(5), Ok(vec![5]));

    for walk in [fewer.ancestors(99).collect::<Vec<_>>(), fewer.descendants(0).collect::<Vec<_>>()]
    {
        let (last, before) = walk.split_last().expect("it began");
        assert_eq!(*last, Err(too_far(50)), "and nothing after the error");
        assert!(before.len() > 40 && before.iter().all(Result::is_ok));
    }
    assert_eq!(fewer.common_ancestor(99, 20), Err(too_far(50)));
    assert_eq!(fewer.common_ancestor(99, 97), Ok(Some(97)));
}

#[test]
fn a_star_with_many_children_is_walked_page_by_page() {
    let events = star();
    let heads = events.any_bound().branch_heads(0).expect("there is no bound");
    assert_eq!(heads, (1..MANY).collect::<Vec<_>>());
    let error = Causality::new(&events, 1_000).descendants(0).next();
    assert_eq!(error, Some(Err(CausalityError::TooFar { bound: 1_000 })));
}

#[test]
fn an_absent_event_is_named() {
    let events = chain();
    let causality = events.any_bound();
    let absent = CausalityError::Absent(MANY);
    assert_eq!(causality.ancestor_at_depth(MANY, 0), Err(absent.clone()));
    assert_eq!(causality.is_ancestor(MANY, 1), Err(absent.clone()));
    assert_eq!(causality.is_ancestor(1, MANY), Err(absent.clone()));
    assert_eq!(causality.common_ancestor(1, MANY), Err(absent.clone()));
    assert_eq!(causality.branch_heads(MANY), Err(absent.clone()));
    assert_eq!(causality.ancestors(MANY).collect::<Vec<_>>(), [Err(absent.clone())]);
    assert_eq!(causality.descendants(MANY).collect::<Vec<_>>(), [Err(absent)]);
}

#[test]
fn jumps_grow_again_above_dropped_events() {
    let mut events =
        Events::from_parents((0..MANY / 2).map(|event| event.checked_sub(1).into_iter().collect()));
    events.kept_from = MANY / 2 - 10;
    for event in MANY / 2..MANY {
        events.push(vec![event - 1]);
    }
    let fork = events.push(vec![MANY / 2 + 5]);
    let causality = events.any_bound();
    for depth in [events.kept_from, MANY / 2, MANY / 2 + 777, MANY - 1] {
        let (answer, reads) =
            events.reads_of(|| causality.ancestor_at_depth(MANY - 1, depth as u32));
        assert_eq!(answer, Ok(Some(depth)), "depth is sequence in a chain");
        assert!(reads <= 2 * climb_reads_max(MANY as u32), "{reads} reads");
    }
    assert_eq!(causality.common_ancestor(fork, MANY - 1), Ok(Some(MANY / 2 + 5)));
    let last_dropped = events.kept_from - 1;
    assert_eq!(
        causality.is_ancestor(last_dropped, fork),
        Err(CausalityError::Absent(last_dropped))
    );
}

#[test]
fn the_path_cannot_get_longer_than_a_depth_can_say() {
    let deepest = Node {
        sequence: 9,
        parents: vec![8],
        depth: u32::MAX,
        jump: 8,
        jump_depth: u32::MAX - 1,
        is_tree: true,
    };
    assert_eq!(Placement::below(&[deepest], None), None);
}

#[test]
fn events_that_contradict_their_ancestors_are_an_error_not_an_endless_walk() {
    let edits: [fn(&mut Node); 8] = [
        |node| node.jump = node.sequence,
        |node| node.jump_depth = node.depth,
        |node| node.jump_depth += 1,
        |node| node.parents[0] = node.sequence + 1,
        |node| node.parents = Vec::new(),
        |node| node.depth += 1,
        |node| node.depth = u32::MAX,
        |node| node.parents.push(0),
    ];
    for (place, edit) in edits.iter().enumerate() {
        let chain = (0..40_u64).map(|event| event.checked_sub(1).into_iter().collect());
        let mut events = Events::from_parents(chain);
        edit(&mut events.nodes[30]);
        // By its jump and by its first parent.
        let answers = [0, 29].map(|depth| events.any_bound().ancestor_at_depth(30, depth));
        assert!(answers.contains(&Err(CausalityError::Contradiction(30))), "edit {place}");
    }
}

/// Parents for up to 40 events: a tree if `parents_max` is 1.
fn parent_lists(parents_max: usize) -> impl Strategy<Value = Vec<Vec<u64>>> {
    let indices = prop::collection::vec(any::<prop::sample::Index>(), 0..=parents_max);
    prop::collection::vec(indices, 1..40).prop_map(|lists| {
        let of = |(event, indices): (usize, Vec<prop::sample::Index>)| match event {
            0 => Vec::new(),
            event => indices.iter().map(|index| index.index(event) as u64).collect(),
        };
        lists.into_iter().enumerate().map(of).collect()
    })
}

/// Asks everything of every pair of events.
fn check_all_answers(lists: Vec<Vec<u64>>) {
    let events = Events::from_parents(lists);
    let reachable = events.reachable();
    // Enough for every walk: no event is counted twice, but for the two sides of a common ancestor.
    let causality = Causality::new(&events, events.nodes.len() * 2);
    for (of, ancestry) in (0_u64..).zip(&reachable) {
        let merges = ancestry.iter().any(|&event| events.nodes[event as usize].parents.len() > 1);
        assert_eq!(events.nodes[of as usize].is_tree, !merges);
        let ancestors: Result<Vec<_>, _> = causality.ancestors(of).collect();
        let expected: Vec<_> =
            ancestry.iter().rev().copied().filter(|&event| event != of).collect();
        assert_eq!(ancestors, Ok(expected), "ancestors of {of}");

        let branch: Vec<u64> = (0_u64..)
            .zip(&reachable)
            .filter(|(_, ancestry)| ancestry.contains(&of))
            .map(|(event, _)| event)
            .collect();
        let descendants: Result<Vec<_>, _> = causality.descendants(of).collect();
        assert_eq!(descendants.as_deref(), Ok(&branch[1..]), "descendants of {of}");
        let mut heads = branch;
        heads.retain(|&event| !events.nodes.iter().any(|node| node.parents.contains(&event)));
        assert_eq!(causality.branch_heads(of), Ok(heads), "heads of {of}");

        for (other, other_ancestry) in (0_u64..).zip(&reachable) {
            let is_ancestor = other_ancestry.contains(&of);
            assert_eq!(causality.is_ancestor(of, other), Ok(is_ancestor), "{of} of {other}");
            let common = ancestry.intersection(other_ancestry).last().copied();
            assert_eq!(causality.common_ancestor(of, other), Ok(common), "{of} and {other}");
        }
    }
}

/// Events that may say anything of themselves.
fn any_events() -> impl Strategy<Value = Events> {
    let depth = || prop_oneof![9 => 0..6_u32, 1 => Just(u32::MAX)];
    let parents = prop::collection::vec(0..8_u64, 0..3);
    let node = (0..8_u64, parents, depth(), 0..8_u64, depth(), any::<bool>());
    let node = node.prop_map(|(sequence, parents, depth, jump, jump_depth, is_tree)| Node {
        sequence,
        parents,
        depth,
        jump,
        jump_depth,
        is_tree,
    });
    let children = prop::collection::vec(prop::collection::vec(0..8_u64, 0..4), 8);
    (prop::collection::vec(node, 8), children).prop_map(|(mut nodes, children)| {
        for (sequence, node) in (0..).zip(&mut nodes).skip(1) {
            node.sequence = sequence; // The first may be a stray, or else few questions get on.
        }
        Events { nodes, children, ..Events::new() }
    })
}

proptest! {
    #[test]
    fn events_that_say_anything_are_answered_or_refused_but_never_for_ever(events in any_events()) {
        let causality = Causality::new(&events, 10);
        for one in 0..9 {
            if one < 8 {
                prop_assert!(causality.descendants(one).count() <= 10);
            }
            prop_assert!(causality.ancestors(one).count() <= 10);
            for other in 0..9 {
                let _answered_or_not = causality.is_ancestor(one, other);
                let _answered_or_not = causality.common_ancestor(one, other);
                let _answered_or_not = causality.ancestor_at_depth(one, other as u32);
                if let (Some(parent), Some(over)) = (events.kept(one), events.kept(other))
                    && parent.jump == over.sequence
                {
                    let _placed_or_not = Placement::below(slice::from_ref(parent), Some(over));
                }
            }
        }
    }

    #[test]
    fn random_forests_are_answered_like_naive_reachability(lists in parent_lists(1)) {
        check_all_answers(lists);
    }

    #[test]
    fn random_graphs_with_merges_are_answered_like_naive_reachability(lists in parent_lists(3)) {
        check_all_answers(lists);
    }
}
