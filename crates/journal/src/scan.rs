//! Reading many events: by sequence, or by what they are indexed by, forward or backward.
//!
//! A scan looks at a part of the journal that is fixed when it begins: what is appended later is not
//! in it. It reads as it goes: a page of k events costs a search in each segment (or group of them)
//! that it comes through, and k reads, wherever it begins.

use std::{ops::Range, sync::Arc};

use crate::{
    Error, Event,
    history::History,
    index::IndexKind,
    keys::IndexKeys,
    lookup::Search,
    segment::{Catalog, open::ReadAhead},
};

/// By what events are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// All of them.
    Sequence,
    /// Those of a stream.
    Stream(Vec<u8>),
    /// Those of a kind.
    Kind(u16),
    /// Those of a scope; events without one are in no scope, not in the empty one.
    Scope(Vec<u8>),
    /// Those that belong together.
    Correlation(u128),
    /// The children of an event.
    Parent(u64),
    /// Those that an event led to.
    Causation(u64),
}

/// What is looked for, where, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// By what.
    pub by: By,
    /// Sequences.
    pub sequences: Range<u64>,
    /// Times, in nanoseconds since 1970.
    pub times: Range<u64>,
    /// From the last to the first.
    pub is_backward: bool,
}

impl Query {
    /// Everything of a kind of thing, from the first to the last.
    pub fn new(by: By) -> Self {
        Self { by, sequences: 0..u64::MAX, times: 0..u64::MAX, is_backward: false }
    }

    /// From the last to the first.
    #[must_use]
    pub fn backward(self) -> Self {
        Self { is_backward: true, ..self }
    }

    /// Only these sequences.
    #[must_use]
    pub fn sequences(self, sequences: Range<u64>) -> Self {
        Self { sequences, ..self }
    }

    /// Only these times.
    #[must_use]
    pub fn times(self, times: Range<u64>) -> Self {
        Self { times, ..self }
    }

    /// Whether the event is one that is looked for, wherever it lies.
    pub fn matches(&self, event: &Event) -> bool {
        match &self.by {
            By::Sequence => true,
            By::Stream(stream) => event.stream() == stream,
            By::Kind(kind) => event.kind() == *kind,
            By::Scope(scope) => event.scope() == scope,
            By::Correlation(correlation) => event.correlation() == Some(*correlation),
            By::Parent(parent) => event.parents().contains(parent),
            By::Causation(causation) => event.causation() == Some(*causation),
        }
    }

    fn index(&self) -> Option<(IndexKind, &'static str)> {
        match self.by {
            By::Sequence => None,
            By::Stream(_) => Some((IndexKind::Stream, "stream")),
            By::Kind(_) => Some((IndexKind::Kind, "kind")),
            By::Scope(_) => Some((IndexKind::Scope, "scope")),
            By::Correlation(_) => Some((IndexKind::Correlation, "correlation")),
            By::Parent(_) => Some((IndexKind::Parent, "parent")),
            By::Causation(_) => Some((IndexKind::Causation, "causation")),
        }
    }

    fn key(&self, keys: &IndexKeys) -> u64 {
        match &self.by {
            By::Sequence => 0,
            By::Stream(stream) => IndexKeys::stream(&keys.stream_id(stream)),
            By::Kind(kind) => u64::from(*kind),
            By::Scope(scope) => keys.scope(scope),
            By::Correlation(correlation) => keys.correlation(*correlation),
            By::Parent(parent) => *parent,
            By::Causation(causation) => *causation,
        }
    }
}

/// Events, one after another.
#[derive(Debug)]
pub struct Scan {
    history: Arc<History>,
    catalog: Arc<Catalog>,
    query: Query,
    search: Option<Search>,
    /// What is left, when there is no index to search.
    rest: Range<u64>,
    /// Bytes of the segment that is written to, where events are read one after another.
    ahead: ReadAhead,
    has_failed: bool,
}

impl History {
    /// Looks for events.
    ///
    /// # Errors
    /// [`Error::NoIndex`] when the journal does not keep the index that is asked for.
    pub fn scan(self: &Arc<Self>, query: Query) -> Result<Scan, Error> {
        self.scan_until(query, self.end())
    }

    /// Looks for events below `end`.
    pub(crate) fn scan_until(self: &Arc<Self>, query: Query, end: u64) -> Result<Scan, Error> {
        let catalog = self.catalog();
        let mut rest = query.sequences.start..query.sequences.end.min(end);
        if query.times.start > 0 {
            rest.start = rest.start.max(self.first_at(&catalog, query.times.start)?);
        }
        if query.times.end < u64::MAX {
            rest.end = rest.end.min(self.first_at(&catalog, query.times.end)?);
        }
        let search = match query.index() {
            None => None,
            Some((kind, index)) => {
                if !self.identity.indexes.contains(&kind) {
                    return Err(Error::NoIndex { index });
                }
                let key = query.key(&self.identity.keys);
                let catalog = Arc::clone(&catalog);
                Some(Search::new(catalog, kind, key, rest.clone(), query.is_backward))
            }
        };
        let ahead = ReadAhead::new(query.is_backward);
        let history = Arc::clone(self);
        Ok(Scan { history, catalog, query, search, rest, ahead, has_failed: false })
    }

    /// The first event of this time or later; the end of the catalog if there is none.
    pub(crate) fn first_at(&self, catalog: &Catalog, time: u64) -> Result<u64, Error> {
        let behind = catalog
            .segments
            .partition_point(|segment| segment.last_time().is_some_and(|last| last < time));
        match catalog.segments.get(behind) {
            Some(segment) => segment.first_at(time),
            None => Ok(catalog.segments.last().map_or(0, |segment| segment.end_sequence())),
        }
    }
}

impl Scan {
    /// The segments that it looks at.
    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The next sequence to be read, of a scan without an index.
    fn next_sequence(&mut self) -> Option<u64> {
        if self.query.is_backward { self.rest.next_back() } else { self.rest.next() }
    }

    /// Steps over what was dropped: a scan by sequence gives what is there.
    fn skip(&mut self, first: u64, end: u64) {
        if self.query.is_backward {
            self.rest.end = self.rest.end.min(first);
        } else {
            self.rest.start = self.rest.start.max(end);
        }
    }

    fn find(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let sequence = match &mut self.search {
                Some(search) => search.next()?,
                None => self.next_sequence(),
            };
            let Some(sequence) = sequence else { return Ok(None) };
            let identity = &self.history.identity;
            let read = match self.search {
                Some(_) => self.catalog.read(identity, sequence),
                None => self.catalog.read_ahead(identity, sequence, &mut self.ahead),
            };
            match read {
                Ok(Some(event)) if self.query.matches(&event) => return Ok(Some(event)),
                Ok(Some(_)) => {}
                Ok(None) => return Err(self.history.lost(sequence)),
                Err(Error::Dropped { first, end, .. }) => self.skip(first, end),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Iterator for Scan {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let found = self.find();
        self.has_failed = found.is_err();
        found.transpose()
    }
}
