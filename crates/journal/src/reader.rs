//! Reading a journal in a process that does not write it, while another writes or while nobody does
//! (rule R23). Nothing is changed, nothing is repaired, and no lock is taken.
//!
//! - How far may be read is what is durable: the control page says so while there was a writer of the
//!   epoch that the manifest names, and otherwise the manifest.
//! - [`History::refresh`] follows: it reads the frames that became durable since, and the manifest
//!   when the writer has replaced it.
//! - A file that is gone means that the writer has replaced it: the manifest is read again, and the
//!   read is tried once more.
//!
//! Every frame is checked before its events are given out, as in recovery: the writer is trusted to
//! say how far, not what.
//!
//! What it does *not* do: see what is written and not durable, or wake up by itself (the caller
//! refreshes, or follows with a subscription that does).

use std::{
    ops::Deref,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use icecore_disk::{Access, Disk, RealDisk};

use crate::{
    ControlError, Error, Malformed,
    control::{ControlReader, Frontier},
    digest::StoreKeys,
    format::{
        BLOCK_BYTES,
        frame::FrameScratch,
        manifest::{ChainSegment, Manifest, SegmentState},
        segment_header::{ChainStart, Content, SEGMENT_HEADER_BYTES, SegmentHeader},
        walk::{Follow, Step, step},
    },
    history::History,
    keeping::manifest_file::{self, MANIFEST_NAME},
    mountain::Mountain,
    open::{CONTROL_NAME, catalog_of, identity_of, start_of, table_behind},
    primitives::{Mutex, RwLock},
    segment::{Segment, chain_path, open::OpenSegment},
    window::Window,
    writer::watermarks::{Stage, Watermarks},
};

/// A journal that is only read.
#[derive(Debug)]
pub struct Reader {
    history: Arc<History>,
}

impl Deref for Reader {
    type Target = History;

    fn deref(&self) -> &History {
        &self.history
    }
}

/// What a reader needs in order to follow.
#[derive(Debug)]
pub(crate) struct Follower {
    control: Option<ControlReader>,
    /// Whether the page can be written to.
    can_pin: bool,
    state: Mutex<State>,
}

/// What a reader has seen.
#[derive(Debug)]
struct State {
    manifest: Manifest,
    /// Segments that the manifest does not call closed, in order, as far as they were read.
    tail: Vec<TailSegment>,
}

#[derive(Debug, Clone)]
struct TailSegment {
    segment: Arc<OpenSegment>,
    /// Where the next frame could be.
    offset: u64,
}

/// Times that a reader tries to get a manifest and files that belong together.
const ATTEMPTS_MAX: usize = 8;

/// Segments at most that a writer has begun and not sealed: more than it allows itself, so that one
/// that is being sealed does not matter.
const TAIL_SEGMENTS_MAX: usize = 16;

impl Reader {
    /// Opens a journal for reading on the real disk.
    ///
    /// # Errors
    /// See [`Self::open_on`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_on(Arc::new(RealDisk), folder)
    }

    /// Opens a journal for reading, beside a writer or not.
    ///
    /// # Errors
    /// [`Error::NoJournal`]; [`Error::Corrupt`] when what is durable does not check.
    pub fn open_on(disk: Arc<dyn Disk>, folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let manifest = manifest_file::read(&*disk, folder)?;
        let path = folder.join(CONTROL_NAME);
        let page =
            |access| disk.exists(&path).then(|| disk.shared_page(&path, access).ok()).flatten();
        // Pins are written to the page; where that is not allowed, it can still be read.
        let writable = page(Access::ReadWrite);
        let can_pin = writable.is_some();
        let control = writable
            .or_else(|| page(Access::Read))
            .map(|page| ControlReader::new(page, manifest.store_id));
        let identity = identity_of(&manifest);
        let fallbacks = Arc::new(AtomicU64::new(0));
        let catalog = catalog_of(&disk, folder, &manifest, &identity, None, &fallbacks);
        let history = Arc::new(History {
            store_keys: StoreKeys::new(&manifest.store_id),
            watermarks: Watermarks::new(0),
            catalog: RwLock::new(Arc::new(catalog)),
            follower: Some(Follower {
                control,
                can_pin,
                state: Mutex::new(State { manifest, tail: Vec::new() }),
            }),
            identity,
            fallbacks,
            folder: folder.to_path_buf(),
            disk,
        });
        history.refresh()?;
        Ok(Self { history })
    }

    /// The readable side, which can be handed on.
    pub fn history(&self) -> &Arc<History> {
        &self.history
    }
}

impl Follower {
    /// The control page, to pin on it.
    pub(crate) fn pins(&self) -> Result<&ControlReader, ControlError> {
        let control = self.control.as_ref().ok_or(ControlError::Unset)?;
        if self.can_pin { Ok(control) } else { Err(ControlError::ReadOnly) }
    }
}

impl History {
    /// Sees what became durable since: for readers in other processes. In the writer's own process
    /// there is nothing to do. Returns how far the journal is durable.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when what is durable does not check.
    pub fn refresh(&self) -> Result<u64, Error> {
        let Some(follower) = &self.follower else { return Ok(self.durable_end()) };
        let mut state = follower.state.lock().expect("nobody panics while following");
        let mut result = self.follow(follower, &mut state);
        for _ in 1..ATTEMPTS_MAX {
            // Files that do not fit a manifest were replaced while it was read: a newer one is there.
            match &result {
                Err(_) if self.reload(&mut state)? => result = self.follow(follower, &mut state),
                _ => break,
            }
        }
        result
    }

    /// Reads the manifest again; says whether it is another one.
    fn reload(&self, state: &mut State) -> Result<bool, Error> {
        let manifest = manifest_file::read(&*self.disk, &self.folder)?;
        let is_newer = manifest.number != state.manifest.number;
        if manifest.store_id != self.identity.store_id {
            let path = self.folder.join(MANIFEST_NAME);
            return Err(
                Malformed::new(0, "another journal lies in the folder now").in_file(&path, 0)
            );
        }
        state.manifest = manifest;
        Ok(is_newer)
    }

    fn follow(&self, follower: &Follower, state: &mut State) -> Result<u64, Error> {
        let control = follower.control.as_ref();
        if control.is_some_and(|control| control.catalog() != state.manifest.number) {
            self.reload(state)?;
        }
        // A page of another epoch is from before the manifest, or from before a loss of power.
        let frontier = control.and_then(|control| {
            let writer = control.writer().ok()?;
            (writer.epoch == state.manifest.epoch).then(|| control.frontier().ok())?
        });
        let active = *state.manifest.chain.last().expect("a journal has a segment");
        // A page that says no more than the manifest may still name the segment that was sealed since.
        let (durable_end, last_id) = match frontier {
            Some(Frontier { durable_end, active_segment, .. })
                if durable_end > active.end_sequence =>
            {
                (durable_end, active_segment)
            }
            _ => (active.end_sequence, active.id),
        };
        let ids = self.tail_ids(&active, last_id)?;
        let mut tail: Vec<TailSegment> = Vec::with_capacity(ids.len());
        for id in ids {
            let mut part = match state.tail.iter().find(|part| part.segment.id == id) {
                Some(known) => known.clone(),
                None => self.begin(&state.manifest, &active, tail.last(), id)?,
            };
            self.read_on(&mut part, durable_end)?;
            tail.push(part);
        }
        let read_end = tail.last().map_or(0, |part| part.segment.table().end.sequence);
        if read_end < durable_end {
            let last = tail.last().expect("the active segment was read");
            return Err(Error::Damaged {
                path: last.segment.path().to_path_buf(),
                offset: last.offset,
                what: "the chain ends before its durable end",
                sequence: read_end,
                durable_end,
            });
        }
        self.show(state, tail, read_end);
        Ok(durable_end)
    }

    /// Ids of the segments from the active one of the manifest to the one that is written to.
    fn tail_ids(&self, active: &ChainSegment, last_id: u32) -> Result<Vec<u32>, Error> {
        let mut ids = vec![last_id];
        while *ids.last().expect("begun with one") != active.id {
            let id = *ids.last().expect("begun with one");
            let start = self.chain_start(id)?;
            if start.previous_segment == 0 || ids.len() == TAIL_SEGMENTS_MAX {
                let path = chain_path(&self.folder, id);
                let what = "a segment does not go back to the one that the manifest names";
                return Err(Malformed::new(0, what).in_file(&path, 0));
            }
            ids.push(start.previous_segment);
        }
        ids.reverse();
        Ok(ids)
    }

    fn chain_start(&self, id: u32) -> Result<ChainStart, Error> {
        let path = chain_path(&self.folder, id);
        let file = self.disk.open(&path, Access::Read)?;
        let mut block = [0; SEGMENT_HEADER_BYTES];
        let read = file.read_at(0, &mut block)?;
        let malformed = |malformed: Malformed| malformed.in_file(&path, 0);
        let header = SegmentHeader::decode(&block[..read]).map_err(malformed)?;
        match header.content {
            Content::Chain(start)
                if header.store_id == self.identity.store_id && header.segment == id =>
            {
                Ok(start)
            }
            _ => Err(malformed(Malformed::new(0, "this is no chain segment of the journal"))),
        }
    }

    /// Opens a segment of the tail that was not read before.
    fn begin(
        &self,
        manifest: &Manifest,
        active: &ChainSegment,
        previous: Option<&TailSegment>,
        id: u32,
    ) -> Result<TailSegment, Error> {
        let path = chain_path(&self.folder, id);
        let start = self.chain_start(id)?;
        let from = match previous {
            Some(previous) => previous.segment.table().end,
            None => {
                let time = match manifest.chain.as_slice() {
                    [.., before, _] => before.last_time,
                    _ => 0,
                };
                start_of(active, time)
            }
        };
        let follows = Follow { time: from.time, ..from };
        let mountain = Mountain::from_peaks(start.first_frame, start.peaks)
            .filter(|_| start.first_sequence == follows.sequence && start.previous == follows.last)
            .ok_or_else(|| {
                Malformed::new(0, "a segment does not follow on the one before it")
                    .in_file(&path, 0)
            })?;
        let file = self.disk.open(&path, Access::Read)?;
        let table = table_behind(follows, mountain, &self.identity);
        let segment = Arc::new(OpenSegment::new(id, file, table));
        Ok(TailSegment { segment, offset: BLOCK_BYTES })
    }

    /// Reads the frames of a segment that are durable now.
    fn read_on(&self, part: &mut TailSegment, durable_end: u64) -> Result<(), Error> {
        let segment = &part.segment;
        let mut end = segment.table().end;
        let mut window = Window::new(&**segment.file())?;
        let mut scratch = FrameScratch::default();
        while end.sequence < durable_end && part.offset < window.end {
            let offset = part.offset;
            let least = window.enough(offset)?;
            let malformed = |malformed: Malformed| malformed.in_file(segment.path(), offset);
            match step(window.at(offset, least)?, offset) {
                Step::Frame { frame, next } => {
                    end = end.accept(&frame, &self.store_keys, &mut scratch).map_err(malformed)?;
                    segment
                        .table_mut()
                        .add(offset, &frame, &self.identity.keys, None)
                        .map_err(malformed)?;
                    part.offset = next;
                }
                Step::Mark { next, .. } | Step::Padding { next } => part.offset = next,
                Step::Needs(_) => break,
                Step::Bad(bad) => return Err(malformed(bad)),
            }
        }
        Ok(())
    }

    /// Lets callers see what was read.
    fn show(&self, state: &mut State, tail: Vec<TailSegment>, end: u64) {
        let is_same = self.catalog().number == state.manifest.number
            && tail.len() == state.tail.len()
            && tail
                .iter()
                .zip(&state.tail)
                .all(|(new, old)| Arc::ptr_eq(&new.segment, &old.segment));
        state.tail = tail;
        if !is_same {
            let manifest = &state.manifest;
            debug_assert!(
                manifest.chain.iter().rev().skip(1).all(|at| at.state == SegmentState::Closed)
            );
            let mut catalog = catalog_of(
                &self.disk,
                &self.folder,
                manifest,
                &self.identity,
                None,
                &self.fallbacks,
            );
            catalog
                .segments
                .extend(state.tail.iter().map(|part| Segment::Open(Arc::clone(&part.segment))));
            *self.catalog.write().expect("nobody panics while holding it") = Arc::new(catalog);
        }
        if end > self.durable_end() {
            for stage in [Stage::Accepted, Stage::Written, Stage::Durable] {
                self.watermarks.advance(stage, end);
            }
        }
    }

    /// The manifest that a reader has read; `None` in the writer's own process.
    pub(crate) fn manifest_read(&self) -> Option<Manifest> {
        let follower = self.follower.as_ref()?;
        Some(follower.state.lock().expect("nobody panics while following").manifest.clone())
    }

    /// Reads again after a file was gone, if the writer has replaced it.
    pub(crate) fn retry<T>(&self, read: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
        match read() {
            Err(Error::Disk(error)) if error.is_absent() && self.follower.is_some() => {
                self.refresh_files()?;
                read()
            }
            result => result,
        }
    }

    /// Reads the manifest again and makes a catalog of what it names.
    pub(crate) fn refresh_files(&self) -> Result<(), Error> {
        let Some(follower) = &self.follower else { return Ok(()) };
        let mut state = follower.state.lock().expect("nobody panics while following");
        self.reload(&mut state)?;
        self.follow(follower, &mut state)?;
        Ok(())
    }
}
