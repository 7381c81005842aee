//! lz4 frames: the decoder against the library's frame encoder and decoder, in any chunking.

mod common;

use std::io::{Read, Write};

use common::{decode_as, in_chunks};
use icecore_archive::{
    Error,
    container::{ContainerKind, Progress},
    lz4_stream::{Lz4Decoder, Lz4Fault, Lz4Frame},
};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use proptest::prelude::*;
use twox_hash::XxHash32;

#[derive(Debug, Clone)]
struct Recipe {
    content: Vec<u8>,
    is_linked: bool,
    block: usize,
    has_block_checksums: bool,
    has_content_checksum: bool,
    states_size: bool,
}

impl Recipe {
    fn make(&self) -> Vec<u8> {
        let blocks =
            [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB];
        let info = FrameInfo::new()
            .block_mode(match self.is_linked {
                true => BlockMode::Linked,
                false => BlockMode::Independent,
            })
            .block_size(blocks[self.block])
            .block_checksums(self.has_block_checksums)
            .content_checksum(self.has_content_checksum)
            .content_size(self.states_size.then_some(self.content.len() as u64));
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&self.content).expect("it compresses");
        encoder.finish().expect("it compresses")
    }
}

/// Text-like bytes that refer far back, zeros, and bytes that do not compress.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        (any::<u8>(), 0..150_000usize).prop_map(|(byte, length)| vec![byte; length]),
        (any::<u32>(), 1..70_000usize, 0..150_000usize).prop_map(|(seed, period, length)| {
            let byte = |index: usize| {
                let mixed = (index % period) as u32 ^ seed;
                (mixed.wrapping_mul(0x9e37_79b1) >> 24) as u8
            };
            (0..length).map(byte).collect()
        }),
        proptest::collection::vec(any::<u8>(), 0..3000),
    ];
    proptest::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let flags = (any::<bool>(), 0..4usize, any::<bool>(), any::<bool>(), any::<bool>());
    (content(), flags).prop_map(|(content, flags)| Recipe {
        content,
        is_linked: flags.0,
        block: flags.1,
        has_block_checksums: flags.2,
        has_content_checksum: flags.3,
        states_size: flags.4,
    })
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![1..8usize, 1..70_000usize], 1..6)
}

fn skippable(content: &[u8]) -> Vec<u8> {
    [&0x184d_2a53_u32.to_le_bytes()[..], &(content.len() as u32).to_le_bytes(), content].concat()
}

fn frames(file: &[u8], sizes: &[usize]) -> Result<Vec<Lz4Frame>, Error> {
    let mut decoder = Lz4Decoder::new();
    let mut frames = Vec::new();
    let mut output = vec![0; 10_000];
    in_chunks(file, sizes, |input| {
        loop {
            let Progress { written, frame_done } = decoder.decode(input, &mut output)?;
            if frame_done {
                frames.push(*decoder.last_frame().expect("one ended just now"));
            } else if written < output.len() {
                return Ok(());
            }
        }
    })?;
    decoder.finish()?;
    Ok(frames)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn frames_decode_as_the_library_says_in_any_chunking(
        recipes in proptest::collection::vec(recipe(), 1..4),
        between in proptest::collection::vec(any::<u8>(), 0..20),
        sizes in sizes(),
        output_bytes in 1..300_000usize,
    ) {
        let made: Vec<_> = recipes.iter().map(Recipe::make).collect();
        let mut file = skippable(&[]);
        let mut content = Vec::new();
        for frame in &made {
            file.extend(frame);
            file.extend(skippable(&between));
            FrameDecoder::new(&frame[..]).read_to_end(&mut content).expect("it decodes");
        }
        let output_bytes = output_bytes.max(content.len() / 2000);
        let decoded = decode_as(ContainerKind::Lz4, &file, &sizes, output_bytes);
        prop_assert!(decoded.expect("good frames") == content);
        let infos = frames(&file, &sizes).expect("good frames");
        prop_assert_eq!(infos.len(), made.len());
        for ((info, recipe), bytes) in infos.iter().zip(&recipes).zip(&made) {
            let begin = info.offset as usize;
            prop_assert_eq!(&file[begin..begin + info.bytes as usize], &bytes[..]);
            prop_assert_eq!(info.content_bytes, recipe.content.len() as u64);
            prop_assert_eq!(info.is_linked, recipe.is_linked);
            prop_assert_eq!(info.has_block_checksums, recipe.has_block_checksums);
            prop_assert_eq!(info.has_content_checksum, recipe.has_content_checksum);
            prop_assert_eq!(info.states_content_bytes, recipe.states_size);
            prop_assert_eq!(info.block_bytes_max, 65536 << (2 * recipe.block));
            let blocks = recipe.content.len().div_ceil(info.block_bytes_max) as u64;
            prop_assert_eq!(info.blocks, blocks);
        }
    }

    #[test]
    fn damage_is_an_error_or_other_content_never_a_panic(
        recipe in recipe(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..4),
        sizes in sizes(),
    ) {
        let mut file = recipe.make();
        for (index, bit) in flips {
            let index = index.index(file.len());
            file[index] ^= 1 << bit;
        }
        let decoded = decode_as(ContainerKind::Lz4, &file, &sizes, 10_000);
        prop_assert_eq!(&decoded, &decode_as(ContainerKind::Lz4, &file, &[usize::MAX], 100_000));
        if let Err(error) = decoded {
            prop_assert_eq!(error.check_id(), "C2");
        }
    }
}

fn small(has_block_checksums: bool, has_content_checksum: bool, states_size: bool) -> Vec<u8> {
    let recipe = Recipe {
        content: (0..400u32).map(|index| (index * index / 7) as u8).collect(),
        is_linked: true,
        block: 0,
        has_block_checksums,
        has_content_checksum,
        states_size,
    };
    recipe.make()
}

#[test]
fn an_input_that_ends_anywhere_but_between_frames_is_an_error() {
    let parts = [small(true, true, true), skippable(&[1; 20]), small(false, false, false)];
    let file = parts.concat();
    let mut borders = vec![];
    for part in &parts {
        borders.push(borders.last().copied().unwrap_or(0) + part.len());
    }
    for cut in 0..=file.len() {
        let began = borders.iter().rfind(|border| **border <= cut).copied().unwrap_or(0);
        for sizes in [[1], [usize::MAX]] {
            let result = frames(&file[..cut], &sizes);
            if borders.contains(&cut) {
                result.expect("whole frames");
                continue;
            }
            let error = Error::ContainerEnds {
                container: ContainerKind::Lz4,
                offset: cut as u64,
                frame_offset: began as u64,
            };
            assert_eq!(result, Err(error), "cut at {cut}");
        }
    }
}

#[test]
fn every_flipped_bit_of_a_checksummed_frame_is_noticed() {
    let file = small(true, true, true);
    for index in 0..file.len() {
        for bit in 0..8 {
            let mut file = file.clone();
            file[index] ^= 1 << bit;
            let result = frames(&file, &[64]);
            assert!(result.is_err(), "byte {index} bit {bit}");
        }
    }
}

/// A frame from its parts; the descriptor's checksum is made right.
fn by_hand(flags: u8, block: u8, rest: &[u8]) -> Vec<u8> {
    let mut file = 0x184d_2204_u32.to_le_bytes().to_vec();
    file.extend([flags, block]);
    file.push((XxHash32::oneshot(0, &[flags, block]) >> 8) as u8);
    file.extend(rest);
    file
}

#[test]
fn what_a_frame_may_not_ask_for_is_refused_where_it_stands() {
    let refused = |file: &[u8], offset: u64, fault: Lz4Fault| {
        for sizes in [[1], [usize::MAX]] {
            assert_eq!(frames(file, &sizes), Err(Error::Lz4 { offset, fault }));
        }
    };
    refused(b"no lz4", 0, Lz4Fault::NotAFrame);
    refused(&0x184c_2102_u32.to_le_bytes(), 0, Lz4Fault::Legacy);
    refused(&by_hand(0x20, 0x40, &[]), 4, Lz4Fault::FormatVersion { version: 0 });
    refused(&by_hand(0x62, 0x40, &[]), 4, Lz4Fault::ReservedBit);
    refused(&by_hand(0x60, 0xc0, &[]), 4, Lz4Fault::ReservedBit);
    refused(&by_hand(0x60, 0x41, &[]), 4, Lz4Fault::ReservedBit);
    refused(&by_hand(0x61, 0x40, &[]), 4, Lz4Fault::Dictionary);
    refused(&by_hand(0x60, 0x30, &[]), 4, Lz4Fault::BlockSizeCode { code: 3 });
    let mut wrong = by_hand(0x60, 0x40, &[]);
    wrong[6] ^= 1;
    refused(&wrong, 6, Lz4Fault::DescriptorChecksum);

    let too_large = Lz4Fault::BlockTooLarge { block_bytes: 65_537, block_bytes_max: 65_536 };
    refused(&by_hand(0x60, 0x40, &65_537_u32.to_le_bytes()), 7, too_large);
    refused(&by_hand(0x60, 0x40, &0x8001_0001_u32.to_le_bytes()), 7, too_large);

    // One literal, then four bytes from two bytes back: before the content.
    let block = [3, 0, 0, 0, 0x10, b'a', 2, 0, 0, 0, 0];
    let reason = "it ends within a sequence";
    refused(&by_hand(0x60, 0x40, &block), 11, Lz4Fault::Block { reason });
    let block = [6, 0, 0, 0, 0x10, b'a', 2, 0, 0x10, b'b', 0, 0, 0, 0];
    let reason = "it refers to what lies before the content";
    refused(&by_hand(0x60, 0x40, &block), 11, Lz4Fault::Block { reason });

    let mut size = small(false, false, true);
    let stated = size[6..14].to_vec();
    assert_eq!(stated, 400u64.to_le_bytes());
    for stated in [399u64, 401] {
        size[6..14].copy_from_slice(&stated.to_le_bytes());
        size[14] = (XxHash32::oneshot(0, &size[4..14]) >> 8) as u8;
        let error = frames(&size, &[9]).expect_err("another size is stated");
        let fault = Lz4Fault::ContentSize { content_bytes: 400, stated_bytes: stated };
        assert!(matches!(error, Error::Lz4 { fault: found, .. } if found == fault), "{error}");
    }
}

#[test]
fn what_follows_the_last_frame_is_counted() {
    for trailing in [&b"x"[..], b"xyz", b"xyzw and more"] {
        let file = [&small(true, true, true)[..], trailing].concat();
        for sizes in [[1], [5], [usize::MAX]] {
            let mut decoder = Lz4Decoder::new();
            in_chunks(&file, &sizes, |input| {
                let mut output = [0; 1000];
                while !input.is_empty() {
                    decoder.decode(input, &mut output)?;
                }
                Ok(())
            })
            .expect("a good frame");
            let end = decoder.finish().expect("a good frame");
            assert_eq!((end.data_frames, end.trailing_bytes), (1, trailing.len() as u64));
        }
    }
}
