//! Checking a whole run, by position: every bit of it.
//!
//! 1. Header, footer and size fit each other. Then every block is read once, in order, and its
//!    checksum and the digest of all are compared.
//! 2. Pages: rows in order as far as they know their keys, slots of one key downward and within those
//!    of the run, what may not be in a complete run is not there, counts of rows and keys.
//! 3. Fences: each between the page before and its own page; upper levels repeat the first fence of
//!    each block below. Slots go upward. The filter has the hash of every key.
//!
//! Memory: 1 MiB, and the filter (1.25 bytes for each row of a delta run).
//!
//! What it does *not* do: read records, so an order that only they can decide is taken as it is.

use std::{cmp::Ordering, ops::Range, path::Path};

use icecore_disk::{Access, Disk, DiskFile};
use icecore_types::Slot;

use super::{
    PartialKey, RunHeader, RunInfo, RunKind, RunStore,
    block::{BLOCK_BYTES, Block, BlockSeed, CHECKSUM_BYTES},
    fences::{FenceView, fences_per_block},
    filter::{Spot, place_of},
    header::{ChecksumsDigest, Footer, decode_header, stated_id},
    key::Fence,
    layout::{Counts, FIRST_PAGE, Layout},
    page::PageView,
    reader::read_block,
    slots::{SLOTS_PER_BLOCK, entry},
};
use crate::{Error, SizeClass};

/// Blocks that are read at once.
const BLOCKS_AT_ONCE: u64 = 256;

/// Reads all of a run, and checks that it is sound. Returns what it is, to be compared with what the
/// run set says.
///
/// # Errors
/// [`Error::Corrupt`] with the first block that is not what it should be; or the disk refuses.
pub fn check<const K: usize>(
    disk: &dyn Disk,
    path: &Path,
    store: &RunStore,
) -> Result<(RunInfo, RunHeader), Error> {
    let file = disk.open(path, Access::Read)?;
    let bytes = file.bytes()?;
    let corrupt = |block: u64, what| Error::Corrupt {
        path: path.to_path_buf(),
        offset: block * BLOCK_BYTES as u64,
        what,
    };
    let blocks = bytes / BLOCK_BYTES as u64;
    if blocks < 2 || !bytes.is_multiple_of(BLOCK_BYTES as u64) {
        return Err(corrupt(0, "the run has a size that cannot be"));
    }
    let first = read_block(&*file, 0)?;
    let seed = BlockSeed::new(&store.id, K, stated_id(&first));
    let header = decode_header(K, store, &first).map_err(|what| corrupt(0, what))?;
    let last = read_block(&*file, blocks - 1)?;
    if !seed.checks(blocks - 1, &last) {
        return Err(corrupt(blocks - 1, "the checksum of a block of the run does not match"));
    }
    let footer = Footer::decode(&last).map_err(|what| corrupt(blocks - 1, what))?;
    let counts = footer.counts;
    let layout = Layout::of(K, &counts).filter(|layout| layout.blocks() == blocks);
    let Some(layout) = layout else {
        return Err(corrupt(blocks - 1, "the footer of the run counts what is not there"));
    };
    let has_filter = header.kind != RunKind::Complete;
    if has_filter != (counts.buckets > 0) {
        return Err(corrupt(blocks - 1, "a complete run has a filter, or another one has none"));
    }
    let file = Blocks { file: &*file, seed };
    let counted = Counted::<K> { counts, layout: &layout, header: &header };
    (|| {
        let mut digest = ChecksumsDigest::default();
        file.each(0..layout.footer, |_, block| {
            digest.add(&block[..CHECKSUM_BYTES]);
            Ok(())
        })?;
        if digest.value() != footer.digest {
            return Err(Fault::Found(layout.footer, "the digest of the run does not match"));
        }
        counted.pages(&file)?;
        counted.upper_fences(&file)?;
        counted.slots(&file)
    })()
    .map_err(|fault| match fault {
        Fault::Found(block, what) => corrupt(block, what),
        Fault::Failed(error) => error,
    })?;
    let digest = *blake3::hash(&last).as_bytes();
    Ok((RunInfo { id: header.id, bytes, rows: counts.rows, digest }, header))
}

/// What a check ends with.
enum Fault {
    /// This block is not what it should be.
    Found(u64, &'static str),
    Failed(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Reads blocks by position.
struct Blocks<'a> {
    file: &'a dyn DiskFile,
    seed: BlockSeed,
}

impl Blocks<'_> {
    /// Hands over blocks whose checksums match, in order.
    fn each(
        &self,
        blocks: Range<u64>,
        mut take: impl FnMut(u64, &Block) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut buffer = vec![0; (BLOCKS_AT_ONCE as usize) * BLOCK_BYTES];
        let mut at = blocks.start;
        while at < blocks.end {
            let count = (blocks.end - at).min(BLOCKS_AT_ONCE);
            let buffer = &mut buffer[..count as usize * BLOCK_BYTES];
            if self.file.read_at(at * BLOCK_BYTES as u64, buffer).map_err(Error::from)?
                != buffer.len()
            {
                return Err(Fault::Found(at, "the run ends too early"));
            }
            for (block, number) in buffer.as_chunks().0.iter().zip(at..) {
                if !self.seed.checks(number, block) {
                    let what = "the checksum of a block of the run does not match";
                    return Err(Fault::Found(number, what));
                }
                take(number, block)?;
            }
            at += count;
        }
        Ok(())
    }
}

/// What the blocks must come to.
struct Counted<'a, const K: usize> {
    counts: Counts,
    layout: &'a Layout,
    header: &'a RunHeader,
}

/// How far the rows have been seen.
struct Seen<const K: usize> {
    rows: u64,
    keys: u64,
    last: Option<(PartialKey<K>, Slot)>,
    filter: Vec<Block>,
}

impl<const K: usize> Counted<'_, K> {
    fn pages(&self, file: &Blocks<'_>) -> Result<(), Fault> {
        let mut seen = Seen { rows: 0, keys: 0, last: None, filter: Vec::new() };
        file.each(self.layout.first_filter..self.layout.footer, |_, block| {
            seen.filter.push(*block);
            Ok(())
        })?;
        let mut fences = [0; BLOCK_BYTES];
        let per_block = fences_per_block(K) as u64;
        file.each(FIRST_PAGE..FIRST_PAGE + self.counts.pages, |number, block| {
            let found = |what| Fault::Found(number, what);
            let page = PageView::<K>::new(block).map_err(found)?;
            let (fence_block, index) =
                ((number - FIRST_PAGE) / per_block, (number - FIRST_PAGE) % per_block);
            let level = self.layout.levels[0];
            if index == 0 {
                fences = read_block(file.file, level.first_block + fence_block)?;
            }
            let count = (level.fences - fence_block * per_block).min(per_block) as usize;
            let fence = FenceView::<K>::new(&fences, count).map_err(found)?.fence(index as usize);
            if !is_between(&fence, &seen, &page) {
                return Err(found("a page does not begin where its fence says"));
            }
            self.page(&page, &mut seen).map_err(found)
        })?;
        match seen.rows == self.counts.rows && seen.keys == self.counts.keys {
            true => Ok(()),
            false => Err(Fault::Found(self.layout.footer, "the run does not count its rows")),
        }
    }

    fn page(&self, page: &PageView<'_, K>, seen: &mut Seen<K>) -> Result<(), &'static str> {
        let is_complete = self.header.kind == RunKind::Complete;
        let after = self.header.kind.after();
        for index in 0..page.rows() {
            let (key, row) = (page.key(index), page.entry(index));
            let class = row.locator.class();
            if is_complete
                && (row.continues || class == SizeClass::TOMBSTONE || class == SizeClass::DEPARTURE)
            {
                return Err("a complete run has a row that only delta runs have");
            }
            if row.slot > self.header.to || after.is_some_and(|after| row.slot <= after) {
                return Err("a row is of a slot that is not the run's");
            }
            let order = seen.last.and_then(|(last, _)| last.compare(&key));
            let is_in_order = match (seen.last, row.continues) {
                (None, continues) => !continues,
                (Some((_, last_slot)), true) => {
                    row.slot < last_slot && order.is_none_or(|order| order == Ordering::Equal)
                }
                (Some(_), false) => order.is_none_or(|order| order == Ordering::Less),
            };
            if !is_in_order {
                return Err("rows are not in order");
            }
            if self.counts.buckets > 0 {
                let spot = Spot::of(row.hash, self.counts.buckets);
                let (block, at) = place_of(spot.bucket);
                if !spot.is_in(&seen.filter[block as usize][at..]) {
                    return Err("the filter does not have a key of the run");
                }
            }
            seen.rows += 1;
            seen.keys += u64::from(!row.continues);
            seen.last = Some((key, row.slot));
        }
        if page.last_suffix() != page.suffix(page.rows() - 1) {
            return Err("a page does not end as it says");
        }
        match page.padding().iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err("a page has something behind its rows"),
        }
    }

    /// Each fence of an upper level is the first of the block that it leads to.
    fn upper_fences(&self, file: &Blocks<'_>) -> Result<(), Fault> {
        let per_block = fences_per_block(K) as u64;
        for pair in self.layout.levels.windows(2) {
            let (below, level) = (pair[0], pair[1]);
            let end = level.first_block + level.fences.div_ceil(per_block);
            file.each(level.first_block..end, |number, block| {
                let first = (number - level.first_block) * per_block;
                let count = (level.fences - first).min(per_block);
                let found = |what| Fault::Found(number, what);
                let view = FenceView::<K>::new(block, count as usize).map_err(found)?;
                for index in 0..count {
                    let child = first + index;
                    let block = read_block(file.file, below.first_block + child)?;
                    let count = (below.fences - child * per_block).min(per_block) as usize;
                    let child = FenceView::<K>::new(&block, count).map_err(found)?;
                    if child.fence(0) != view.fence(index as usize) {
                        return Err(found("a fence is not where the block below begins"));
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn slots(&self, file: &Blocks<'_>) -> Result<(), Fault> {
        let (mut index, mut last) = (0, None);
        file.each(self.layout.first_slots..self.layout.first_filter, |number, block| {
            let end = (index + SLOTS_PER_BLOCK).min(self.counts.slots);
            while index < end {
                let slot = entry(block, index).slot;
                if last.is_some_and(|last| last >= slot) || slot > self.header.to {
                    return Err(Fault::Found(number, "rooted slots are not in order"));
                }
                last = Some(slot);
                index += 1;
            }
            Ok(())
        })
    }
}

/// Whether a fence lies between the last row that was seen and a page's first, as far as they are
/// known.
fn is_between<const K: usize>(fence: &Fence<K>, seen: &Seen<K>, page: &PageView<'_, K>) -> bool {
    let (first, row) = (page.key(0), page.entry(0));
    let key = PartialKey::whole(fence.key);
    if row.continues {
        return fence.slot == row.slot && key.compare(&first).is_none_or(Ordering::is_eq);
    }
    let is_above = seen.last.is_none_or(|(last, _)| last.compare(&key).is_none_or(Ordering::is_lt));
    fence.slot == Slot::MAX && is_above && fence.key[..first.known] <= first.bytes[..first.known]
}
