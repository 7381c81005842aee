//! The reader of seek tables on hostile bytes.

use icecore_archive::seek_table::{
    FOOTER_BYTES, FRAMES_MAX, PackedFrame, SeekFooter, SeekTable, SeekTableError,
};
use proptest::prelude::*;

/// A table of frames, and the bytes of the file that it ends.
fn table(frames: &[(u32, u32)], has_checksums: bool) -> (SeekTable, Vec<u8>, u64) {
    let mut table = SeekTable::new();
    for (index, (frame_bytes, content_bytes)) in frames.iter().enumerate() {
        let checksum = has_checksums.then_some(0x1234_5678 + index as u32);
        let frame =
            PackedFrame { frame_bytes: *frame_bytes, content_bytes: *content_bytes, checksum };
        table.push(frame).expect("few frames");
    }
    let bytes = table.encode();
    let file_bytes = table.file_bytes() + bytes.len() as u64;
    (table, bytes, file_bytes)
}

/// Reads as a reader does: the footer, then what it says that the table has.
fn read(file_end: &[u8], file_bytes: u64) -> Result<Option<SeekTable>, SeekTableError> {
    let Some(last) = file_end.last_chunk::<FOOTER_BYTES>() else { return Ok(None) };
    let Some(footer) = SeekFooter::parse(last)? else { return Ok(None) };
    let begin = file_end.len().saturating_sub(footer.table_bytes());
    SeekTable::parse(&file_end[begin..], file_bytes).map(Some)
}

const FRAMES: [(u32, u32); 5] = [(100, 4096), (8, 0), (57, 4000), (4096, 4096), (20, 7)];

#[test]
fn the_bytes_are_those_of_the_table_in_the_documents() {
    let (_, bytes, _) = table(&[(0x0102, 0x0304)], true);
    let expected = [
        &[0x5e, 0x2a, 0x4d, 0x18][..],
        &[21, 0, 0, 0],
        &[0x02, 0x01, 0, 0],
        &[0x04, 0x03, 0, 0],
        &[0x78, 0x56, 0x34, 0x12],
        &[1, 0, 0, 0],
        &[0x80],
        &[0xb1, 0xea, 0x92, 0x8f],
    ];
    assert_eq!(bytes, expected.concat());
    let (_, bytes, _) = table(&[(9, 5)], false);
    assert_eq!(bytes[4], 17);
    assert_eq!(bytes[20], 0);
    assert_eq!(SeekTable::new().encode().len(), 17);
}

#[test]
fn tables_are_read_back_and_find_every_byte() {
    for has_checksums in [true, false] {
        let (table, bytes, file_bytes) = table(&FRAMES, has_checksums);
        assert_eq!(read(&bytes, file_bytes), Ok(Some(table.clone())));
        let mut offset = 0;
        for (number, (frame_bytes, content_bytes)) in FRAMES.iter().enumerate() {
            for at in [0, 1, content_bytes / 2, content_bytes.saturating_sub(1)] {
                if at < *content_bytes {
                    let frame = table.frame_at(offset + u64::from(at)).expect("within");
                    assert_eq!(frame.number as usize, number);
                    assert_eq!(frame.packed.frame_bytes, *frame_bytes);
                    assert_eq!(frame.content_offset, offset);
                }
            }
            offset += u64::from(*content_bytes);
        }
        assert_eq!(table.frame_at(offset), None);
        assert_eq!(table.frame_at(u64::MAX), None);
        assert_eq!(table.content_bytes(), offset);
    }
    assert_eq!(SeekTable::new().frame_at(0), None);
}

#[test]
fn a_table_that_is_cut_or_of_another_file_is_refused() {
    let (_, bytes, file_bytes) = table(&FRAMES, true);
    for length in 0..bytes.len() {
        let cut = read(&bytes[..length], file_bytes - (bytes.len() - length) as u64);
        assert!(!matches!(cut, Ok(Some(_))), "{length}: {cut:?}");
        let headless = read(&bytes[bytes.len() - length..], file_bytes);
        assert!(!matches!(headless, Ok(Some(_))), "{length}: {headless:?}");
    }
    for other in [0, file_bytes - 1, file_bytes + 1, u64::MAX] {
        let stated_bytes = file_bytes;
        let error = SeekTableError::FileSize { stated_bytes, file_bytes: other };
        assert_eq!(read(&bytes, other), Err(error));
    }
}

#[test]
fn every_flipped_bit_is_noticed_or_is_in_what_the_frames_say_too() {
    let (sound, bytes, file_bytes) = table(&FRAMES, true);
    let mut lies = 0;
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let Ok(Some(read)) = read(&damaged, file_bytes) else { continue };
        let packed = |table: &SeekTable| -> Vec<_> {
            table
                .frames()
                .iter()
                .map(|frame| (frame.file_offset, frame.packed.frame_bytes))
                .collect()
        };
        assert_eq!(packed(&read), packed(&sound), "bit {bit}");
        lies += u32::from(read != sound);
    }
    // Content sizes and checksums, which each frame states itself.
    assert_eq!(lies as usize, FRAMES.len() * 8 * 8);
}

#[test]
fn impossible_numbers_are_refused_before_they_are_used() {
    let footer = |frames: u32, descriptor: u8| {
        let mut footer = [0; FOOTER_BYTES];
        footer[..4].copy_from_slice(&frames.to_le_bytes());
        footer[4] = descriptor;
        footer[5..].copy_from_slice(&0x8f92_eab1_u32.to_le_bytes());
        SeekFooter::parse(&footer)
    };
    for descriptor in [0x04, 0x08, 0x10, 0x20, 0x40, 0xc0, 0xff] {
        assert_eq!(footer(1, descriptor), Err(SeekTableError::Reserved { descriptor }));
    }
    for frames in [FRAMES_MAX + 1, u32::MAX] {
        assert_eq!(footer(frames, 0), Err(SeekTableError::TooManyFrames { frames }));
    }
    let most = footer(FRAMES_MAX, 0x83).expect("as many as can be").expect("a table");
    assert_eq!(most.table_bytes(), 8 + 12 * FRAMES_MAX as usize + 9);
    assert_eq!(SeekFooter::parse(&[0; FOOTER_BYTES]), Ok(None));

    let (_, bytes, file_bytes) = table(&[(9, 1), (7, 1)], false);
    let error = SeekTableError::FrameTooShort { frame: 1, frame_bytes: 7 };
    assert_eq!(read(&bytes, file_bytes), Err(error));
}

#[test]
fn a_writer_is_told_when_there_are_too_many_frames() {
    let mut table = SeekTable::new();
    let frame = PackedFrame { frame_bytes: 20, content_bytes: 4096, checksum: None };
    for _ in 0..FRAMES_MAX {
        table.push(frame).expect("not too many yet");
    }
    let error = SeekTableError::TooManyFrames { frames: FRAMES_MAX + 1 };
    assert_eq!(table.push(frame), Err(error));
    let bytes = table.encode();
    let file_bytes = table.file_bytes() + bytes.len() as u64;
    assert_eq!(read(&bytes, file_bytes), Ok(Some(table)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_gives_no_table_that_does_not_fit_its_file(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        frames in 1u32..20,
        has_checksums in any::<bool>(),
        file_bytes in any::<u64>(),
    ) {
        // Everything around the entries is made sound, so that noise comes to be read as entries.
        bytes.extend(frames.to_le_bytes());
        bytes.push(if has_checksums { 0x80 } else { 0 });
        bytes.extend(0x8f92_eab1_u32.to_le_bytes());
        let entries = frames as usize * if has_checksums { 12 } else { 8 };
        if let Some(begin) = bytes.len().checked_sub(8 + entries + FOOTER_BYTES) {
            bytes[begin..][..4].copy_from_slice(&0x184d_2a5e_u32.to_le_bytes());
            bytes[begin + 4..][..4]
                .copy_from_slice(&((entries + FOOTER_BYTES) as u32).to_le_bytes());
            let stated = match read(&bytes, file_bytes) {
                Err(SeekTableError::FileSize { stated_bytes, .. }) => stated_bytes,
                Err(SeekTableError::FrameTooShort { .. }) => return Ok(()),
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            let table = read(&bytes, stated).expect("it adds up").expect("a table");
            prop_assert_eq!(table.frames().len(), frames as usize);
            prop_assert_eq!(&bytes[begin..], table.encode());
        } else {
            prop_assert!(!matches!(read(&bytes, file_bytes), Ok(Some(_))));
        }
    }
}
