//! Finds rows of an index by halving.
//!
//! Blocks that were read and checked are kept in a table of [`KEPT_BLOCKS`], 4 MiB at most, each in
//! the one place that its number gives: halving meets the same few blocks again and again.

use icecore_types::Pubkey;

use super::{
    BLOCK_BYTES, Block, CHECKSUM_BYTES, IndexError, IndexHead, Section, check,
    rows::{AccountRow, FrameRow, OwnedRow, OwnerRow, PieceRow, Row, StorageRow, Tag},
};

/// Blocks that are kept.
const KEPT_BLOCKS: usize = 1024;

/// Gives the blocks of an index.
pub trait Blocks {
    /// Why there is none.
    type Error: From<IndexError>;

    /// Fills `block` with the block of that number.
    ///
    /// # Errors
    /// When it cannot be read whole.
    fn read(&mut self, number: u64, block: &mut Block) -> Result<(), Self::Error>;
}

/// Finds rows.
#[derive(Debug)]
pub struct IndexReader<B> {
    head: IndexHead,
    blocks: B,
    kept: Vec<Option<(u64, Box<Block>)>>,
    blocks_read: u64,
}

impl<B: Blocks> IndexReader<B> {
    /// Reads the head of an index of so many bytes.
    ///
    /// # Errors
    /// When it is none, or the file is shorter or longer than it says.
    pub fn open(mut blocks: B, file_bytes: u64) -> Result<Self, B::Error> {
        if file_bytes < BLOCK_BYTES as u64 {
            return Err(IndexError::NotAnIndex.into());
        }
        let mut block = [0; BLOCK_BYTES];
        blocks.read(0, &mut block)?;
        let head = IndexHead::parse(&block, file_bytes)?;
        let kept = std::iter::repeat_with(|| None).take(KEPT_BLOCKS).collect();
        Ok(Self { head, blocks, kept, blocks_read: 1 })
    }

    /// What it says of itself.
    pub fn head(&self) -> &IndexHead {
        &self.head
    }

    /// Blocks that were read so far.
    pub fn blocks_read(&self) -> u64 {
        self.blocks_read
    }

    /// A row of a section.
    fn row<R: Row>(&mut self, section: Section, row: u64) -> Result<R, B::Error> {
        debug_assert!(R::BYTES == section.row_bytes());
        if row >= self.head.rows(section) {
            return Err(IndexError::Row { section, row }.into());
        }
        let number = self.head.first_block(section) + row / section.rows_per_block();
        let at = CHECKSUM_BYTES + (row % section.rows_per_block()) as usize * R::BYTES;
        let block = self.block(number)?;
        Ok(R::read(&block[at..at + R::BYTES]))
    }

    fn block(&mut self, number: u64) -> Result<&Block, B::Error> {
        let place = &mut self.kept[(number % KEPT_BLOCKS as u64) as usize];
        if place.as_ref().is_none_or(|(kept, _)| *kept != number) {
            let mut block = place.take().map_or_else(|| Box::new([0; BLOCK_BYTES]), |(_, old)| old);
            self.blocks.read(number, &mut block)?;
            check(&self.head.key, number, &block)?;
            self.blocks_read += 1;
            *place = Some((number, block));
        }
        let (_, block) = place.as_ref().expect("just put there, if it was not");
        Ok(block)
    }

    /// Rows at a section's front of which `is_before` holds, as it does of all or none behind them.
    fn count_before<R: Row>(
        &mut self,
        section: Section,
        is_before: impl Fn(&R) -> bool,
    ) -> Result<u64, B::Error> {
        let (mut low, mut high) = (0, self.head.rows(section));
        while low < high {
            let middle = low + (high - low) / 2;
            match is_before(&self.row(section, middle)?) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low)
    }

    /// The number of frames.
    pub fn frames(&self) -> u64 {
        self.head.rows(Section::Frames)
    }

    /// A frame by its number.
    ///
    /// # Errors
    /// When there is none, or it lies outside of the archive.
    pub fn frame(&mut self, number: u64) -> Result<FrameRow, B::Error> {
        let frame: FrameRow = self.row(Section::Frames, number)?;
        let end = frame.file_offset.checked_add(frame.file_bytes);
        match end.is_some_and(|end| end <= self.head.archive_bytes) {
            true => Ok(frame),
            false => Err(IndexError::Row { section: Section::Frames, row: number }.into()),
        }
    }

    /// The number of the frame whose content has the byte at `offset` of the tar stream.
    ///
    /// # Errors
    /// When no frame has it.
    pub fn frame_at(&mut self, offset: u64) -> Result<u64, B::Error> {
        let is_before = |frame: &FrameRow| frame.content_offset <= offset;
        let behind = self.count_before(Section::Frames, is_before)?;
        let nowhere = IndexError::Row { section: Section::Frames, row: behind };
        let Some(number) = behind.checked_sub(1) else { return Err(nowhere.into()) };
        let frame = self.frame(number)?;
        match (frame.content_offset..frame.content_end()).contains(&offset) {
            true => Ok(number),
            false => Err(nowhere.into()),
        }
    }

    /// A piece by its number.
    ///
    /// # Errors
    /// When there is none.
    pub fn piece(&mut self, number: u64) -> Result<PieceRow, B::Error> {
        self.row(Section::Pieces, number)
    }

    /// The storage whose content has the byte at `offset` of the tar stream.
    ///
    /// # Errors
    /// When none has it.
    pub fn storage_at(&mut self, offset: u64) -> Result<StorageRow, B::Error> {
        let is_before = |storage: &StorageRow| storage.offset <= offset;
        let behind = self.count_before(Section::Storages, is_before)?;
        let nowhere = IndexError::Row { section: Section::Storages, row: behind };
        let Some(number) = behind.checked_sub(1) else { return Err(nowhere.into()) };
        let storage: StorageRow = self.row(Section::Storages, number)?;
        match offset.checked_sub(storage.offset) {
            Some(within) if within < storage.bytes => Ok(storage),
            _ => Err(nowhere.into()),
        }
    }

    /// The account with a tag.
    ///
    /// # Errors
    /// When a block is damaged.
    pub fn account(&mut self, tag: &Tag) -> Result<Option<AccountRow>, B::Error> {
        let before = self.count_before(Section::Accounts, |row: &AccountRow| row.tag < *tag)?;
        if before == self.head.rows(Section::Accounts) {
            return Ok(None);
        }
        let row: AccountRow = self.row(Section::Accounts, before)?;
        Ok((row.tag == *tag).then_some(row))
    }

    /// The live accounts of an owner, by the numbers of their [`OwnedRow`]s.
    ///
    /// # Errors
    /// When there are none of these numbers.
    pub fn owner(&mut self, owner: &Pubkey) -> Result<std::ops::Range<u64>, B::Error> {
        let before = self.count_before(Section::Owners, |row: &OwnerRow| row.owner < *owner)?;
        if before == self.head.rows(Section::Owners) {
            return Ok(0..0);
        }
        let row: OwnerRow = self.row(Section::Owners, before)?;
        if row.owner != *owner {
            return Ok(0..0);
        }
        match row.first.checked_add(row.count) {
            Some(end) if end <= self.head.rows(Section::Owned) => Ok(row.first..end),
            _ => Err(IndexError::Row { section: Section::Owners, row: before }.into()),
        }
    }

    /// Where a live account's record begins.
    ///
    /// # Errors
    /// When there is none of this number.
    pub fn owned(&mut self, number: u64) -> Result<u64, B::Error> {
        Ok(self.row::<OwnedRow>(Section::Owned, number)?.offset)
    }
}
