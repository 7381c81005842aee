//! The index beside an archive (decision 0036): accounts by address or by owner, of which only the
//! frames that hold them are read. The file is described in [`icecore_archive::index`] and
//! `docs/formats/archive-index.md`.
//!
//! - [`index_archives`] makes it (`making`, `walk`, `versions`).
//! - [`IndexedArchives`] look accounts up through it (`looking_up`, `pick`).
//!
//! What an answer rests on:
//! - The index is of this archive: name, length, and a digest of the first and last bytes of the
//!   file are those of the archive that was indexed.
//! - Every piece of a frame whose records are given has the digest that it had when it was indexed.
//! - Which version is the newest, and that an account is absent, is what the index says; its blocks
//!   are checked as they are read. Whether the verdict on the archive was good it says as well.
//!
//! What it does *not* do: reach a verdict while looking up. Who changes archive and index alike is
//! not noticed; `verify` notices.

mod looking_up;
mod making;
mod pick;
mod versions;
mod walk;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use icecore_archive::index::{
    BLOCK_BYTES, Block, Blocks, EDGE_BYTES, IndexError, IndexHead, IndexReader, rows::Tag,
};
use icecore_disk::File;
use icecore_types::Pubkey;

pub use self::{
    looking_up::{IndexUse, IndexedAccount, IndexedArchives, LookupWork},
    making::{MadeIndex, index_archives},
};
use crate::{Error, Source};

/// What the keys of tags are derived for.
const KEY_CONTEXT: &str = "icecore 2026 index of a snapshot archive, tags of accounts";

/// The index that belongs to an archive: beside it, with `.idx` behind its name.
pub fn index_path(archive: &Path) -> PathBuf {
    let mut path = archive.as_os_str().to_owned();
    path.push(".idx");
    path.into()
}

/// The tag of an account.
fn tag_of(key: &[u8; 32], pubkey: &Pubkey) -> Tag {
    let digest = blake3::keyed_hash(key, &pubkey.0);
    *digest.as_bytes().first_chunk().expect("32 bytes are more than 16")
}

/// Digest of an archive's name, length, beginning and end.
fn edges_of(label: &str, file: &File) -> Result<[u8; 32], Error> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(label.len() as u64).to_le_bytes());
    hasher.update(label.as_bytes());
    hasher.update(&file.bytes().to_le_bytes());
    let mut edge = vec![0; EDGE_BYTES as usize];
    for offset in [0, file.bytes().saturating_sub(EDGE_BYTES)] {
        let count = file.read_at(offset, &mut edge)?;
        hasher.update(&edge[..count]);
    }
    Ok(hasher.finalize().into())
}

/// Blocks of an index in a file.
#[derive(Debug)]
struct FileBlocks(File);

/// Why a block was not had.
#[derive(Debug)]
enum BlockFault {
    Index(IndexError),
    Disk(icecore_disk::Error),
}

impl From<IndexError> for BlockFault {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl Blocks for FileBlocks {
    type Error = BlockFault;

    fn read(&mut self, number: u64, block: &mut Block) -> Result<(), BlockFault> {
        let offset = number * BLOCK_BYTES as u64;
        match self.0.read_at(offset, block).map_err(BlockFault::Disk)? {
            BLOCK_BYTES => Ok(()),
            _ => Err(IndexError::Checksum { block: number }.into()),
        }
    }
}

/// An open index and its archive.
#[derive(Debug)]
struct Index {
    path: PathBuf,
    reader: IndexReader<FileBlocks>,
    label: String,
    archive: Arc<File>,
}

impl Index {
    /// Opens the index of an archive; `None` when there is none.
    fn open(source: &Source) -> Result<Option<Self>, Error> {
        let Some(archive) = source.path() else { return Ok(None) };
        let path = index_path(archive);
        if !icecore_disk::exists(&path) {
            return Ok(None);
        }
        let file = icecore_disk::File::open(&path)?;
        file.expect_scattered_reads();
        let file_bytes = file.bytes();
        let reader = told(&path, IndexReader::open(FileBlocks(file), file_bytes))?;
        let archive = Arc::new(icecore_disk::File::open(archive)?);
        let label = source.label().to_string();
        let index = Self { path, reader, label, archive };
        index.check_fits()?;
        Ok(Some(index))
    }

    fn head(&self) -> &IndexHead {
        self.reader.head()
    }

    /// Refuses an index of another archive, or of an earlier state of this one.
    fn check_fits(&self) -> Result<(), Error> {
        let IndexHead { archive, archive_bytes, edges, .. } = self.head();
        let bytes = self.archive.bytes();
        if *archive != self.label {
            return Err(self.unfit(format!("it is the index of {archive}")));
        }
        if *archive_bytes != bytes {
            let problem = format!("its archive had {archive_bytes} bytes and has {bytes} now");
            return Err(self.unfit(problem));
        }
        if *edges != edges_of(&self.label, &self.archive)? {
            return Err(self.unfit("its archive had other bytes when it was indexed".into()));
        }
        Ok(())
    }

    fn unfit(&self, problem: String) -> Error {
        Error::Index { path: self.path.clone(), problem }
    }

    /// Asks the reader.
    fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut IndexReader<FileBlocks>) -> Result<T, BlockFault>,
    ) -> Result<T, Error> {
        let answer = question(&mut self.reader);
        told(&self.path, answer)
    }

    fn tag(&self, pubkey: &Pubkey) -> Tag {
        tag_of(&self.head().key, pubkey)
    }

    /// The archive is not what was indexed.
    fn changed(&self) -> Error {
        let problem = "it holds something else than when it was indexed".to_string();
        Error::Damaged { archive: self.label.clone(), problem }
    }
}

/// An index's fault, with its path.
fn told<T>(path: &Path, answer: Result<T, BlockFault>) -> Result<T, Error> {
    answer.map_err(|fault| match fault {
        BlockFault::Index(error) => {
            Error::Index { path: path.to_path_buf(), problem: error.to_string() }
        }
        BlockFault::Disk(error) => error.into(),
    })
}
