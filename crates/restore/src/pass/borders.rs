//! Where a walk stood at the border of each frame, so that a second look enters an archive at the
//! frames that it wants and passes over the others without decompressing them.
//!
//! A record belongs to the frame in which it ends: the border keeps the bytes of a record that was
//! begun before. What is kept is bounded; an archive with more frames is looked at as a whole.

use std::sync::Arc;

use icecore_archive::tar::TarReader;

use super::{batch::Place, walk::Content};

/// Frames whose borders are kept: 2 TiB of tar in frames of 32 MiB.
const BORDERS_MAX: usize = 1 << 16;

/// Bytes of begun records and headers that are kept at all borders together.
const BEGUN_BYTES_MAX: usize = 16 << 20;

/// A walk at the start of a frame.
#[derive(Debug, Clone)]
pub(super) struct Border {
    /// The first record that can end in the frame.
    pub(super) next: Place,
    pub(super) tar: TarReader,
    pub(super) content: Content,
    /// Storages begun so far.
    pub(super) storages: u32,
}

/// The borders of all frames of an archive, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Borders {
    borders: Vec<Border>,
    begun_bytes: usize,
    /// There were too many.
    is_incomplete: bool,
}

impl Borders {
    pub(super) fn push(&mut self, border: Border) {
        self.begun_bytes += border.content.begun_bytes() + border.tar.held_bytes();
        if self.borders.len() == BORDERS_MAX || self.begun_bytes > BEGUN_BYTES_MAX {
            self.is_incomplete = true;
            self.borders = Vec::new();
        }
        if !self.is_incomplete {
            self.borders.push(border);
        }
    }

    pub(super) fn get(&self, frame: usize) -> Option<&Border> {
        self.borders.get(frame)
    }
}

/// The frames of an archive that a second look wants.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub(super) borders: Arc<Borders>,
    /// For each frame whether it is wanted; all are beyond the end.
    pub(super) frames: Arc<[bool]>,
}

/// Finds the frames in which wanted records end.
#[derive(Debug)]
pub(crate) struct Selector {
    borders: Arc<Borders>,
    frames: Vec<bool>,
}

impl Selector {
    pub(crate) fn new(borders: &Arc<Borders>) -> Self {
        Self { borders: Arc::clone(borders), frames: vec![false; borders.borders.len()] }
    }

    /// Wants a record.
    pub(crate) fn want(&mut self, place: Place) {
        let after = self.borders.borders.partition_point(|border| border.next <= place);
        if let Some(frame) = after.checked_sub(1) {
            self.frames[frame] = true;
        }
    }

    pub(crate) fn finish(self) -> Selection {
        Selection { borders: self.borders, frames: self.frames.into() }
    }
}

impl Selection {
    /// How many frames are passed over.
    pub(crate) fn passed_over(&self) -> u64 {
        self.frames.iter().filter(|wanted| !**wanted).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A border within a tar header of which so many bytes have come.
    fn border(header_bytes: usize) -> Border {
        let mut tar = TarReader::new();
        let mut input = &vec![b'x'; header_bytes][..];
        assert!(tar.next(&mut input).expect("not a whole block").is_none());
        let next = Place::new(false, 0, 0);
        Border { next, tar, content: Content::Nothing, storages: 0 }
    }

    #[test]
    fn what_is_kept_at_borders_is_bounded_whatever_the_archive_begins() {
        let mut borders = Borders::default();
        let fitting = BEGUN_BYTES_MAX / 511;
        (0..fitting).for_each(|_| borders.push(border(511)));
        assert_eq!(borders.borders.len(), fitting);
        borders.push(border(511));
        assert!(borders.is_incomplete && borders.borders.is_empty());
        borders.push(border(0));
        assert!(borders.borders.is_empty(), "and stays so");

        let mut borders = Borders::default();
        (0..=BORDERS_MAX).for_each(|_| borders.push(border(0)));
        assert!(borders.is_incomplete && borders.borders.is_empty());
    }
}
