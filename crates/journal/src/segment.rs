//! Chain segments as readers and the writer see them.
//!
//! - An [`open::OpenSegment`] is written to, or was until a moment ago: what is needed to find its
//!   events is in memory, bounded by the segment's size.
//! - A [`sealed::SealedSegment`] is never changed again: it and its index file are mapped.
//! - Either gives events by sequence and postings by key; a [`Catalog`] has all of them in order.

pub(crate) mod catalog;
pub(crate) mod described;
pub(crate) mod group;
pub(crate) mod open;
pub(crate) mod sealed;
pub(crate) mod table;

pub(crate) use catalog::{Catalog, Segment};

use std::path::{Path, PathBuf};

/// The file of a chain segment.
pub(crate) fn chain_path(folder: &Path, id: u32) -> PathBuf {
    folder.join(format!("chain-{id:08}.seg"))
}

/// The file of a data segment.
pub(crate) fn data_path(folder: &Path, id: u32) -> PathBuf {
    folder.join(format!("data-{id:08}.seg"))
}

/// The index file of one segment, or of a group of consecutive ones.
pub(crate) fn index_path(folder: &Path, first: u32, last: u32) -> PathBuf {
    folder.join(format!("index-{first:08}-{last:08}.idx"))
}
