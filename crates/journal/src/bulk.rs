//! Bulk sessions: much content that is adopted all at once, or not at all (rule R8).
//!
//! 1. *Begin*: an event says that the session begins; when it is durable the manifest names the
//!    session. Only then is the first file made.
//! 2. *Write*: each thread has data segments of its own, whose headers name the session. A
//!    [`BulkSegment`] makes a file when it needs one; a [`BulkWriter`] has its files beforehand.
//! 3. *Adopt*: files without content are removed; all others and the folder are synced and the
//!    manifest lists them; then the caller's batch and the event that ends the session become one durable frame; then the manifest forgets
//!    the session. The frame decides: with it all is adopted, without it nothing is.
//! 4. *Abort*: an event says so; when it is durable the files are removed, then the manifest forgets
//!    the session.
//!
//! A session that a writer left unfinished is ended by the next open, when the whole tail of the chain
//! has been checked: as adopted if the chain says so, otherwise aborted. Each step can be done twice.
//!
//! Files are removed only if their header names the session; a session's id is the sequence of its
//! first event plus one, so it is never used again.

pub(crate) mod segment;
mod stream;
pub(crate) mod writer;

use std::{path::PathBuf, sync::Arc};

use icecore_disk::DiskFile;

use crate::{
    AppendOptions, Batch, By, Durability, Error, Event, EventRef, Extent, NewEvent, Query, Receipt,
    append::Conditions,
    bulk::{segment::BulkSegment, writer::BulkWriter},
    extents::{recovery::session_of, room::list},
    format::manifest::{DataSegment, SESSIONS_MAX, Session},
    journal::{Journal, Shared},
    kinds::reserved,
    primitives::{Mutex, MutexGuard},
    segment::data_path,
};

/// The stream of the events that begin and end bulk sessions.
pub const BULK_STREAM: &[u8] = b"journal/bulk";

/// Content that is written to be adopted at once. Dropped without [`Self::adopt`], it is aborted.
#[derive(Debug)]
pub struct BulkSession {
    state: Arc<SessionState>,
}

/// What the threads of a session share.
#[derive(Debug)]
pub(crate) struct SessionState {
    pub(crate) shared: Arc<Shared>,
    pub(crate) session: Session,
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) files: Vec<BulkFile>,
    /// Of files that were removed because nothing was written to them.
    pub(crate) unused: Vec<u32>,
    /// Those who write.
    pub(crate) writers: usize,
    pub(crate) has_ended: bool,
}

/// A file of a session.
#[derive(Debug)]
pub(crate) struct BulkFile {
    pub(crate) id: u32,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where its last finished extent ends; `None`: it has none.
    pub(crate) bytes: Option<u64>,
}

impl SessionState {
    pub(crate) fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().expect("nobody panics while holding it")
    }

    /// A new file of the session, which the session knows from here on.
    fn create_file(&self) -> Result<(u32, Arc<dyn DiskFile>), Error> {
        // Under the lock: a session that ends removes every file that it ever has.
        let mut files = self.files();
        if files.has_ended {
            return Err(Error::Unfit { what: "the bulk session has ended" });
        }
        self.shared.watermarks.check()?;
        let (id, file) = self.shared.create_data_file(self.session.id)?;
        file.expect_direct_writes();
        files.files.push(BulkFile { id, file: Arc::clone(&file), bytes: None });
        Ok((id, file))
    }

    /// An extent was finished.
    fn has_extent(&self, id: u32, end: u64) {
        let mut files = self.files();
        let file = files.files.iter_mut().find(|file| file.id == id);
        file.expect("the session knows its files").bytes = Some(end);
    }
}

impl Journal {
    /// Begins a bulk session. It is durable when this returns.
    ///
    /// # Errors
    /// What the disk said; [`Error::Unfit`] when 1,024 sessions are unfinished.
    pub fn begin_bulk(&self) -> Result<BulkSession, Error> {
        let shared = &self.shared;
        if shared.unfinished_sessions().len() >= SESSIONS_MAX {
            return Err(Error::Unfit {
                what: "1,024 bulk sessions are unfinished: end some first",
            });
        }
        let begun_sequence = shared.append_mark(reserved::BULK_BEGUN, None)?;
        let session = Session { id: begun_sequence + 1, epoch: shared.epoch, begun_sequence };
        shared.change_manifest(|manifest| manifest.sessions.push(session))?;
        let state = SessionState { shared: Arc::clone(shared), session, files: Mutex::default() };
        Ok(BulkSession { state: Arc::new(state) })
    }
}

impl BulkSession {
    /// The session's number: the headers of its files bear it.
    pub fn id(&self) -> u64 {
        self.state.session.id
    }

    /// A data segment of the session, for one thread.
    ///
    /// # Errors
    /// What the disk said.
    pub fn segment(&self) -> Result<BulkSegment, Error> {
        BulkSegment::begin(&self.state)
    }

    /// A writer for one thread, with so many data segments made beforehand, each of about
    /// [`Options::data_segment_bytes_max`](crate::Options::data_segment_bytes_max) bytes; the last
    /// one goes on up to 32 GiB. Each file is open until the session ends, with two descriptors.
    ///
    /// # Errors
    /// What the disk said; [`Error::Unfit`] when more than 1,024 files would be being made.
    ///
    /// # Panics
    /// Without segments.
    pub fn writer(&self, segments: usize) -> Result<BulkWriter, Error> {
        BulkWriter::begin(&self.state, segments)
    }

    /// Makes durable what was written so far, so that there is less to do when it is adopted. Others
    /// may be writing.
    ///
    /// # Errors
    /// [`Error::Poisoned`] when a sync failed.
    pub fn sync(&self) -> Result<(), Error> {
        let files = self.written_files();
        self.state.shared.sync_in_order(&files, true)
    }

    fn written_files(&self) -> Vec<Arc<dyn DiskFile>> {
        let files = self.state.files();
        let written = files.files.iter().filter(|file| file.bytes.is_some());
        written.map(|file| Arc::clone(&file.file)).collect()
    }

    /// Makes everything durable and appends the batch, which adopts what it wants of the session, and
    /// behind it an event that ends the session. All of it has happened, durably, when this returns,
    /// whatever the durability that the options ask for.
    ///
    /// # Errors
    /// As [`Journal::append`], and [`Error::Unfit`] while a [`BulkSegment`] or [`BulkWriter`] is not
    /// dropped. The session is as it was, unless the journal is poisoned: then the next open says.
    pub fn adopt(&mut self, batch: &Batch, options: &AppendOptions<'_>) -> Result<Receipt, Error> {
        let shared = &self.state.shared;
        let session = self.state.session;
        let listed = self.sync_files()?;
        if batch.has_reserved_kinds {
            return Err(Error::Unfit { what: "kinds from 0xF000 on are the journal's own" });
        }
        let own = |extent: &Extent| {
            listed.iter().find(|file| file.id == extent.segment).map(|file| file.bytes)
        };
        shared.check_extents(batch, own)?;
        let mut annex = Vec::new();
        if !options.gates.is_empty() {
            shared.pass_gates(batch, options, &mut annex)?;
        }
        let mut batch = batch.clone();
        batch.push(&mark(reserved::BULK_ADOPTED, Some(session.begun_sequence)))?;
        let unused = self.state.files().unused.clone();
        shared.change_manifest(|manifest| {
            listed.iter().for_each(|file| list(manifest, file.clone()));
            manifest.pending.retain(|id| !unused.contains(id));
        })?;
        let append = || {
            let ticket = shared.submit(&batch, options.conditions(), annex.clone())?;
            ticket.wait(Durability::Durable)?;
            Ok(ticket.receipt)
        };
        let receipt = match options.use_reserve {
            true => shared.with_reserve(append)?,
            false => append()?,
        };
        self.state.files().has_ended = true;
        // It is adopted, whatever becomes of this: the next open forgets the session as well.
        let _ = shared.forget_session(&session);
        Ok(receipt)
    }

    /// Syncs all files and their names; returns what the manifest is to say of them.
    fn sync_files(&self) -> Result<Vec<DataSegment>, Error> {
        self.remove_unused()?;
        self.sync()?;
        let files = self.state.files();
        let listed = files.files.iter().map(|file| DataSegment {
            id: file.id,
            session: self.state.session.id,
            bytes: file.bytes.expect("files without content were removed"),
            is_sealed: true,
            replaced_by: Vec::new(),
        });
        Ok(listed.collect())
    }

    /// Removes the files to which nothing was written.
    fn remove_unused(&self) -> Result<(), Error> {
        let shared = &self.state.shared;
        shared.watermarks.check()?;
        let mut files = self.state.files();
        if files.writers > 0 {
            return Err(Error::Unfit {
                what: "a bulk session is adopted when all of its segments and writers are dropped",
            });
        }
        while let Some(place) = files.files.iter().position(|file| file.bytes.is_none()) {
            let id = files.files[place].id;
            shared.disk.remove(&data_path(&shared.folder, id))?;
            files.files.swap_remove(place);
            files.unused.push(id);
        }
        Ok(())
    }

    /// Ends the session and removes its files.
    ///
    /// # Errors
    /// What the disk said; what is left is then removed by the next open.
    pub fn abort(self) -> Result<(), Error> {
        self.end()
    }

    fn end(&self) -> Result<(), Error> {
        {
            let mut files = self.state.files();
            if std::mem::replace(&mut files.has_ended, true) {
                return Ok(());
            }
        }
        let shared = &self.state.shared;
        shared.append_mark(reserved::BULK_ABORTED, Some(self.state.session.begun_sequence))?;
        shared.with_reserve(|| shared.remove_session(&self.state.session))?;
        Ok(())
    }
}

impl Drop for BulkSession {
    fn drop(&mut self) {
        // The caller did not ask to hear of errors: see `abort`.
        let _ = self.end();
    }
}

/// An event about a session, or that begins one.
fn mark(kind: u16, begun_sequence: Option<u64>) -> NewEvent<'static> {
    let causation = begun_sequence.map(EventRef::Sequence);
    NewEvent { causation, ..NewEvent::new(BULK_STREAM, kind, &[]) }
}

impl Shared {
    fn unfinished_sessions(&self) -> Vec<Session> {
        self.manifest.lock().expect("nobody panics while holding it").sessions.clone()
    }

    /// Appends an event about a session, durably; returns its sequence.
    fn append_mark(self: &Arc<Self>, kind: u16, begun: Option<u64>) -> Result<u64, Error> {
        let batch = Batch::of(&mark(kind, begun))?;
        self.with_reserve(|| {
            let ticket = self.submit(&batch, Conditions::default(), Vec::new())?;
            ticket.wait(Durability::Durable)?;
            Ok(ticket.receipt.first_sequence)
        })
    }

    /// Forgets a session that is adopted: what it wrote is as good as any other extent.
    fn forget_session(&self, session: &Session) -> Result<(), Error> {
        self.change_manifest(|manifest| {
            manifest.sessions.retain(|unfinished| unfinished.id != session.id);
        })?;
        self.show_data();
        Ok(())
    }

    /// Removes the files of a session whose abortion is durable, and then forgets it.
    fn remove_session(&self, session: &Session) -> Result<Vec<PathBuf>, Error> {
        let ids: Vec<_> = {
            let manifest = self.manifest.lock().expect("nobody panics while holding it");
            let listed = manifest.data.iter().filter(|segment| segment.session == session.id);
            manifest.pending.iter().copied().chain(listed.map(|segment| segment.id)).collect()
        };
        let path = |id: u32| data_path(&self.folder, id);
        let mut removed = Vec::new();
        for id in ids {
            let named = session_of(&*self.disk, &self.folder, &self.identity.store_id, id)?;
            if named == Some(session.id) {
                self.disk.remove(&path(id))?;
                removed.push(id);
            }
        }
        // The names have to be gone for good before nothing knows them any more.
        self.sync_in_order(&[], true)?;
        self.change_manifest(|manifest| {
            manifest.pending.retain(|id| !removed.contains(id));
            manifest
                .data
                .retain(|data| data.session != session.id || self.disk.exists(&path(data.id)));
            manifest.sessions.retain(|unfinished| unfinished.id != session.id);
        })?;
        Ok(removed.into_iter().map(path).collect())
    }

    /// Ends the sessions that earlier writers left unfinished. The tail has been checked.
    pub(crate) fn finish_sessions(self: &Arc<Self>) -> Result<Vec<PathBuf>, Error> {
        let mut removed = Vec::new();
        for session in self.unfinished_sessions() {
            if session.epoch >= self.epoch {
                continue;
            }
            match self.end_of_session(&session)?.map(|event| event.kind()) {
                Some(reserved::BULK_ADOPTED) => {
                    self.forget_session(&session)?;
                    continue;
                }
                Some(_) => {}
                None => {
                    self.append_mark(reserved::BULK_ABORTED, Some(session.begun_sequence))?;
                }
            }
            removed.extend(self.with_reserve(|| self.remove_session(&session))?);
        }
        Ok(removed)
    }

    /// The event that ended a session.
    fn end_of_session(&self, session: &Session) -> Result<Option<Event>, Error> {
        let behind = session.begun_sequence + 1..u64::MAX;
        let query = Query::new(By::Stream(BULK_STREAM.to_vec())).sequences(behind);
        let ends = [reserved::BULK_ADOPTED, reserved::BULK_ABORTED];
        self.history
            .scan(query)?
            .find(|event| match event {
                Ok(event) => {
                    ends.contains(&event.kind())
                        && event.causation() == Some(session.begun_sequence)
                }
                Err(_) => true,
            })
            .transpose()
    }
}
