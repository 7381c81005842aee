//! Runs: items one behind the other in a spill file, written and read through one buffer.

use std::{marker::PhantomData, sync::Arc};

use super::{Held, SpillError, SpillFile, item::Item};

/// Buffers to read through are at least this large where the bound allows: a solid-state disk reads
/// such pieces at nearly its full speed, and smaller ones let more runs be merged at once.
pub(crate) const BUFFER_BYTES_MIN: usize = 32 << 10;

/// Longer pieces gain nothing.
pub(crate) const BUFFER_BYTES_MAX: usize = 256 << 10;

/// The part of `bytes_max` that goes to a write buffer: an eighth, up to [`BUFFER_BYTES_MAX`].
pub(crate) fn write_buffer_bytes(bytes_max: usize) -> usize {
    (bytes_max / 8).min(BUFFER_BYTES_MAX)
}

/// A list of items in a spill file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) offset: u64,
    /// Items.
    pub(crate) count: u64,
}

/// Writes items to room that was given out.
pub(crate) struct RunWriter<'a, T> {
    file: &'a SpillFile,
    offset: u64,
    buffer: Vec<u8>,
    buffer_bytes: usize,
    _held: Held,
    items: PhantomData<T>,
}

impl<'a, T: Item> RunWriter<'a, T> {
    /// Items go to `offset` and behind it, through a buffer of `buffer_bytes` (at least one item).
    pub(crate) fn new(file: &'a SpillFile, offset: u64, buffer_bytes: usize) -> Self {
        let buffer_bytes = (buffer_bytes / T::BYTES).max(1) * T::BYTES;
        let held = file.hold(buffer_bytes);
        let buffer = Vec::with_capacity(buffer_bytes);
        Self { file, offset, buffer, buffer_bytes, _held: held, items: PhantomData }
    }

    pub(crate) fn push(&mut self, item: &T) -> Result<(), SpillError> {
        let at = self.buffer.len();
        self.buffer.resize(at + T::BYTES, 0);
        item.write(&mut self.buffer[at..]);
        match self.buffer.len() == self.buffer_bytes {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Writes what is in the buffer. To be called after the last item.
    pub(crate) fn flush(&mut self) -> Result<(), SpillError> {
        self.file.write_at(self.offset, &self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Writes `count` items as a run.
pub(crate) fn write_run<T: Item>(
    file: &SpillFile,
    count: u64,
    buffer_bytes: usize,
    mut next: impl FnMut() -> Result<Option<T>, SpillError>,
) -> Result<Run, SpillError> {
    let offset = file.reserve(count * T::BYTES as u64)?;
    let mut writer = RunWriter::new(file, offset, buffer_bytes);
    let mut written = 0;
    while let Some(item) = next()? {
        writer.push(&item)?;
        written += 1;
    }
    writer.flush()?;
    assert_eq!(written, count, "room was given out for this many");
    Ok(Run { offset, count })
}

/// Reads a run from front to back.
#[derive(Debug)]
pub(crate) struct RunReader<T> {
    file: Arc<SpillFile>,
    offset: u64,
    /// Items that are not in the buffer yet.
    left: u64,
    buffer: Vec<u8>,
    at: usize,
    buffer_items: u64,
    _held: Held,
    items: PhantomData<T>,
}

impl<T: Item> RunReader<T> {
    /// Reads through a buffer of `buffer_bytes` (at least one item).
    pub(crate) fn new(file: &Arc<SpillFile>, run: Run, buffer_bytes: usize) -> Self {
        let buffer_items = ((buffer_bytes / T::BYTES).max(1) as u64).min(run.count);
        let bytes = usize::try_from(buffer_items).expect("within buffer_bytes") * T::BYTES;
        Self {
            file: Arc::clone(file),
            offset: run.offset,
            left: run.count,
            buffer: Vec::with_capacity(bytes),
            at: 0,
            buffer_items,
            _held: file.hold(bytes),
            items: PhantomData,
        }
    }

    pub(crate) fn next(&mut self) -> Result<Option<T>, SpillError> {
        if self.at == self.buffer.len() {
            let count = self.left.min(self.buffer_items);
            if count == 0 {
                return Ok(None);
            }
            let bytes = usize::try_from(count).expect("a buffer") * T::BYTES;
            self.buffer.resize(bytes, 0);
            self.file.read_at(self.offset, &mut self.buffer)?;
            self.offset += bytes as u64;
            self.left -= count;
            self.at = 0;
        }
        let item = T::read(&self.buffer[self.at..][..T::BYTES]);
        self.at += T::BYTES;
        Ok(Some(item))
    }
}
