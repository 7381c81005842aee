//! The chunks of a file, and what the kernel's answers to a read mean.
//!
//! Shared by both ways of reading, so that they cannot differ.
//!
//! 1. The last chunk is always shorter than a full one, perhaps empty: it asks for at least one
//!    byte past the end of the file, which shows that the file still ends where it did.
//! 2. Every read starts and ends at a block, as direct reads must. After a short answer the block
//!    in which it stopped is asked for again.
//! 3. An answer that brings nothing new is the end of the file: the file has become shorter.
//!
//! What it does *not* do: any system call.

use std::io;

/// Direct reads start and end at multiples of this: the largest block of common disks.
pub(super) const BLOCK_BYTES: usize = 4096;

/// How often in a row the kernel may interrupt one read before that is an error.
pub(super) const INTERRUPTIONS_MAX: u32 = 1000;

/// A read that failed, and where.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) offset: u64,
    pub(super) source: io::Error,
}

/// A file of known size in chunks of one size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pieces {
    bytes: u64,
    chunk_bytes: usize,
}

impl Pieces {
    pub(super) fn new(bytes: u64, chunk_bytes: usize) -> Self {
        Self { bytes, chunk_bytes }
    }

    /// Bytes of a whole chunk.
    pub(super) fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// How many chunks there are, the short last one included.
    pub(super) fn count(&self) -> u64 {
        self.bytes / self.chunk_bytes as u64 + 1
    }

    /// The chunk at `index`, nothing of it read yet.
    pub(super) fn piece(&self, index: u64) -> Piece {
        assert!(index < self.count(), "beyond the last chunk");
        let offset = index * self.chunk_bytes as u64;
        let left = usize::try_from(self.bytes - offset).unwrap_or(usize::MAX);
        let wanted = left.min(self.chunk_bytes);
        let asked = (wanted + 1).next_multiple_of(BLOCK_BYTES).min(self.chunk_bytes);
        Piece { offset, wanted, asked, filled: 0, interruptions: 0 }
    }
}

/// One chunk on its way from the disk.
#[derive(Debug)]
pub(super) struct Piece {
    offset: u64,
    wanted: usize,
    /// Whole blocks; in the last chunk at least one byte more than wanted.
    asked: usize,
    filled: usize,
    interruptions: u32,
}

/// A read to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    /// Where in the file.
    pub(super) offset: u64,
    /// Where in the chunk's memory.
    pub(super) start: usize,
    pub(super) bytes: usize,
}

/// What is to be done after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The chunk is whole.
    Done,
    /// Make the read that is missing now.
    Again,
}

impl Piece {
    /// Bytes of this chunk.
    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    /// The read that is missing.
    pub(super) fn read(&self) -> Read {
        let start = self.filled / BLOCK_BYTES * BLOCK_BYTES;
        Read { offset: self.offset + start as u64, start, bytes: self.asked - start }
    }

    /// Takes the answer to [`read`](Self::read): the bytes it brought.
    pub(super) fn answer(&mut self, answer: io::Result<usize>) -> Result<Step, Failure> {
        let count = match answer {
            Ok(count) => count,
            Err(source) if is_passing(&source) && self.interruptions < INTERRUPTIONS_MAX => {
                self.interruptions += 1;
                return Ok(Step::Again);
            }
            Err(source) => return Err(self.failure(self.filled, source)),
        };
        let reached = self.read().start + count;
        if reached > self.wanted {
            let text = "the file has grown since it was opened; read it when it is complete";
            return Err(self.failure(self.wanted, io::Error::other(text)));
        }
        if reached == self.wanted {
            self.filled = reached;
            return Ok(Step::Done);
        }
        if reached <= self.filled {
            let text = "the file has become shorter since it was opened; read it when it is still";
            let source = io::Error::new(io::ErrorKind::UnexpectedEof, text);
            return Err(self.failure(reached, source));
        }
        self.filled = reached;
        self.interruptions = 0;
        Ok(Step::Again)
    }

    fn failure(&self, position: usize, source: io::Error) -> Failure {
        Failure { offset: self.offset + position as u64, source }
    }
}

/// Whether the same may be asked again right away: a signal came, the kernel was short of memory
/// for the request, or the thread that had asked has ended.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::ECANCELED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_chunk_always_asks_beyond_the_end() {
        for bytes in [0u64, 1, 4095, 4096, 8191, 8192, 8193, 20_000] {
            let pieces = Pieces::new(bytes, 8192);
            let last = pieces.piece(pieces.count() - 1);
            assert!(last.offset + last.read().bytes as u64 > bytes, "{bytes}");
            let wanted: u64 = (0..pieces.count()).map(|i| pieces.piece(i).wanted as u64).sum();
            assert_eq!(wanted, bytes);
            for index in 0..pieces.count() {
                let read = pieces.piece(index).read();
                assert!(read.bytes.is_multiple_of(BLOCK_BYTES) && read.bytes <= 8192, "{read:?}");
            }
        }
    }

    #[test]
    fn a_short_answer_is_completed_from_the_block_it_stopped_in() {
        let mut piece = Pieces::new(100_000, 16384).piece(1);
        assert_eq!(piece.answer(Ok(5000)).expect("progress"), Step::Again);
        assert_eq!(piece.read(), Read { offset: 16384 + 4096, start: 4096, bytes: 12288 });
        assert_eq!(piece.answer(Ok(12288)).expect("the rest"), Step::Done);
    }

    #[test]
    fn an_answer_without_progress_is_a_shorter_file_and_one_too_long_a_grown_one() {
        let mut piece = Pieces::new(100_000, 16384).piece(1);
        assert_eq!(piece.answer(Ok(5000)).expect("progress"), Step::Again);
        let failure = piece.answer(Ok(904)).expect_err("the same byte again");
        assert_eq!(failure.offset, 16384 + 5000);
        assert_eq!(failure.source.kind(), io::ErrorKind::UnexpectedEof);
        let mut last = Pieces::new(100, 16384).piece(0);
        let failure = last.answer(Ok(101)).expect_err("one byte more");
        assert_eq!(failure.offset, 100);
        assert!(failure.source.to_string().contains("has grown"), "{}", failure.source);
    }

    #[test]
    fn interruptions_are_forgiven_up_to_a_bound() {
        let mut piece = Pieces::new(100, 4096).piece(0);
        let interrupted = || Err(io::Error::from_raw_os_error(libc::EINTR));
        for _ in 0..INTERRUPTIONS_MAX {
            assert_eq!(piece.answer(interrupted()).expect("forgiven"), Step::Again);
        }
        assert!(piece.answer(interrupted()).is_err());
    }
}
