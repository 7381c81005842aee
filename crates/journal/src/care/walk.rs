//! Walking through the frames of a chain segment, at the speed of hashing.
//!
//! 1. A part of the file is read into a buffer, as far as whole frames lie in it.
//! 2. The leaves of all those frames are hashed in one go: events of many small frames side by side.
//! 3. Frame by frame: root and digest, the place in the chain, the check of every event.
//!
//! Whoever walks is told of every sound frame, and of everything that is wrong. After damage the walk
//! goes on with the next frame that is authentic and lies further on in the chain; it is found by
//! looking at every multiple of 8 bytes.
//!
//! What it does *not* do: judge what damage means, or map files.

use std::ops::{ControlFlow, Range};

use icecore_disk::DiskFile;

use crate::{
    Digest, Error, StoreId,
    digest::{LeafHasher, StoreKeys},
    format::{
        FRAME_ALIGNMENT,
        fields::array_at,
        frame::{FRAME_BYTES_MAX, FRAME_MAGIC, Frame},
        mark::HeadMark,
        record::{self, Record},
        walk::{Follow, Step, step},
    },
    merkle,
};

/// Bytes read at a time; a frame that is larger is read whole.
const READ_BYTES: usize = 1 << 20;

/// What a walk comes upon.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A frame whose digest is that of its content. `Walker::follow` is behind it, and
    /// `Walker::missing` says which events before it are missing.
    Frame { offset: u64, frame: Frame<'a> },
    /// A head mark.
    Mark { offset: u64, mark: HeadMark },
    /// Something is wrong. `bytes` of it are no sound frame; 0: the frame there is given all the same.
    Problem { offset: u64, bytes: u64, what: &'static str },
    /// So many bytes more have been read.
    Read { bytes: u64 },
}

/// Is told what a walk comes upon; ends it with `Break`.
pub(crate) type Visit<'v, 'k> =
    dyn FnMut(&Walker<'k>, Found<'_>) -> Result<ControlFlow<()>, Error> + 'v;

/// Where in the chain a walk is, and the memory that it works with.
#[derive(Debug)]
pub(crate) struct Walker<'k> {
    store_id: StoreId,
    keys: &'k StoreKeys,
    /// What has to come next.
    pub(crate) follow: Follow,
    /// Events that are missing before the last frame that was given.
    pub(crate) missing: Option<Range<u64>>,
    hasher: LeafHasher,
    leaves: Vec<Digest>,
    roots: Vec<Digest>,
}

/// What lies in the buffer, from one offset to the next.
enum Item<'a> {
    Frame(u64, Frame<'a>),
    Mark(u64, HeadMark),
}

/// What ends the items that lie in the buffer.
enum End {
    /// The buffer ends here; so many bytes are needed from here on.
    Needs(u64, usize),
    Bad(u64, &'static str),
}

impl<'k> Walker<'k> {
    /// A walk that begins at the first frame of a chain.
    pub(crate) fn new(store_id: StoreId, keys: &'k StoreKeys) -> Self {
        Self {
            store_id,
            keys,
            follow: Follow { sequence: 0, frame_number: 0, last: keys.genesis(), time: 0 },
            missing: None,
            hasher: LeafHasher::default(),
            leaves: Vec::new(),
            roots: Vec::new(),
        }
    }

    /// Walks through a part of a file.
    pub(crate) fn segment(
        &mut self,
        file: &dyn DiskFile,
        range: Range<u64>,
        visit: &mut Visit<'_, 'k>,
    ) -> Result<(), Error> {
        let mut buffer = Vec::new();
        let (mut offset, mut wanted) = (range.start, READ_BYTES);
        let mut read_end = range.start;
        while offset < range.end {
            let room = range.end - offset;
            buffer.resize(wanted.min(usize::try_from(room).unwrap_or(usize::MAX)), 0);
            let read = file.read_at(offset, &mut buffer)?;
            buffer.truncate(read);
            let is_last = read as u64 == room || read < wanted;
            let more = (offset + read as u64).saturating_sub(read_end);
            read_end += more;
            if visit(self, Found::Read { bytes: more })?.is_break() {
                return Ok(());
            }
            let (items, end) = items(&buffer, offset, range.end);
            let done = self.judge(&items, visit)?;
            match (done, end) {
                (Judged::Ended, _) => return Ok(()),
                (Judged::BadAt(at, what), _) | (Judged::All, End::Bad(at, what)) => {
                    let next = self.resume(file, at + FRAME_ALIGNMENT..range.end)?;
                    let found = Found::Problem { offset: at, bytes: next - at, what };
                    if visit(self, found)?.is_break() {
                        return Ok(());
                    }
                    (offset, wanted) = (next, READ_BYTES);
                }
                (Judged::All, End::Needs(at, _)) if at >= range.end => return Ok(()),
                (Judged::All, End::Needs(at, needs)) => {
                    if is_last && at == offset && needs > read {
                        let bytes = range.end - at;
                        let what = "the segment ends within a frame";
                        // Behind a length that is wrong sound frames may lie.
                        let next = self.resume(file, at + FRAME_ALIGNMENT..range.end)?;
                        let bytes = bytes.min(next - at);
                        if visit(self, Found::Problem { offset: at, bytes, what })?.is_break() {
                            return Ok(());
                        }
                        (offset, wanted) = (next, READ_BYTES);
                    } else {
                        (offset, wanted) = (at, needs.max(READ_BYTES));
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks what lies in the buffer, and tells of it.
    fn judge(&mut self, items: &[Item<'_>], visit: &mut Visit<'_, 'k>) -> Result<Judged, Error> {
        self.find_roots(items);
        let roots = std::mem::take(&mut self.roots);
        let mut root = roots.iter();
        let mut judged = Judged::All;
        for item in items {
            let mark = match item {
                Item::Mark(offset, mark) => Found::Mark { offset: *offset, mark: *mark },
                Item::Frame(offset, frame) => {
                    let root = root.next().expect("a root for each frame");
                    if self.keys.frame(&array_at(frame.bytes, 8), root) != frame.header.digest {
                        let what = "a frame's content is not what its digest says";
                        judged = Judged::BadAt(*offset, what);
                        break;
                    }
                    let before = self.follow;
                    if frame.header.base_sequence < before.sequence {
                        judged = Judged::BadAt(*offset, "a frame lies where a later one belongs");
                        break;
                    }
                    let is_next = frame.header.base_sequence == before.sequence;
                    self.missing =
                        (!is_next).then_some(before.sequence..frame.header.base_sequence);
                    let misplaced = before.check_place(&frame.header).err().filter(|_| is_next);
                    let misplaced = misplaced.map(|malformed| malformed.what);
                    if let Some(what) = misplaced.or(self.check_events(frame)) {
                        let found = Found::Problem { offset: *offset, bytes: 0, what };
                        if visit(self, found)?.is_break() {
                            judged = Judged::Ended;
                            break;
                        }
                    }
                    self.follow = before.after(&frame.header);
                    if visit(self, Found::Frame { offset: *offset, frame: *frame })?.is_break() {
                        // A frame that nobody wanted has not been walked past.
                        self.follow = before;
                        judged = Judged::Ended;
                        break;
                    }
                    continue;
                }
            };
            if visit(self, mark)?.is_break() {
                judged = Judged::Ended;
                break;
            }
        }
        self.roots = roots;
        Ok(judged)
    }

    /// Hashes the leaves of all frames in one go, and each frame's to its root.
    fn find_roots(&mut self, items: &[Item<'_>]) {
        self.leaves.clear();
        self.roots.clear();
        let frames = || {
            items.iter().filter_map(|item| match item {
                Item::Frame(_, frame) => Some(frame),
                Item::Mark(..) => None,
            })
        };
        self.hasher.leaves(frames().flat_map(Frame::leaf_bytes), &mut self.leaves);
        let mut rest = &self.leaves[..];
        let mut level = Vec::new();
        for frame in frames() {
            let (mine, others) = rest.split_at(frame.leaf_count());
            rest = others;
            self.roots.push(match mine {
                [leaf] => *leaf,
                leaves => {
                    level.clear();
                    level.extend_from_slice(leaves);
                    merkle::root(&mut level)
                }
            });
        }
    }

    /// What is wrong with the frame's events, if anything is.
    fn check_events(&self, frame: &Frame<'_>) -> Option<&'static str> {
        let mut sequence = frame.header.base_sequence;
        for (distance, bytes) in frame.records() {
            if !record::checks(bytes, &self.store_id, sequence) {
                return Some("an event does not check");
            }
            match Record::decode(bytes) {
                Err(malformed) => return Some(malformed.what),
                Ok(record) if record.frame_distance as usize != distance => {
                    return Some("an event states another place in its frame");
                }
                Ok(_) => sequence += 1,
            }
        }
        frame.annex().err().map(|malformed| malformed.what)
    }

    /// Where the next frame or mark lies that the walk can go on with; the end if there is none.
    fn resume(&mut self, file: &dyn DiskFile, range: Range<u64>) -> Result<u64, Error> {
        let mut buffer = Vec::new();
        let mut offset = range.start;
        while offset < range.end {
            let room = usize::try_from(range.end - offset).unwrap_or(usize::MAX);
            buffer.resize(READ_BYTES.min(room), 0);
            let read = file.read_at(offset, &mut buffer)?;
            buffer.truncate(read);
            if read < FRAME_ALIGNMENT as usize {
                break;
            }
            let begins = buffer
                .chunks_exact(FRAME_ALIGNMENT as usize)
                .position(|eight| eight[..4] == FRAME_MAGIC);
            let Some(place) = begins else {
                offset += (read - read % FRAME_ALIGNMENT as usize) as u64;
                continue;
            };
            offset += place as u64 * FRAME_ALIGNMENT;
            if self.is_further_frame(file, offset, range.end)? {
                return Ok(offset);
            }
            offset += FRAME_ALIGNMENT;
        }
        Ok(range.end)
    }

    fn is_further_frame(
        &mut self,
        file: &dyn DiskFile,
        offset: u64,
        end: u64,
    ) -> Result<bool, Error> {
        let mut bytes = vec![0; crate::format::frame::FRAME_HEADER_BYTES];
        loop {
            let read = file.read_at(offset, &mut bytes)?;
            match step(&bytes[..read], offset) {
                Step::Frame { frame, .. } => {
                    let mut scratch = crate::format::frame::FrameScratch::default();
                    return Ok(frame.header.base_sequence >= self.follow.sequence
                        && frame.is_authentic(self.keys, &mut scratch));
                }
                Step::Needs(needs)
                    if read == bytes.len()
                        && needs > read
                        && needs <= FRAME_BYTES_MAX
                        && offset + needs as u64 <= end =>
                {
                    bytes.resize(needs, 0);
                }
                _ => return Ok(false),
            }
        }
    }
}

/// How the judging of what lies in the buffer ended.
enum Judged {
    All,
    Ended,
    BadAt(u64, &'static str),
}

/// Takes apart what lies in the buffer, as far as it is whole and possible.
fn items(buffer: &[u8], start: u64, range_end: u64) -> (Vec<Item<'_>>, End) {
    let mut items = Vec::new();
    let mut offset = start;
    loop {
        if offset >= range_end {
            return (items, End::Needs(range_end, 0));
        }
        let at = usize::try_from(offset - start).unwrap_or(usize::MAX);
        match step(buffer.get(at..).unwrap_or_default(), offset) {
            Step::Frame { frame, next } => {
                items.push(Item::Frame(offset, frame));
                offset = next;
            }
            Step::Mark { mark, next } => {
                items.push(Item::Mark(offset, mark));
                offset = next;
            }
            Step::Padding { next } => offset = next,
            Step::Needs(needs) => return (items, End::Needs(offset, needs)),
            Step::Bad(malformed) => return (items, End::Bad(offset, malformed.what)),
        }
    }
}
