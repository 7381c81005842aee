//! Questions about the graph that events and their parents form: ancestry, descendants, branches.
//!
//! The graph is a forest where every event has at most one parent, and may have merges (events with
//! several parents) above that. What everything here rests on:
//! - a parent has a lower sequence than its child;
//! - every event knows the length of its path of *first parents* to an event without parents (its
//!   depth), and one ancestor further up that path (its jump, see [`Placement`]);
//! - an event's ancestry is a *tree* if no event of it, the event included, has several parents. So
//!   is the ancestry of all its ancestors.
//!
//! Where ancestries are trees, ancestors are found by jumps, in O(log n) reads of events. Elsewhere
//! the graph is walked by descending sequence: whatever lies below the sequence looked for is left
//! out, nothing is met twice, and the walk ends at a bound that the caller sets.
//!
//! Not here: where the events come from ([`Graph`]), and which parents an event may name. Events
//! as read are not trusted: one that contradicts the above is an error, never an endless walk.

mod placement;
#[cfg(test)]
mod tests;
mod walk;

use std::{collections::BTreeSet, fmt};

pub use placement::Placement;
pub use walk::{Ancestors, Descendants};

/// An event as these questions see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its sequence.
    pub sequence: u64,
    /// Sequences of its parents, in the order it named them.
    pub parents: Vec<u64>,
    /// Steps from it to the end of its path of first parents; 0 without parents.
    pub depth: u32,
    /// Sequence of an ancestor on that path; its own without parents.
    pub jump: u64,
    /// Depth of that ancestor.
    pub jump_depth: u32,
    /// Whether its ancestry is a tree.
    pub is_tree: bool,
}

impl Node {
    /// Whether its fields can be true at once, whatever other events say.
    fn is_plausible(&self) -> bool {
        let Some(&first_parent) = self.parents.first() else {
            return (self.depth, self.jump_depth, self.jump) == (0, 0, self.sequence)
                && self.is_tree;
        };
        self.parents.iter().all(|&parent| parent < self.sequence)
            && self.jump_depth < self.depth
            && self.jump <= first_parent
            && (!self.is_tree || self.parents.len() == 1)
    }
}

/// Where events and the links between them are read.
pub trait Graph {
    /// Why reading failed.
    type Error;

    /// An event; `None` if it was never accepted, or is no longer kept.
    ///
    /// # Errors
    /// If it cannot be read.
    fn node(&self, sequence: u64) -> Result<Option<Node>, Self::Error>;

    /// Events that name this one as a parent: ascending, above `after` if that is given, at most
    /// `limit` of them. Fewer than `limit` means that there are no more.
    ///
    /// # Errors
    /// If they cannot be read.
    fn children(
        &self,
        sequence: u64,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<u64>, Self::Error>;
}

/// Why a question about the graph has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CausalityError<E> {
    /// The answer needs an event that is not there.
    #[error("event {0} is needed and not there: it was never accepted, or has been dropped")]
    Absent(u64),
    /// The answer needs more events than may be looked at.
    #[error(
        "the answer needs more than {bound} events; ask with a higher bound, or about events closer to each other"
    )]
    TooFar {
        /// Most events that may be looked at.
        bound: usize,
    },
    /// An event says something of itself or of its ancestors that is not so.
    #[error("event {0} contradicts its ancestors; check the journal")]
    Contradiction(u64),
    /// An event could not be read.
    #[error(transparent)]
    Graph(E),
}

/// Answers questions about a graph, looking at no more than a bound of events where it must walk.
///
/// Jumps are not counted: they are few.
pub struct Causality<'g, G> {
    graph: &'g G,
    bound: usize,
}

impl<G> fmt::Debug for Causality<'_, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Causality").field("bound", &self.bound).finish_non_exhaustive()
    }
}

impl<G> Clone for Causality<'_, G> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<G> Copy for Causality<'_, G> {}

/// What a question is answered with.
type Answer<T, G> = Result<T, CausalityError<<G as Graph>::Error>>;

impl<'g, G: Graph> Causality<'g, G> {
    /// For questions about `graph`; a walk looks at `bound` events at most, those included that it
    /// knows of and has not come to.
    #[must_use]
    pub fn new(graph: &'g G, bound: usize) -> Self {
        Self { graph, bound }
    }

    /// The event at `depth` on the path of first parents of `of` (`of` itself at its own depth);
    /// `None` if `depth` is greater. O(log depth) reads.
    ///
    /// # Errors
    /// If an event is absent or cannot be read.
    pub fn ancestor_at_depth(&self, of: u64, depth: u32) -> Answer<Option<u64>, G> {
        let node = self.node(of)?;
        if depth > node.depth {
            return Ok(None);
        }
        Ok(Some(self.climb(node, depth)?.sequence))
    }

    /// Whether `of` is on the branch of `ancestor`: one of its parents, their parents, and so on,
    /// or the same event. O(log depth) reads if the ancestry of `of` is a tree.
    ///
    /// # Errors
    /// If an event is absent or cannot be read, or the walk reaches the bound.
    pub fn is_ancestor(&self, ancestor: u64, of: u64) -> Answer<bool, G> {
        let ancestor = self.node(ancestor)?;
        let node = self.node(of)?;
        if node.is_tree {
            return self.is_tree_ancestor(&ancestor, node);
        }
        let mut frontier = BTreeSet::from([of]);
        let mut looked_at = 0;
        while let Some(sequence) = frontier.pop_last() {
            if sequence == ancestor.sequence {
                return Ok(true);
            }
            looked_at += 1;
            self.check_bound(looked_at + frontier.len())?;
            let node = self.node(sequence)?;
            if node.is_tree {
                // Nothing merges from here on: jumps answer for the rest of this path.
                if self.is_tree_ancestor(&ancestor, node)? {
                    return Ok(true);
                }
            } else {
                frontier.extend(node.parents.iter().filter(|&&parent| parent >= ancestor.sequence));
            }
        }
        Ok(false)
    }

    /// The newest event that is an ancestor of both, or one of them; `None` if they share none.
    /// O(log depth) reads if both ancestries are trees.
    ///
    /// # Errors
    /// If an event is absent or cannot be read, or the walk reaches the bound.
    pub fn common_ancestor(&self, left: u64, right: u64) -> Answer<Option<u64>, G> {
        let [left, right] = [self.node(left)?, self.node(right)?];
        if left.is_tree && right.is_tree {
            return self.common_tree_ancestor(left, right);
        }
        // The two ancestries by descending sequence, as two sorted lists are merged.
        let mut sides = [BTreeSet::from([left.sequence]), BTreeSet::from([right.sequence])];
        let mut looked_at = 0;
        while let [Some(&left), Some(&right)] = [sides[0].last(), sides[1].last()] {
            if left == right {
                return Ok(Some(left));
            }
            let newer = &mut sides[usize::from(right > left)];
            let newest = newer.pop_last().expect("it was just looked at");
            newer.extend(self.node(newest)?.parents);
            looked_at += 1;
            self.check_bound(looked_at + sides[0].len() + sides[1].len())?;
        }
        Ok(None)
    }

    /// All ancestors of an event, itself left out: newest first, each once, read as they are asked
    /// for.
    #[must_use]
    pub fn ancestors(&self, of: u64) -> Ancestors<'g, G> {
        Ancestors::new(*self, of)
    }

    /// All descendants of an event, itself left out: oldest first, each once, read as they are
    /// asked for.
    #[must_use]
    pub fn descendants(&self, of: u64) -> Descendants<'g, G> {
        Descendants::new(*self, of)
    }

    /// The events without children among `of` and its descendants, oldest first: where the branches
    /// that go through it have got to.
    ///
    /// # Errors
    /// If an event is absent or cannot be read, or the walk reaches the bound.
    pub fn branch_heads(&self, of: u64) -> Answer<Vec<u64>, G> {
        let mut descendants = self.descendants(of);
        for descendant in descendants.by_ref() {
            descendant?;
        }
        Ok(descendants.into_childless())
    }

    /// An event that must be there, and makes sense.
    fn node(&self, sequence: u64) -> Answer<Node, G> {
        let node = self.graph.node(sequence).map_err(CausalityError::Graph)?;
        let node = node.ok_or(CausalityError::Absent(sequence))?;
        if node.sequence != sequence || !node.is_plausible() {
            return Err(CausalityError::Contradiction(sequence));
        }
        Ok(node)
    }

    fn check_bound(&self, events: usize) -> Answer<(), G> {
        if events > self.bound {
            return Err(CausalityError::TooFar { bound: self.bound });
        }
        Ok(())
    }

    /// The first parent of an event that has parents.
    fn first_parent(&self, node: &Node) -> Answer<Node, G> {
        let parent = self.node(node.parents[0])?;
        if parent.depth != node.depth - 1 || (node.is_tree && !parent.is_tree) {
            return Err(CausalityError::Contradiction(node.sequence));
        }
        Ok(parent)
    }

    /// The event that an event with parents jumps to.
    fn jump(&self, node: &Node) -> Answer<Node, G> {
        let target = self.node(node.jump)?;
        if target.depth != node.jump_depth || (node.is_tree && !target.is_tree) {
            return Err(CausalityError::Contradiction(node.sequence));
        }
        Ok(target)
    }

    /// Goes up the path of first parents to `depth`, which is not below `node`. Every step makes
    /// the depth smaller, so it ends.
    fn climb(&self, mut node: Node, depth: u32) -> Answer<Node, G> {
        while node.depth > depth {
            // Never past what is asked for: events further up may have been dropped.
            let jumps = node.jump_depth >= depth;
            node = if jumps { self.jump(&node)? } else { self.first_parent(&node)? };
        }
        Ok(node)
    }

    /// Whether `ancestor` is on the only path that leads up from `node`.
    fn is_tree_ancestor(&self, ancestor: &Node, node: Node) -> Answer<bool, G> {
        if !ancestor.is_tree || ancestor.depth > node.depth || ancestor.sequence > node.sequence {
            return Ok(false);
        }
        Ok(self.climb(node, ancestor.depth)?.sequence == ancestor.sequence)
    }

    /// Where the only paths that lead up from both meet.
    fn common_tree_ancestor(&self, mut left: Node, mut right: Node) -> Answer<Option<u64>, G> {
        let depth = left.depth.min(right.depth);
        (left, right) = (self.climb(left, depth)?, self.climb(right, depth)?);
        while left.sequence != right.sequence {
            if left.depth == 0 {
                return Ok(None);
            }
            // At one depth jumps go to one depth, but for events whose ancestors were dropped.
            let jumps = left.jump != right.jump && left.jump_depth == right.jump_depth;
            (left, right) = if jumps {
                (self.jump(&left)?, self.jump(&right)?)
            } else {
                (self.first_parent(&left)?, self.first_parent(&right)?)
            };
        }
        Ok(Some(left.sequence))
    }
}
