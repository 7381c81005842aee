//! The arithmetic of marks, and the filter.

use std::collections::HashMap;

use crate::index::{
    Covers, Marks,
    filter::{self, BLOCK_BYTES, Probe, blocks_for},
    marks::{frame_mark, frames_between, node_place, nodes_between, time_mark, times_between},
    page::{CONTENT_BYTES, PAGE_BYTES, PageWriter},
};

#[test]
fn nodes_lie_where_the_arithmetic_says_for_every_range() {
    // All nodes in the order in which frames complete them.
    const FRAMES: u64 = 64 * 20 + 5;
    let borders: Vec<u64> =
        (0..FRAMES).filter(|frame| frame % 64 < 2 || frame % 64 == 63).chain([FRAMES]).collect();
    for (nth, &first) in borders.iter().enumerate() {
        for &end in &borders[nth..] {
            let mut places = HashMap::new();
            for count in first + 1..=end {
                for level in 6..=count.trailing_zeros().max(5) as u8 {
                    places.insert((level, (count >> level) - 1), places.len() as u64);
                }
            }
            assert_eq!(nodes_between(first, end), places.len() as u64);
            for level in 0..70 {
                for index in 0..(FRAMES >> level.min(63)) + 2 {
                    let place = places.get(&(level, index)).copied();
                    assert_eq!(node_place(level, index, first, end), place, "{first}..{end}");
                }
            }
        }
    }
}

#[test]
fn no_node_overflows() {
    for level in 0..=u8::MAX {
        for index in [0, 1, u64::MAX >> 6, u64::MAX - 1, u64::MAX] {
            for (first, end) in [(0, 1 << 63), ((1 << 63) - 1, 1 << 63), (1 << 63, 1 << 63)] {
                let place = node_place(level, index, first, end);
                assert!(place.is_none_or(|place| place < nodes_between(first, end)));
            }
        }
    }
}

#[test]
fn marks_are_at_absolute_multiples() {
    for (first, end) in [(0, 0), (0, 1), (1, 256), (1, 257), (255, 1000), (256, 256), (300, 2000)] {
        let mut marks = Marks::default();
        for number in first..end {
            marks.event(number, 2 * number, 3 * number as u32);
            marks.frame(number, 4 * number, 5 * number as u32);
        }
        assert_eq!(marks.times.len() as u64, times_between(first, end));
        assert_eq!(marks.frames.len() as u64, frames_between(first, end));
        for (number, &(sequence, time)) in (0..).zip(&marks.times) {
            assert_eq!(time_mark(first, number), Some(sequence));
            assert!(sequence % 256 == 0 && time == 2 * sequence);
        }
        for (number, &(frame, ..)) in (0..).zip(&marks.frames) {
            assert_eq!(frame_mark(first, number), Some(frame));
            assert_eq!(frame % 64, 0);
        }
        assert_eq!(marks.offset(0), (end > first).then_some(3 * first as u32));
        assert_eq!(marks.offset((end - first) as usize), None);
    }
}

const COVERS: Covers = Covers {
    store_id: [1; 16],
    first_segment: 1,
    last_segment: 1,
    first_sequence: 0,
    end_sequence: 0,
    first_frame: 0,
    end_frame: 0,
    last_digest: [0; 32],
    first_time: 0,
    last_time: 0,
};

fn filter_of(keys: &[u64], slab_blocks: u64) -> Vec<[u8; BLOCK_BYTES]> {
    let mut blocks = Vec::new();
    let mut sink = |page: &[u8]| {
        assert_eq!(page.len(), PAGE_BYTES);
        blocks.extend_from_slice(page[..CONTENT_BYTES].as_chunks().0);
        Ok::<(), ()>(())
    };
    let mut writer = PageWriter::new(&COVERS, &mut sink);
    let distinct = keys.len() as u64;
    let visit = |take: &mut dyn FnMut(u64)| {
        keys.iter().for_each(|&key| take(key));
        Ok(())
    };
    filter::write(&mut writer, distinct, slab_blocks, visit).expect("no error");
    writer.end_section().expect("no error");
    blocks.truncate(blocks_for(distinct) as usize);
    blocks
}

#[test]
fn a_filter_finds_all_its_keys_and_few_others() {
    // Hashes, consecutive numbers, and numbers that differ in their upper bits only.
    let families: [fn(u64) -> u64; 3] = [
        |number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        |number| number,
        |number| number << 44,
    ];
    for family in families {
        let keys: Vec<u64> = (0..10_000).map(family).collect();
        let blocks = filter_of(&keys, u64::MAX);
        let has = |key| {
            let probe = Probe::new(key, blocks.len() as u64);
            probe.is_in(&blocks[probe.block as usize])
        };
        assert!(keys.iter().all(|&key| has(key)));
        let passed = (10_000..110_000).map(family).filter(|&key| has(key)).count();
        assert!((100..2_000).contains(&passed), "{passed} of 100,000");
    }
}

#[test]
fn a_filter_made_in_slabs_is_the_same() {
    let keys: Vec<u64> = (0..5_000).map(|number| number * number).collect();
    let whole = filter_of(&keys, u64::MAX);
    assert_eq!(whole.len() as u64, (5_000_u64 * 10).div_ceil(256));
    for slab_blocks in [1, 7, 64, 195, 196, 197] {
        assert!(filter_of(&keys, slab_blocks) == whole);
    }
}
