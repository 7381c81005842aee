//! Pages: 4,092 bytes of content and a checksum.
//!
//! The checksum is CRC-32 of the content XOR CRC-32 of (store id, first and last segment, number of
//! the page), so that a page that lies in the wrong place or comes from another file is found, too.
//! Entries have a fixed size and never straddle pages.
//!
//! What it does *not* do: know what the content means.

use std::{
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
};

use super::trailer::Covers;
use crate::error::Malformed;

/// Bytes of a page, the checksum included: one sector group that a disk writes at once.
pub(crate) const PAGE_BYTES: usize = 4096;

/// Bytes of a page that hold entries.
pub(crate) const CONTENT_BYTES: usize = PAGE_BYTES - size_of::<u32>();

/// How many entries of `entry_bytes` a page holds.
pub(crate) const fn entries_per_page(entry_bytes: usize) -> u64 {
    (CONTENT_BYTES / entry_bytes) as u64
}

/// Reads a `u32` of an entry. The caller's offsets are constants within the entry.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Reads a `u64` of an entry. The caller's offsets are constants within the entry.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// Tells the pages of one file from those of any other.
#[derive(Debug, Clone)]
struct Identity(crc32fast::Hasher);

impl Identity {
    fn new(covers: &Covers) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&covers.store_id);
        hasher.update(&covers.first_segment.to_le_bytes());
        hasher.update(&covers.last_segment.to_le_bytes());
        Self(hasher)
    }

    fn check(&self, page: u64, content: &[u8]) -> u32 {
        let mut place = self.0.clone();
        place.update(&page.to_le_bytes());
        crc32fast::hash(content) ^ place.finalize()
    }
}

/// The pages of a file, each checked when it is first touched.
#[derive(Debug)]
pub(crate) struct Pages<B> {
    bytes: B,
    identity: Identity,
    /// One bit per page that was found good.
    checked: Box<[AtomicU64]>,
    touched: AtomicU64,
}

impl<B: Deref<Target = [u8]>> Pages<B> {
    /// The first `pages` pages of `bytes`, which must be that long at least.
    pub(crate) fn new(bytes: B, pages: u64, covers: &Covers) -> Self {
        assert!(bytes.len() as u64 / PAGE_BYTES as u64 >= pages, "the trailer was checked");
        let words = pages.div_ceil(u64::from(u64::BITS));
        let checked = (0..words).map(|_| AtomicU64::new(0)).collect();
        Self { bytes, identity: Identity::new(covers), checked, touched: AtomicU64::new(0) }
    }

    /// The content of a page. `number` must be below the number of pages.
    pub(crate) fn content(&self, number: u64) -> Result<&[u8], Malformed> {
        self.touched.fetch_add(1, Ordering::Relaxed);
        let start = usize::try_from(number).expect("mapped") * PAGE_BYTES;
        let (content, check) = self.bytes[start..start + PAGE_BYTES].split_at(CONTENT_BYTES);
        let word = &self.checked[usize::try_from(number / 64).expect("mapped")];
        let bit = 1 << (number % 64);
        if word.load(Ordering::Relaxed) & bit == 0 {
            if self.identity.check(number, content) != u32_at(check, 0) {
                return Err(Malformed::new(start as u64, "an index page does not match its check"));
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(content)
    }

    /// How many pages there are before the trailer's.
    pub(crate) fn count(&self) -> u64 {
        self.bytes.len() as u64 / PAGE_BYTES as u64 - 1
    }

    /// How many times a page was touched since the file was opened.
    #[cfg(test)]
    pub(crate) fn touched(&self) -> u64 {
        self.touched.load(Ordering::Relaxed)
    }
}

/// Writes pages one after another into a sink, a whole page at a time.
pub(crate) struct PageWriter<'a, E> {
    sink: &'a mut dyn FnMut(&[u8]) -> Result<(), E>,
    identity: Identity,
    pages: u64,
    buffer: Box<[u8; PAGE_BYTES]>,
    filled: usize,
}

impl<'a, E> PageWriter<'a, E> {
    pub(crate) fn new(covers: &Covers, sink: &'a mut dyn FnMut(&[u8]) -> Result<(), E>) -> Self {
        let buffer = Box::new([0; PAGE_BYTES]);
        Self { sink, identity: Identity::new(covers), pages: 0, buffer, filled: 0 }
    }

    /// Appends an entry, on a new page if it does not fit on this one.
    pub(crate) fn put<const BYTES: usize>(&mut self, entry: &[u8; BYTES]) -> Result<(), E> {
        const { assert!(BYTES <= CONTENT_BYTES) };
        if self.filled + BYTES > CONTENT_BYTES {
            self.end_page()?;
        }
        self.buffer[self.filled..self.filled + BYTES].copy_from_slice(entry);
        self.filled += BYTES;
        Ok(())
    }

    /// Writes the last page of a section, if it is begun.
    pub(crate) fn end_section(&mut self) -> Result<(), E> {
        if self.filled == 0 { Ok(()) } else { self.end_page() }
    }

    /// How many whole pages are written.
    pub(crate) fn pages(&self) -> u64 {
        self.pages
    }

    /// Writes the trailer, which is no page and has checks of its own.
    pub(crate) fn end_file(self, trailer: &[u8; PAGE_BYTES]) -> Result<(), E> {
        assert!(self.filled == 0, "the last section is ended");
        (self.sink)(trailer)
    }

    fn end_page(&mut self) -> Result<(), E> {
        let (content, check) = self.buffer.split_at_mut(CONTENT_BYTES);
        content[self.filled..].fill(0);
        check.copy_from_slice(&self.identity.check(self.pages, content).to_le_bytes());
        (self.sink)(&self.buffer[..])?;
        self.pages += 1;
        self.filled = 0;
        Ok(())
    }
}

/// Makes the checks of all pages of a file match, for tests of what lies behind them.
pub(super) fn make_checks_match(file: &mut [u8], covers: &Covers) {
    let identity = Identity::new(covers);
    for (number, page) in (0..).zip(file.as_chunks_mut::<PAGE_BYTES>().0) {
        let (content, check) = page.split_at_mut(CONTENT_BYTES);
        check.copy_from_slice(&identity.check(number, content).to_le_bytes());
    }
}
