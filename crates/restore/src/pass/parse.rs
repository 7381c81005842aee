//! The parsing tile: blocks in the order of the archive, copied once into memory of its own,
//! walked over, and passed on as batches.
//!
//! 1. The splitter says from which decompressor the next frame comes; only that one is listened to.
//! 2. A block is copied out of the memory that decompressors can write, and never looked at before:
//!    what is judged afterwards cannot change any more. A record that straddles blocks is joined
//!    here, in the same fragment as the block that it ends in, which is why the region has room for
//!    the largest record besides a few blocks.
//! 3. The walk delimits members and records; the table of runs follows them in the fragment.
//! 4. A batch goes to the worker that has the least to do.
//!
//! What it does *not* do: decode members; visitors do.

use std::{collections::VecDeque, sync::Arc};

use icecore_archive::container::WalkEnd;
use icecore_tile::{Activity, Answer, Cause, Control, Fragment, Mark, Policy, Ports, Tile};
use icecore_types::{DATA_BYTES_MAX, RECORD_HEADER_BYTES};

use super::{
    ContainerReport,
    batch::{table_bytes, write_table},
    decompress::BLOCK_BYTES,
    messages::{Order, end_from_bytes},
    slots::Slots,
    walk::{Records, Walk},
};
use crate::{damage::Damage, progress::Progress};

/// The input on which the splitter tells the order; the decompressors' come after it.
const ORDER: usize = 0;

/// Bytes of the longest record.
const RECORD_BYTES_MAX: usize = RECORD_HEADER_BYTES + DATA_BYTES_MAX as usize;

/// Bytes of its region: the largest record, and blocks enough to keep the workers busy meanwhile.
pub(crate) const REGION_BYTES: usize = {
    let largest = RECORD_BYTES_MAX + 2 * BLOCK_BYTES;
    largest.next_multiple_of(2 << 20) + (4 << 20)
};

/// A decompressor's messages are no longer than this; more is not looked at.
const MESSAGE_BYTES_MAX: usize = super::messages::MESSAGE_BYTES_MAX;

/// The other side of a link broke the rules.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("decompress:{decompressor} gave a block of {bytes} bytes, more than {BLOCK_BYTES}")]
    BlockTooLong { decompressor: usize, bytes: usize },
    #[error("a decompressor changed bytes that it had given")]
    Changed,
}

/// Parses.
pub(crate) struct ParseTile<'env> {
    slots: Arc<Slots<'env>>,
    progress: &'env Progress,
    workers: usize,
    policy: Policy,
    walk: Option<Box<dyn Walk + 'env>>,
    /// The decompressor of the frame that is due.
    frame: Option<usize>,
    /// Frames whose order was told, and whether the last one of them was passed over.
    frames: usize,
    passed_over: bool,
    block: Option<Fragment>,
    /// The container's end, once the splitter has told it.
    end: Option<ContainerReport>,
    /// What a decompressor of one stream told of its end.
    stream_end: Option<WalkEnd>,
    /// Nothing more is looked at.
    has_ended: bool,
    records: Records,
    /// Of each worker, the sequences of batches that it may not have released.
    given: Vec<VecDeque<u64>>,
    /// Where blocks go when there are no workers.
    own: Vec<u8>,
}

impl<'env> ParseTile<'env> {
    pub(crate) fn new(
        slots: Arc<Slots<'env>>,
        progress: &'env Progress,
        workers: usize,
        policy: Policy,
    ) -> Self {
        Self {
            slots,
            progress,
            workers,
            policy,
            walk: None,
            frame: None,
            frames: 0,
            passed_over: false,
            block: None,
            end: None,
            stream_end: None,
            has_ended: true,
            records: Records::default(),
            given: vec![VecDeque::new(); workers],
            own: Vec::new(),
        }
    }

    fn reset(&mut self) {
        self.walk = None;
        self.frame = None;
        self.frames = 0;
        self.passed_over = false;
        self.block = None;
        self.end = None;
        self.stream_end = None;
        self.has_ended = true;
        self.records.clear();
        self.given.iter_mut().for_each(VecDeque::clear);
    }

    /// Nothing more is wanted.
    fn stop(&mut self) {
        self.has_ended = true;
        self.block = None;
        self.slots.stop();
    }

    fn fault(&mut self, damage: Damage) {
        if let Some(walk) = &mut self.walk {
            walk.fault(damage);
        }
        self.stop();
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Frame { decompressor } => {
                self.frame = Some(decompressor as usize);
                let passed_over = std::mem::take(&mut self.passed_over);
                if let Some(walk) = &mut self.walk {
                    walk.frame(self.frames, passed_over);
                }
                self.frames += 1;
            }
            Order::PassedOver => {
                self.passed_over = true;
                self.frames += 1;
            }
            Order::Fault(damage) => self.fault(damage),
            Order::End(report) => self.end = Some(report),
        }
    }

    /// What a decompressor says besides blocks.
    fn message(&mut self, fragment: &Fragment) {
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let bytes = &mut bytes[..fragment.len().min(MESSAGE_BYTES_MAX)];
        fragment.copy_to(0, bytes);
        self.frame = None;
        if fragment.mark().flags & Mark::ERROR != 0 {
            self.fault(Damage::from_bytes(bytes));
        } else if !bytes.is_empty() {
            self.stream_end = Some(end_from_bytes(bytes));
        }
    }

    /// Walks over the block, if there is room for what comes out of it.
    fn walk(&mut self, ports: &mut Ports) -> Result<Activity, Cause> {
        if self.slots.is_stopped() {
            self.has_ended = true;
            self.block = None;
        }
        let (Some(block), Some(walk)) = (&self.block, &mut self.walk) else {
            return Ok(Activity::Idle);
        };
        let mut head = [0; RECORD_HEADER_BYTES];
        let head = &mut head[..block.len().min(RECORD_HEADER_BYTES)];
        block.copy_to(0, head);
        let joined_at = block.len().next_multiple_of(8);
        let joined_bytes = walk.joined_bytes(head, block.len());
        let table_at = joined_at + joined_bytes.next_multiple_of(8);
        // Every record has a header, so there are no more runs than that.
        let table = table_bytes(block.len() / RECORD_HEADER_BYTES + 2);
        let space = match ports.outputs.first_mut() {
            Some(output) => match output.space(table_at + table)? {
                Some(space) => space,
                None => return Ok(Activity::Idle),
            },
            None => {
                self.own.resize(table_at + table, 0);
                &mut self.own[..]
            }
        };
        block.copy_to(0, &mut space[..block.len()]);
        let length = block.len();
        self.block = None;
        self.records.clear();
        #[cfg(test)]
        super::tests::trespass("parse", &space[..length]);
        let flow = walk.block(&space[..length], &mut self.records)?;
        self.progress.add_unpacked(length);
        self.progress.add_records(self.records.count);
        if !self.records.runs.is_empty() && self.workers > 0 {
            let table_at = match &self.records.joined {
                Some(joined) if joined.len() > joined_bytes => return Err(Broken::Changed.into()),
                Some(joined) => {
                    space[joined_at..][..joined.len()].copy_from_slice(joined);
                    table_at
                }
                None => joined_at,
            };
            let table = write_table(&mut space[table_at..], &self.records.runs);
            let worker = self.least_busy(ports);
            let output = &mut ports.outputs[0];
            self.given[worker].push_back(output.published());
            output.publish(table_at + table, Mark { flags: 0, origin: worker as u16 });
        }
        if flow.is_break() {
            self.stop();
        }
        Ok(Activity::Worked)
    }

    /// The worker with the fewest batches that it has not released; the first of equals.
    fn least_busy(&mut self, ports: &Ports) -> usize {
        let output = &ports.outputs[0];
        for (worker, given) in self.given.iter_mut().enumerate() {
            let released = output.consumed(worker);
            while given.front().is_some_and(|sequence| *sequence < released) {
                given.pop_front();
            }
        }
        let busy = |worker: &usize| self.given[*worker].len();
        (0..self.workers).min_by_key(busy).expect("there is a worker")
    }

    /// Everything has come: ends the walk and sends it home.
    fn finish(&mut self) {
        if let (Some(mut report), false, Some(walk)) = (self.end, self.has_ended, &mut self.walk) {
            if let Some(end) = self.stream_end {
                report.frames = end.data_frames;
                report.skippable_frames = end.skippable_frames;
                report.trailing_bytes = end.trailing_bytes;
            }
            walk.end(report);
        }
        if let Some(walk) = self.walk.take() {
            walk.retire();
        }
        self.has_ended = true;
    }
}

impl Tile for ParseTile<'_> {
    fn policy(&self) -> Policy {
        self.policy.clone()
    }

    fn on_control(&mut self, control: Control, _: &mut Ports) -> Result<Answer, Cause> {
        match control {
            Control::Start(_) => {
                self.reset();
                self.walk = Slots::take(&self.slots.walk);
                self.has_ended = self.walk.is_none();
            }
            Control::Finish if self.block.is_some() => return Ok(Answer::Later),
            Control::Finish => self.finish(),
            Control::Next | Control::Done | Control::Fail | Control::Shutdown => self.reset(),
        }
        Ok(Answer::Now)
    }

    fn wants(&self, input: usize) -> bool {
        if self.has_ended || self.slots.is_stopped() {
            return true;
        }
        self.block.is_none()
            && match input {
                ORDER => self.frame.is_none(),
                decompressor => self.frame == Some(decompressor - 1),
            }
    }

    fn on_fragment(
        &mut self,
        input: usize,
        fragment: Fragment,
        _: &mut Ports,
    ) -> Result<(), Cause> {
        if self.has_ended || self.slots.is_stopped() {
            self.has_ended = true;
            return Ok(());
        }
        if input == ORDER {
            self.order(Order::from_bytes(fragment.bytes()));
        } else if fragment.mark().flags & (Mark::END | Mark::ERROR) != 0 {
            self.message(&fragment);
        } else if fragment.len() > BLOCK_BYTES {
            let (decompressor, bytes) = (input - 1, fragment.len());
            return Err(Broken::BlockTooLong { decompressor, bytes }.into());
        } else if !fragment.is_empty() {
            self.block = Some(fragment);
        }
        Ok(())
    }

    fn on_credit(&mut self, ports: &mut Ports) -> Result<Activity, Cause> {
        self.walk(ports)
    }
}
