//! Marks: the sparse tables of an index file, and the arithmetic that addresses them.
//!
//! - A *time mark* is kept for every event whose sequence is a multiple of 256.
//! - A *frame mark* is kept for every frame whose number is a multiple of 64.
//! - A *node* of the mountain range is kept if it covers 64 frames or more.
//!
//! The multiples are absolute, not counted from the start of a file, so that the marks of a range
//! are those of its parts, one after another.
//!
//! Nodes are in the order of completion. In units of 64 frames a node of level 6 + l and index i is
//! completed by unit u = (i + 1) * 2^l. After m units 2m - popcount(m) nodes are complete (each
//! unit completes one node more than its number has trailing zeros), so the node is number 2(u-1) -
//! popcount(u-1) + l of the store, and a file that starts after m0 units has it at that minus what
//! was complete then.
//!
//! What it does *not* do: compute digests, or read files.

/// A time mark for one event in so many.
const TIME_STRIDE: u64 = 256;

/// A frame mark for one frame in so many.
pub(crate) const FRAME_STRIDE: u64 = 64;

/// Nodes of the mountain range that are kept cover 2^6 frames or more.
pub(crate) const NODE_LEVEL_MIN: u8 = 6;

/// How many multiples of `stride` lie in `first..end`.
fn multiples(stride: u64, first: u64, end: u64) -> u64 {
    end.div_ceil(stride) - first.div_ceil(stride)
}

/// How many time marks the events `first..end` have.
pub(crate) fn times_between(first: u64, end: u64) -> u64 {
    multiples(TIME_STRIDE, first, end)
}

/// The event of time mark `number` of a file that begins at the event `first`, if there is one.
pub(crate) fn time_mark(first: u64, number: u64) -> Option<u64> {
    first.div_ceil(TIME_STRIDE).checked_add(number)?.checked_mul(TIME_STRIDE)
}

/// How many frame marks the frames `first..end` have.
pub(crate) fn frames_between(first: u64, end: u64) -> u64 {
    multiples(FRAME_STRIDE, first, end)
}

/// The frame of frame mark `number` of a file that begins at the frame `first`, if there is one.
pub(crate) fn frame_mark(first: u64, number: u64) -> Option<u64> {
    first.div_ceil(FRAME_STRIDE).checked_add(number)?.checked_mul(FRAME_STRIDE)
}

/// How many kept nodes are complete after so many frames.
fn nodes_after(frames: u64) -> u64 {
    let units = frames >> NODE_LEVEL_MIN;
    2 * units - u64::from(units.count_ones())
}

/// How many nodes are completed by the frames `first..end`.
pub(crate) fn nodes_between(first: u64, end: u64) -> u64 {
    nodes_after(end) - nodes_after(first)
}

/// At which place a file over the frames `first..end` has a node; `None` if it has not.
pub(crate) fn node_place(level: u8, index: u64, first: u64, end: u64) -> Option<u64> {
    let above = level.checked_sub(NODE_LEVEL_MIN)?;
    let complete_after = |frames: u64| frames.checked_shr(u32::from(level)).unwrap_or(0);
    // Complete at the end, and not yet at the start. Then (index + 1) << level <= end: no overflow.
    if complete_after(end) <= index || complete_after(first) > index {
        return None;
    }
    let frames_before = ((index + 1) << level) - (1 << NODE_LEVEL_MIN);
    Some(nodes_after(frames_before) + u64::from(above) - nodes_after(first))
}

/// What an index file keeps about events and frames by their numbers, collected in order.
///
/// 4 bytes per event; the rest is sparse.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    /// Of every event.
    pub(super) offsets: Vec<u32>,
    /// Event and time.
    pub(super) times: Vec<(u64, u64)>,
    /// Frame, its first event, its offset in the segment.
    pub(super) frames: Vec<(u64, u64, u32)>,
    /// In order of completion.
    pub(super) nodes: Vec<[u8; 32]>,
}

impl Marks {
    /// The next event, with its time and the offset of its record in the segment.
    pub(crate) fn event(&mut self, sequence: u64, time: u64, offset: u32) {
        self.offsets.push(offset);
        if sequence.is_multiple_of(TIME_STRIDE) {
            self.times.push((sequence, time));
        }
    }

    /// The next frame, with its first event and its offset in the segment.
    pub(crate) fn frame(&mut self, number: u64, first_sequence: u64, offset: u32) {
        if number.is_multiple_of(FRAME_STRIDE) {
            self.frames.push((number, first_sequence, offset));
        }
    }

    /// The next node that is complete, low levels first. Of all nodes, only large ones are kept.
    pub(crate) fn node(&mut self, level: u8, digest: [u8; 32]) {
        if level >= NODE_LEVEL_MIN {
            self.nodes.push(digest);
        }
    }

    /// A large node that the frames `first..end`, which are all that were given, completed.
    pub(crate) fn mountain_node(
        &self,
        level: u8,
        index: u64,
        first: u64,
        end: u64,
    ) -> Option<[u8; 32]> {
        let place = node_place(level, index, first, end)?;
        self.nodes.get(usize::try_from(place).ok()?).copied()
    }

    /// Offset of the record of the `nth` event that was given, for reads of the active segment.
    pub(crate) fn offset(&self, nth: usize) -> Option<u32> {
        self.offsets.get(nth).copied()
    }
}
