//! An open run.
//!
//! Opening reads the header and the footer and maps the rest. The checksum of a block is compared when
//! it is first touched; a bit for each block says that it was.
//!
//! What it does *not* do: survive a disk that fails to read a mapped page (the process ends then; see
//! `icecore_disk::Mapping`). [`super::check`] and cursors read by position.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use icecore_disk::{Access, Disk, DiskFile, Mapping};

use super::{
    RunHeader, RunInfo, RunStore,
    block::{BLOCK_BYTES, Block, BlockSeed},
    header::{Footer, decode_header},
    layout::{Counts, Layout},
};
use crate::Error;

/// A run that is open for reading, from any number of threads.
#[derive(Debug)]
pub struct Run<const K: usize> {
    path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    mapping: Mapping,
    seed: BlockSeed,
    header: RunHeader,
    info: RunInfo,
    pub(crate) counts: Counts,
    pub(crate) layout: Layout,
    /// A bit for each block whose checksum matched.
    checked: Box<[AtomicU64]>,
}

/// Reads a block by position; an error if the file ends before it does.
pub(crate) fn read_block(file: &dyn DiskFile, number: u64) -> Result<Block, Error> {
    let mut block = [0; BLOCK_BYTES];
    let offset = number * BLOCK_BYTES as u64;
    match file.read_at(offset, &mut block)? {
        BLOCK_BYTES => Ok(block),
        _ => Err(Error::Corrupt {
            path: file.path().to_path_buf(),
            offset,
            what: "the run ends too early",
        }),
    }
}

impl<const K: usize> Run<K> {
    /// Opens a run.
    ///
    /// # Errors
    /// When the file is another than expected, belongs to another store, or its header or footer is
    /// damaged; or when it cannot be read.
    pub fn open(
        disk: &dyn Disk,
        path: &Path,
        store: &RunStore,
        expected: &RunInfo,
    ) -> Result<Arc<Self>, Error> {
        let file = disk.open(path, Access::Read)?;
        let corrupt = |block: u64, what| Error::Corrupt {
            path: path.to_path_buf(),
            offset: block * BLOCK_BYTES as u64,
            what,
        };
        let blocks = expected.bytes / BLOCK_BYTES as u64;
        if file.bytes()? != expected.bytes || blocks < 2 {
            return Err(corrupt(0, "the run has another size than the run set says"));
        }
        let first = read_block(&*file, 0)?;
        let header = decode_header(K, store, &first).map_err(|what| corrupt(0, what))?;
        let seed = BlockSeed::new(&store.id, K, expected.id);
        if header.id != expected.id || !seed.checks(0, &first) {
            return Err(corrupt(0, "the header of the run is damaged, or of another run"));
        }
        let last = read_block(&*file, blocks - 1)?;
        if !seed.checks(blocks - 1, &last) || *blake3::hash(&last).as_bytes() != expected.digest {
            return Err(corrupt(blocks - 1, "the footer of the run is damaged, or of another run"));
        }
        let counts = Footer::decode(&last).map_err(|what| corrupt(blocks - 1, what))?.counts;
        let layout = Layout::of(K, &counts).filter(|layout| layout.blocks() == blocks);
        let Some(layout) = layout.filter(|_| counts.rows == expected.rows) else {
            return Err(corrupt(blocks - 1, "the footer of the run counts what is not there"));
        };
        let mapping = file.map()?;
        mapping.advise_random();
        if mapping.len() as u64 != expected.bytes {
            return Err(corrupt(0, "the run has another size than the run set says"));
        }
        let checked = (0..blocks.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Arc::new(Self {
            path: path.to_path_buf(),
            file,
            mapping,
            seed,
            header,
            info: *expected,
            counts,
            layout,
            checked,
        }))
    }

    /// What it says of itself.
    pub fn header(&self) -> &RunHeader {
        &self.header
    }

    /// What tells it from other files.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rows.
    pub fn rows(&self) -> u64 {
        self.counts.rows
    }

    /// Keys that differ.
    pub fn keys(&self) -> u64 {
        self.counts.keys
    }

    pub(crate) fn seed(&self) -> BlockSeed {
        self.seed
    }

    /// A block whose checksum matched.
    #[inline]
    pub(crate) fn block(&self, number: u64) -> Result<&Block, Error> {
        let block = self.unchecked(number);
        let (word, bit) = (&self.checked[(number / 64) as usize], 1 << (number % 64));
        if word.load(Relaxed) & bit == 0 {
            self.check_block(number, block)?;
            word.fetch_or(bit, Relaxed);
        }
        Ok(block)
    }

    #[cold]
    fn check_block(&self, number: u64, block: &Block) -> Result<(), Error> {
        match self.seed.checks(number, block) {
            true => Ok(()),
            false => Err(self.corrupt(number, "the checksum of a block of the run does not match")),
        }
    }

    /// How many of these blocks have been touched.
    #[cfg(test)]
    pub(crate) fn checked_blocks(&self, mut blocks: std::ops::Range<u64>) -> u64 {
        let total = blocks.end - blocks.start;
        let is_checked = |number: u64| {
            self.checked[(number / 64) as usize].load(Relaxed) & 1 << (number % 64) != 0
        };
        let untouched = blocks.by_ref().filter(|number| !is_checked(*number)).count();
        total - untouched as u64
    }

    /// A block as it is, for hints only.
    pub(crate) fn unchecked(&self, number: u64) -> &Block {
        let at = usize::try_from(number).expect("it is mapped") * BLOCK_BYTES;
        self.mapping[at..at + BLOCK_BYTES].try_into().expect("a block's length")
    }

    pub(crate) fn corrupt(&self, block: u64, what: &'static str) -> Error {
        let offset = block * BLOCK_BYTES as u64;
        Error::Corrupt { path: self.path.clone(), offset, what }
    }
}
