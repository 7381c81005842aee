//! Takes chosen records out of chosen frames.
//!
//! 1. [`choose_frames`] goes over the places that are wanted, in order, and says which frames have
//!    them: the one in which a record begins, and those into which it goes on.
//! 2. Only these are read and decompressed ([`read`]). Their content comes piece by piece. A piece
//!    that no wanted record touches is passed over; any other is gathered, and its digest compared
//!    before anything in it is looked at.
//! 3. Records are given to the visitor; behind the last one nothing more is read.
//!
//! Memory: one piece, one record, and 56 bytes for each frame that is chosen.
//!
//! What it does *not* do: know why a record is wanted.

use std::{
    ops::{ControlFlow, Range},
    sync::{Arc, Mutex},
};

use icecore_archive::index::{
    PIECE_BYTES,
    rows::{FrameRow, StorageRow},
};
use icecore_types::{DATA_BYTES_MAX, RECORD_HEADER_BYTES, Record, RecordHeader, Slot};
use zerocopy::FromBytes;

use super::{Index, walk::half};
use crate::{
    Error, Options,
    damage::Damage,
    pass::{
        ContainerReport, Feed, NoWorker, Setup, Writes,
        slots::Slots,
        walk::{Records, Walk},
        with_pipeline,
    },
    progress::Progress,
};

/// Bytes that are fetched while the tiles are started: a frame of ours at most.
const FETCHED_BYTES_MAX: u64 = 32 << 20;

/// Where the next wanted record begins in the tar stream: they go upward.
pub(super) type Next<'a> = &'a mut (dyn FnMut(&mut Index) -> Result<Option<u64>, Error> + Send);

/// Takes a record and its slot.
pub(super) type Visit<'a> =
    &'a mut (dyn FnMut(Record<'_>, Slot) -> Result<ControlFlow<()>, Error> + Send);

/// A frame by its number.
pub(super) type Chosen = (u64, FrameRow);

/// The frames that have the wanted records.
pub(super) fn choose_frames(index: &mut Index, next: Next<'_>) -> Result<Vec<Chosen>, Error> {
    let mut chosen: Vec<Chosen> = Vec::new();
    while let Some(offset) = next(index)? {
        if chosen.last().is_none_or(|(_, frame)| frame.content_end() <= offset) {
            let number = index.ask(|reader| reader.frame_at(offset))?;
            chosen.push((number, index.ask(|reader| reader.frame(number))?));
        }
        // Of the records of a frame only the last can go on behind its end.
        loop {
            let number = chosen.last().expect("one was pushed, if there was none").0 + 1;
            if number == index.reader.frames() {
                break;
            }
            let frame = index.ask(|reader| reader.frame(number))?;
            let begun = frame.content_offset.checked_sub(frame.begun_bytes);
            if frame.begun_bytes == 0 || begun != Some(offset) {
                break;
            }
            chosen.push((number, frame));
        }
    }
    Ok(chosen)
}

/// Where frames lie in the file; those that follow each other are put together.
fn parts(frames: &[Chosen]) -> Vec<Range<u64>> {
    let mut parts: Vec<Range<u64>> = Vec::new();
    for (_, FrameRow { file_offset, file_bytes, .. }) in frames {
        let end = file_offset + file_bytes;
        match parts.last_mut() {
            Some(last) if last.end == *file_offset => last.end = end,
            _ => parts.push(*file_offset..end),
        }
    }
    parts
}

/// Reads the chosen frames and gives the wanted records, with their slots, to `visit`.
pub(super) fn read(
    index: &mut Index,
    frames: &[Chosen],
    next: Next<'_>,
    options: &Options,
    progress: &Progress,
    visit: Visit<'_>,
) -> Result<ControlFlow<()>, Error> {
    if frames.is_empty() {
        return Ok(ControlFlow::Continue(()));
    }
    let parts = parts(frames);
    progress.begin(format!("read {} frames of {}", frames.len(), index.label));
    progress.expect_bytes(parts.iter().map(|part| part.end - part.start).sum());
    let file = Arc::clone(&index.archive);
    if let Some(first) = parts.first() {
        file.expect_read(first.start, (first.end - first.start).min(FETCHED_BYTES_MAX));
    }
    let feed = Feed::Parts { file, parts, part: 0, read: 0 };
    let (decompressors, _) = options.tiles.counts(options.cores, true);
    let setup = Setup {
        name: "lookup",
        worker_kind: "visit",
        workers: 0,
        decompressors: decompressors.min(frames.len()),
        plan: &options.tiles,
        placement: &options.placement,
        spills: &[],
        writes: Writes::default(),
        unconfined: Some("parse"),
    };
    let home = Arc::new(Mutex::new(None));
    let mut picker = Picker::new(index, frames, next, visit);
    picker.advance()?;
    let walk = PickWalk { picker: &mut picker, begins: 0, damage: None, home: Arc::clone(&home) };
    let walk = Box::new(walk);
    with_pipeline(&setup, vec![feed], progress, |pipeline| {
        pipeline.run(0, "accounts are looked up", walk, Vec::<NoWorker>::new())
    })?;
    let damage: Option<Damage> = Slots::take(&home).expect("a finished walk has come home");
    match (damage, picker.is_done()) {
        (_, true) => Ok(picker.flow),
        (Some(damage), false) => {
            let archive = picker.index.label.clone();
            Err(Error::Damaged { archive, problem: damage.to_string() })
        }
        (None, false) => Err(picker.index.changed()),
    }
}

/// The way of the content of frames.
struct Picker<'a> {
    index: &'a mut Index,
    frames: &'a [Chosen],
    next: Next<'a>,
    visit: Visit<'a>,
    /// Where the next wanted record begins; `None`: there is none.
    wanted: Option<u64>,
    /// Frames that have begun.
    frame: usize,
    /// In the tar stream.
    offset: u64,
    /// The bytes of a piece that is needed.
    piece: Vec<u8>,
    /// The record that is being gathered: where it begins, and its bytes so far.
    begun: Option<u64>,
    record: Vec<u8>,
    storage: StorageRow,
    /// The visitor's.
    flow: ControlFlow<()>,
}

impl<'a> Picker<'a> {
    fn new(index: &'a mut Index, frames: &'a [Chosen], next: Next<'a>, visit: Visit<'a>) -> Self {
        Self {
            index,
            frames,
            next,
            visit,
            wanted: None,
            frame: 0,
            offset: 0,
            piece: Vec::new(),
            begun: None,
            record: Vec::new(),
            storage: StorageRow::default(),
            flow: ControlFlow::Continue(()),
        }
    }

    /// Asks for the next wanted record.
    fn advance(&mut self) -> Result<(), Error> {
        let before = self.wanted;
        self.wanted = (self.next)(self.index)?;
        match (before, self.wanted) {
            (Some(before), Some(next)) if next <= before => {
                Err(self.index.unfit("places of accounts do not go upward".into()))
            }
            _ => Ok(()),
        }
    }

    /// Whether all that is wanted was given.
    fn is_done(&self) -> bool {
        self.flow.is_break() || self.wanted.is_none() && self.begun.is_none()
    }

    fn begin_frame(&mut self) -> Result<(), Error> {
        let before = self.frame.checked_sub(1).map(|before| self.frames[before].1);
        let Some((_, frame)) = self.frames.get(self.frame) else {
            return Err(self.index.changed());
        };
        if before.is_some_and(|before| before.content_end() != self.offset) {
            return Err(self.index.changed());
        }
        if self.begun.is_some() && frame.content_offset != self.offset {
            return Err(self.index.unfit("a record goes on in a frame that was not chosen".into()));
        }
        self.offset = frame.content_offset;
        self.frame += 1;
        Ok(())
    }

    fn content(&mut self, mut bytes: &[u8]) -> Result<ControlFlow<()>, Error> {
        let Some(at) = self.frame.checked_sub(1) else { return Err(self.index.changed()) };
        let frame = self.frames[at].1;
        while !bytes.is_empty() && !self.is_done() {
            if self.offset >= frame.content_end() {
                return Err(self.index.changed());
            }
            let number = (self.offset - frame.content_offset) / PIECE_BYTES;
            let begin = frame.content_offset + number * PIECE_BYTES;
            let end = begin.saturating_add(PIECE_BYTES).min(frame.content_end());
            let (now, later) = bytes.split_at(bytes.len().min((end - self.offset) as usize));
            let is_needed = self.begun.is_some() || self.wanted.is_some_and(|next| next < end);
            if is_needed {
                self.piece.extend_from_slice(now);
            }
            self.offset += now.len() as u64;
            if is_needed && self.offset == end {
                let piece = std::mem::take(&mut self.piece);
                let row = self
                    .index
                    .ask(|reader| reader.piece(frame.first_piece.saturating_add(number)))?;
                if half(&blake3::hash(&piece)) != row.digest {
                    return Err(self.index.changed());
                }
                self.records(begin, &piece)?;
                self.piece = piece;
                self.piece.clear();
            }
            bytes = later;
        }
        match self.is_done() {
            true => Ok(ControlFlow::Break(())),
            false => Ok(ControlFlow::Continue(())),
        }
    }

    /// Gives the wanted records that end in a piece, and keeps the beginning of one that does not.
    fn records(&mut self, begin: u64, piece: &[u8]) -> Result<(), Error> {
        let mut at = 0;
        while !self.is_done() {
            if self.begun.is_none() {
                let Some(next) = self.wanted.filter(|next| *next < begin + piece.len() as u64)
                else {
                    return Ok(());
                };
                let Some(next_at) = next.checked_sub(begin).filter(|next| *next >= at as u64)
                else {
                    return Err(self.index.unfit("places of accounts lie in each other".into()));
                };
                self.storage = self.index.ask(|reader| reader.storage_at(next))?;
                self.begun = Some(next);
                at = next_at as usize;
                self.advance()?;
            }
            let rest = &piece[at..];
            let lacking = match self.record_bytes(rest)? {
                Some(bytes) => bytes - self.record.len(),
                // Even its header goes on in the next piece.
                None => rest.len() + 1,
            };
            if lacking > rest.len() {
                self.record.extend_from_slice(rest);
                return Ok(());
            }
            let now = &rest[..lacking];
            at += lacking;
            if self.record.is_empty() {
                self.give(now)?;
                continue;
            }
            let mut record = std::mem::take(&mut self.record);
            record.extend_from_slice(now);
            self.give(&record)?;
            record.clear();
            self.record = record;
        }
        Ok(())
    }

    /// Bytes of the record that is being gathered and goes on with `rest`, once its header is there.
    fn record_bytes(&self, rest: &[u8]) -> Result<Option<usize>, Error> {
        let mut header = [0; RECORD_HEADER_BYTES];
        let known = self.record.len().min(RECORD_HEADER_BYTES);
        let added = rest.len().min(RECORD_HEADER_BYTES - known);
        header[..known].copy_from_slice(&self.record[..known]);
        header[known..known + added].copy_from_slice(&rest[..added]);
        if known + added < RECORD_HEADER_BYTES {
            return Ok(None);
        }
        let (header, _) = RecordHeader::ref_from_prefix(&header).expect("as many bytes as it has");
        let data_bytes = header.data_len.get();
        let StorageRow { offset, bytes, .. } = self.storage;
        let left = offset.saturating_add(bytes) - self.begun.expect("a record is being gathered");
        let no_record =
            data_bytes > DATA_BYTES_MAX || RECORD_HEADER_BYTES as u64 + data_bytes > left;
        match no_record {
            true => Err(self.index.unfit("there is no account where it says".into())),
            false => Ok(Some(RECORD_HEADER_BYTES + data_bytes as usize)),
        }
    }

    /// Gives a whole record.
    fn give(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let record = Record::parse(bytes).expect("its header says how long it is");
        self.flow = (self.visit)(record, self.storage.slot)?;
        self.begun = None;
        Ok(())
    }
}

/// The picker on its way.
struct PickWalk<'p, 'a> {
    picker: &'p mut Picker<'a>,
    /// Frames that have begun since the last block.
    begins: usize,
    damage: Option<Damage>,
    /// What is wrong in the frames, if they could not be read.
    home: Arc<Mutex<Option<Option<Damage>>>>,
}

impl Walk for PickWalk<'_, '_> {
    fn frame(&mut self, _: usize, _: bool) {
        self.begins += 1;
    }

    fn joined_bytes(&self, _: &[u8], _: usize) -> usize {
        0
    }

    fn block(&mut self, block: &[u8], _: &mut Records) -> Result<ControlFlow<()>, Error> {
        for _ in 0..std::mem::take(&mut self.begins) {
            self.picker.begin_frame()?;
        }
        self.picker.content(block)
    }

    fn fault(&mut self, damage: Damage) {
        self.damage.get_or_insert(damage);
    }

    fn end(&mut self, _: ContainerReport) {}

    fn retire(self: Box<Self>) {
        let Self { damage, home, .. } = *self;
        Slots::lay(&home, damage);
    }
}
