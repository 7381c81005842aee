//! The index beside an archive: its bytes, what is found in it, and what hostile ones do.

use icecore_archive::index::{
    BLOCK_BYTES, Block, Blocks, IndexError, IndexHead, IndexReader, RowBlocks, Section,
    rows::{AccountRow, FrameRow, OwnedRow, OwnerRow, PieceRow, Row, StorageRow},
    seal,
};
use icecore_types::Pubkey;
use proptest::prelude::*;

/// An index in memory.
struct Memory(Vec<u8>);

impl Blocks for Memory {
    type Error = IndexError;

    fn read(&mut self, number: u64, block: &mut Block) -> Result<(), IndexError> {
        let at = number as usize * BLOCK_BYTES;
        let bytes =
            self.0.get(at..at + BLOCK_BYTES).ok_or(IndexError::Checksum { block: number })?;
        block.copy_from_slice(bytes);
        Ok(())
    }
}

fn reader(bytes: &[u8]) -> Result<IndexReader<Memory>, IndexError> {
    IndexReader::open(Memory(bytes.to_vec()), bytes.len() as u64)
}

/// The contents of an index.
#[derive(Debug, Clone, Default)]
struct Rows {
    frames: Vec<FrameRow>,
    pieces: Vec<PieceRow>,
    storages: Vec<StorageRow>,
    accounts: Vec<AccountRow>,
    owned: Vec<OwnedRow>,
    owners: Vec<OwnerRow>,
}

const KEY: [u8; 32] = [0x5a; 32];

impl Rows {
    /// Frames of 1,000 bytes of content, a storage and an account each.
    fn sample(count: u64) -> Self {
        let mut rows = Self::default();
        for number in 0..count {
            rows.frames.push(FrameRow {
                file_offset: number * 100,
                file_bytes: 100,
                content_offset: number * 1000,
                content_bytes: 1000,
                first_piece: number,
                begun_bytes: number % 3,
            });
            rows.pieces.push(PieceRow { digest: [number as u8; 16] });
            let slot = 50 + number;
            rows.storages.push(StorageRow { offset: number * 1000 + 512, bytes: 400, slot });
            let mut tag = [0; 16];
            tag[..8].copy_from_slice(&ascending(number * 7));
            let offset = number * 1000 + 512;
            rows.accounts.push(AccountRow { tag, offset, is_tombstone: number % 5 == 0 });
            rows.owned.push(OwnedRow { offset });
            if number % 2 == 0 {
                let owner = owner(number / 2);
                rows.owners.push(OwnerRow { owner, first: number, count: 2.min(count - number) });
            }
        }
        rows
    }

    fn head(&self) -> IndexHead {
        IndexHead {
            archive: "snapshot-9-x.tar.zst".into(),
            archive_bytes: self.frames.len() as u64 * 100,
            edges: [1; 32],
            key: KEY,
            is_judged: true,
            base_edges: [0; 32],
            slots: [50, 60],
            rows: [
                self.frames.len(),
                self.pieces.len(),
                self.storages.len(),
                self.accounts.len(),
                self.owned.len(),
                self.owners.len(),
            ]
            .map(|count| count as u64),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut blocks = Vec::new();
        put(&self.frames, &mut blocks);
        put(&self.pieces, &mut blocks);
        put(&self.storages, &mut blocks);
        put(&self.accounts, &mut blocks);
        put(&self.owned, &mut blocks);
        put(&self.owners, &mut blocks);
        let mut bytes = self.head().encode().to_vec();
        for (number, block) in (1..).zip(&mut blocks) {
            seal(&KEY, number, block);
            bytes.extend(&*block);
        }
        bytes
    }
}

/// Bytes in the order of numbers.
fn ascending(number: u64) -> [u8; 8] {
    number.swap_bytes().to_le_bytes()
}

fn owner(number: u64) -> Pubkey {
    let mut owner = Pubkey([0; 32]);
    owner.0[24..].copy_from_slice(&ascending(number));
    owner
}

fn put<R: Row>(rows: &[R], blocks: &mut Vec<Block>) {
    let mut section = RowBlocks::new();
    for row in rows {
        blocks.extend(section.push(row));
    }
    blocks.extend(section.finish());
}

#[test]
fn the_bytes_are_those_of_the_table_in_the_documents() {
    let bytes = Rows::sample(1).encode();
    assert_eq!(bytes.len(), 7 * BLOCK_BYTES);
    assert_eq!(&bytes[8..16], b"ICARIDX\0");
    assert_eq!(bytes[16..24], [1, 0, 1, 20, 0, 0, 0, 0]);
    assert_eq!(bytes[24..32], 100u64.to_le_bytes());
    assert_eq!(bytes[32..64], [1; 32]);
    assert_eq!(bytes[64..96], KEY);
    assert_eq!(bytes[96..128], [0; 32]);
    let numbers = [50u64, 60, 1, 1, 1, 1, 1, 1].map(u64::to_le_bytes).concat();
    assert_eq!(bytes[128..192], numbers);
    assert_eq!(&bytes[192..212], b"snapshot-9-x.tar.zst");
    assert!(bytes[212..BLOCK_BYTES].iter().all(|byte| *byte == 0));
    let account = &bytes[4 * BLOCK_BYTES + 8..][..24];
    assert_eq!(account[..16], [0; 16]);
    assert_eq!(account[16..], 513u64.to_le_bytes());
}

#[test]
fn every_row_is_found_and_nothing_that_is_not_there() {
    for count in [1, 2, 84, 85, 86, 171, 1000, 3001] {
        let rows = Rows::sample(count);
        let mut reader = reader(&rows.encode()).expect("just written");
        assert_eq!(*reader.head(), rows.head());
        assert_eq!(reader.frames(), count);
        for (number, frame) in (0..).zip(&rows.frames) {
            assert_eq!(reader.frame(number).as_ref(), Ok(frame));
            assert_eq!(reader.frame_at(frame.content_offset), Ok(number));
            assert_eq!(reader.frame_at(frame.content_end() - 1), Ok(number));
            assert_eq!(reader.piece(number), Ok(rows.pieces[number as usize]));
        }
        assert!(reader.frame(count).is_err() && reader.frame_at(count * 1000).is_err());
        for storage in &rows.storages {
            assert_eq!(reader.storage_at(storage.offset), Ok(*storage));
            assert_eq!(reader.storage_at(storage.offset + 399), Ok(*storage));
            assert!(reader.storage_at(storage.offset + 400).is_err());
            assert!(reader.storage_at(storage.offset - 1).is_err());
        }
        for account in &rows.accounts {
            assert_eq!(reader.account(&account.tag), Ok(Some(*account)));
            let mut other = account.tag;
            other[15] = 1;
            assert_eq!(reader.account(&other), Ok(None));
        }
        for row in &rows.owners {
            assert_eq!(reader.owner(&row.owner), Ok(row.first..row.first + row.count));
            assert_eq!(reader.owned(row.first), Ok(rows.owned[row.first as usize].offset));
        }
        assert_eq!(reader.owner(&owner(count)), Ok(0..0));
        assert!(reader.owned(count).is_err());
    }
}

#[test]
fn an_empty_index_has_nothing() {
    let mut reader = reader(&Rows::default().encode()).expect("just written");
    assert_eq!(reader.account(&[0; 16]), Ok(None));
    assert_eq!(reader.owner(&owner(0)), Ok(0..0));
    assert!(reader.frame_at(0).is_err() && reader.storage_at(0).is_err());
}

#[test]
fn any_flipped_bit_is_noticed_where_it_is_read_and_no_cut_file_is_opened() {
    let rows = Rows::sample(200);
    let bytes = rows.encode();
    for at in (0..bytes.len()).step_by(37) {
        let mut other = bytes.clone();
        other[at] ^= 1 << (at % 8);
        let Ok(mut reader) = reader(&other) else {
            assert!(at < BLOCK_BYTES);
            continue;
        };
        assert!(at >= BLOCK_BYTES, "{at}");
        let mut errors = 0;
        for (number, frame) in (0..).zip(&rows.frames) {
            let frame_read = reader.frame(number);
            errors += usize::from(frame_read.as_ref() != Ok(frame));
            errors += usize::from(reader.piece(number).is_err());
            errors += usize::from(reader.storage_at(frame.content_offset + 512).is_err());
            errors += usize::from(reader.account(&rows.accounts[number as usize].tag).is_err());
            errors += usize::from(reader.owned(number).is_err());
            errors += usize::from(reader.owner(&owner(number / 2)).is_err());
        }
        assert!(errors > 0, "{at}");
    }
    for length in 0..bytes.len() {
        assert!(reader(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn no_number_of_rows_is_believed_that_the_file_does_not_have() {
    let mut head = Rows::sample(3).head();
    for section in 0..6 {
        for count in [4000, u64::from(u32::MAX), u64::MAX / 4096, u64::MAX] {
            let before = std::mem::replace(&mut head.rows[section], count);
            // A writer that never made such a file would not even encode it.
            let block = head.encode();
            let opened = IndexHead::parse(&block, 7 * BLOCK_BYTES as u64);
            assert!(opened.is_err(), "{section} {count}");
            head.rows[section] = before;
        }
    }
    assert_eq!(Section::ALL.map(Section::rows_per_block), [85, 255, 170, 170, 511, 85]);
}

proptest! {
    /// Rows of any bytes under right checksums: an answer or an error, never a panic.
    #[test]
    fn rows_that_were_made_to_deceive_are_survived(
        counts in prop::array::uniform6(0u64..300),
        fill in prop::collection::vec(any::<u8>(), 1..5000),
        asked in any::<u64>(),
    ) {
        let mut head = Rows::default().head();
        (head.rows, head.archive_bytes) = (counts, u64::MAX);
        let mut bytes = head.encode().to_vec();
        let content = fill.iter().copied().cycle().take(head.file_bytes() as usize - BLOCK_BYTES);
        bytes.extend(content);
        for (number, block) in (0..).zip(bytes.as_chunks_mut::<BLOCK_BYTES>().0).skip(1) {
            seal(&KEY, number, block);
        }
        let mut reader = reader(&bytes).expect("the head is right");
        for number in [0, 1, asked, asked % 300] {
            let _ = (reader.frame(number), reader.piece(number), reader.owned(number));
            let _ = (reader.frame_at(number), reader.storage_at(number));
            let _ = (reader.account(&[number as u8; 16]), reader.owner(&owner(number)));
        }
    }
}
