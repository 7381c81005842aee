//! Gives a tar stream that is there already to a packer, which has to know where members begin.
//!
//! Steps:
//! 1. Pieces of any size are cut into whole blocks of tar, so that a header never lies in two.
//! 2. The tar reader looks at the blocks; before a member's header the packer is told of it.
//!
//! Invariant: all bytes are passed on as they are, those behind the archive's end as well. Where the
//! packer is told of members does not depend on the pieces.

use std::ops::ControlFlow;

use icecore_archive::{
    Error,
    tar::{TarEvent, TarKind, TarReader},
    writing::tar::{HEADER_BYTES, member_bytes},
};

use crate::packer::Packer;

/// Bytes of a block of tar: headers and the padding of content are as long.
const BLOCK_BYTES: usize = HEADER_BYTES;

/// Passes a tar stream on.
pub(crate) struct Members {
    tar: TarReader,
    /// Bytes passed on.
    offset: u64,
    /// The beginning of a block.
    begun: Vec<u8>,
}

impl Members {
    /// Starts before the first byte.
    pub(crate) fn new() -> Self {
        Self { tar: TarReader::new(), offset: 0, begun: Vec::with_capacity(BLOCK_BYTES) }
    }

    /// Passes on the next piece. `Break`: the packer wants no more.
    pub(crate) fn piece(
        &mut self,
        mut piece: &[u8],
        packer: &mut Packer,
    ) -> Result<ControlFlow<()>, Error> {
        if !self.begun.is_empty() {
            let lacking = BLOCK_BYTES - self.begun.len();
            let (now, later) = piece.split_at(lacking.min(piece.len()));
            self.begun.extend_from_slice(now);
            piece = later;
            if self.begun.len() < BLOCK_BYTES {
                return Ok(ControlFlow::Continue(()));
            }
            let block = std::mem::take(&mut self.begun);
            if self.blocks(&block, packer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let (blocks, begun) = piece.split_at(piece.len() - piece.len() % BLOCK_BYTES);
        self.begun.extend_from_slice(begun);
        self.blocks(blocks, packer)
    }

    /// Passes on what is left, and ends the stream.
    pub(crate) fn finish(mut self, packer: &mut Packer) -> Result<ControlFlow<()>, Error> {
        let rest = std::mem::take(&mut self.begun);
        let flow = self.blocks(&rest, packer)?;
        self.tar.finish()?;
        Ok(flow)
    }

    fn blocks(&mut self, blocks: &[u8], packer: &mut Packer) -> Result<ControlFlow<()>, Error> {
        let mut input = blocks;
        let mut passed = 0;
        let mut flow = ControlFlow::Continue(());
        while flow.is_continue()
            && let Some(event) = self.tar.next(&mut input)?
        {
            let TarEvent::Member(member) = event else { continue };
            // Between a sparse member's header and its end lie blocks of any number.
            if member.kind == TarKind::Sparse {
                continue;
            }
            let begin = (member.offset - self.offset) as usize;
            flow = packer.write(&blocks[passed..begin]);
            if flow.is_continue() {
                flow = packer.member(member_bytes(member.size));
            }
            passed = begin;
        }
        if flow.is_continue() {
            flow = packer.write(&blocks[passed..]);
        }
        self.offset += blocks.len() as u64;
        Ok(flow)
    }
}
