//! A page that simulated processes share.
//!
//! Its words are memory of this process. The file takes them up when it is read, synced, or the
//! machine stops; what is written into the file is shown in the words.

use std::sync::atomic::{AtomicU64, Ordering};

use super::content::{Content, SECTOR_BYTES};
use crate::disk::{SHARED_PAGE_BYTES, SHARED_PAGE_WORDS, SharedPage};

const WORD_BYTES: usize = size_of::<u64>();

/// The words of a mapped file.
#[derive(Debug)]
pub(super) struct Page {
    words: [AtomicU64; SHARED_PAGE_WORDS],
}

impl Page {
    /// Maps a file that is a page long.
    pub(super) fn of(content: &Content) -> Self {
        let page = Self { words: [const { AtomicU64::new(0) }; _] };
        page.load_from(content);
        page
    }

    /// Shows the file's bytes in the words.
    pub(super) fn load_from(&self, content: &Content) {
        let mut bytes = [0; SHARED_PAGE_BYTES];
        content.read(0, &mut bytes);
        let (words, _) = bytes.as_chunks::<WORD_BYTES>();
        for (word, bytes) in self.words.iter().zip(words) {
            word.store(u64::from_le_bytes(*bytes), Ordering::SeqCst);
        }
    }

    /// Writes the words into the file, sectors that changed only.
    pub(super) fn store_into(&self, content: &mut Content) {
        let words_per_sector = SECTOR_BYTES as usize / WORD_BYTES;
        for (sector, words) in self.words.chunks(words_per_sector).enumerate() {
            let offset = sector as u64 * SECTOR_BYTES;
            let bytes: Vec<u8> =
                words.iter().flat_map(|word| word.load(Ordering::SeqCst).to_le_bytes()).collect();
            let mut before = [0; SECTOR_BYTES as usize];
            content.read(offset, &mut before);
            if bytes != before {
                content.write(offset, &bytes);
            }
        }
    }
}

impl SharedPage for Page {
    fn words(&self) -> &[AtomicU64; SHARED_PAGE_WORDS] {
        &self.words
    }
}
