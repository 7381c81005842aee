//! Makes the index of an archive.
//!
//! 1. Unless that is waived, the archives are verified; a bad verdict ends it. An incremental archive
//!    alone has no verdict.
//! 2. The frames of the file are found by their headers ([`read_frames`]); a long one alone is refused.
//! 3. The archive is read once more on tiles: records are gathered, pieces of frames digested.
//! 4. The newest version of each account is settled, and everything is written, in the order of the
//!    file, under a temporary name that becomes the index's when all is on disk.
//!
//! Memory: [`Options::memory_bytes_max`] for what grows with records, the rest in scratch files; and
//! 24 bytes for each storage, 48 for each frame, 16 for each MiB of the tar stream.

use std::{
    io::{BufWriter, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use icecore_archive::{
    container::ContainerKind,
    index::{
        IndexHead, RowBlocks, Section,
        rows::{FrameRow, OwnedRow, OwnerRow, PieceRow, Row, StorageRow},
        seal,
    },
    seek_table::FRAMES_MAX,
    writing::frame_plan::FRAME_BYTES_DEFAULT,
    zstd_frames::FrameKind,
};
use icecore_disk::{Output, Publish};

use super::{
    Index, KEY_CONTEXT, edges_of, index_path,
    versions::{Newest, VersionWorker, settle},
    walk::{Content, IndexWalk},
};
use crate::{
    Answer, Error, Options, Pair, Report, Source,
    first_look::{ArchiveFacts, FirstLook},
    frames::{Frame, FramesEnd, read_frames},
    memory_plan::MemoryPlan,
    pass::{Setup, Writes, slots::Slots, walk::ArchiveWalk, with_pipeline},
    progress::Progress,
    spill::{SpillSpace, sorted::Sorted, sorter::Sorter},
    verify::verify,
};

/// Shares of the memory limit: half for gathering, and an eighth for each of what settling needs.
const GATHERING_OF: usize = 2;
const SETTLING_OF: usize = 8;

/// An index that was made, or was there and fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeIndex {
    /// The file.
    pub path: PathBuf,
    /// The archive's file name.
    pub archive: String,
    /// Whether it was there already.
    pub was_there: bool,
    /// Whether the archive was verified when it was made.
    pub is_judged: bool,
    /// Bytes of the index.
    pub bytes: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Frames of the archive that have content.
    pub frames: u64,
    /// Accounts whose newest version was found, tombstones included.
    pub accounts: u64,
    /// Those that live.
    pub live_accounts: u64,
    /// Owners of these.
    pub owners: u64,
}

impl MadeIndex {
    fn of(head: &IndexHead, path: PathBuf, was_there: bool) -> Self {
        Self {
            path,
            archive: head.archive.clone(),
            was_there,
            is_judged: head.is_judged,
            bytes: head.file_bytes(),
            archive_bytes: head.archive_bytes,
            frames: head.rows(Section::Frames),
            accounts: head.rows(Section::Accounts),
            live_accounts: head.rows(Section::Owned),
            owners: head.rows(Section::Owners),
        }
    }
}

/// Makes an index beside each archive of a pair, which may also be a full archive without an
/// incremental one, or an incremental one alone. Without `judge` they are not verified first. An index
/// that is there is an error unless `replace` is set; but that of a full archive stays as it is if it
/// fits and says as much, so that an incremental archive can be indexed after it.
///
/// # Errors
/// [`Error::Damaged`] when an archive is damaged or its verdict is bad, [`Error::NotInFrames`], or
/// when the operating system refuses; then no index of that archive was made.
pub fn index_archives(
    pair: &mut Pair,
    judge: bool,
    replace: bool,
    options: &Options,
    progress: &Progress,
) -> Result<Vec<MadeIndex>, Error> {
    let judge = judge && !pair.is_alone();
    let mut kept = None;
    if pair.incremental.is_some() && !replace {
        kept = Index::open(&pair.full)?.filter(|index| index.head().is_judged || !judge);
    }
    // What cannot be made is told before the work.
    let mut works = Vec::new();
    for source in [&pair.full].into_iter().chain(&pair.incremental) {
        if kept.is_some() && !source.name().is_incremental() {
            continue;
        }
        works.push(Work::begin(source, replace, progress)?);
    }
    if judge {
        let report = verify(pair, options, progress)?;
        if report.answer() == Answer::Bad {
            return Err(refused(&report));
        }
    }
    let mut made = Vec::new();
    let mut full_edges = [0; 32];
    if let Some(index) = kept {
        full_edges = index.head().edges;
        made.push(MadeIndex::of(index.head(), index.path.clone(), true));
    }
    for work in works {
        let base_edges = if judge { full_edges } else { [0; 32] };
        let (head, path) = work.make(judge, base_edges, replace, options, progress)?;
        full_edges = head.edges;
        made.push(MadeIndex::of(&head, path, false));
    }
    Ok(made)
}

/// The first thing that is wrong.
fn refused(report: &Report) -> Error {
    let failed =
        report.archives.iter().find_map(|verdict| Some((verdict, verdict.failures().next()?)));
    let (verdict, check) = failed.expect("a bad verdict has a check that failed");
    Error::Damaged {
        archive: verdict.archive.clone(),
        problem: format!("{} {}: {}", check.id, check.id.title(), check.detail),
    }
}

/// An archive that is being indexed.
struct Work {
    source: Source,
    path: PathBuf,
    output: Output,
    edges: [u8; 32],
    /// Where frames with content lie in the file, and their bytes.
    frames: Vec<(u64, u64)>,
}

impl Work {
    /// Finds the frames, and makes the file.
    fn begin(source: &Source, replace: bool, progress: &Progress) -> Result<Self, Error> {
        let archive = source.path().expect("a pair of files").to_path_buf();
        let path = index_path(&archive);
        if !replace && icecore_disk::exists(&path) {
            return Err(icecore_disk::Error::Exists { path }.into());
        }
        let frames = frames_of(source, &archive, progress)?;
        let edges = edges_of(source.label(), &icecore_disk::File::open(&archive)?)?;
        let output = Output::create(&path)?;
        Ok(Self { source: Source::file(&archive)?, path, output, edges, frames })
    }

    fn make(
        mut self,
        is_judged: bool,
        base_edges: [u8; 32],
        replace: bool,
        options: &Options,
        progress: &Progress,
    ) -> Result<(IndexHead, PathBuf), Error> {
        let (_, workers) = options.tiles.counts(options.cores, true);
        let bytes_max = MemoryPlan::new(options.memory_bytes_max, workers).bytes_max();
        let space = SpillSpace::new(options.scratch.as_deref());
        let (facts, mut content, versions) = self.read(bytes_max, &space, options, progress)?;
        let archive = self.source.path().expect("it is a file");
        let edges = edges_of(self.source.label(), &icecore_disk::File::open(archive)?)?;
        if content.frames.len() != self.frames.len() || edges != self.edges {
            return Err(self.damaged("it was changed while it was read".into()));
        }
        for (frame, (offset, bytes)) in content.frames.iter_mut().zip(&self.frames) {
            (frame.file_offset, frame.file_bytes) = (*offset, *bytes);
        }
        if let [only] = content.frames[..]
            && only.content_bytes > u64::from(FRAME_BYTES_DEFAULT)
        {
            return Err(one_frame(&self.source));
        }
        progress.begin(format!("write index of {}", self.source.label()));
        let key = key_of(&self.edges, &content.frames);
        let file = space.file();
        let bytes_max = bytes_max / SETTLING_OF;
        let newest = settle(versions, &facts.storages, &key, bytes_max, &file, progress)?;
        let slots = facts.storages.iter().map(|storage| storage.slot);
        let head = IndexHead {
            archive: self.source.label().to_string(),
            archive_bytes: self.source.bytes().unwrap_or(0),
            edges: self.edges,
            key,
            is_judged,
            base_edges: if self.source.name().is_incremental() { base_edges } else { [0; 32] },
            slots: [slots.clone().min().unwrap_or(0), slots.max().unwrap_or(0)],
            rows: [
                content.frames.len() as u64,
                content.pieces.len() as u64,
                facts.storages.len() as u64,
                newest.by_tag.len(),
                newest.by_owner.len(),
                count_owners(&newest, bytes_max)?,
            ],
        };
        let mut writer =
            Writer { output: BufWriter::with_capacity(1 << 20, &mut self.output), blocks: 1, key };
        writer.output.write_all(&head.encode())?;
        writer.all(&content, &facts, &newest, bytes_max)?;
        drop(writer);
        self.output.publish(if replace { Publish::Replace } else { Publish::New })?;
        Ok((head, self.path))
    }

    /// Reads the archive.
    fn read(
        &mut self,
        bytes_max: usize,
        space: &SpillSpace,
        options: &Options,
        progress: &Progress,
    ) -> Result<(ArchiveFacts, Content, Vec<Sorted<super::versions::Version>>), Error> {
        let (decompressors, workers) = options.tiles.counts(options.cores, true);
        let plan = MemoryPlan::new(options.memory_bytes_max, workers);
        let spills: Vec<_> = (0..=workers).map(|_| space.file()).collect();
        let setup = Setup {
            name: "index",
            worker_kind: "hash",
            workers,
            decompressors,
            plan: &options.tiles,
            placement: &options.placement,
            spills: &spills,
            writes: Writes::default(),
            unconfined: None,
        };
        progress.begin(format!("index {}", self.source.label()));
        progress.expect_bytes(self.source.bytes().unwrap_or(0));
        let feed = self.source.open("it is indexed", options.tiles.read_options())?;
        let gathering = bytes_max / GATHERING_OF / workers;
        let hands = spills[..workers]
            .iter()
            .map(|spill| VersionWorker { versions: Sorter::new(gathering, Arc::clone(spill)) });
        let found = Arc::clone(&spills[workers]);
        let look = FirstLook::new(self.source.name(), plan.delegations_bytes(), found, None);
        let is_incremental = self.source.name().is_incremental();
        let home = Arc::new(Mutex::new(None));
        let walk = ArchiveWalk::new(is_incremental, look, None);
        let walk = Box::new(IndexWalk::new(walk, Arc::clone(&home)));
        let hands = with_pipeline(&setup, vec![feed], progress, |pipeline| {
            pipeline.run(0, "it is indexed", walk, hands.collect())
        })?;
        let IndexWalk { walk, content, .. } =
            Slots::take(&home).expect("a finished walk has come home");
        let mut look = walk.visitor;
        look.finish(walk.end);
        if let Some(refused) = look.refused.take() {
            return Err(refused.into());
        }
        if let Some(wrong) = look.wrong.first() {
            let storage = look.facts.storages[wrong.place.storage() as usize];
            let problem = format!(
                "accounts/{}.{}: record {} at byte {}: {}",
                storage.slot,
                storage.id,
                wrong.place.record(),
                wrong.offset,
                wrong.found
            );
            return Err(self.damaged(problem));
        }
        if let Some(problem) = look.findings.first_failure() {
            return Err(self.damaged(problem));
        }
        let versions = hands.into_iter().map(|hand| hand.versions.finish());
        let versions = versions.collect::<Result<Vec<_>, _>>()?;
        Ok((look.facts, content, versions))
    }

    fn damaged(&self, problem: String) -> Error {
        damaged(&self.source, problem)
    }
}

fn damaged(source: &Source, problem: String) -> Error {
    Error::Damaged { archive: source.label().to_string(), problem }
}

/// Where the frames with content lie in a file.
fn frames_of(
    source: &Source,
    archive: &Path,
    progress: &Progress,
) -> Result<Vec<(u64, u64)>, Error> {
    let unfit = |why: &str| Error::NotInFrames { archive: source.label().into(), why: why.into() };
    let mut frames = Vec::new();
    let FramesEnd { kind, damage, .. } = read_frames(archive, progress, |frame| match frame {
        Frame::Zstd { offset, bytes, kind: FrameKind::Data { .. } } => {
            frames.push((offset, bytes));
            match frames.len() > FRAMES_MAX as usize {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
        Frame::Zstd { kind: FrameKind::Skippable { .. }, .. } => ControlFlow::Continue(()),
        Frame::Lz4(_) => ControlFlow::Break(()),
    })?;
    match kind {
        Some(ContainerKind::Lz4) => return Err(unfit("is packed with lz4")),
        Some(ContainerKind::Tar) => return Err(unfit("is plain tar")),
        Some(ContainerKind::Zstd) | None => {}
    }
    if let Some(damage) = damage {
        return Err(damaged(source, damage.to_string()));
    }
    match frames[..] {
        // What is packed is hardly longer than what is in it.
        [(_, bytes)] if bytes > u64::from(FRAME_BYTES_DEFAULT) => Err(one_frame(source)),
        _ if frames.len() > FRAMES_MAX as usize => Err(unfit("has more frames than are indexed")),
        _ => Ok(frames),
    }
}

/// Of one frame all would be read for any account; but what is as short as a frame that we write
/// would not be read faster if it were packed anew.
fn one_frame(source: &Source) -> Error {
    let why = "is one frame, all of which would be read for any account".to_string();
    Error::NotInFrames { archive: source.label().to_string(), why }
}

/// The key of tags and checksums: of the archive, so that nobody knows it who makes addresses.
fn key_of(edges: &[u8; 32], frames: &[FrameRow]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(KEY_CONTEXT);
    hasher.update(edges);
    let mut bytes = [0; FrameRow::BYTES];
    for frame in frames {
        frame.write(&mut bytes);
        hasher.update(&bytes);
    }
    hasher.finalize().into()
}

fn count_owners(newest: &Newest, bytes_max: usize) -> Result<u64, Error> {
    let mut rows = newest.by_owner.reader(bytes_max)?;
    let (mut count, mut last) = (0, None);
    while let Some(owned) = rows.next()? {
        count += u64::from(last.replace(owned.owner) != Some(owned.owner));
    }
    Ok(count)
}

/// Writes sections.
struct Writer<'a> {
    output: BufWriter<&'a mut Output>,
    /// Blocks written.
    blocks: u64,
    key: [u8; 32],
}

impl Writer<'_> {
    fn all(
        &mut self,
        content: &Content,
        facts: &ArchiveFacts,
        newest: &Newest,
        bytes_max: usize,
    ) -> Result<(), Error> {
        let mut frames = content.frames.iter().copied();
        self.section::<FrameRow>(|| Ok(frames.next()))?;
        let mut pieces = content.pieces.iter().copied();
        self.section::<PieceRow>(|| Ok(pieces.next()))?;
        let mut storages = facts.storages.iter();
        self.section(|| {
            let storage = storages.next();
            Ok(storage.map(|storage| StorageRow {
                offset: storage.tar_offset,
                bytes: storage.bytes,
                slot: storage.slot,
            }))
        })?;
        let mut accounts = newest.by_tag.reader(bytes_max)?;
        self.section(|| Ok(accounts.next()?.map(|tagged| tagged.row())))?;
        let mut owned = newest.by_owner.reader(bytes_max)?;
        self.section(|| Ok(owned.next()?.map(|owned| OwnedRow { offset: owned.offset })))?;
        let mut owned = newest.by_owner.reader(bytes_max)?;
        let mut first = 0;
        self.section(|| {
            let Some(begin) = owned.next()? else { return Ok(None) };
            let mut count = 1;
            while owned.peek().is_some_and(|next| next.owner == begin.owner) {
                owned.next()?;
                count += 1;
            }
            let row = OwnerRow { owner: begin.owner, first, count };
            first += count;
            Ok(Some(row))
        })?;
        Ok(self.output.flush()?)
    }

    fn section<R: Row>(
        &mut self,
        mut next: impl FnMut() -> Result<Option<R>, Error>,
    ) -> Result<(), Error> {
        let mut rows = RowBlocks::new();
        while let Some(row) = next()? {
            if let Some(block) = rows.push(&row) {
                self.block(block)?;
            }
        }
        match rows.finish() {
            Some(block) => self.block(block),
            None => Ok(()),
        }
    }

    fn block(&mut self, mut block: icecore_archive::index::Block) -> Result<(), Error> {
        seal(&self.key, self.blocks, &mut block);
        self.blocks += 1;
        Ok(self.output.write_all(&block)?)
    }
}
