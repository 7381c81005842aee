//! zstd frames: the walker and the decoders against the library, in any chunking.

mod common;

use std::hash::Hasher;

use common::{decode_as, in_chunks};
use icecore_archive::{
    Error,
    container::{ContainerKind, WalkEnd},
    zstd_frames::{FrameEvent, FrameHeader, FrameKind, FrameWalker, ZstdFault},
    zstd_stream::ZstdFrameDecoder,
};
use proptest::prelude::*;
use twox_hash::XxHash64;
use zstd_safe::{CCtx, CParameter};

/// A frame as the walker gives it.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    header: FrameHeader,
    bytes: Vec<u8>,
    end: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Walk {
    frames: Vec<Frame>,
    trailing: Option<u64>,
    end: WalkEnd,
}

fn walk(bytes: &[u8], sizes: &[usize]) -> Result<Walk, Error> {
    let mut walker = FrameWalker::new();
    let mut frames = Vec::new();
    let mut open: Option<(FrameHeader, Vec<u8>)> = None;
    let mut trailing = None;
    in_chunks(bytes, sizes, |input| {
        while let Some(event) = walker.next(input)? {
            match event {
                FrameEvent::FrameStart { header } => {
                    assert!(open.replace((header, Vec::new())).is_none());
                }
                FrameEvent::Bytes(bytes) => {
                    assert!(!bytes.is_empty());
                    open.as_mut().expect("a frame is open").1.extend_from_slice(bytes);
                }
                FrameEvent::FrameEnd { offset } => {
                    let (header, bytes) = open.take().expect("a frame is open");
                    assert_eq!(header.offset + bytes.len() as u64, offset);
                    frames.push(Frame { header, bytes, end: offset });
                }
                FrameEvent::Trailing { offset } => {
                    assert!(open.is_none() && trailing.replace(offset).is_none());
                }
            }
        }
        assert!(input.is_empty(), "it asks for more with input left");
        Ok(())
    })?;
    let end = walker.finish()?;
    Ok(Walk { frames, trailing, end })
}

/// How a generated frame is made.
#[derive(Debug, Clone)]
enum Recipe {
    Compressed {
        content: Vec<u8>,
        level: i32,
        has_checksum: bool,
        states_size: bool,
        window_log: u32,
    },
    Skippable {
        nibble: u8,
        content: Vec<u8>,
    },
    /// A frame of raw and repeated blocks with a header of any shape.
    ByHand {
        shape: Shape,
        blocks: Vec<(bool, u8, u16)>,
    },
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    content_code: u8,
    is_single_segment: bool,
    has_checksum: bool,
    dictionary_code: u8,
    is_unused_bit_set: bool,
}

impl Recipe {
    /// The frame and what it decodes to.
    fn make(&self) -> (Vec<u8>, Vec<u8>) {
        match self {
            Self::Compressed { content, level, has_checksum, states_size, window_log } => {
                let mut context = CCtx::create();
                for parameter in [
                    CParameter::CompressionLevel(*level),
                    CParameter::ChecksumFlag(*has_checksum),
                    CParameter::ContentSizeFlag(*states_size),
                    CParameter::WindowLog(*window_log),
                ] {
                    context.set_parameter(parameter).expect("a good parameter");
                }
                let mut frame = vec![0; zstd_safe::compress_bound(content.len())];
                let length = context.compress2(&mut frame[..], content).expect("it compresses");
                frame.truncate(length);
                (frame, content.clone())
            }
            Self::Skippable { nibble, content } => {
                let mut frame = (0x184d_2a50 + u32::from(*nibble)).to_le_bytes().to_vec();
                frame.extend((content.len() as u32).to_le_bytes());
                frame.extend(content);
                (frame, Vec::new())
            }
            Self::ByHand { shape, blocks } => by_hand(*shape, blocks),
        }
    }
}

fn by_hand(shape: Shape, blocks: &[(bool, u8, u16)]) -> (Vec<u8>, Vec<u8>) {
    let content: Vec<u8> = blocks
        .iter()
        .flat_map(|(_, byte, length)| std::iter::repeat_n(*byte, usize::from(*length)))
        .collect();
    // A code that cannot state the size is raised to one that can.
    let content_code = match (shape.content_code, content.len()) {
        (0, 256..) if shape.is_single_segment => 1,
        (1, 0..256) => 2,
        (code, _) => code,
    };
    let content_code = match (content_code, content.len()) {
        (1, 65_792..) => 2,
        (code, _) => code,
    };
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd];
    frame.push(
        content_code << 6
            | u8::from(shape.is_single_segment) << 5
            | u8::from(shape.is_unused_bit_set) << 4
            | u8::from(shape.has_checksum) << 2
            | shape.dictionary_code,
    );
    if !shape.is_single_segment {
        // 256 KiB and five eighths more.
        frame.push(8 << 3 | 5);
    }
    // The library takes a dictionary id of zero for none.
    frame.extend(&[0; 4][..[0, 1, 2, 4][usize::from(shape.dictionary_code)]]);
    let size = content.len() as u64;
    match content_code {
        0 if shape.is_single_segment => frame.push(size as u8),
        0 => {}
        1 => frame.extend((size as u16).wrapping_sub(256).to_le_bytes()),
        2 => frame.extend((size as u32).to_le_bytes()),
        _ => frame.extend(size.to_le_bytes()),
    }
    let mut block = |is_last: bool, code: u32, length: usize, bytes: &[u8]| {
        let header = u32::from(is_last) | code << 1 | (length as u32) << 3;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(bytes);
    };
    for (is_repeated, byte, length) in blocks {
        let length = usize::from(*length);
        // Where there is no content there is no byte to repeat.
        match *is_repeated && !content.is_empty() {
            true => block(false, 1, length, &[*byte]),
            false => block(false, 0, length, &vec![*byte; length]),
        }
    }
    block(true, 0, 0, &[]);
    if shape.has_checksum {
        let mut hash = XxHash64::with_seed(0);
        hash.write(&content);
        frame.extend((hash.finish() as u32).to_le_bytes());
    }
    (frame, content)
}

/// Content that gives compressed, raw and repeated blocks, and more than one of them.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        (any::<u8>(), 0..200_000usize).prop_map(|(byte, length)| vec![byte; length]),
        proptest::collection::vec(any::<u8>(), 0..5000),
        (any::<u64>(), 0..200_000usize).prop_map(|(seed, length)| noise(seed, length)),
        proptest::collection::vec(0..4u8, 0..5000),
    ];
    proptest::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

/// Bytes that do not compress.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let shape = (0..4u8, any::<bool>(), any::<bool>(), 0..4u8, any::<bool>()).prop_map(
        |(content_code, is_single_segment, has_checksum, dictionary_code, is_unused_bit_set)| {
            Shape {
                content_code,
                is_single_segment,
                has_checksum,
                dictionary_code,
                is_unused_bit_set,
            }
        },
    );
    prop_oneof![
        (content(), -5..6i32, any::<bool>(), any::<bool>(), 10..21u32).prop_map(
            |(content, level, has_checksum, states_size, window_log)| Recipe::Compressed {
                content,
                level,
                has_checksum,
                states_size,
                window_log,
            }
        ),
        (0..16u8, proptest::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(nibble, content)| Recipe::Skippable { nibble, content }),
        (shape, proptest::collection::vec((any::<bool>(), any::<u8>(), 0..700u16), 0..6))
            .prop_map(|(shape, blocks)| Recipe::ByHand { shape, blocks }),
    ]
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![1..8usize, 1..70_000usize], 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_walker_agrees_with_the_library_in_any_chunking(
        recipes in proptest::collection::vec(recipe(), 1..6),
        sizes in sizes(),
    ) {
        let made: Vec<_> = recipes.iter().map(Recipe::make).collect();
        let file: Vec<u8> = made.iter().flat_map(|(frame, _)| frame.clone()).collect();
        let walk = walk(&file, &sizes).expect("good frames");
        prop_assert_eq!(&walk, &self::walk(&file, &[usize::MAX]).expect("good frames"));
        prop_assert_eq!(walk.trailing, None);
        prop_assert_eq!(walk.frames.len(), made.len());
        let mut rest = &file[..];
        let mut decoder = ZstdFrameDecoder::new();
        for (frame, (bytes, content)) in walk.frames.iter().zip(&made) {
            let length = zstd_safe::find_frame_compressed_size(rest).expect("a good frame");
            prop_assert_eq!(&frame.bytes, &rest[..length]);
            prop_assert_eq!(&frame.bytes, bytes);
            prop_assert_eq!(frame.header.offset, (file.len() - rest.len()) as u64);
            if let FrameKind::Data { content_bytes, .. } = frame.header.kind {
                let stated = zstd_safe::get_frame_content_size(rest).expect("a good header");
                prop_assert_eq!(content_bytes, stated);
                let mut input = &frame.bytes[..];
                let mut output = vec![0; content.len() + 1];
                decoder.reset();
                let progress = decoder.decode(&mut input, &mut output).expect("it decodes");
                prop_assert!(progress.frame_done && input.is_empty());
                prop_assert_eq!(&output[..progress.written], &content[..]);
            }
            rest = &rest[length..];
        }
    }

    #[test]
    fn a_file_of_frames_is_one_stream_in_any_chunking(
        recipes in proptest::collection::vec(recipe(), 1..5),
        sizes in sizes(),
        output_bytes in prop_oneof![1..10usize, 1..300_000usize],
        trailing in proptest::collection::vec(0..0x20u8, 0..9),
    ) {
        let made: Vec<_> = recipes.iter().map(Recipe::make).collect();
        let mut file: Vec<u8> = made.iter().flat_map(|(frame, _)| frame.clone()).collect();
        file.extend(&trailing);
        let content: Vec<u8> = made.iter().flat_map(|(_, content)| content.clone()).collect();
        let output_bytes = output_bytes.max(content.len() / 2000);
        let decoded = decode_as(ContainerKind::Zstd, &file, &sizes, output_bytes);
        prop_assert!(decoded.expect("good frames") == content);
        let walk = walk(&file, &sizes).expect("good frames");
        prop_assert_eq!(walk.end.trailing_bytes, trailing.len() as u64);
        prop_assert_eq!(walk.trailing.is_some(), !trailing.is_empty());
    }

    #[test]
    fn damage_is_an_error_or_other_content_never_a_panic(
        recipe in recipe(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..4),
        sizes in sizes(),
    ) {
        let (mut frame, _) = recipe.make();
        for (index, bit) in flips {
            let index = index.index(frame.len());
            frame[index] ^= 1 << bit;
        }
        let whole = walk(&frame, &[usize::MAX]);
        prop_assert_eq!(&whole, &walk(&frame, &sizes));
        if let Err(error) = whole {
            prop_assert_eq!(error.check_id(), "C2");
        }
        let decoded = decode_as(ContainerKind::Zstd, &frame, &sizes, 100_000);
        let again = decode_as(ContainerKind::Zstd, &frame, &[usize::MAX], 7000);
        // What the library says about damage depends on how the bytes come.
        prop_assert_eq!(decoded.ok(), again.ok());
    }
}

fn compressed(content: &[u8], has_checksum: bool, states_size: bool) -> Vec<u8> {
    let content = content.to_vec();
    let recipe =
        Recipe::Compressed { content, level: 1, has_checksum, states_size, window_log: 17 };
    recipe.make().0
}

#[test]
fn an_input_that_ends_anywhere_but_between_frames_is_an_error() {
    let skippable = Recipe::Skippable { nibble: 3, content: vec![9; 20] };
    let frames = [
        compressed(b"some content, some content", true, true),
        skippable.make().0,
        compressed(&[], false, false),
        compressed(&noise(1, 300), true, false),
    ];
    let file = frames.concat();
    let mut borders = vec![];
    for frame in &frames {
        borders.push(borders.last().copied().unwrap_or(0) + frame.len());
    }
    for cut in 0..=file.len() {
        let began = borders.iter().rfind(|border| **border <= cut).copied().unwrap_or(0);
        for sizes in [[1], [usize::MAX]] {
            let result = walk(&file[..cut], &sizes);
            if borders.contains(&cut) {
                result.expect("whole frames");
                continue;
            }
            let error = Error::ContainerEnds {
                container: ContainerKind::Zstd,
                offset: cut as u64,
                frame_offset: began as u64,
            };
            assert_eq!(result, Err(error.clone()), "cut at {cut}");
            let decoded = decode_as(ContainerKind::Zstd, &file[..cut], &sizes, 100);
            assert_eq!(decoded, Err(error));
        }
    }
}

#[test]
fn what_a_frame_may_not_ask_for_is_refused_where_it_stands() {
    let good = compressed(b"good", false, true);
    let at = good.len() as u64;
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    for (rest, place, fault) in [
        (&[0x08u8, 0][..], at, ZstdFault::ReservedBit),
        (&[0x00, 17 << 3 | 1], at, ZstdFault::Window { window_bytes: 9 << 24 }),
        (&[0x00, 0xff], at, ZstdFault::Window { window_bytes: 15 << 38 }),
        (&[0xa0, 1, 0, 0, 8], at, ZstdFault::Window { window_bytes: (1 << 27) + 1 }),
        (&[0x00, 0x40, 0x07, 0, 0], at + 6, ZstdFault::ReservedBlock),
        (
            &[0x20, 0, 3, 0, 0, 7],
            at + 6,
            ZstdFault::BlockTooLarge { block_bytes: 1, block_bytes_max: 0 },
        ),
        (&[0x00, 0x40, 0x05, 0, 0], at + 6, ZstdFault::BlockTooSmall { block_bytes: 0 }),
        (
            // 128 KiB and one byte, in a window of 256 KiB.
            &[0x00, 0x40, 0x08, 0x00, 0x10],
            at + 6,
            ZstdFault::BlockTooLarge { block_bytes: 131_073, block_bytes_max: 131_072 },
        ),
        (
            // A repeated byte, more often than the window of 1 KiB is long.
            &[0x00, 0x00, 0x0a, 0x20, 0x00],
            at + 6,
            ZstdFault::BlockTooLarge { block_bytes: 1025, block_bytes_max: 1024 },
        ),
    ] {
        let file = [&good[..], &magic, rest].concat();
        for sizes in [[1], [usize::MAX]] {
            let error = Error::Zstd { offset: place, fault };
            assert_eq!(walk(&file, &sizes), Err(error));
        }
    }
    let error = walk(b"no zstd", &[1]).expect_err("no frame");
    assert_eq!(error, Error::Zstd { offset: 0, fault: ZstdFault::NotAFrame });
}

#[test]
fn the_largest_window_is_decoded_and_a_decoder_is_used_again() {
    let mut decoder = ZstdFrameDecoder::new();
    for window_log in [27, 10, 27] {
        let recipe = Recipe::Compressed {
            content: noise(5, 300_000),
            level: 1,
            has_checksum: true,
            states_size: false,
            window_log,
        };
        // Compressed as a stream, the frame states the window as it was asked for.
        let mut context = CCtx::create();
        for parameter in [CParameter::WindowLog(window_log), CParameter::ChecksumFlag(true)] {
            context.set_parameter(parameter).expect("a good parameter");
        }
        let (_, content) = recipe.make();
        let mut frame = vec![0; zstd_safe::compress_bound(content.len()) + 1000];
        let mut target = zstd_safe::OutBuffer::around(&mut frame[..]);
        let mut source = zstd_safe::InBuffer::around(&content);
        context.compress_stream(&mut target, &mut source).expect("it compresses");
        assert_eq!(context.end_stream(&mut target), Ok(0));
        let length = target.pos();
        frame.truncate(length);
        let walk = walk(&frame, &[1000]).expect("a good frame");
        let expected = FrameKind::Data {
            window_bytes: 1 << window_log,
            content_bytes: None,
            has_checksum: true,
            dictionary_id: None,
        };
        assert_eq!(walk.frames[0].header.kind, expected);

        // A frame that was left unfinished does no harm.
        decoder.reset();
        let mut output = vec![0; content.len()];
        decoder.decode(&mut &frame[..1000], &mut output).expect("it decodes so far");
        decoder.reset();
        let mut input = &frame[..];
        let progress = decoder.decode(&mut input, &mut output).expect("it decodes");
        assert_eq!(progress.written, content.len());
        assert!(output == content);
        let progress = decoder.decode(&mut input, &mut [0; 8]).expect("it ends");
        assert!(progress.frame_done && input.is_empty());
        let after = decoder.decode(&mut &frame[..], &mut [0; 8]).expect("it is done");
        assert!(after.frame_done && after.written == 0);

        // Its checksum counts.
        let last = frame.len() - 1;
        frame[last] ^= 1;
        decoder.reset_at(1000);
        let error = decoder.decode(&mut &frame[..], &mut vec![0; content.len() + 1]);
        let reason = "Restored data doesn't match checksum";
        let fault = ZstdFault::Content { reason };
        assert_eq!(error, Err(Error::Zstd { offset: 1000, fault }));
    }
}

#[test]
fn asking_again_without_input_is_no_error() {
    let frame = compressed(&noise(3, 1000), false, true);
    let mut decoder = ZstdFrameDecoder::new();
    let mut output = [0; 2000];
    decoder.decode(&mut &frame[..20], &mut output).expect("it decodes so far");
    for _ in 0..100 {
        let progress = decoder.decode(&mut &[][..], &mut output).expect("it waits");
        assert!(progress.written == 0 && !progress.frame_done);
        let progress = decoder.decode(&mut &frame[20..], &mut []).expect("it waits");
        assert!(progress.written == 0 && !progress.frame_done);
    }
    let progress = decoder.decode(&mut &frame[20..], &mut output).expect("it decodes");
    assert!(progress.frame_done);
}

#[test]
fn a_frame_that_needs_a_dictionary_is_told_and_not_decoded() {
    // A dictionary id of 5, content of no bytes.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x21, 5, 0, 1, 0, 0];
    let walk = walk(&frame, &[1]).expect("a good frame");
    let expected = FrameKind::Data {
        window_bytes: 0,
        content_bytes: Some(0),
        has_checksum: false,
        dictionary_id: Some(5),
    };
    assert_eq!(walk.frames[0].header.kind, expected);
    let decoded = decode_as(ContainerKind::Zstd, &frame, &[usize::MAX], 10);
    let fault = ZstdFault::Content { reason: "Dictionary mismatch" };
    assert_eq!(decoded, Err(Error::Zstd { offset: 0, fault }));
}

#[test]
fn a_stated_size_is_compared_even_where_the_library_does_not() {
    // One byte is stated, one empty block is there.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 1, 1, 0, 0];
    for inputs in [[1], [4], [usize::MAX]] {
        let error = decode_as(ContainerKind::Zstd, &frame, &inputs, 10);
        assert!(matches!(error, Err(Error::Zstd { offset: 0, .. })), "{error:?}");
    }
    let mut decoder = ZstdFrameDecoder::new();
    let mut output = [0; 10];
    decoder.decode(&mut &frame[..7], &mut output).expect("it decodes so far");
    let fault = ZstdFault::ContentSize { content_bytes: 0, stated_bytes: 1 };
    let error = decoder.decode(&mut &frame[7..], &mut output);
    assert_eq!(error, Err(Error::Zstd { offset: 0, fault }));
}

/// Found by fuzzing: trailing bytes whose first one could begin a skippable frame, cut after it,
/// were taken for a frame that the file ends in.
#[test]
fn short_trailing_bytes_cut_after_the_first_are_still_trailing_bytes() {
    let mut bytes = compressed(b"content", false, true);
    let frame_bytes = bytes.len();
    bytes.extend_from_slice(&[0x5e, 0x95, 0x24]);
    let whole = walk(&bytes, &[bytes.len()]).expect("a frame and trailing bytes");
    assert_eq!(whole.trailing, Some(frame_bytes as u64));
    assert_eq!(whole.end.trailing_bytes, 3);
    for cut in 1..bytes.len() {
        let pieces = walk(&bytes, &[cut, bytes.len()]).expect("the same, in two pieces");
        assert_eq!(pieces, whole, "cut at {cut}");
    }
}
