//! Looks accounts up through the indexes of a full archive, or of a pair.
//!
//! The incremental archive of a pair hides the full one: what its index has, tombstones included, is
//! the answer. That holds as long as all of its storages are of later slots than the full archive,
//! which the heads of both indexes tell; of others nothing is said here.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    ops::{ControlFlow, Range},
};

use icecore_types::{AccountRef, Pubkey, Slot};

use super::{
    Index,
    pick::{choose_frames, read},
};
use crate::{Error, Options, Pair, progress::Progress};

/// One live account.
#[derive(Debug, Clone, Copy)]
pub struct IndexedAccount<'a> {
    /// Its content.
    pub account: AccountRef<'a>,
    /// The slot in which this version was written.
    pub slot: Slot,
}

/// Whether archives can be read through indexes.
#[derive(Debug)]
pub enum IndexUse {
    /// They can.
    Ready(Box<IndexedArchives>),
    /// No archive has an index.
    None,
    /// There are some, and they do not do; why.
    NotEnough(String),
}

/// What looking up took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LookupWork {
    /// Frames that were decompressed.
    pub frames: u64,
    /// Frames that the archives have.
    pub frames_of: u64,
    /// Bytes of these archives that were read, at most: those of the frames.
    pub archive_bytes: u64,
    /// Bytes that the archives have.
    pub archive_bytes_of: u64,
    /// Blocks of indexes that were read.
    pub index_blocks: u64,
}

/// Archives and their indexes.
#[derive(Debug)]
pub struct IndexedArchives {
    full: Index,
    incremental: Option<Index>,
    options: Options,
    frames: u64,
    archive_bytes: u64,
}

impl IndexedArchives {
    /// Opens the indexes beside the archives. With `judged`, only those do that were made when the
    /// verdict was good, of an incremental archive with this full one.
    ///
    /// # Errors
    /// [`Error::Index`] when there is an index that is damaged, or of something else.
    pub fn open(pair: &Pair, judged: bool, options: Options) -> Result<IndexUse, Error> {
        let full = Index::open(&pair.full)?;
        let incremental = match &pair.incremental {
            Some(source) => Index::open(source)?,
            None => None,
        };
        let no = |why: &str| Ok(IndexUse::NotEnough(why.into()));
        let full = match (full, &incremental) {
            (Some(full), _) => full,
            (None, Some(_)) => return no("the full archive has no index"),
            (None, None) => return Ok(IndexUse::None),
        };
        if pair.incremental.is_some() && incremental.is_none() {
            return no("the incremental archive has no index");
        }
        for index in [Some(&full), incremental.as_ref()].into_iter().flatten() {
            if judged && !index.head().is_judged {
                return no(&format!("the index of {} was made without a verdict", index.label));
            }
        }
        if let (Some(source), Some(index)) = (&pair.incremental, &incremental) {
            let base = pair.full.name().slot();
            if source.name().base() != Some(base) {
                return no("the incremental archive builds on another full one");
            }
            if judged && index.head().base_edges != full.head().edges {
                return no("the incremental archive was verified with another full one");
            }
            if index.head().slots[0] <= base && index.head().slots != [0, 0]
                || full.head().slots[1] > base
            {
                return no("the incremental archive brings slots of the full one again");
            }
        }
        Ok(IndexUse::Ready(Box::new(Self {
            full,
            incremental,
            options,
            frames: 0,
            archive_bytes: 0,
        })))
    }

    /// What was done so far.
    pub fn work(&self) -> LookupWork {
        let indexes = [Some(&self.full), self.incremental.as_ref()];
        let mut work = LookupWork {
            frames: self.frames,
            archive_bytes: self.archive_bytes,
            ..LookupWork::default()
        };
        for index in indexes.into_iter().flatten() {
            work.frames_of += index.reader.frames();
            work.archive_bytes_of += index.head().archive_bytes;
            work.index_blocks += index.reader.blocks_read();
        }
        work
    }

    /// Gives those of the accounts with these addresses that live to `visit`, each once, in the
    /// order of the archives, until it breaks; perhaps on a thread of its own.
    ///
    /// # Errors
    /// [`Error::Damaged`] when an archive is not what was indexed, [`Error::Index`] when an index is
    /// damaged.
    pub fn get_many(
        &mut self,
        pubkeys: &[Pubkey],
        progress: &Progress,
        mut visit: impl FnMut(IndexedAccount<'_>) -> ControlFlow<()> + Send,
    ) -> Result<(), Error> {
        let (mut in_full, mut in_incremental) = (HashMap::new(), HashMap::new());
        for pubkey in pubkeys {
            let found = match &mut self.incremental {
                Some(index) => find(index, pubkey, &mut in_incremental)?,
                None => false,
            };
            if !found {
                find(&mut self.full, pubkey, &mut in_full)?;
            }
        }
        let archives =
            [(Some(&mut self.full), in_full), (self.incremental.as_mut(), in_incremental)];
        for (index, wanted) in archives {
            let Some(index) = index else { continue };
            let mut places: Vec<u64> = wanted.keys().copied().collect();
            places.sort_unstable();
            let mut ahead = places.iter();
            let frames = choose_frames(index, &mut |_| Ok(ahead.next().copied()))?;
            self.frames += frames.len() as u64;
            self.archive_bytes += frames.iter().map(|(_, frame)| frame.file_bytes).sum::<u64>();
            let path = index.path.clone();
            let (mut next, mut due) = (places.iter(), places.iter());
            let flow = read(
                index,
                &frames,
                &mut |_| Ok(next.next().copied()),
                &self.options,
                progress,
                &mut |record, slot| {
                    let place = due.next().expect("as many come as were asked for");
                    let account = record.account();
                    if account.pubkey != &wanted[place] || account.is_tombstone() {
                        let problem = format!("it says that {} is where it is not", wanted[place]);
                        return Err(Error::Index { path: path.clone(), problem });
                    }
                    Ok(visit(IndexedAccount { account, slot }))
                },
            )?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Gives the live accounts of some owners to `visit`, in the order of the archives, until it
    /// breaks; perhaps on a thread of its own.
    ///
    /// # Errors
    /// As those of [`get_many`](Self::get_many).
    pub fn of_owners(
        &mut self,
        owners: &[Pubkey],
        progress: &Progress,
        mut visit: impl FnMut(IndexedAccount<'_>) -> ControlFlow<()> + Send,
    ) -> Result<(), Error> {
        let Self { full, incremental, options, .. } = self;
        let mut work = (0, 0);
        let above = &mut incremental.as_mut();
        let flow = scan(full, above, owners, options, progress, &mut work, &mut visit)?;
        if let (Some(index), ControlFlow::Continue(())) = (incremental, flow) {
            let _ = scan(index, &mut None, owners, options, progress, &mut work, &mut visit)?;
        }
        self.frames += work.0;
        self.archive_bytes += work.1;
        Ok(())
    }
}

/// Looks for an account; whether the index has it. One that lives comes to `wanted`, by its place.
fn find(
    index: &mut Index,
    pubkey: &Pubkey,
    wanted: &mut HashMap<u64, Pubkey>,
) -> Result<bool, Error> {
    let tag = index.tag(pubkey);
    let row = index.ask(|reader| reader.account(&tag))?;
    if let Some(row) = row.filter(|row| !row.is_tombstone) {
        wanted.insert(row.offset, *pubkey);
    }
    Ok(row.is_some())
}

/// The places of several owners' accounts, in the order of the archive.
struct Places {
    lists: Vec<Range<u64>>,
    /// The next place of each list.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Places {
    fn new(index: &mut Index, owners: &[Pubkey]) -> Result<Self, Error> {
        let mut owners = owners.to_vec();
        owners.sort_unstable();
        owners.dedup();
        let mut places = Self { lists: Vec::new(), heads: BinaryHeap::new() };
        for owner in &owners {
            places.lists.push(index.ask(|reader| reader.owner(owner))?);
            places.step(index, places.lists.len() - 1)?;
        }
        Ok(places)
    }

    /// Takes the next place of a list.
    fn step(&mut self, index: &mut Index, list: usize) -> Result<(), Error> {
        if let Some(number) = self.lists[list].next() {
            let place = index.ask(|reader| reader.owned(number))?;
            self.heads.push(Reverse((place, list)));
        }
        Ok(())
    }

    fn next(&mut self, index: &mut Index) -> Result<Option<u64>, Error> {
        let Some(Reverse((place, list))) = self.heads.pop() else { return Ok(None) };
        self.step(index, list)?;
        Ok(Some(place))
    }
}

/// One archive's accounts of some owners, apart from those that the archive `above` has as well.
fn scan(
    index: &mut Index,
    above: &mut Option<&mut Index>,
    owners: &[Pubkey],
    options: &Options,
    progress: &Progress,
    work: &mut (u64, u64),
    visit: &mut (impl FnMut(IndexedAccount<'_>) -> ControlFlow<()> + Send),
) -> Result<ControlFlow<()>, Error> {
    let mut places = Places::new(index, owners)?;
    let frames = choose_frames(index, &mut |index| places.next(index))?;
    work.0 += frames.len() as u64;
    work.1 += frames.iter().map(|(_, frame)| frame.file_bytes).sum::<u64>();
    let mut places = Places::new(index, owners)?;
    let path = index.path.clone();
    read(index, &frames, &mut |index| places.next(index), options, progress, &mut |record, slot| {
        let account = record.account();
        if !owners.contains(account.owner) || account.is_tombstone() {
            let problem = format!("it has {} among accounts of others", account.pubkey);
            return Err(Error::Index { path: path.clone(), problem });
        }
        if let Some(above) = above {
            let tag = above.tag(account.pubkey);
            if above.ask(|reader| reader.account(&tag))?.is_some() {
                return Ok(ControlFlow::Continue(()));
            }
        }
        Ok(visit(IndexedAccount { account, slot }))
    })
}
