//! Subscriptions: what is there already, and then what comes, as soon as it is durable.
//!
//! There is no moment at which a subscription goes over from one to the other: it reads from its
//! position up to the durable end, and waits for the durable end to move. So nothing is lost or
//! doubled between the two, and a slow subscriber never holds up the writer.
//!
//! In another process than the writer's nobody tells that the end has moved: it is looked at now
//! and then.
//!
//! What it does *not* do: remember its position (see `cursor`).

use std::{sync::Arc, time::Duration};

use crate::{Error, Followed, Query, feed::Feed, history::History, writer::watermarks::Stage};

/// How often a process that does not write looks whether the durable end has moved.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Follows a query from a sequence on, without end.
#[derive(Debug)]
pub struct Subscription {
    feed: Feed,
}

impl Subscription {
    /// Follows a query, beginning at `first_sequence`.
    ///
    /// # Errors
    /// [`Error::NoIndex`] if the journal keeps no index for the query.
    pub fn from(history: &Arc<History>, query: Query, first_sequence: u64) -> Result<Self, Error> {
        Ok(Self { feed: Feed::new(history, query, first_sequence)? })
    }

    /// Everything below was given out.
    pub fn end_sequence(&self) -> u64 {
        self.feed.position()
    }

    /// What follows next, waiting for it if need be; `None` when the time is over.
    ///
    /// # Errors
    /// [`Error::Closed`] when the journal was closed in this process, and [`Error::Poisoned`] when
    /// writing has ended otherwise, after everything durable was given out. What reading says.
    pub fn next(&mut self, longest: Duration) -> Result<Option<Followed>, Error> {
        let history = Arc::clone(self.feed.history());
        let begun = history.disk.now();
        loop {
            if let Some(followed) = self.feed.next()? {
                return Ok(Some(followed));
            }
            self.feed.renew();
            let passed = Duration::from_nanos(history.disk.now().saturating_sub(begun));
            let left = longest.saturating_sub(passed);
            if left.is_zero() {
                return Ok(None);
            }
            let is_reader = history.follower.is_some();
            let interval = if is_reader { left.min(LOOK_INTERVAL) } else { left };
            let end = self.feed.position() + 1;
            let has_come = history.watermarks.wait(Stage::Durable, end, interval);
            if !has_come && !is_reader {
                history.watermarks.check()?;
                return Ok(None);
            }
        }
    }
}
