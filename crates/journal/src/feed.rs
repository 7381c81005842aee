//! What cursors, subscriptions and projections read from: the durable events of a query, in order,
//! from a position on.
//!
//! - A position is a sequence: everything below that the query asks for has been given out. It only
//!   moves when something is given out, or when nothing is left below the durable end. After an
//!   error it is where it was, so that nothing is ever skipped.
//! - Events are read in *parts*. A part is a scan whose end was the durable end when it began; when
//!   it is exhausted the next one begins where it ended, so that each event is looked for once.
//! - Events that were dropped are given out as such, whether or not the query asked for them: nobody
//!   knows any more.
//!
//! What it does *not* do: wait, or remember a position (see `cursor`).

#[cfg(test)]
mod tests;

use std::{ops::Range, sync::Arc};

use crate::{Error, Event, Query, Scan, history::History, segment::Catalog};

/// What follows next in a query.
#[derive(Debug, Clone)]
pub enum Followed {
    /// An event that the query asks for.
    Event(Event),
    /// Events that are no longer there, whatever they were.
    Dropped(Dropped),
}

impl Followed {
    /// The event, if it is one.
    ///
    /// # Errors
    /// [`Error::Dropped`] if events were dropped here: for callers who cannot do without them.
    pub fn into_event(self) -> Result<Event, Error> {
        match self {
            Self::Event(event) => Ok(event),
            Self::Dropped(dropped) => Err(dropped.into()),
        }
    }
}

/// Events that were dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The first of them.
    pub first_sequence: u64,
    /// First sequence behind them.
    pub end_sequence: u64,
    /// Why they were dropped.
    pub reason: String,
}

impl From<Dropped> for Error {
    fn from(dropped: Dropped) -> Self {
        Self::Dropped {
            sequence: dropped.first_sequence,
            first: dropped.first_sequence,
            end: dropped.end_sequence,
            reason: dropped.reason,
        }
    }
}

/// The events of a query, in order.
#[derive(Debug)]
pub(crate) struct Feed {
    history: Arc<History>,
    query: Query,
    position: u64,
    part: Option<Part>,
}

/// What is read at the moment.
#[derive(Debug)]
struct Part {
    scan: Scan,
    end: u64,
    /// Found, and not given out, as dropped events come before it.
    ahead: Option<Event>,
}

impl Feed {
    pub(crate) fn new(history: &Arc<History>, query: Query, position: u64) -> Result<Self, Error> {
        if query.is_backward {
            return Err(Error::Unfit { what: "a journal can only be followed forward" });
        }
        // Tells at once when there is no index for the query.
        history.scan_until(query.clone(), 0)?;
        Ok(Self { history: Arc::clone(history), query, position, part: None })
    }

    pub(crate) fn history(&self) -> &Arc<History> {
        &self.history
    }

    pub(crate) fn query(&self) -> &Query {
        &self.query
    }

    /// Everything below has been given out.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn seek(&mut self, position: u64) {
        self.position = position;
        self.part = None;
    }

    /// Lets go of files that have been replaced since.
    pub(crate) fn renew(&mut self) {
        let number = self.history.catalog().number;
        if self.part.as_ref().is_some_and(|part| part.scan.catalog().number != number) {
            self.part = None;
        }
    }

    /// What follows next, of all that is durable.
    pub(crate) fn next(&mut self) -> Result<Option<Followed>, Error> {
        if let Some(followed) = self.next_below(self.history.durable_end())? {
            return Ok(Some(followed));
        }
        // In a process that only reads, that end was where it was last seen.
        let end = self.history.refresh()?;
        self.next_below(end)
    }

    /// What follows next, of the events below `end`, which are durable.
    pub(crate) fn next_below(&mut self, end: u64) -> Result<Option<Followed>, Error> {
        let mut has_retried = false;
        loop {
            match self.find(end) {
                Err(Error::Disk(error)) if error.is_absent() && !has_retried => {
                    // The file was replaced meanwhile: the current catalog names another one.
                    has_retried = true;
                    self.history.refresh_files()?;
                }
                found => return found,
            }
        }
    }

    fn find(&mut self, end: u64) -> Result<Option<Followed>, Error> {
        let found = self.find_in_parts(end);
        if found.is_err() {
            // The next call begins again, at the same position.
            self.part = None;
        }
        found
    }

    fn find_in_parts(&mut self, end: u64) -> Result<Option<Followed>, Error> {
        loop {
            if self.part.is_none() {
                if self.position >= end {
                    return Ok(None);
                }
                self.part = Some(self.begin(end)?);
            }
            let part = self.part.as_mut().expect("begun just now");
            if part.ahead.is_none() {
                part.ahead = part.scan.next().transpose()?;
            }
            let found = part.ahead.as_ref().map_or(part.end, Event::sequence);
            let Range { start, end } = self.query.sequences;
            let passed = self.position.max(start)..found.min(end);
            if let Some(dropped) = first_dropped(&self.history, part.scan.catalog(), passed)? {
                self.position = dropped.end_sequence;
                return Ok(Some(Followed::Dropped(dropped)));
            }
            match part.ahead.take() {
                Some(event) => {
                    self.position = event.sequence() + 1;
                    return Ok(Some(Followed::Event(event)));
                }
                None => {
                    self.position = part.end;
                    self.part = None;
                }
            }
        }
    }

    fn begin(&self, end: u64) -> Result<Part, Error> {
        let sequences = &self.query.sequences;
        let rest = self.position.max(sequences.start)..sequences.end;
        let scan = self.history.scan_until(self.query.clone().sequences(rest), end)?;
        Ok(Part { scan, end, ahead: None })
    }
}

/// The first of these events that were dropped, and those behind it.
fn first_dropped(
    history: &History,
    catalog: &Catalog,
    sequences: Range<u64>,
) -> Result<Option<Dropped>, Error> {
    if sequences.is_empty() {
        return Ok(None);
    }
    let Some(first_sequence) = catalog.first_dropped(sequences)? else { return Ok(None) };
    match catalog.read(&history.identity, first_sequence) {
        Err(Error::Dropped { end: end_sequence, reason, .. }) => {
            Ok(Some(Dropped { first_sequence, end_sequence, reason }))
        }
        Err(error) => Err(error),
        Ok(_) => Err(history.lost(first_sequence)),
    }
}
