//! Where a new event stands in the graph: its depth and its jump.
//!
//! Jumps are the skew-binary pointers of E. W. Myers, "An applicative random-access stack",
//! Information Processing Letters 17 (1983): if the first parent's jump and the jump after it are
//! equally long, the new event's goes over both of them, else to the first parent. Each event costs
//! one pointer, and any ancestor is O(log n) pointers away. How long a jump is depends on the depth
//! alone, so that two events of one depth can be led up side by side.

use super::Node;

/// What is stored with an event, so that its ancestors can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Steps to the end of the path of first parents.
    pub depth: u32,
    /// Sequence of an ancestor on that path; the event's own if it has no parents.
    pub jump: u64,
    /// Depth of that ancestor.
    pub jump_depth: u32,
    /// Whether no event of the ancestry, this one included, has several parents.
    pub is_tree: bool,
}

impl Placement {
    /// Of the event with this sequence, without parents.
    #[must_use]
    pub fn root(sequence: u64) -> Self {
        Self { depth: 0, jump: sequence, jump_depth: 0, is_tree: true }
    }

    /// Of an event with these parents, the first of which jumps to `jump_of_first_parent`; that is
    /// `None` if the event was dropped, which makes some later jumps shorter, and nothing wrong.
    ///
    /// `None` if the path would get longer than a depth can say (2^32 events).
    ///
    /// # Panics
    /// If there is no parent, or the jump is another event than the first parent's.
    #[must_use]
    pub fn below(parents: &[Node], jump_of_first_parent: Option<&Node>) -> Option<Self> {
        let parent = parents.first().expect("an event without parents is a root");
        let depth = parent.depth.checked_add(1)?;
        let is_tree = parents.len() == 1 && parent.is_tree;
        let (jump, jump_depth) = match jump_of_first_parent {
            Some(over) => {
                assert_eq!(over.sequence, parent.jump, "the jump is the first parent's");
                // Its length and the next one's, both with the depth between them added.
                let equally_long = u64::from(parent.depth) + u64::from(over.jump_depth)
                    == 2 * u64::from(parent.jump_depth);
                if equally_long {
                    (over.jump, over.jump_depth)
                } else {
                    (parent.sequence, parent.depth)
                }
            }
            None => (parent.sequence, parent.depth),
        };
        Some(Self { depth, jump, jump_depth, is_tree })
    }
}
