//! Projections: what the events of a query come to, folded into a state.
//!
//! - A [`Projector`] applies only what is new. Its state is that of the events below its end, all of
//!   them durable: the same as folding them from the start, always.
//! - Checkpoints save reading. Each has a state, the sequence it is of, and the digest of the frame
//!   there; the last few are kept. They are derived: one that is damaged or of another version is
//!   not used, and the events are folded again. One whose digest is not the journal's is an error:
//!   something is wrong with the journal.
//! - The state as of a sequence or a time is folded from the newest checkpoint that is not behind it.
//!
//! What it does *not* do: keep the states of more than one query (each has a projector of its own),
//! or guess what dropped events were (see [`Projection::skip`]).

mod checkpoints;

use std::sync::Arc;

use checkpoints::Checkpoints;

use crate::{
    Dropped, Error, Event, Followed, PayloadError, Query, checkpoint::check_name, feed::Feed,
    history::History,
};

/// How events are folded.
///
/// It must be deterministic: the same events give the same state, and the state nothing but that.
pub trait Projection {
    /// What comes of the events.
    type State;
    /// Its name: 1 to 128 letters, digits, dashes, underscores and dots. Its checkpoints lie under it.
    const NAME: &'static str;
    /// Goes up when the same events come to another state, or the state is encoded otherwise: the
    /// checkpoints of other versions are not used.
    const VERSION: u32;

    /// The state before the first event.
    fn initial(&self) -> Self::State;

    /// Applies an event.
    ///
    /// # Errors
    /// If the event makes no sense here. What it has done to the state then does not matter.
    fn apply(&self, state: &mut Self::State, event: &Event) -> Result<(), Error>;

    /// Goes on without events that were dropped.
    ///
    /// # Errors
    /// If the state would be wrong without them: unless it is said otherwise, it is.
    fn skip(&self, state: &mut Self::State, dropped: &Dropped) -> Result<(), Error> {
        let _ = state;
        Err(dropped.clone().into())
    }

    /// Appends the state's bytes to `out`, 256 MiB at most.
    fn encode(&self, state: &Self::State, out: &mut Vec<u8>);

    /// Reads a state of this version.
    ///
    /// # Errors
    /// If the bytes are not such a state.
    fn decode(&self, bytes: &[u8]) -> Result<Self::State, PayloadError>;
}

/// When a projector saves, and how much it keeps.
#[derive(Debug, Clone)]
pub struct ProjectorOptions {
    /// Checkpoints kept, the newest ones: at least 1. More of them make the past quicker to look at.
    pub checkpoints_max: usize,
    /// Saves by itself after applying so many events; 0: never.
    pub save_after_events: u64,
}

impl Default for ProjectorOptions {
    fn default() -> Self {
        Self { checkpoints_max: 4, save_after_events: 0 }
    }
}

/// A state, and the events that it is of.
#[derive(Debug)]
struct Folded<S> {
    state: S,
    end_sequence: u64,
}

/// Folds the events of a query.
#[derive(Debug)]
pub struct Projector<P: Projection> {
    projection: P,
    options: ProjectorOptions,
    checkpoints: Checkpoints,
    feed: Feed,
    current: Folded<P::State>,
    /// Events applied since the last checkpoint.
    unsaved_events: u64,
}

impl<P: Projection> Projector<P> {
    /// Opens a projection of a query where it was saved last. Nothing new is applied yet.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a checkpoint is not of this journal: see [`Self::forget`].
    /// [`Error::NoIndex`] if the journal keeps no index for the query.
    pub fn open(
        history: &Arc<History>,
        query: Query,
        projection: P,
        options: ProjectorOptions,
    ) -> Result<Self, Error> {
        check_name(P::NAME)?;
        if options.checkpoints_max == 0 {
            return Err(Error::Unfit { what: "a projector keeps at least one checkpoint" });
        }
        history.refresh()?;
        let checkpoints = Checkpoints::new(history, P::NAME, P::VERSION, &query);
        let feed = Feed::new(history, query, 0)?;
        let current = Folded { state: projection.initial(), end_sequence: 0 };
        let mut projector =
            Self { projection, options, checkpoints, feed, current, unsaved_events: 0 };
        projector.go_back()?;
        Ok(projector)
    }

    /// Removes all checkpoints of a projection of a query: it is folded from the start the next time.
    ///
    /// # Errors
    /// What the disk says.
    pub fn forget(history: &History, query: &Query) -> Result<(), Error> {
        check_name(P::NAME)?;
        Checkpoints::new(history, P::NAME, P::VERSION, query).remove_all()
    }

    /// The state of the events below [`Self::end_sequence`].
    pub fn state(&self) -> &P::State {
        &self.current.state
    }

    /// Every event of the query below has been applied.
    pub fn end_sequence(&self) -> u64 {
        self.current.end_sequence
    }

    /// Applies what has become durable since; returns how many events that were.
    ///
    /// # Errors
    /// [`Error::Projection`] if an event could not be applied, [`Error::Dropped`] if events were
    /// dropped that are needed, or what reading says. The projector is then back at its last
    /// checkpoint.
    pub fn update(&mut self) -> Result<u64, Error> {
        self.feed.renew();
        let end = self.feed.history().refresh()?;
        let mut applied = 0;
        loop {
            match self.step(end) {
                Ok(true) => applied += 1,
                Ok(false) => return Ok(applied),
                Err(error) => {
                    // Whatever the step has left behind is not the state of anything.
                    self.current = Folded { state: self.projection.initial(), end_sequence: 0 };
                    self.feed.seek(0);
                    self.go_back()?;
                    return Err(error);
                }
            }
            let save_after = self.options.save_after_events;
            if save_after > 0 && self.unsaved_events >= save_after {
                match self.save() {
                    // Another one saves the same.
                    Err(Error::Taken { .. }) => self.unsaved_events = 0,
                    saved => saved?,
                }
            }
        }
    }

    /// Applies one event; false at the end.
    fn step(&mut self, end: u64) -> Result<bool, Error> {
        let is_more = step(&self.projection, &mut self.feed, &mut self.current, end)?;
        self.unsaved_events += u64::from(is_more);
        Ok(is_more)
    }

    /// Goes to the newest checkpoint, if there is one ahead.
    fn go_back(&mut self) -> Result<(), Error> {
        self.unsaved_events = 0;
        if let Some(saved) = self.newest(u64::MAX)? {
            self.feed.seek(saved.end_sequence);
            self.current = saved;
        }
        Ok(())
    }

    /// The newest checkpoint that can be used and has no event at or behind `end`.
    fn newest(&self, end: u64) -> Result<Option<Folded<P::State>>, Error> {
        let Some((end_sequence, bytes)) = self.checkpoints.newest(self.feed.history(), end)? else {
            return Ok(None);
        };
        Ok(Some(Folded { state: self.projection.decode(&bytes)?, end_sequence }))
    }

    /// Saves the state as a checkpoint, and removes those that are too many.
    ///
    /// # Errors
    /// [`Error::Taken`] while another one saves, [`Error::Unfit`] if the state is too large, and what
    /// the disk says; the older checkpoints are then still there.
    pub fn save(&mut self) -> Result<(), Error> {
        let mut state = Vec::new();
        self.projection.encode(&self.current.state, &mut state);
        let end_sequence = self.current.end_sequence;
        let history = self.feed.history();
        self.checkpoints.save(history, end_sequence, state, self.options.checkpoints_max)?;
        self.unsaved_events = 0;
        Ok(())
    }

    /// The state of the events below `end_sequence`, whatever this projector has applied.
    ///
    /// # Errors
    /// [`Error::NoSuchEvent`] if not all of them are durable; as [`Self::update`].
    pub fn as_of_sequence(&self, end_sequence: u64) -> Result<P::State, Error> {
        let history = self.feed.history();
        let durable_end = history.refresh()?;
        if end_sequence > durable_end {
            return Err(Error::NoSuchEvent { sequence: end_sequence - 1, end: durable_end });
        }
        let initial = || Folded { state: self.projection.initial(), end_sequence: 0 };
        let mut folded = self.newest(end_sequence)?.unwrap_or_else(initial);
        let mut feed = Feed::new(history, self.feed.query().clone(), folded.end_sequence)?;
        while step(&self.projection, &mut feed, &mut folded, end_sequence)? {}
        Ok(folded.state)
    }

    /// The state of the durable events of this time (nanoseconds since 1970) and earlier ones.
    ///
    /// # Errors
    /// As [`Self::as_of_sequence`].
    pub fn as_of_time(&self, time: u64) -> Result<P::State, Error> {
        let history = self.feed.history();
        let durable_end = history.refresh()?;
        let end = match time.checked_add(1) {
            Some(after) => history.retry(|| history.first_at(&history.catalog(), after))?,
            None => durable_end,
        };
        self.as_of_sequence(end.min(durable_end))
    }
}

/// Applies one event of those below `end`; false if there is none.
fn step<P: Projection>(
    projection: &P,
    feed: &mut Feed,
    folded: &mut Folded<P::State>,
    end: u64,
) -> Result<bool, Error> {
    loop {
        let followed = feed.next_below(end)?;
        let is_more = followed.is_some();
        let is_event = match followed {
            Some(Followed::Event(event)) => {
                projection.apply(&mut folded.state, &event).map_err(|source| {
                    let (name, sequence) = (P::NAME, event.sequence());
                    Error::Projection { name, sequence, source: Box::new(source) }
                })?;
                true
            }
            Some(Followed::Dropped(dropped)) => {
                projection.skip(&mut folded.state, &dropped)?;
                false
            }
            None => false,
        };
        folded.end_sequence = feed.position();
        if is_event || !is_more {
            return Ok(is_event);
        }
    }
}
