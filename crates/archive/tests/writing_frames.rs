//! Frames, their plan and the seek table: the same bytes for any pieces, sound to the libraries.

mod common;

use std::io::Read;

use common::decode_as;
use icecore_archive::{
    container::ContainerKind,
    names::Compression,
    seek_table::{SeekFooter, SeekTable},
    writing::{
        frame_encoder::{FrameEncoder, Packing, ZSTD_LEVELS},
        frame_plan::{FRAME_BYTES, FRAME_BYTES_DEFAULT, FramePlan},
        frame_writer::FrameWriter,
    },
};
use proptest::prelude::*;
use zstd_safe::seekable::Seekable;

const PACKINGS: [Packing; 3] = [Packing::Zstd { level: 1 }, Packing::Lz4, Packing::Tar];

/// Content that packs well in one part and not at all in another.
fn content(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..bytes).map(|at| if at / 3000 % 2 == 0 { (at / 100) as u8 } else { next() as u8 }).collect()
}

/// Writes members, each in pieces of so many bytes.
fn write(packing: Packing, frame_bytes: u32, members: &[Vec<u8>], piece: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let mut sink = |bytes: &[u8]| {
        assert!(!bytes.is_empty());
        file.extend_from_slice(bytes);
    };
    let mut writer = FrameWriter::new(packing, frame_bytes);
    for member in members {
        writer.member(member.len() as u64, &mut sink).expect("few frames");
        for piece in member.chunks(piece) {
            writer.write(piece, &mut sink).expect("few frames");
        }
    }
    let frames = writer.finish(&mut sink).expect("few frames");
    assert_eq!(frames.content_bytes(), members.iter().map(|member| member.len() as u64).sum());
    if let Packing::Zstd { .. } = packing {
        assert_eq!(table_of(&file), frames);
    }
    file
}

/// The seek table at a file's end, read as a reader does.
fn table_of(file: &[u8]) -> SeekTable {
    let footer = SeekFooter::parse(file.last_chunk().expect("long enough")).expect("sound");
    let bytes = footer.expect("there is one").table_bytes();
    SeekTable::parse(&file[file.len() - bytes..], file.len() as u64).expect("sound")
}

/// What the libraries make of a file.
fn by_library(packing: Packing, file: &[u8]) -> Vec<u8> {
    match packing {
        Packing::Zstd { .. } => {
            let mut content = vec![0; 1 << 20];
            let mut decoder = zstd_safe::DCtx::create();
            // One call takes all frames and passes over the table.
            let length = decoder.decompress(&mut content[..], file).expect("sound");
            content.truncate(length);
            content
        }
        Packing::Lz4 => {
            let mut content = Vec::new();
            let mut decoder = lz4_flex::frame::FrameDecoder::new(file);
            decoder.read_to_end(&mut content).expect("sound");
            content
        }
        Packing::Tar => file.to_vec(),
    }
}

fn kind_of(packing: Packing) -> ContainerKind {
    match packing.compression() {
        Compression::Zstd => ContainerKind::Zstd,
        Compression::Lz4 => ContainerKind::Lz4,
        Compression::None => ContainerKind::Tar,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pieces_give_the_same_file_and_every_reader_reads_it(
        sizes in proptest::collection::vec(
            prop_oneof![1usize..600, 1usize..9000, 1usize..60_000],
            1..24,
        ),
        frame_bytes in prop_oneof![Just(4096u32), 4096u32..40_000],
        piece in prop_oneof![1usize..50, 1usize..10_000],
        seed in any::<u64>(),
    ) {
        let members: Vec<_> = sizes.iter().map(|bytes| content(*bytes, seed)).collect();
        for packing in PACKINGS {
            let file = write(packing, frame_bytes, &members, usize::MAX);
            prop_assert!(write(packing, frame_bytes, &members, piece) == file);
            let tar = members.concat();
            prop_assert!(by_library(packing, &file) == tar);
            let read = decode_as(kind_of(packing), &file, &[piece], 1 << 16);
            prop_assert!(read.expect("sound") == tar);
        }
    }

    #[test]
    fn frames_are_full_or_end_before_a_member_that_would_straddle(
        sizes in proptest::collection::vec(1u64..9000, 1..60),
    ) {
        const FULL: u64 = 4096;
        let mut plan = FramePlan::new(FULL as u32);
        let mut ends = Vec::new();
        let mut begins = Vec::new();
        let mut offset = 0;
        for size in sizes {
            begins.push((offset, size));
            if plan.member(size) {
                ends.push(offset);
            }
            let end = offset + size;
            while offset < end {
                let step = plan.room().min(end - offset);
                offset += step;
                if plan.advance(step) {
                    ends.push(offset);
                }
            }
        }
        prop_assert_eq!(plan.held(), offset - ends.last().copied().unwrap_or(0));
        let mut begin = 0;
        for end in &ends {
            let bytes = end - begin;
            if bytes != FULL {
                prop_assert!((FULL / 4 * 3..FULL).contains(&bytes), "{}", bytes);
                let at = begins.iter().find(|(offset, _)| offset == end);
                let (_, size) = at.expect("a member begins here");
                prop_assert!(begin + FULL < end + size, "it would straddle");
            }
            begin = *end;
        }
        // No member straddles an end that a frame could have had before it.
        for (offset, size) in begins {
            let frame = ends.iter().copied().take_while(|end| *end <= offset).last().unwrap_or(0);
            let straddles = offset - frame + size > FULL;
            prop_assert!(!straddles || offset - frame < FULL / 4 * 3);
        }
    }
}

#[test]
fn a_member_that_would_straddle_begins_a_frame() {
    let frame_bytes = 4096;
    // 3584 bytes are more than three quarters of a frame, 2048 are less.
    let members = |first: usize| [content(first, 1), content(1024, 2), content(9000, 3)];
    let starts = |first: usize| {
        let file = write(Packing::Zstd { level: 3 }, frame_bytes, &members(first), usize::MAX);
        let table = table_of(&file);
        table.frames().iter().map(|frame| frame.content_offset).collect::<Vec<_>>()
    };
    assert_eq!(starts(3584), [0, 3584, 7680, 11_776]);
    assert_eq!(starts(2048), [0, 3072, 7168, 11_264]);
    assert_eq!(starts(1536), [0, 4096, 8192]);
}

/// As tiles do it: borders first, from sizes alone, then each frame by whoever comes, last first.
#[test]
fn frames_packed_in_any_order_are_those_of_the_writer() {
    let frame_bytes = 8192;
    let members: Vec<_> = (1..40).map(|seed| content(seed * 150, seed as u64)).collect();
    let tar = members.concat();
    let mut plan = FramePlan::new(frame_bytes);
    let mut ends = Vec::new();
    let mut offset = 0;
    for member in &members {
        if plan.member(member.len() as u64) {
            ends.push(offset);
        }
        let end = offset + member.len();
        while offset < end {
            let step = plan.room().min((end - offset) as u64);
            offset += step as usize;
            if plan.advance(step) {
                ends.push(offset);
            }
        }
    }
    if plan.held() > 0 {
        ends.push(offset);
    }
    assert!(ends.len() > 10);
    for packing in PACKINGS {
        let mut encoders = [FrameEncoder::new(packing), FrameEncoder::new(packing)];
        let mut frames: Vec<_> = (0..ends.len())
            .rev()
            .map(|frame| {
                let begin = frame.checked_sub(1).map_or(0, |before| ends[before]);
                let content = &tar[begin..ends[frame]];
                let mut bytes = vec![0; packing.frame_bytes_max(content.len())];
                let packed = encoders[frame % 3 % 2].encode(content, &mut bytes);
                bytes.truncate(packed.frame_bytes as usize);
                (packed, bytes)
            })
            .collect();
        frames.reverse();
        let mut table = SeekTable::new();
        let mut file = packing.head();
        for (packed, bytes) in &frames {
            table.push(*packed).expect("few frames");
            file.extend(bytes);
        }
        file.extend(packing.tail(&table));
        assert!(file == write(packing, frame_bytes, &members, 1000), "{packing:?}");
    }
}

#[test]
fn an_encoder_that_was_used_packs_like_a_new_one() {
    let contents: Vec<_> = (0..6).map(|seed| content(70_000 + seed * 9000, seed as u64)).collect();
    let levels = ZSTD_LEVELS.step_by(3);
    for packing in levels.map(|level| Packing::Zstd { level }).chain([Packing::Lz4]) {
        let mut used = FrameEncoder::new(packing);
        for content in &contents {
            let mut frame = vec![0; packing.frame_bytes_max(content.len())];
            let packed = used.encode(content, &mut frame);
            let mut again = vec![1; packing.frame_bytes_max(content.len()) + 100];
            let repeated = FrameEncoder::new(packing).encode(content, &mut again);
            assert_eq!(packed, repeated);
            let bytes = packed.frame_bytes as usize;
            assert!(frame[..bytes] == again[..bytes], "{packing:?}");
        }
    }
}

#[test]
fn zstd_frames_state_size_and_checksum_and_levels_differ() {
    let content = content(200_000, 5);
    let pack = |level| {
        let packing = Packing::Zstd { level };
        let mut frame = vec![0; packing.frame_bytes_max(content.len())];
        let packed = FrameEncoder::new(packing).encode(&content, &mut frame);
        frame.truncate(packed.frame_bytes as usize);
        (packed, frame)
    };
    let (packed, frame) = pack(1);
    let stated = zstd_safe::get_frame_content_size(&frame).expect("a frame");
    assert_eq!(stated, Some(200_000));
    assert_ne!(frame[4] & 0x04, 0, "the checksum flag");
    let hash = twox_hash::XxHash64::oneshot(0, &content) as u32;
    assert_eq!(packed.checksum, Some(hash));
    assert_eq!(frame.last_chunk(), Some(&hash.to_le_bytes()));
    assert!(pack(19).1.len() < frame.len());
}

#[test]
fn an_lz4_file_is_one_frame_whose_damage_is_noticed() {
    let members = [content(5 << 20, 1), content(70_000, 2)];
    let file = write(Packing::Lz4, FRAME_BYTES_DEFAULT, &members, usize::MAX);
    assert!(by_library(Packing::Lz4, &file) == members.concat());
    for at in (11..file.len() - 4).step_by(49_999) {
        let mut damaged = file.clone();
        damaged[at] ^= 0x10;
        assert!(decode_as(ContainerKind::Lz4, &damaged, &[1 << 20], 1 << 16).is_err(), "{at}");
    }
}

#[test]
fn what_does_not_pack_has_room() {
    let noise = content(6000, 9).split_off(3000);
    for packing in PACKINGS {
        let mut frame = vec![0; packing.frame_bytes_max(noise.len())];
        let packed = FrameEncoder::new(packing).encode(&noise, &mut frame);
        assert!(packed.frame_bytes as usize <= frame.len());
        let file = write(packing, *FRAME_BYTES.start(), std::slice::from_ref(&noise), usize::MAX);
        assert_eq!(by_library(packing, &file), noise);
    }
}

#[test]
fn nothing_is_written_as_no_frames() {
    for packing in PACKINGS {
        let file = write(packing, FRAME_BYTES_DEFAULT, &[], usize::MAX);
        assert_eq!(by_library(packing, &file), []);
    }
}

#[test]
fn zstds_own_reader_of_seek_tables_reads_ours() {
    let members: Vec<_> = (1..30).map(|seed| content(seed * 700, seed as u64)).collect();
    let tar = members.concat();
    let file = write(Packing::Zstd { level: 3 }, 8192, &members, usize::MAX);
    let table = table_of(&file);
    let mut seekable = Seekable::create();
    seekable.init_buff(&file).expect("it knows the table");
    assert_eq!(seekable.num_frames() as usize, table.frames().len());
    assert!(table.frames().len() > 20);
    for frame in table.frames() {
        let offset = seekable.frame_compressed_offset(frame.number).expect("known");
        assert_eq!(offset, frame.file_offset);
        let offset = seekable.frame_decompressed_offset(frame.number).expect("known");
        assert_eq!(offset, frame.content_offset);
    }
    for offset in (0..tar.len()).step_by(997) {
        let frame = table.frame_at(offset as u64).expect("within");
        assert_eq!(seekable.offset_to_frame_index(offset as u64), frame.number);
        let mut bytes = vec![0; 100.min(tar.len() - offset)];
        let length = seekable.decompress(&mut bytes[..], offset as u64).expect("sound");
        assert!(bytes[..length] == tar[offset..][..length]);
    }
}
