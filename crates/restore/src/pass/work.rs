//! The working tile: looks at the batches that bear its number. What it does with them is the
//! worker of the pass: hashing and indexing, correcting, giving rows.

use std::{ops::ControlFlow, sync::Arc};

use icecore_tile::{Answer, Cause, Control, Fragment, Policy, Ports, Tile};

use super::{
    batch::Batch,
    slots::{Hand, Slots},
};

/// Looks at batches.
pub(crate) struct WorkTile<'env> {
    slots: Arc<Slots<'env>>,
    number: usize,
    policy: Policy,
    hand: Option<Box<dyn Hand + 'env>>,
    /// The worker wants no more.
    has_ended: bool,
}

impl<'env> WorkTile<'env> {
    pub(crate) fn new(slots: Arc<Slots<'env>>, number: usize, policy: Policy) -> Self {
        Self { slots, number, policy, hand: None, has_ended: false }
    }
}

impl Tile for WorkTile<'_> {
    fn policy(&self) -> Policy {
        self.policy.clone()
    }

    fn on_control(&mut self, control: Control, _: &mut Ports) -> Result<Answer, Cause> {
        match control {
            Control::Start(_) => {
                self.hand = Slots::take(&self.slots.hands[self.number]);
                self.has_ended = false;
            }
            Control::Finish => {
                if let Some(hand) = self.hand.take() {
                    hand.retire();
                }
            }
            Control::Next | Control::Done | Control::Fail | Control::Shutdown => self.hand = None,
        }
        Ok(Answer::Now)
    }

    fn on_fragment(
        &mut self,
        _: usize,
        fragment: Fragment,
        ports: &mut Ports,
    ) -> Result<(), Cause> {
        if usize::from(fragment.mark().origin) != self.number || self.has_ended {
            return Ok(());
        }
        let Some(hand) = &mut self.hand else { return Ok(()) };
        let batch = Batch::new(fragment.bytes());
        ports.counters.count(0, batch.len() as u64);
        if let ControlFlow::Break(()) = hand.batch(&batch, &ports.arena.frame())? {
            self.has_ended = true;
            self.slots.stop();
        }
        Ok(())
    }
}
