//! Walking through a reduced segment: as through a whole one (see `walk`), by positioned reads.
//!
//! Every item has to continue the chain, and every kept event has to check. The digests of a gap are
//! told one by one: the mountain range that is built from them is what shows whether they are right.
//!
//! What it does *not* do: go on behind damage.

use std::ops::ControlFlow;

use icecore_disk::DiskFile;

use crate::{
    Error, Malformed, StoreId,
    digest::StoreKeys,
    format::{
        BLOCK_BYTES,
        frame::FrameScratch,
        record,
        reduced::{Fate, Item, Step, follow, step, take_reductions},
        walk::Follow,
    },
};

/// Bytes read at a time; an item that is larger is read whole.
const READ_BYTES: usize = 1 << 20;

/// What a walk comes upon.
pub(crate) enum Reduced<'a> {
    /// An item that continues the chain; the place in the chain is that behind it.
    Item { offset: u64, item: Item<'a>, end: Follow },
    /// So many bytes more have been read.
    Read { bytes: u64 },
}

/// Walks through a whole reduced segment that ends at `end`, from a place in the chain on; gives the
/// place behind it.
pub(crate) fn walk_reduced(
    file: &dyn DiskFile,
    end: u64,
    mut place: Follow,
    store_id: &StoreId,
    keys: &StoreKeys,
    visit: &mut dyn FnMut(Reduced<'_>) -> Result<ControlFlow<()>, Error>,
) -> Result<Follow, Error> {
    let mut scratch = FrameScratch::default();
    let (mut buffer, mut start) = (Vec::new(), BLOCK_BYTES);
    fill(file, start, end, READ_BYTES, &mut buffer)?;
    let (reductions, bytes) = take_reductions(&buffer)
        .map_err(|malformed| malformed.in_file(file.path(), BLOCK_BYTES))?;
    let mut offset = BLOCK_BYTES + bytes as u64;
    while offset < end {
        let held = buffer.get((offset - start) as usize..).unwrap_or_default();
        let in_file = |malformed: Malformed| malformed.in_file(file.path(), offset);
        match step(held, offset) {
            Step::Item { item, next } => {
                place = follow(&place, &item, reductions.len(), keys, &mut scratch)
                    .and_then(|behind| check_records(&item, store_id).map(|()| behind))
                    .map_err(in_file)?;
                if visit(Reduced::Item { offset, item, end: place })?.is_break() {
                    return Ok(place);
                }
                offset = next;
            }
            Step::Needs(more) => {
                if held.len() as u64 == end - offset {
                    return Err(in_file(Malformed::new(0, "the segment ends within an item")));
                }
                start = offset;
                let bytes = fill(file, start, end, more.max(READ_BYTES), &mut buffer)?;
                if visit(Reduced::Read { bytes })?.is_break() {
                    return Ok(place);
                }
            }
            Step::Bad(malformed) => return Err(in_file(malformed)),
        }
    }
    Ok(place)
}

fn fill(
    file: &dyn DiskFile,
    start: u64,
    end: u64,
    wanted: usize,
    buffer: &mut Vec<u8>,
) -> Result<u64, Error> {
    let room = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
    buffer.resize(wanted.min(room), 0);
    let read = file.read_at(start, buffer)?;
    if read < buffer.len() {
        let what = "a sealed segment is too short";
        return Err(Malformed::new(read as u64, what).in_file(file.path(), start));
    }
    Ok(read as u64)
}

fn check_records(item: &Item<'_>, store_id: &StoreId) -> Result<(), Malformed> {
    let check = |sequence: u64, bytes: &[u8]| {
        let checks = record::checks(bytes, store_id, sequence);
        if checks { Ok(()) } else { Err(Malformed::new(0, "an event does not check")) }
    };
    let mut sequences = item.sequences();
    match item {
        Item::Frame(frame) => {
            frame.records().zip(sequences).try_for_each(|((_, bytes), at)| check(at, bytes))
        }
        Item::Stub(stub) => stub.fates().try_for_each(|fate| {
            let sequence = sequences.next().expect("a fate for each event");
            match fate {
                Fate::Kept(bytes) => check(sequence, bytes),
                Fate::Dropped(..) => Ok(()),
            }
        }),
        Item::Gap(_) => Ok(()),
    }
}
