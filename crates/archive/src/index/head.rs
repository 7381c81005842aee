//! The first block: which archive the index is of, and how long its sections are.

use icecore_types::Slot;

use super::{BLOCK_BYTES, Block, CHECKSUM_BYTES, IndexError, Section, check, seal};

/// The longest name of an archive's file, as file systems have it.
pub const NAME_BYTES_MAX: usize = 255;

const MAGIC: &[u8; 8] = b"ICARIDX\0";
const VERSION: u16 = 1;

/// The bit that says that the verdict on the archive was good.
const JUDGED: u8 = 1;

/// The first block's own checksum has no key: the block says which key the others have.
const NO_KEY: [u8; 32] = [0; 32];

/// What an index says of itself and its archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexHead {
    /// The archive's file name, at most [`NAME_BYTES_MAX`] bytes.
    pub archive: String,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Digest of the archive's name, length, beginning and end.
    pub edges: [u8; 32],
    /// The key of tags and checksums.
    pub key: [u8; 32],
    /// Whether the verdict on the archive was good when the index was made.
    pub is_judged: bool,
    /// Of an incremental archive that was judged: [`edges`](Self::edges) of the full one with which
    /// it was; zeros for any other.
    pub base_edges: [u8; 32],
    /// The lowest and the highest slot of the storages; 0 and 0 without any.
    pub slots: [Slot; 2],
    /// Rows of each section, in the order of [`Section::ALL`].
    pub rows: [u64; 6],
}

impl IndexHead {
    /// The block.
    ///
    /// # Panics
    /// When the name is longer than [`NAME_BYTES_MAX`].
    pub fn encode(&self) -> Block {
        let mut block = [0; BLOCK_BYTES];
        let name = self.archive.as_bytes();
        let mut at = CHECKSUM_BYTES;
        let mut put = |bytes: &[u8]| {
            block[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(MAGIC);
        put(&VERSION.to_le_bytes());
        put(&[u8::from(self.is_judged) * JUDGED]);
        put(&[u8::try_from(name.len()).expect("a file's name has 255 bytes at most")]);
        put(&[0; 4]);
        put(&self.archive_bytes.to_le_bytes());
        put(&self.edges);
        put(&self.key);
        put(&self.base_edges);
        self.slots.iter().chain(&self.rows).for_each(|number| put(&number.to_le_bytes()));
        put(name);
        seal(&NO_KEY, 0, &mut block);
        block
    }

    /// Reads the first block of a file of so many bytes.
    pub fn parse(block: &Block, file_bytes: u64) -> Result<Self, IndexError> {
        let mut rest = &block[CHECKSUM_BYTES..];
        if take::<8>(&mut rest) != *MAGIC {
            return Err(IndexError::NotAnIndex);
        }
        let version = u16::from_le_bytes(take(&mut rest));
        if version != VERSION {
            return Err(IndexError::Version { version });
        }
        check(&NO_KEY, 0, block)?;
        let [flags, name_bytes] = take(&mut rest);
        if flags & !JUDGED != 0 || take::<4>(&mut rest) != [0; 4] {
            return Err(IndexError::Head { what: "what version 1 does not know" });
        }
        let archive_bytes = u64::from_le_bytes(take(&mut rest));
        let (edges, key, base_edges) = (take(&mut rest), take(&mut rest), take(&mut rest));
        let mut number = || u64::from_le_bytes(take(&mut rest));
        let slots = [number(), number()];
        let rows = [number(), number(), number(), number(), number(), number()];
        let (name, rest) = rest.split_at(usize::from(name_bytes));
        let Ok(archive) = String::from_utf8(name.to_vec()) else {
            return Err(IndexError::Head { what: "a name that is no text" });
        };
        if rest.iter().any(|byte| *byte != 0) {
            return Err(IndexError::Head { what: "more than it has room for" });
        }
        let is_judged = flags & JUDGED != 0;
        let head = Self { archive, archive_bytes, edges, key, is_judged, base_edges, slots, rows };
        if Section::ALL.iter().any(|section| head.rows(*section) > section.rows_max()) {
            return Err(IndexError::Head { what: "more rows than are read" });
        }
        let stated_bytes = head.file_bytes();
        match stated_bytes == file_bytes {
            true => Ok(head),
            false => Err(IndexError::FileSize { stated_bytes, file_bytes }),
        }
    }

    /// Rows of a section.
    pub fn rows(&self, section: Section) -> u64 {
        self.rows[section as usize]
    }

    /// The number of a section's first block.
    pub fn first_block(&self, section: Section) -> u64 {
        let before = Section::ALL[..section as usize].iter();
        1 + before.map(|section| self.blocks(*section)).sum::<u64>()
    }

    fn blocks(&self, section: Section) -> u64 {
        self.rows(section).div_ceil(section.rows_per_block())
    }

    /// Bytes of the whole index.
    pub fn file_bytes(&self) -> u64 {
        let blocks: u64 = Section::ALL.iter().map(|section| self.blocks(*section)).sum();
        (1 + blocks) * BLOCK_BYTES as u64
    }
}

/// The next bytes of a block that has them.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (taken, later) = rest.split_first_chunk().expect("a block has more bytes than a head");
    *rest = later;
    *taken
}
