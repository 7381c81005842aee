//! Indexes beside archives: no panic, whatever rows say under right checksums; and any bytes as a
//! file.

#![no_main]

use icecore_archive::index::{
    BLOCK_BYTES, Block, Blocks, IndexError, IndexHead, IndexReader, NAME_BYTES_MAX, seal,
};
use icecore_types::Pubkey;
use libfuzzer_sys::fuzz_target;

/// An index in memory.
struct Memory<'a>(&'a [u8]);

impl Blocks for Memory<'_> {
    type Error = IndexError;

    fn read(&mut self, number: u64, block: &mut Block) -> Result<(), IndexError> {
        let (blocks, _) = self.0.as_chunks();
        let found = usize::try_from(number).ok().and_then(|number| blocks.get(number));
        *block = *found.ok_or(IndexError::Checksum { block: number })?;
        Ok(())
    }
}

/// Asks for everything that these bytes can mean.
fn ask(reader: &mut IndexReader<Memory<'_>>, bytes: &[u8]) {
    for chunk in bytes.chunks(32).take(64) {
        let mut asked = [0; 32];
        asked[..chunk.len()].copy_from_slice(chunk);
        let number = u64::from_le_bytes(*asked.first_chunk().expect("32 bytes"));
        let _ = (reader.frame(number), reader.frame_at(number), reader.storage_at(number));
        let _ = (reader.piece(number), reader.owned(number));
        let _ = reader.account(asked.first_chunk().expect("32 bytes"));
        if let Ok(range) = reader.owner(&Pubkey(asked)) {
            let _ = reader.owned(range.start);
            assert!(range.start <= range.end);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut reader) = IndexReader::open(Memory(bytes), bytes.len() as u64) {
        ask(&mut reader, bytes);
    }
    // The same bytes as rows, with a head and checksums that are right.
    let Some((counts, rows)) = bytes.split_first_chunk::<6>() else { return };
    let name = rows.len().min(NAME_BYTES_MAX);
    let head = IndexHead {
        archive: "a".repeat(name),
        archive_bytes: u64::MAX,
        edges: [0; 32],
        key: [7; 32],
        is_judged: counts[0] & 1 == 1,
        base_edges: [0; 32],
        slots: [0, 9],
        rows: counts.map(u64::from),
    };
    let mut file = head.encode().to_vec();
    let length = usize::try_from(head.file_bytes()).expect("a few blocks");
    file.extend(rows.iter().copied().chain(std::iter::repeat(0)).take(length - BLOCK_BYTES));
    for (number, block) in (0..).zip(file.as_chunks_mut().0).skip(1) {
        seal(&head.key, number, block);
    }
    let mut reader = IndexReader::open(Memory(&file), file.len() as u64).expect("a right head");
    assert_eq!(*reader.head(), head);
    ask(&mut reader, rows);
});
