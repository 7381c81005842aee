//! The reading tile: bytes of a file, as they are, into its own region. It parses nothing.

use std::sync::Arc;

use icecore_tile::{Activity, Answer, Cause, Control, Fragment, Mark, Policy, Ports, Tile};

use super::{
    feed::{Feed, Filled},
    slots::Slots,
};
use crate::progress::Progress;

/// Bytes of a chunk, at most.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;

/// Reads the feed of a pass.
pub(crate) struct ReadTile<'env> {
    slots: Arc<Slots<'env>>,
    progress: &'env Progress,
    policy: Policy,
    feed: Option<Feed>,
    has_ended: bool,
}

impl<'env> ReadTile<'env> {
    /// `policy` is what all feeds of all passes need.
    pub(crate) fn new(slots: Arc<Slots<'env>>, progress: &'env Progress, policy: Policy) -> Self {
        Self { slots, progress, policy, feed: None, has_ended: true }
    }

    fn lay_back(&mut self) {
        if let Some(feed) = self.feed.take() {
            Slots::lay(&self.slots.feed, feed);
        }
    }
}

impl Tile for ReadTile<'_> {
    fn policy(&self) -> Policy {
        self.policy.clone()
    }

    fn on_control(&mut self, control: Control, _: &mut Ports) -> Result<Answer, Cause> {
        match control {
            Control::Start(_) => {
                self.feed = Slots::take(&self.slots.feed);
                self.has_ended = self.feed.is_none();
            }
            Control::Finish if !self.has_ended => return Ok(Answer::Later),
            Control::Finish | Control::Fail => self.lay_back(),
            Control::Next | Control::Done | Control::Shutdown => {}
        }
        Ok(Answer::Now)
    }

    fn on_fragment(&mut self, _: usize, _: Fragment, _: &mut Ports) -> Result<(), Cause> {
        unreachable!("nobody gives it anything")
    }

    fn on_credit(&mut self, ports: &mut Ports) -> Result<Activity, Cause> {
        let Some(feed) = self.feed.as_mut().filter(|_| !self.has_ended) else {
            return Ok(Activity::Idle);
        };
        if self.slots.is_enough() {
            self.has_ended = true;
            return Ok(Activity::Worked);
        }
        let output = &mut ports.outputs[0];
        let Some(space) = output.space(CHUNK_BYTES)? else { return Ok(Activity::Idle) };
        match feed.fill(&mut space[..CHUNK_BYTES])? {
            Filled::Bytes(count) => {
                #[cfg(test)]
                super::tests::trespass("read", &space[..count]);
                output.publish(count, Mark::default());
                self.progress.add_read(count);
            }
            // It has waited for a moment already.
            Filled::Waiting => {}
            Filled::End => self.has_ended = true,
        }
        Ok(Activity::Worked)
    }
}
