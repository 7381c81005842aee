//! Reading chunk after chunk by position: the plain way, which every kernel has.
//!
//! Reading ahead is left to the kernel, which was told at opening that the file is read in order.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::FileExt,
    },
};

use super::{
    memory::Memory,
    piece::{Failure, Pieces, Step},
};

/// A file and memory for one chunk of it.
#[derive(Debug)]
pub(super) struct Positioned {
    file: fs::File,
    pieces: Pieces,
    memory: Memory,
    /// The chunk to be handed out next.
    next: u64,
}

impl Positioned {
    pub(super) fn new(file: fs::File, pieces: Pieces) -> io::Result<Self> {
        let memory = Memory::map(pieces.chunk_bytes())?;
        Ok(Self { file, pieces, memory, next: 0 })
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    pub(super) fn restart(&mut self) {
        self.next = 0;
    }

    /// The next chunk; empty at the end.
    pub(super) fn next(&mut self) -> Result<&[u8], Failure> {
        if self.next == self.pieces.count() {
            return Ok(&[]);
        }
        let mut piece = self.pieces.piece(self.next);
        let memory = self.memory.bytes_mut();
        loop {
            let read = piece.read();
            let target = &mut memory[read.start..][..read.bytes];
            match piece.answer(self.file.read_at(target, read.offset))? {
                Step::Done => break,
                Step::Again => {}
            }
        }
        self.next += 1;
        Ok(&memory[..piece.wanted()])
    }
}
