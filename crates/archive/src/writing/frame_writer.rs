//! Writes a tar stream as the file of an archive, frame after frame, on one thread.
//!
//! Steps:
//! 1. The [`FramePlan`] says how many of the bytes belong to the frame at hand.
//! 2. A frame that is complete is packed, noted in the seek table, and given out.
//! 3. At the end come the last frame and the packing's tail.
//!
//! What it does *not* do: use more than one core. Who does takes the same plan, packs frames
//! wherever, and puts them in order; the bytes are the same.

use crate::{
    seek_table::{SeekTable, SeekTableError},
    writing::{
        frame_encoder::{FrameEncoder, Packing},
        frame_plan::FramePlan,
    },
};

/// Writes one archive. Memory is one frame, packed and not.
///
/// After an error it is of no further use.
pub struct FrameWriter {
    packing: Packing,
    plan: FramePlan,
    encoder: FrameEncoder,
    frames: SeekTable,
    content: Vec<u8>,
    packed: Vec<u8>,
    /// Whether the packing's head has been given.
    is_begun: bool,
}

impl FrameWriter {
    /// Starts before the first byte. Options outside of their ranges are a mistake of the program:
    /// it panics.
    pub fn new(packing: Packing, frame_bytes: u32) -> Self {
        Self {
            packing,
            plan: FramePlan::new(frame_bytes),
            encoder: FrameEncoder::new(packing),
            frames: SeekTable::new(),
            content: Vec::new(),
            packed: Vec::new(),
            is_begun: false,
        }
    }

    /// Says that the next byte begins a member of so many bytes, header and padding included.
    pub fn member(
        &mut self,
        member_bytes: u64,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SeekTableError> {
        if self.plan.member(member_bytes) { self.end_frame(sink) } else { Ok(()) }
    }

    /// Takes the next bytes of the tar stream.
    pub fn write(
        &mut self,
        mut bytes: &[u8],
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SeekTableError> {
        while !bytes.is_empty() {
            let room = usize::try_from(self.plan.room()).expect("a frame fits into memory");
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.content.extend_from_slice(now);
            if self.plan.advance(now.len() as u64) {
                self.end_frame(sink)?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Writes what is left, and says which frames there are; of zstd, what the seek table in the
    /// file says, too.
    pub fn finish(mut self, sink: &mut dyn FnMut(&[u8])) -> Result<SeekTable, SeekTableError> {
        if !self.content.is_empty() {
            self.end_frame(sink)?;
        }
        self.begin(sink);
        give(&self.packing.tail(&self.frames), sink);
        Ok(self.frames)
    }

    fn begin(&mut self, sink: &mut dyn FnMut(&[u8])) {
        if !self.is_begun {
            self.is_begun = true;
            give(&self.packing.head(), sink);
        }
    }

    fn end_frame(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<(), SeekTableError> {
        self.begin(sink);
        self.packed.resize(self.packing.frame_bytes_max(self.content.len()), 0);
        let frame = self.encoder.encode(&self.content, &mut self.packed);
        self.content.clear();
        self.frames.push(frame)?;
        sink(&self.packed[..frame.frame_bytes as usize]);
        Ok(())
    }
}

/// Gives bytes, if there are any.
fn give(bytes: &[u8], sink: &mut dyn FnMut(&[u8])) {
    if !bytes.is_empty() {
        sink(bytes);
    }
}
