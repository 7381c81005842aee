//! Whether the parts of a manifest fit together.
//!
//! 1. Lists and texts are within their bounds.
//! 2. Ids of files are in range, below the next one, and each stands for one file.
//! 3. Segments and gaps, merged by place, are the chain: sequences and frames without a hole from 0
//!    on, each part begins with the digest that the part before it ended with, times never decrease.
//!    Only the last segment may be active.
//! 4. Names and numbers that have to be unique are.
//!
//! What it does *not* do: compute digests. Whether the first frame follows on genesis, and the
//! others on their digests, is for whoever reads the segments.

use crate::{Digest, Malformed, format::segment_header::SEGMENT_ID_END};

use super::{
    ChainSegment, GAPS_MAX, Gap, KIND_NAME_BYTES_MAX, KINDS_MAX, Manifest, OWNER_BYTES_MAX,
    PENDING_MAX, REASON_BYTES_MAX, REPLACED_BY_MAX, RETIRED_MAX, SEGMENTS_MAX, SESSIONS_MAX,
    SegmentState,
};
use crate::format::sealed::BODY;

impl Manifest {
    /// Whether it is consistent. The error has no better place than the body's start.
    pub(crate) fn check(&self) -> Result<(), Malformed> {
        self.check_bounds()?;
        self.check_ids()?;
        self.check_chain()?;
        self.check_names()
    }

    fn check_bounds(&self) -> Result<(), Malformed> {
        ensure(self.pending.len() <= PENDING_MAX, "too many files are being made")?;
        ensure(self.kinds.len() <= KINDS_MAX, "there are too many kinds")?;
        ensure(self.chain.len() + self.data.len() <= SEGMENTS_MAX, "there are too many segments")?;
        ensure(self.gaps.len() <= GAPS_MAX, "there are too many gaps")?;
        ensure(self.sessions.len() <= SESSIONS_MAX, "there are too many bulk sessions")?;
        ensure(self.retired.len() <= RETIRED_MAX, "too many files wait to be removed")?;
        ensure(self.owner.len() <= OWNER_BYTES_MAX, "the owner's name is too long")?;
        for data in &self.data {
            let count = data.replaced_by.len();
            ensure(count <= REPLACED_BY_MAX, "a data segment is replaced by too many")?;
        }
        for gap in &self.gaps {
            ensure(gap.reason.len() <= REASON_BYTES_MAX, "the reason of a gap is too long")?;
        }
        Ok(())
    }

    fn check_ids(&self) -> Result<(), Malformed> {
        ensure((1..=SEGMENT_ID_END).contains(&self.next_segment), "the next id is out of range")?;
        let is_given = |id: &u32| (1..self.next_segment).contains(id);
        let chain = self.chain.iter().map(|segment| segment.id);
        let data = self.data.iter().map(|segment| segment.id);
        let retired = self.retired.iter().filter(|retired| retired.replaced_by != 0);
        let retired = retired.map(|retired| retired.id);
        let pending = self.pending.iter().copied();
        let mut ids: Vec<u32> = chain.chain(data).chain(pending).chain(retired).collect();
        ensure(ids.iter().all(is_given), "a segment has an id that was not given out yet")?;
        ensure(is_unique(&mut ids), "two files have one id")?;
        for retired in &self.retired {
            let is_data = || self.data.iter().any(|data| data.id == retired.id);
            let is_possible = match retired.replaced_by {
                0 => is_data(),
                by => is_given(&by) && by != retired.id,
            };
            ensure(is_possible, "a file was replaced that cannot have been")?;
            ensure(retired.number <= self.number, "a file was replaced in times to come")?;
        }
        let mut ids: Vec<u32> = self.retired.iter().map(|retired| retired.id).collect();
        ensure(is_unique(&mut ids), "a file was replaced twice")?;
        for data in &self.data {
            let mut ids = data.replaced_by.clone();
            let is_other = |id: &u32| is_given(id) && *id != data.id;
            ensure(ids.iter().all(is_other), "a data segment is replaced by what cannot be")?;
            ensure(is_unique(&mut ids), "a data segment is replaced by one segment twice")?;
        }
        Ok(())
    }

    fn check_chain(&self) -> Result<(), Malformed> {
        let mut end = End::default();
        let mut gaps = self.gaps.iter().peekable();
        let last = self.chain.len().saturating_sub(1);
        for (index, segment) in self.chain.iter().enumerate() {
            // An empty segment may stand where a gap begins; then it comes before the gap.
            while !end.is_at(segment.first_sequence, segment.first_frame) {
                let gap = gaps.next().ok_or(malformed("events are missing before a segment"))?;
                end.skip(gap)?;
            }
            let is_active = segment.state == SegmentState::Active;
            ensure(!is_active || index == last, "an active segment is not the last")?;
            end.follow(segment)?;
        }
        gaps.try_for_each(|gap| end.skip(gap))
    }

    fn check_names(&self) -> Result<(), Malformed> {
        let is_name = |name: &str| (1..=KIND_NAME_BYTES_MAX).contains(&name.len());
        ensure(self.kinds.iter().all(|(_, name)| is_name(name)), "a kind has no possible name")?;
        let mut kinds: Vec<_> = self.kinds.iter().map(|(kind, _)| *kind).collect();
        ensure(is_unique(&mut kinds), "a kind is registered twice")?;
        let mut names: Vec<_> = self.kinds.iter().map(|(_, name)| name).collect();
        ensure(is_unique(&mut names), "two kinds have one name")?;
        let mut sessions: Vec<_> = self.sessions.iter().map(|session| session.id).collect();
        ensure(sessions.iter().all(|id| *id != 0), "a bulk session has no id")?;
        ensure(is_unique(&mut sessions), "two bulk sessions have one id")?;
        let is_past = self.sessions.iter().all(|session| session.epoch <= self.epoch);
        ensure(is_past, "a bulk session is of an epoch to come")
    }
}

/// Where the chain ends, after some of its parts.
#[derive(Default)]
struct End {
    sequence: u64,
    frame: u64,
    /// Digest of the last frame; unknown at the start, where it is genesis.
    last: Option<Digest>,
    time: u64,
}

impl End {
    fn is_at(&self, sequence: u64, frame: u64) -> bool {
        (self.sequence, self.frame) == (sequence, frame)
    }

    fn follow(&mut self, segment: &ChainSegment) -> Result<(), Malformed> {
        let events = segment.end_sequence.checked_sub(segment.first_sequence);
        let frames = segment.end_frame.checked_sub(segment.first_frame);
        ensure(
            is_range(events, frames),
            "a segment ends before it begins, or has frames without events",
        )?;
        ensure(
            self.last.is_none_or(|last| segment.previous == last),
            "a segment does not follow on the digest before it",
        )?;
        if segment.state == SegmentState::Active {
            ensure(segment.bytes == 0, "an active segment has an end")?;
        }
        if events == Some(0) {
            ensure(segment.last == segment.previous, "an empty segment has a last frame")?;
        } else {
            ensure(
                segment.first_time >= self.time,
                "a segment begins before the one before it ended",
            )?;
            ensure(segment.last_time >= segment.first_time, "a segment's times decrease")?;
            self.time = segment.last_time;
        }
        self.advance(segment.end_sequence, segment.end_frame, segment.last);
        Ok(())
    }

    fn skip(&mut self, gap: &Gap) -> Result<(), Malformed> {
        ensure(
            self.is_at(gap.first_sequence, gap.first_frame),
            "a gap is not where events are missing",
        )?;
        let events = gap.end_sequence.checked_sub(gap.first_sequence);
        let frames = gap.end_frame.checked_sub(gap.first_frame);
        ensure(
            is_range(events, frames) && events > Some(0),
            "a gap is empty or ends before it begins",
        )?;
        self.advance(gap.end_sequence, gap.end_frame, gap.last);
        Ok(())
    }

    fn advance(&mut self, sequence: u64, frame: u64, last: Digest) {
        (self.sequence, self.frame, self.last) = (sequence, frame, Some(last));
    }
}

/// Every frame has an event: there are none of both, or at least as many events as frames.
fn is_range(events: Option<u64>, frames: Option<u64>) -> bool {
    match (events, frames) {
        (Some(events), Some(frames)) => events >= frames && (events == 0) == (frames == 0),
        _ => false,
    }
}

fn is_unique<T: Ord>(values: &mut [T]) -> bool {
    values.sort_unstable();
    values.is_sorted_by(|one, next| one < next)
}

fn ensure(holds: bool, what: &'static str) -> Result<(), Malformed> {
    if holds { Ok(()) } else { Err(malformed(what)) }
}

fn malformed(what: &'static str) -> Malformed {
    Malformed::new(BODY as u64, what)
}
