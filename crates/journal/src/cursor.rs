//! Cursors: reading what is durable at one's own pace, with a position that survives a crash.
//!
//! 1. [`Cursor::open`] reads the last committed position and compares its digest with the chain.
//! 2. Events are taken, one by one or in batches. They come in order, each once, none left out; at
//!    the durable end there are none for now.
//! 3. [`Cursor::commit`] makes the position durable. After a crash the cursor goes on at the last
//!    one committed: what was taken since comes again.
//!
//! Events that are written and not durable are never given out: a loss of power could take them
//! away, and give their sequences to others.
//!
//! A cursor of an index (a stream, a kind, ...) has a sequence as its position as well: all events
//! of the index below it were taken.

use std::sync::Arc;

use icecore_disk::Lock;

use crate::{
    Error, Followed, Query,
    checkpoint::{CheckpointFolder, check_name, query_digest},
    feed::Feed,
    format::checkpoint::{CURSOR_FILE_BYTES_MAX, Position},
    history::History,
};

/// The folder of all cursors, in the journal's.
const FOLDER: &str = "cursors";
/// What a cursor's file is called behind its name.
const SUFFIX: &str = ".cursor";

/// Follows a query, and remembers how far.
///
/// It is an iterator; `None` means that nothing more is durable *for now*.
#[derive(Debug)]
pub struct Cursor {
    feed: Feed,
    name: String,
    folder: CheckpointFolder,
    committed: u64,
    commits: u64,
    /// Held as long as the cursor is open: nobody else moves it.
    _lock: Box<dyn Lock>,
}

/// What a cursor's checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorStatus {
    /// The cursor.
    pub name: String,
    /// Everything below that its query asks for was consumed.
    pub end_sequence: u64,
    /// When that was committed, in nanoseconds since 1970.
    pub time: u64,
    /// How often it has committed.
    pub commits: u64,
}

impl Cursor {
    /// Opens the cursor of this name where it committed last; a new one begins at the first event.
    ///
    /// # Errors
    /// [`Error::Diverged`] if the position is not one of this journal: see [`Self::open_at`].
    /// [`Error::OtherQuery`] if the name stands for another query, [`Error::Taken`] while the cursor
    /// is open elsewhere, [`Error::NoIndex`] if the journal keeps no index for the query.
    pub fn open(history: &Arc<History>, name: &str, query: Query) -> Result<Self, Error> {
        let mut cursor = Self::prepare(history, name, query)?;
        let Some(position) = read(&cursor.folder, name)? else { return Ok(cursor) };
        let path = cursor.folder.path(&file_name(name));
        if position.query != query_digest(cursor.feed.query()) {
            return Err(Error::OtherQuery { path });
        }
        history.refresh()?;
        history.check_position(&position, &path)?;
        cursor.feed.seek(position.end_sequence);
        cursor.committed = position.end_sequence;
        cursor.commits = position.commits;
        Ok(cursor)
    }

    /// Opens the cursor of this name at a sequence, wherever it committed last: everything below
    /// counts as consumed. The next commit makes it so, whatever the checkpoint says now.
    ///
    /// # Errors
    /// As [`Self::open`], but for what the checkpoint says; as [`Self::seek`].
    pub fn open_at(
        history: &Arc<History>,
        name: &str,
        query: Query,
        end_sequence: u64,
    ) -> Result<Self, Error> {
        let mut cursor = Self::prepare(history, name, query)?;
        cursor.seek(end_sequence)?;
        // No position: the checkpoint is not of this cursor.
        cursor.committed = u64::MAX;
        Ok(cursor)
    }

    fn prepare(history: &Arc<History>, name: &str, query: Query) -> Result<Self, Error> {
        check_name(name)?;
        let feed = Feed::new(history, query, 0)?;
        let folder = CheckpointFolder::new(history, &[FOLDER]);
        folder.make(&history.folder)?;
        let lock = folder.lock(&format!("{name}.lock"))?;
        Ok(Self { feed, name: name.to_string(), folder, committed: 0, commits: 0, _lock: lock })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything below was taken.
    pub fn end_sequence(&self) -> u64 {
        self.feed.position()
    }

    /// Takes up to `limit` events, as many as are durable.
    ///
    /// # Errors
    /// What reading says. What was taken before the error is given out first; the error comes again
    /// with the next batch.
    pub fn next_batch(&mut self, limit: usize) -> Result<Vec<Followed>, Error> {
        self.feed.renew();
        let mut batch = Vec::new();
        while batch.len() < limit {
            match self.feed.next() {
                Ok(Some(followed)) => batch.push(followed),
                Ok(None) => break,
                Err(error) if batch.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(batch)
    }

    /// Goes on at a sequence: everything below counts as taken.
    ///
    /// # Errors
    /// [`Error::NoSuchEvent`] beyond the durable end, [`Error::Dropped`] between dropped events.
    pub fn seek(&mut self, end_sequence: u64) -> Result<(), Error> {
        let history = self.feed.history();
        let end = history.refresh()?;
        if end_sequence > end {
            return Err(Error::NoSuchEvent { sequence: end_sequence - 1, end });
        }
        // A position that could not be committed is refused now.
        history.digest_below(end_sequence)?;
        self.feed.seek(end_sequence);
        Ok(())
    }

    /// Makes the position durable: everything that was taken will not come again.
    ///
    /// # Errors
    /// What the disk says. The old position or the new one is then there; committing again is safe.
    pub fn commit(&mut self) -> Result<(), Error> {
        let end_sequence = self.end_sequence();
        if end_sequence == self.committed {
            return Ok(());
        }
        let history = self.feed.history();
        let position = Position {
            store_id: history.store_id(),
            name: self.name.clone(),
            end_sequence,
            frame: history.digest_below(end_sequence)?,
            query: query_digest(self.feed.query()),
            time: history.disk.now(),
            commits: self.commits + 1,
        };
        let content = position.encode().expect("name and digest were checked");
        let temporary = format!("{}.new", self.name);
        self.folder.replace(&file_name(&self.name), &temporary, &content)?;
        self.committed = end_sequence;
        self.commits += 1;
        Ok(())
    }

    /// Removes the cursor of this name; fine if there is none.
    ///
    /// # Errors
    /// [`Error::Taken`] while it is open.
    pub fn remove(history: &History, name: &str) -> Result<(), Error> {
        check_name(name)?;
        let folder = CheckpointFolder::new(history, &[FOLDER]);
        folder.make(&history.folder)?;
        let _lock = folder.lock(&format!("{name}.lock"))?;
        folder.remove(&[file_name(name)])
    }
}

impl Iterator for Cursor {
    type Item = Result<Followed, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.feed.next().transpose()
    }
}

impl History {
    /// All cursors that have committed a position, and where they stand.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a checkpoint is damaged.
    pub fn cursors(&self) -> Result<Vec<CursorStatus>, Error> {
        let folder = CheckpointFolder::new(self, &[FOLDER]);
        let mut found = Vec::new();
        for file in folder.names()? {
            let Some(name) = file.strip_suffix(SUFFIX) else { continue };
            let Some(Position { name, end_sequence, time, commits, .. }) = read(&folder, name)?
            else {
                continue;
            };
            found.push(CursorStatus { name, end_sequence, time, commits });
        }
        Ok(found)
    }
}

fn file_name(name: &str) -> String {
    format!("{name}{SUFFIX}")
}

/// The checkpoint of a cursor.
fn read(folder: &CheckpointFolder, name: &str) -> Result<Option<Position>, Error> {
    let file = file_name(name);
    let Some(content) = folder.read(&file, CURSOR_FILE_BYTES_MAX)? else { return Ok(None) };
    let path = folder.path(&file);
    let position = Position::decode(&content).map_err(|malformed| malformed.in_file(&path, 0))?;
    if position.name != name {
        return Err(Error::OtherQuery { path });
    }
    Ok(Some(position))
}
