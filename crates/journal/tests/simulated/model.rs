//! What a journal should hold: a list of requests in memory, and what follows from it.

use icecore_journal::{Batch, By, EventRef, NewEvent, Query, Receipt};

/// An event as it was asked for. Payloads are told apart by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) stream: u64,
    pub(crate) scope: u64,
    pub(crate) kind: u16,
    pub(crate) number: u64,
    pub(crate) payload_bytes: usize,
    pub(crate) causation: Option<EventRef>,
    pub(crate) correlation: Option<u128>,
    pub(crate) parents: Vec<EventRef>,
}

pub(crate) fn stream_key(stream: u64) -> Vec<u8> {
    format!("stream-{stream}").into_bytes()
}

pub(crate) fn scope_key(scope: u64) -> Vec<u8> {
    if scope == 0 { Vec::new() } else { format!("scope-{scope}").into_bytes() }
}

fn payload(wish: &Wish) -> Vec<u8> {
    let number = wish.number.to_le_bytes();
    number.iter().copied().cycle().take(wish.payload_bytes).collect()
}

pub(crate) fn batch_of(wishes: &[Wish]) -> Batch {
    let mut batch = Batch::new();
    for wish in wishes {
        let event = NewEvent {
            stream: &stream_key(wish.stream),
            scope: &scope_key(wish.scope),
            kind: wish.kind,
            payload_version: 1,
            payload: &payload(wish),
            causation: wish.causation,
            correlation: wish.correlation,
            parents: &wish.parents,
            extents: &[],
        };
        batch.push(&event).expect("wishes are within bounds");
    }
    batch
}

/// A batch that was asked for, and what is known of its place.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) wishes: Vec<Wish>,
    pub(crate) first_sequence: u64,
    /// Unless the answer was never heard.
    pub(crate) receipt: Option<Receipt>,
}

impl Request {
    pub(crate) fn end_sequence(&self) -> u64 {
        self.first_sequence + self.wishes.len() as u64
    }
}

/// An event as it should be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) sequence: u64,
    pub(crate) version: u64,
    pub(crate) wish: Wish,
    pub(crate) causation: Option<u64>,
    pub(crate) parents: Vec<u64>,
    /// Unless the answer was never heard.
    pub(crate) time: Option<u64>,
}

impl Expected {
    /// Panics when the event that was read is another.
    pub(crate) fn compare(&self, event: &icecore_journal::Event) {
        assert_eq!(event.sequence(), self.sequence);
        assert_eq!(event.stream(), stream_key(self.wish.stream), "{self:?}");
        assert_eq!(event.scope(), scope_key(self.wish.scope), "{self:?}");
        assert_eq!(event.kind(), self.wish.kind, "{self:?}");
        assert_eq!(event.stream_version(), self.version, "{self:?}");
        assert_eq!(event.correlation(), self.wish.correlation, "{self:?}");
        assert_eq!(event.causation(), self.causation, "{self:?}");
        assert_eq!(event.parents(), self.parents, "{self:?}");
        assert_eq!(event.payload(), payload(&self.wish), "{self:?}");
        if let Some(time) = self.time {
            assert_eq!(event.time(), time, "{self:?}");
        }
    }
}

/// Everything that was asked for, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) requests: Vec<Request>,
    pub(crate) events: Vec<Expected>,
    /// Events below were acknowledged as durable.
    pub(crate) durable_end: u64,
}

impl Model {
    pub(crate) fn end(&self) -> u64 {
        self.events.len() as u64
    }

    pub(crate) fn next_version(&self, stream: u64) -> u64 {
        self.events.iter().filter(|event| event.wish.stream == stream).count() as u64
    }

    /// Notes a batch that has been, or may have been, accepted.
    pub(crate) fn add(
        &mut self,
        key: Option<Vec<u8>>,
        wishes: Vec<Wish>,
        receipt: Option<Receipt>,
    ) {
        let first_sequence = self.end();
        let resolve = |reference: EventRef| match reference {
            EventRef::Sequence(sequence) => sequence,
            EventRef::InBatch(index) => first_sequence + u64::from(index),
        };
        for (index, wish) in wishes.iter().enumerate() {
            let version = self.next_version(wish.stream);
            if let Some(receipt) = &receipt {
                assert_eq!(receipt.stream_versions[index], version, "{wish:?}");
            }
            self.events.push(Expected {
                sequence: first_sequence + index as u64,
                version,
                causation: wish.causation.map(resolve),
                parents: wish.parents.iter().copied().map(resolve).collect(),
                time: receipt.as_ref().map(|receipt| receipt.time),
                wish: wish.clone(),
            });
        }
        if let Some(receipt) = &receipt {
            assert_eq!(receipt.first_sequence, first_sequence);
            assert_eq!(receipt.end_sequence(), self.end());
        }
        self.requests.push(Request { key, wishes, first_sequence, receipt });
    }

    /// Forgets what lies behind; panics if a request lies on both sides.
    pub(crate) fn cut(&mut self, end: u64) {
        assert!(end >= self.durable_end, "acknowledged {}, and there are {end}", self.durable_end);
        assert!(end <= self.end(), "{end} events, and only {} were asked for", self.end());
        let kept = self.requests.partition_point(|request| request.end_sequence() <= end);
        self.requests.truncate(kept);
        let kept_end = self.requests.last().map_or(0, Request::end_sequence);
        assert_eq!(kept_end, end, "a batch is there in part");
        self.events.truncate(end as usize);
    }

    /// Sequences that a query should give.
    pub(crate) fn find(&self, query: &Query) -> Vec<u64> {
        let matches = |event: &&Expected| {
            let wish = &event.wish;
            let is_meant = match &query.by {
                By::Sequence => true,
                By::Stream(stream) => stream_key(wish.stream) == *stream,
                By::Kind(kind) => wish.kind == *kind,
                By::Scope(scope) => scope_key(wish.scope) == *scope,
                By::Correlation(correlation) => wish.correlation == Some(*correlation),
                By::Parent(parent) => event.parents.contains(parent),
                By::Causation(causation) => event.causation == Some(*causation),
            };
            let time = event.time.expect("times are known when a query is made");
            is_meant && query.sequences.contains(&event.sequence) && query.times.contains(&time)
        };
        let mut found: Vec<_> =
            self.events.iter().filter(matches).map(|event| event.sequence).collect();
        if query.is_backward {
            found.reverse();
        }
        found
    }
}
