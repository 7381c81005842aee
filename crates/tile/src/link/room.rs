//! Room in a data region: a ring of bytes handed out in contiguous pieces.
//!
//! A place is given, then taken in part or whole; what was taken is given back in the same order.
//! Where the rest up to the region's end is too short, it is skipped: the skipped bytes belong to
//! the next piece taken and come back with it.
//!
//! Invariants:
//! - A place that was given stays the same until it is taken, unless more is asked for than fits
//!   there.
//! - Pieces in use never overlap, and never reach over the region's end.
//!
//! What it does *not* do: touch memory.

/// How much of a data region is in use, and where it goes on.
#[derive(Debug)]
pub(super) struct Room {
    capacity: usize,
    /// Where the last piece ended.
    head: usize,
    /// Bytes in use, skipped ones too. They end at `head`, cyclically.
    used: usize,
    /// Whether the place given is the region's start, past the rest behind `head`.
    skip: bool,
}

/// A contiguous free piece, from the region's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) bytes: usize,
}

impl Room {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, head: 0, used: 0, skip: false }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// All there is at the place where at least `bytes` fit, if there is one.
    #[inline]
    pub(super) fn place(&mut self, bytes: usize) -> Option<Place> {
        let rest = self.capacity - self.head;
        if self.used == 0 && (self.skip || bytes > rest) {
            self.head = 0;
            self.skip = false;
        } else if !self.skip && bytes > rest {
            self.skip = rest + bytes <= self.capacity - self.used;
        }
        Some(self.here()).filter(|place| place.bytes >= bytes)
    }

    /// Bytes of the largest place that could be given now.
    pub(super) fn largest(&self) -> usize {
        let free = self.capacity - self.used;
        match self.used {
            0 => self.capacity,
            _ => self.here().bytes.max(free.saturating_sub(self.capacity - self.head)),
        }
    }

    /// Takes the first `bytes` of the place last given; returns what to give back for them later.
    #[inline]
    pub(super) fn take(&mut self, bytes: usize) -> usize {
        let place = self.here();
        assert!(bytes <= place.bytes, "{bytes} bytes taken of {} given", place.bytes);
        if bytes == 0 {
            return 0;
        }
        let skipped = if self.skip { self.capacity - self.head } else { 0 };
        self.head = place.start + bytes;
        self.used += skipped + bytes;
        self.skip = false;
        skipped + bytes
    }

    /// Gives back the oldest piece in use.
    #[inline]
    pub(super) fn give_back(&mut self, taken: usize) {
        self.used = self.used.checked_sub(taken).expect("no more is given back than was taken");
    }

    /// Forgets a place that was given and not taken.
    pub(super) fn forget_place(&mut self) {
        self.skip = false;
    }

    /// The place last given, as large as it is now.
    pub(super) fn here(&self) -> Place {
        let free = self.capacity - self.used;
        let rest = self.capacity - self.head;
        if self.skip {
            Place { start: 0, bytes: free - rest }
        } else {
            Place { start: self.head, bytes: free.min(rest) }
        }
    }
}

#[cfg(all(test, not(any(loom, feature = "shuttle"))))]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rest_up_to_the_end_is_skipped_and_comes_back_with_the_next_piece() {
        let mut room = Room::new(10);
        assert_eq!(room.place(4), Some(Place { start: 0, bytes: 10 }));
        assert_eq!((room.take(4), room.take(4)), (4, 4));
        assert_eq!(room.place(3), None);
        room.give_back(4);
        assert_eq!((room.largest(), room.place(5)), (4, None));
        assert_eq!(room.place(3), Some(Place { start: 0, bytes: 4 }));
        assert_eq!(room.place(1), Some(Place { start: 0, bytes: 4 }));
        assert_eq!(room.take(3), 5);
        room.give_back(4);
        room.give_back(5);
        assert_eq!((room.largest(), room.place(10)), (10, Some(Place { start: 0, bytes: 10 })));
    }

    #[test]
    fn an_empty_region_gives_all_it_has_wherever_it_was() {
        let mut room = Room::new(10);
        room.place(7);
        let taken = room.take(7);
        room.give_back(taken);
        assert_eq!(room.place(3), Some(Place { start: 7, bytes: 3 }));
        assert_eq!(room.place(10), Some(Place { start: 0, bytes: 10 }));
    }

    #[test]
    #[should_panic(expected = "more is given back than was taken")]
    fn giving_back_too_much_is_a_mistake_of_the_caller() {
        Room::new(10).give_back(1);
    }

    proptest! {
        #[test]
        fn pieces_in_use_never_overlap_and_the_largest_is_told_right(
            capacity in 0..40_usize,
            steps in prop::collection::vec((any::<bool>(), 0..40_usize, 0..40_usize), 0..200),
        ) {
            let mut room = Room::new(capacity);
            let mut pieces: VecDeque<(std::ops::Range<usize>, usize)> = VecDeque::new();
            for (is_asking, bytes, part) in steps {
                if !is_asking {
                    if let Some((_, taken)) = pieces.pop_front() {
                        room.give_back(taken);
                    }
                    continue;
                }
                let largest = room.largest();
                let place = room.place(bytes);
                prop_assert_eq!(place.is_some(), bytes <= largest);
                let Some(place) = place else { continue };
                let given = place.start..place.start + place.bytes;
                prop_assert!(place.bytes >= bytes && given.end <= capacity);
                for (piece, _) in &pieces {
                    prop_assert!(piece.end <= given.start || given.end <= piece.start
                        || piece.is_empty());
                }
                if part <= place.bytes {
                    let taken = room.take(part);
                    pieces.push_back((place.start..place.start + part, taken));
                }
            }
        }
    }
}
