//! All segments of a chain, in order: where a sequence lies.
//!
//! A catalog is never changed: the writer makes a new one when a segment begins, is sealed, or goes,
//! and readers keep the one that they have as long as they need it.

use std::{ops::Range, sync::Arc};

use crate::{
    Error, Event,
    extents::files::DataSegments,
    format::manifest::Gap,
    segment::{
        group::Group,
        open::{OpenSegment, ReadAhead},
        sealed::SealedSegment,
        table::{Identity, Wanted},
    },
};

/// A chain segment.
#[derive(Debug, Clone)]
pub(crate) enum Segment {
    Sealed(Arc<SealedSegment>),
    Open(Arc<OpenSegment>),
}

impl Segment {
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Sealed(segment) => segment.info.id,
            Self::Open(segment) => segment.id,
        }
    }

    pub(crate) fn first_sequence(&self) -> u64 {
        match self {
            Self::Sealed(segment) => segment.info.first_sequence,
            Self::Open(segment) => segment.first_sequence,
        }
    }

    pub(crate) fn end_sequence(&self) -> u64 {
        match self {
            Self::Sealed(segment) => segment.info.end_sequence,
            Self::Open(segment) => segment.table().end.sequence,
        }
    }

    /// Time of the last event; `None` when there is none.
    pub(crate) fn last_time(&self) -> Option<u64> {
        match self {
            Self::Sealed(segment) => Some(segment.info.last_time),
            Self::Open(segment) => segment.table().frames.last().map(|frame| frame.time),
        }
    }

    /// The first event of this time or later; the segment's end if there is none.
    pub(crate) fn first_at(&self, time: u64) -> Result<u64, Error> {
        match self {
            Self::Sealed(segment) => segment.first_at(time),
            Self::Open(segment) => Ok(segment.table().first_at(time)),
        }
    }

    pub(crate) fn read(&self, identity: &Identity, sequence: u64) -> Result<Option<Event>, Error> {
        match self {
            Self::Sealed(segment) => segment.read(sequence),
            Self::Open(segment) => segment.read(identity, sequence),
        }
    }

    /// Reads an event as [`Self::read`] does, for one who reads event after event.
    fn read_ahead(
        &self,
        identity: &Identity,
        sequence: u64,
        ahead: &mut ReadAhead,
    ) -> Result<Option<Event>, Error> {
        match self {
            Self::Sealed(segment) => segment.read(sequence),
            Self::Open(segment) => segment.read_ahead(identity, sequence, ahead),
        }
    }

    /// Sequences of a key's events, in order, up to the limit of `out`.
    pub(crate) fn postings(&self, wanted: &Wanted, out: &mut Vec<u64>) -> Result<(), Error> {
        match self {
            Self::Sealed(segment) => segment.postings(wanted, out),
            Self::Open(segment) => {
                segment.table().collect(wanted, out);
                Ok(())
            }
        }
    }
}

impl Gap {
    /// The error that says that an event of it was dropped, and with which others.
    pub(crate) fn dropped(&self, sequence: u64) -> Error {
        Error::Dropped {
            sequence,
            first: self.first_sequence,
            end: self.end_sequence,
            reason: self.reason.clone(),
        }
    }
}

/// The segments and gaps of a chain at one time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    /// Counts up with every change.
    pub(crate) number: u64,
    /// In order of their sequences; the last one is written to.
    pub(crate) segments: Vec<Segment>,
    /// What was dropped.
    pub(crate) gaps: Vec<Gap>,
    /// Merged indexes, in order; they do not overlap.
    pub(crate) groups: Vec<Arc<Group>>,
    /// Where extents lie.
    pub(crate) data: Arc<DataSegments>,
}

/// What has an index to be searched.
#[derive(Debug)]
pub(crate) enum Layer<'a> {
    Segment(&'a Segment),
    Group(&'a Group),
}

impl Catalog {
    /// The segment that has the sequence, or would have it; the place in `segments`.
    pub(crate) fn segment_of(&self, sequence: u64) -> Option<usize> {
        let behind = self.segments.partition_point(|segment| segment.first_sequence() <= sequence);
        behind.checked_sub(1)
    }

    /// What has to be searched for the events at a sequence and around it, and the sequences that it
    /// covers. Where nothing is, the next layer in the direction of the search.
    pub(crate) fn layer_of(
        &self,
        sequence: u64,
        is_backward: bool,
    ) -> Option<(Layer<'_>, Range<u64>)> {
        let group = self.groups.partition_point(|group| group.covered().start <= sequence);
        if let Some(group) = group.checked_sub(1).map(|place| &self.groups[place])
            && group.covered().contains(&sequence)
        {
            return Some((Layer::Group(group), group.covered()));
        }
        let mut place = self.segment_of(sequence);
        let is_behind = |place: usize| self.segments[place].end_sequence() <= sequence;
        if !is_backward {
            place = match place {
                None => Some(0),
                Some(place) if is_behind(place) => Some(place + 1),
                place => place,
            };
        }
        let place = place.filter(|place| *place < self.segments.len())?;
        let segment = &self.segments[place];
        // The last segment grows: whatever lies behind it is its own.
        let end = match self.segments.get(place + 1) {
            Some(next) => next.first_sequence(),
            None => u64::MAX,
        };
        Some((Layer::Segment(segment), segment.first_sequence()..end))
    }

    /// The gap that has the sequence.
    pub(crate) fn gap_of(&self, sequence: u64) -> Option<&Gap> {
        self.gap_from(sequence).filter(|gap| gap.first_sequence <= sequence)
    }

    /// The gap that has the sequence, or the next one.
    pub(crate) fn gap_from(&self, sequence: u64) -> Option<&Gap> {
        let behind = self.gaps.partition_point(|gap| gap.end_sequence <= sequence);
        self.gaps.get(behind)
    }

    /// The first of these events that was dropped: reading it says which others were.
    ///
    /// Gaps between segments are found by search. Of a segment that events were dropped out of the
    /// place of each is looked at.
    pub(crate) fn first_dropped(&self, sequences: Range<u64>) -> Result<Option<u64>, Error> {
        let gap = self.gap_from(sequences.start).map(|gap| gap.first_sequence);
        let gap = gap.filter(|first| *first < sequences.end);
        let end = gap.unwrap_or(sequences.end);
        let first = self.segment_of(sequences.start).unwrap_or(0);
        for segment in &self.segments[first..] {
            if segment.first_sequence() >= end {
                break;
            }
            if let Segment::Sealed(segment) = segment
                && let Some(dropped) = segment.first_dropped(sequences.start..end)?
            {
                return Ok(Some(dropped));
            }
        }
        Ok(gap.map(|first| first.max(sequences.start)))
    }

    /// Reads an event; `None` when no segment has it.
    pub(crate) fn read(&self, identity: &Identity, sequence: u64) -> Result<Option<Event>, Error> {
        self.read_with(sequence, |segment| segment.read(identity, sequence))
    }

    /// Reads an event as [`Self::read`] does, for one who reads event after event.
    pub(crate) fn read_ahead(
        &self,
        identity: &Identity,
        sequence: u64,
        ahead: &mut ReadAhead,
    ) -> Result<Option<Event>, Error> {
        self.read_with(sequence, |segment| segment.read_ahead(identity, sequence, ahead))
    }

    fn read_with(
        &self,
        sequence: u64,
        read: impl FnOnce(&Segment) -> Result<Option<Event>, Error>,
    ) -> Result<Option<Event>, Error> {
        let segment = self.segment_of(sequence).map(|place| &self.segments[place]);
        match segment.map(read).transpose()?.flatten() {
            None => match self.gap_of(sequence) {
                Some(gap) => Err(gap.dropped(sequence)),
                None => Ok(None),
            },
            read => Ok(read),
        }
    }

    /// The segment that is written to.
    #[cfg(test)]
    pub(crate) fn active(&self) -> Option<&Arc<OpenSegment>> {
        match self.segments.last() {
            Some(Segment::Open(segment)) => Some(segment),
            _ => None,
        }
    }
}
