//! One merged index over consecutive sealed segments: a search asks it instead of each of them.
//!
//! Derived like all indexes: when it turns out to be wrong, the segments' own are asked again.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

use icecore_disk::Mapping;

use crate::{
    Error,
    index::IndexFile,
    segment::{Catalog, sealed::collect, table::Wanted},
};

/// A group of segments with one index.
pub(crate) struct Group {
    file: IndexFile<Mapping>,
    covered: Range<u64>,
    is_distrusted: AtomicBool,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Group").field("covered", &self.covered).finish_non_exhaustive()
    }
}

impl Group {
    pub(crate) fn new(file: IndexFile<Mapping>) -> Self {
        let covers = file.covers();
        let covered = covers.first_sequence..covers.end_sequence;
        Self { file, covered, is_distrusted: AtomicBool::new(false) }
    }

    pub(crate) fn file(&self) -> &IndexFile<Mapping> {
        &self.file
    }

    /// The sequences of its segments.
    pub(crate) fn covered(&self) -> Range<u64> {
        self.covered.clone()
    }

    /// Sequences of a key's events, in order, up to the limit.
    pub(crate) fn postings(
        &self,
        catalog: &Catalog,
        wanted: &Wanted,
        out: &mut Vec<u64>,
    ) -> Result<(), Error> {
        if !self.is_distrusted.load(Ordering::Relaxed) {
            if collect(&self.file, wanted, out).is_ok() {
                return Ok(());
            }
            self.is_distrusted.store(true, Ordering::Relaxed);
        }
        out.clear();
        let mut segments: Vec<_> = catalog
            .segments
            .iter()
            .filter(|segment| self.covered.contains(&segment.first_sequence()))
            .collect();
        if wanted.is_backward {
            segments.reverse();
        }
        for segment in segments {
            segment.postings(wanted, out)?;
        }
        Ok(())
    }
}
