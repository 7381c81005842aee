//! Writing what was accepted.
//!
//! One at a time, whoever needs it: the buffer of accepted frames is exchanged for an empty one and
//! written with one call for each segment that it touches. Then the frames are added to the table of
//! their segment, and can be read.
//!
//! - Before a sync the last block is filled up with zeros: what comes later never shares a block with
//!   what was acknowledged (rule R2).
//! - When a write fails, everything behind the last good byte is cut off and the cut is synced; all
//!   that was accepted since is taken back (rule R3). The journal then goes on.

use std::sync::Arc;

use crate::{
    Error,
    control::Frontier,
    format::{
        BLOCK_BYTES, FRAME_ALIGNMENT,
        fields::array_at,
        frame::{FRAME_HEADER_BYTES, Frame, FrameHeader},
        walk::{Follow, align},
    },
    journal::Shared,
    segment::open::OpenSegment,
    writer::watermarks::Stage,
};

/// Who writes, and where.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) segment: Arc<OpenSegment>,
    /// Where the next frame goes.
    pub(crate) offset: u64,
    /// What the medium is known to say of how far it is durable.
    pub(crate) stated_durable_end: u64,
    buffer: Vec<u8>,
    streams: Vec<u64>,
}

/// How far writing came, for those who sync it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) end: Follow,
    pub(crate) segment: u32,
    /// Bytes of that segment that are its content.
    pub(crate) bytes: u64,
}

impl Written {
    /// What other processes are told when it is durable.
    pub(crate) fn frontier(&self) -> Frontier {
        Frontier {
            durable_end: self.end.sequence,
            frame_count: self.end.frame_number,
            active_segment: self.segment,
            active_bytes: self.bytes,
            last: self.end.last,
            last_time: self.end.time,
        }
    }
}

impl Writer {
    pub(crate) fn new(segment: Arc<OpenSegment>, offset: u64, stated_durable_end: u64) -> Self {
        Self { segment, offset, stated_durable_end, buffer: Vec::new(), streams: Vec::new() }
    }

    pub(crate) fn written(&self) -> Written {
        let table = self.segment.table();
        Written { end: table.end, segment: self.segment.id, bytes: table.bytes }
    }
}

impl Shared {
    /// Waits until a batch that ends here is written, writing it if nobody else does.
    pub(crate) fn write_to(&self, end: u64, generation: u64) -> Result<(), Error> {
        let flushed = match self.watermarks.at(Stage::Written) < end {
            true => self.flush(false).map(|_| ()),
            false => Ok(()),
        };
        // Afterwards: sequences that were taken back are written as others later.
        self.check_ticket(end, generation)?;
        flushed
    }

    /// Writes everything that has been accepted; `fill_block` before a sync.
    pub(crate) fn flush(&self, fill_block: bool) -> Result<Written, Error> {
        let mut writer = self.writer.lock().expect("a writer that panicked ends all writing");
        self.flush_as(&mut writer, fill_block)
    }

    pub(crate) fn flush_as(&self, writer: &mut Writer, fill_block: bool) -> Result<Written, Error> {
        self.watermarks.check()?;
        let mut buffer = std::mem::take(&mut writer.buffer);
        let mut streams = std::mem::take(&mut writer.streams);
        {
            let mut accept = self.accept();
            std::mem::swap(&mut accept.buffer, &mut buffer);
            std::mem::swap(&mut accept.streams, &mut streams);
        }
        let result = self.write_frames(writer, &mut buffer, &streams, fill_block);
        buffer.clear();
        streams.clear();
        writer.buffer = buffer;
        writer.streams = streams;
        match result {
            Ok(()) => Ok(writer.written()),
            Err(error) => Err(self.take_back(writer, error)),
        }
    }

    fn write_frames(
        &self,
        writer: &mut Writer,
        buffer: &mut Vec<u8>,
        streams: &[u64],
        fill_block: bool,
    ) -> Result<(), Error> {
        let end = buffer.len();
        let mut start = 0;
        let mut streams = streams;
        loop {
            let (part_end, events) = self.fitting(writer, &buffer[start..end]);
            let part_end = start + part_end;
            if part_end == start && start < end {
                self.roll(writer)?;
                continue;
            }
            if part_end == end && fill_block {
                let room = align(writer.offset + (end - start) as u64, BLOCK_BYTES)
                    - (writer.offset + (end - start) as u64);
                buffer.resize(end + room as usize, 0);
            }
            let part = if part_end == end { &buffer[start..] } else { &buffer[start..part_end] };
            if !part.is_empty() {
                let file = writer.segment.file();
                file.write_at(writer.offset, part)?;
                self.sync_role.wrote(file, part.len());
                let (mine, others) = streams.split_at(events);
                self.add_frames(writer, &buffer[start..part_end], mine)?;
                streams = others;
                writer.offset += part.len() as u64;
            }
            start = part_end;
            if start >= end {
                return Ok(());
            }
        }
    }

    /// How many bytes of the frames fit into the segment, and how many events that are; an empty
    /// segment takes one frame of any size.
    fn fitting(&self, writer: &Writer, frames: &[u8]) -> (usize, usize) {
        let held = {
            let table = writer.segment.table();
            (table.end.sequence - table.start.sequence) as usize
        };
        let (mut at, mut events) = (0, 0);
        while at < frames.len() {
            let header = frame_header(&frames[at..]);
            let next = at + align(u64::from(header.frame_bytes), FRAME_ALIGNMENT) as usize;
            let is_full = writer.offset + next as u64 > self.options.segment_bytes_max
                || held + events + header.event_count as usize > self.options.segment_events_max;
            if is_full && held + events > 0 {
                break;
            }
            at = next;
            events += header.event_count as usize;
        }
        (at, events)
    }

    /// Makes written frames readable.
    fn add_frames(&self, writer: &Writer, frames: &[u8], streams: &[u64]) -> Result<(), Error> {
        let mut table = writer.segment.table_mut();
        let (mut at, mut events) = (0, 0);
        while at < frames.len() {
            let frame = Frame::decode(&frames[at..]).expect("frames are made soundly");
            let count = frame.header.event_count as usize;
            let streams = &streams[events..events + count];
            table
                .add(writer.offset + at as u64, &frame, &self.identity.keys, Some(streams))
                .expect("frames are made soundly");
            at += align(frame.bytes.len() as u64, FRAME_ALIGNMENT) as usize;
            events += count;
        }
        let end = table.end.sequence;
        drop(table);
        self.watermarks.advance(Stage::Written, end);
        Ok(())
    }

    /// A write failed: goes back to the last good byte, and takes back what was accepted since. If
    /// that fails as well, nobody knows what of it is there after the next start: writing ends.
    fn take_back(&self, writer: &mut Writer, error: Error) -> Error {
        let file = writer.segment.file();
        let cut = file
            .truncate(writer.offset)
            .map_err(Error::from)
            .and_then(|()| self.sync_in_order(std::slice::from_ref(file), false));
        if let Err(failed) = cut {
            return self.watermarks.poison(&failed);
        }
        let end = writer.segment.table().end;
        let mut accept = self.accept();
        accept.take_back(end);
        self.watermarks.take_back(end.sequence, &error);
        error
    }
}

/// The header of a frame that was made here.
fn frame_header(frame: &[u8]) -> FrameHeader {
    FrameHeader::decode(&array_at::<FRAME_HEADER_BYTES>(frame, 0)).expect("made soundly")
}
