//! The bytes of one simulated file: what reads see, what the medium holds, and what lies between.
//!
//! Invariants:
//! - The unit of the medium is a sector. For each the *candidates* are the images that it had since
//!   it was last known to be durable; a loss of power leaves it durable as it was, or with any one
//!   of them, whatever its neighbours do.
//! - A sector is *dirty* from a write to the next sync, also one that failed. A failed sync leaves
//!   sectors clean and not durable: a later sync does not care for them.
//! - The size is treated the same way; beyond it there is nothing but zeros.
//!
//! What it does *not* do: know names, faults or budgets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::random::Random;

/// Bytes that the medium writes whole or not at all.
pub(super) const SECTOR_BYTES: u64 = 512;

/// Images that are remembered of one sector; of more, the oldest is forgotten.
const CANDIDATES_MAX: usize = 64;

type Sector = [u8; SECTOR_BYTES as usize];

/// A sector's bytes; `None` for zeros.
type Image = Option<Arc<Sector>>;

#[derive(Debug, Clone, Default)]
struct Track {
    live: Image,
    durable: Image,
    /// Images since it was durable, in order.
    candidates: Vec<Image>,
}

/// A file's bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    sectors: BTreeMap<u64, Track>,
    /// Sectors that the next sync makes durable.
    dirty: BTreeSet<u64>,
    bytes: u64,
    durable_bytes: u64,
    /// The smallest and the largest size since it was durable.
    candidate_bytes: Option<(u64, u64)>,
    is_size_dirty: bool,
}

impl Content {
    /// The size that reads see.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads what is there; returns the bytes read.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        if offset >= self.bytes {
            return 0;
        }
        let end = self.bytes.min(offset.saturating_add(buffer.len() as u64));
        let mut filled = 0;
        for piece in pieces(offset, end) {
            let target = &mut buffer[filled..filled + piece.bytes];
            match self.sectors.get(&piece.sector).and_then(|track| track.live.as_deref()) {
                Some(sector) => {
                    target.copy_from_slice(&sector[piece.start..piece.start + piece.bytes]);
                }
                None => target.fill(0),
            }
            filled += piece.bytes;
        }
        filled
    }

    /// Writes; the file grows to hold it.
    pub(super) fn write(&mut self, offset: u64, mut bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len() as u64;
        for piece in pieces(offset, end) {
            let (source, rest) = bytes.split_at(piece.bytes);
            self.set(piece.sector, |sector| {
                sector[piece.start..piece.start + piece.bytes].copy_from_slice(source);
            });
            bytes = rest;
        }
        self.resize(self.bytes.max(end));
    }

    /// Cuts off, or lengthens with zeros.
    pub(super) fn truncate(&mut self, bytes: u64) {
        let first = bytes / SECTOR_BYTES;
        let start = (bytes % SECTOR_BYTES) as usize;
        let beyond: Vec<_> = self.sectors.range(first..).map(|(sector, _)| *sector).collect();
        for sector in beyond {
            self.set(sector, |image| image[if sector == first { start } else { 0 }..].fill(0));
        }
        self.resize(bytes);
    }

    fn set(&mut self, sector: u64, change: impl FnOnce(&mut Sector)) {
        let track = self.sectors.entry(sector).or_default();
        let mut image = track.live.as_deref().copied().unwrap_or([0; _]);
        change(&mut image);
        track.live = Some(Arc::new(image));
        if track.candidates.len() == CANDIDATES_MAX {
            track.candidates.remove(0);
        }
        track.candidates.push(track.live.clone());
        self.dirty.insert(sector);
    }

    fn resize(&mut self, bytes: u64) {
        if bytes != self.bytes {
            self.bytes = bytes;
            let (low, high) = self.candidate_bytes.unwrap_or((self.durable_bytes, bytes));
            self.candidate_bytes = Some((low.min(bytes), high.max(bytes)));
            self.is_size_dirty = true;
        }
    }

    /// Makes durable what is dirty.
    pub(super) fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            let track = self.sectors.get_mut(&sector).expect("a dirty sector is there");
            track.durable = track.live.clone();
            track.candidates.clear();
        }
        if std::mem::take(&mut self.is_size_dirty) {
            self.durable_bytes = self.bytes;
            self.candidate_bytes = None;
        }
    }

    /// A sync that fails: nothing is dirty any more, and what was is either dropped, so that reads
    /// see the medium again, or stays readable without anybody knowing what reached the medium.
    /// Kernels do either. The size stays, and is not durable.
    pub(super) fn fail_sync(&mut self, is_dropped: bool) {
        self.is_size_dirty = false;
        for sector in std::mem::take(&mut self.dirty) {
            let track = self.sectors.get_mut(&sector).expect("a dirty sector is there");
            if is_dropped {
                track.live = track.durable.clone();
                track.candidates.clear();
            }
        }
    }

    /// What is left when the power goes.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        let kept = random.some_of(self.sectors.len());
        for (track, is_kept) in self.sectors.values_mut().zip(kept) {
            let count = track.candidates.len() as u64;
            if is_kept && count > 0 {
                // The newest one half of the time, as it is what is mostly written.
                let choice = if random.coin() { count - 1 } else { random.below(count) };
                track.durable = track.candidates[choice as usize].clone();
            }
            track.candidates.clear();
            track.live = track.durable.clone();
        }
        self.dirty.clear();
        if let Some((low, high)) = self.candidate_bytes {
            self.durable_bytes = match random.below(3) {
                0 => self.durable_bytes,
                1 => self.bytes,
                _ => low + random.below(high - low + 1),
            };
        }
        self.cut(self.durable_bytes);
    }

    /// Cuts off everywhere at once: the file was never longer.
    pub(super) fn cut(&mut self, bytes: u64) {
        self.bytes = bytes;
        self.durable_bytes = bytes;
        self.candidate_bytes = None;
        self.is_size_dirty = false;
        let first = bytes / SECTOR_BYTES;
        let start = (bytes % SECTOR_BYTES) as usize;
        let whole = if start == 0 { first } else { first + 1 };
        drop(self.sectors.split_off(&whole));
        drop(self.dirty.split_off(&whole));
        self.rot(first, |sector| sector[start..].fill(0));
    }

    /// Changes bytes on the medium, and in every image of them.
    pub(super) fn overwrite(&mut self, offset: u64, mut bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        assert!(end <= self.bytes, "the damage at byte {offset} lies within {} bytes", self.bytes);
        for piece in pieces(offset, end) {
            let (source, rest) = bytes.split_at(piece.bytes);
            self.sectors.entry(piece.sector).or_default();
            self.rot(piece.sector, |sector| {
                sector[piece.start..piece.start + piece.bytes].copy_from_slice(source);
            });
            bytes = rest;
        }
    }

    /// Flips bits of a byte on the medium, and in every image of it.
    pub(super) fn flip(&mut self, offset: u64, bits: u8) {
        assert!(offset < self.bytes, "byte {offset} lies within {} bytes", self.bytes);
        let sector = offset / SECTOR_BYTES;
        self.sectors.entry(sector).or_default();
        self.rot(sector, |image| image[(offset % SECTOR_BYTES) as usize] ^= bits);
    }

    fn rot(&mut self, sector: u64, change: impl Fn(&mut Sector)) {
        let Some(track) = self.sectors.get_mut(&sector) else {
            return;
        };
        let Track { live, durable, candidates } = track;
        for image in [live, durable].into_iter().chain(candidates) {
            change(Arc::make_mut(image.get_or_insert_with(|| Arc::new([0; _]))));
        }
    }
}

/// The part of a range that lies in one sector.
struct Piece {
    sector: u64,
    start: usize,
    bytes: usize,
}

fn pieces(offset: u64, end: u64) -> impl Iterator<Item = Piece> {
    let sectors = offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES);
    sectors.map(move |sector| {
        let base = sector * SECTOR_BYTES;
        let start = offset.max(base);
        let bytes = end.min(base + SECTOR_BYTES) - start;
        Piece { sector, start: (start - base) as usize, bytes: bytes as usize }
    })
}
