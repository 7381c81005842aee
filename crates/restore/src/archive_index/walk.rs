//! The walk that an index is made on: members and records as at a first look, and besides where each
//! frame begins in the tar stream and what the pieces of its content are.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use icecore_archive::index::{
    PIECE_BYTES,
    rows::{FrameRow, PieceRow},
};

use crate::{
    Error,
    damage::Damage,
    first_look::FirstLook,
    pass::{
        ContainerReport,
        slots::Slots,
        walk::{ArchiveWalk, Records, Visitor, Walk},
    },
};

/// The first half of a digest.
pub(super) fn half(digest: &blake3::Hash) -> [u8; 16] {
    *digest.as_bytes().first_chunk().expect("32 bytes are more than 16")
}

/// Frames and pieces. Of the frames, where they lie in the file is not known here.
#[derive(Default)]
pub(super) struct Content {
    pub(super) frames: Vec<FrameRow>,
    pub(super) pieces: Vec<PieceRow>,
    hasher: blake3::Hasher,
    /// Of the piece at hand.
    piece_bytes: u64,
    /// Bytes of the tar stream so far.
    pub(super) offset: u64,
}

impl Content {
    fn begin_frame(&mut self, begun_bytes: usize) {
        self.end_piece();
        self.frames.push(FrameRow {
            content_offset: self.offset,
            first_piece: self.pieces.len() as u64,
            begun_bytes: begun_bytes as u64,
            ..FrameRow::default()
        });
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (PIECE_BYTES - self.piece_bytes) as usize;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.hasher.update(now);
            self.piece_bytes += now.len() as u64;
            self.offset += now.len() as u64;
            if self.piece_bytes == PIECE_BYTES {
                self.end_piece();
            }
            bytes = later;
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.content_bytes = self.offset - frame.content_offset;
        }
    }

    pub(super) fn end_piece(&mut self) {
        if self.piece_bytes > 0 {
            self.pieces.push(PieceRow { digest: half(&self.hasher.finalize()) });
            self.hasher.reset();
            self.piece_bytes = 0;
        }
    }
}

/// The walk.
pub(super) struct IndexWalk {
    pub(super) walk: ArchiveWalk<FirstLook>,
    pub(super) content: Content,
    home: Arc<Mutex<Option<Self>>>,
}

impl IndexWalk {
    pub(super) fn new(walk: ArchiveWalk<FirstLook>, home: Arc<Mutex<Option<Self>>>) -> Self {
        Self { walk, content: Content::default(), home }
    }
}

impl Walk for IndexWalk {
    fn frame(&mut self, _: usize, _: bool) {
        self.content.begin_frame(self.walk.begun_bytes());
    }

    fn joined_bytes(&self, next: &[u8], next_bytes: usize) -> usize {
        self.walk.joined_bytes(next, next_bytes)
    }

    fn block(&mut self, block: &[u8], records: &mut Records) -> Result<ControlFlow<()>, Error> {
        self.content.take(block);
        self.walk.block(block, records)
    }

    fn fault(&mut self, damage: Damage) {
        self.walk.visitor.fault(damage);
    }

    fn end(&mut self, report: ContainerReport) {
        self.content.end_piece();
        self.walk.end(report);
    }

    fn retire(self: Box<Self>) {
        let home = Arc::clone(&self.home);
        Slots::lay(&home, *self);
    }
}
