//! All records of one key, one after the other, in a few bytes however many they are.
//!
//! They come by place: those of the full archive first. Of each view the best record so far is
//! kept. A record that is not the best of any view any more is told at once; the best ones are
//! told when the key has ended.

use icecore_types::Pubkey;

use super::{Correction, Found, Twice, Views};
use crate::{
    key_bins::{Entry, Mark},
    pass::batch::Place,
    spill::SpillError,
};

/// The records of a key so far.
pub(super) struct Group<M> {
    pub(super) key: Pubkey,
    first: Place,
    last: Place,
    /// The newest in the full archive's view.
    full: Option<Place>,
    /// The newest in the pair's view.
    pair: Option<Place>,
    /// Of the newest in the last archive's view, if there is one.
    mark: M,
    /// Whether the key's records were summed as `replaced`; unknown until that matters.
    is_in_filter: Option<bool>,
}

impl<M: Mark> Group<M> {
    /// Begins with the first record of a key.
    pub(super) fn new(entry: &Entry<M>, views: &Views<'_>) -> Self {
        let place = entry.place;
        let full = (!place.is_incremental()).then_some(place);
        let pair = (views.upper.is_some() && !views.is_replaced(place)).then_some(place);
        let (key, mark) = (entry.key, entry.mark);
        Self { key, first: place, last: place, full, pair, mark, is_in_filter: None }
    }

    /// The next record.
    pub(super) fn add(
        &mut self,
        entry: &Entry<M>,
        views: &Views<'_>,
        found: &mut Found,
    ) -> Result<(), SpillError> {
        let place = entry.place;
        let storage = |place: Place| (place.is_incremental(), place.storage());
        if storage(self.last) == storage(place) {
            found.note_twice(Twice { place, other: self.last, key: self.key });
        }
        self.last = place;
        let is_newer = |best: Option<Place>| {
            best.is_none_or(|best| (views.slot(best), best) < (views.slot(place), place))
        };
        let mut beaten = [None; 2];
        let (mut wins_full, mut wins_pair) = (false, false);
        if !place.is_incremental() && is_newer(self.full) {
            beaten[0] = self.full.replace(place);
            wins_full = true;
        }
        if views.upper.is_some() && !views.is_replaced(place) && is_newer(self.pair) {
            beaten[1] = self.pair.replace(place);
            wins_pair = true;
        }
        if if views.upper.is_some() { wins_pair } else { wins_full } {
            self.mark = entry.mark;
        }
        if beaten[0] == beaten[1] {
            beaten[1] = None;
        }
        for loser in beaten.into_iter().flatten() {
            self.tell_unless_best(loser, views, found)?;
        }
        match wins_full || wins_pair {
            true => Ok(()),
            false => self.tell(place, views, found),
        }
    }

    fn tell_unless_best(
        &mut self,
        place: Place,
        views: &Views<'_>,
        found: &mut Found,
    ) -> Result<(), SpillError> {
        match self.full == Some(place) || self.pair == Some(place) {
            true => Ok(()),
            false => self.tell(place, views, found),
        }
    }

    /// The newest in the last archive's view, once the key has ended.
    pub(super) fn newest(&self, views: &Views<'_>) -> Option<Entry<M>> {
        let place = if views.upper.is_some() { self.pair } else { self.full };
        place.map(|place| Entry { key: self.key, place, mark: self.mark })
    }

    /// Whether the key has one record.
    pub(super) fn is_only(&self) -> bool {
        self.first == self.last
    }

    /// The key has ended.
    pub(super) fn close(mut self, views: &Views<'_>, found: &mut Found) -> Result<(), SpillError> {
        if self.is_only()
            && !self.last.is_incremental()
            && (views.upper.is_none() || self.pair.is_some())
        {
            return found.note_alone(self.key, self.last, views);
        }
        let full = self.full.filter(|full| self.pair != Some(*full));
        for place in full.into_iter().chain(self.pair) {
            self.tell(place, views, found)?;
        }
        Ok(())
    }

    /// Notes what is wrong about a record, now that it is known in which views it counts.
    fn tell(
        &mut self,
        place: Place,
        views: &Views<'_>,
        found: &mut Found,
    ) -> Result<(), SpillError> {
        let (counts_full, counts_pair) = (self.full == Some(place), self.pair == Some(place));
        let is_full = !place.is_incremental();
        let mut correction = Correction { place, full: 0, pair: 0 };
        if is_full {
            correction.full = i8::from(counts_full) - 1;
            if !counts_full {
                found.excluded_full.push(place)?;
            }
        }
        if views.upper.is_some() {
            let was_summed = !is_full || !(views.is_replaced(place) || self.is_in_filter(views));
            correction.pair = i8::from(counts_pair) - i8::from(was_summed);
            if !counts_pair {
                found.excluded_pair.push(place)?;
            }
        }
        found.correct(correction)
    }

    fn is_in_filter(&mut self, views: &Views<'_>) -> bool {
        *self
            .is_in_filter
            .get_or_insert_with(|| views.filter.is_some_and(|filter| filter.contains(&self.key)))
    }
}
