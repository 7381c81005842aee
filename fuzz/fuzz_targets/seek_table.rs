//! Seek tables: no panic, and what is read encodes to the bytes it was read from, adds up to the
//! file, and finds every frame.

#![no_main]

use icecore_archive::seek_table::{SeekFooter, SeekTable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Noise seldom adds up to its own length, so the file's may be as long as the input says.
    let Some((length, bytes)) = bytes.split_first_chunk() else { return };
    let length = u64::from_le_bytes(*length);
    let Some(Ok(Some(footer))) = bytes.last_chunk().map(SeekFooter::parse) else { return };
    let Some(begin) = bytes.len().checked_sub(footer.table_bytes()) else { return };
    let table = &bytes[begin..];
    let Ok(read) = SeekTable::parse(table, length) else { return };
    assert_eq!(read.file_bytes() + table.len() as u64, length);
    for frame in read.frames() {
        let found = read.frame_at(frame.content_offset);
        if frame.packed.content_bytes > 0 {
            assert_eq!(found, Some(frame));
        }
    }
    assert_eq!(read.frame_at(read.content_bytes()), None);
    let mut encoded = read.encode();
    if read.frames().is_empty() {
        return;
    }
    // Two bits of the descriptor mean nothing.
    let descriptor = encoded.len() - 5;
    encoded[descriptor] |= table[descriptor] & 3;
    assert_eq!(encoded, table);
});
