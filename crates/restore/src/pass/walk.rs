//! The walk over an archive's tar stream: members to a visitor, account records to runs.
//!
//! What is wrong in the bytes goes to the visitor as faults; the walk goes on where it can (a
//! member that does not belong) and ends where it cannot (a damaged header, a cut stream).

use std::{ops::ControlFlow, sync::Arc};

use icecore_archive::{
    members::{MemberKind, classify},
    storage::{StorageEvent, StorageFault, StorageReader},
    tar::{TarEnd, TarEvent, TarMember, TarReader},
};
use icecore_types::Slot;

use super::{
    ContainerReport,
    batch::{First, Place, Run},
    borders::{Border, Borders, Selection},
};
use crate::damage::Damage;

/// A storage member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageHead {
    /// The slot in which its account versions were written.
    pub slot: Slot,
    /// A number that tells storages of one node apart.
    pub id: u64,
    /// Bytes of the member.
    pub bytes: u64,
    /// Where its content begins in the tar stream.
    pub tar_offset: u64,
}

/// What a pass does with what is no account record.
pub(crate) trait Visitor: Send {
    /// A member that belongs begins. The answer says whether its bytes are wanted.
    fn member(&mut self, member: &TarMember, kind: &MemberKind) -> Wanted;

    /// Bytes of a member that answered [`Wanted::Bytes`].
    fn bytes(&mut self, bytes: &[u8]);

    /// The member has ended.
    fn member_end(&mut self);

    /// Whether a record of a storage that answered [`Wanted::Chosen`] is wanted, and the tag that
    /// it bears to the workers. Places come in ascending order.
    fn choose(&mut self, place: Place) -> Result<Option<u32>, crate::Error>;

    /// The bytes between a member's end and the next 512-byte border are not zero.
    fn padding_not_zero(&mut self, offset: u64);

    /// Something is wrong in the archive's bytes.
    fn fault(&mut self, damage: Damage);

    /// Something is wrong in a storage.
    fn storage_fault(&mut self, place: Place, offset: u64, fault: StorageFault);

    /// The walk goes on behind frames that were passed over; so many storages were begun before.
    fn resume(&mut self, storages: u32) {
        let _ = storages;
    }
}

/// What to do with a member's content.
pub(crate) enum Wanted {
    /// Pass it over.
    Nothing,
    /// Give it to [`Visitor::bytes`].
    Bytes,
    /// Delimit its account records; `listed` is the length that governs, in archives of clients
    /// whose storages may be longer than their records.
    Records { head: StorageHead, listed: Option<u64> },
    /// The same, and give only those that [`Visitor::choose`] wants.
    Chosen { head: StorageHead, listed: Option<u64> },
}

/// How the walk ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct WalkEnd {
    /// Of the container, when its end was reached.
    pub(crate) container: Option<ContainerReport>,
    /// Of the tar stream, when its end was reached.
    pub(crate) tar: Option<TarEnd>,
    /// Where the walk stood at the start of each frame.
    pub(crate) borders: Arc<Borders>,
}

/// The records that end in one block.
#[derive(Default)]
pub(crate) struct Records {
    pub(crate) runs: Vec<Run>,
    /// The record that began in an earlier block; in the runs it lies behind the block.
    pub(crate) joined: Option<Vec<u8>>,
    pub(crate) count: usize,
}

impl Records {
    pub(crate) fn clear(&mut self) {
        self.runs.clear();
        self.joined = None;
        self.count = 0;
    }

    fn push(&mut self, first: First, start: usize, bytes: usize) {
        self.count += 1;
        if !self.runs.last_mut().is_some_and(|run| run.extend(first, start, bytes)) {
            self.runs.push(Run::new(first, start, bytes));
        }
    }
}

/// What the parsing tile does with blocks.
pub(crate) trait Walk: Send {
    /// A frame begins; it is the first one, or follows `passed_over` frames that were not given.
    fn frame(&mut self, frame: usize, passed_over: bool);

    /// Bytes of the record that ends in the block of `next_bytes` which begins with `next`, if it
    /// began before.
    fn joined_bytes(&self, next: &[u8], next_bytes: usize) -> usize;

    /// Looks at a block. After a break nothing more is given.
    fn block(
        &mut self,
        block: &[u8],
        records: &mut Records,
    ) -> Result<ControlFlow<()>, crate::Error>;

    /// The container is damaged; nothing more is given.
    fn fault(&mut self, damage: Damage);

    /// The container has ended.
    fn end(&mut self, report: ContainerReport);

    /// Goes home.
    fn retire(self: Box<Self>);
}

/// What a walk does with the bytes of the member at hand.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Nothing,
    Bytes,
    Records { reader: StorageReader, number: u32, slot: Slot, chosen: bool },
}

impl Content {
    /// Bytes kept of a record that was begun.
    pub(super) fn begun_bytes(&self) -> usize {
        match self {
            Self::Records { reader, .. } => reader.begun_bytes(),
            Self::Nothing | Self::Bytes => 0,
        }
    }
}

/// Walks over an archive with a visitor.
pub(crate) struct ArchiveWalk<V> {
    tar: Option<TarReader>,
    content: Content,
    storages: u32,
    incremental: bool,
    pub(crate) visitor: V,
    pub(crate) end: WalkEnd,
    borders: Borders,
    /// For a second look: which frames are given.
    selection: Option<Selection>,
}

impl<V: Visitor> ArchiveWalk<V> {
    pub(crate) fn new(incremental: bool, visitor: V, selection: Option<Selection>) -> Self {
        Self {
            tar: Some(TarReader::new()),
            content: Content::Nothing,
            storages: 0,
            incremental,
            visitor,
            end: WalkEnd::default(),
            borders: Borders::default(),
            selection,
        }
    }

    /// Bytes kept of a record that was begun.
    pub(crate) fn begun_bytes(&self) -> usize {
        self.content.begun_bytes()
    }

    /// Notes where the walk stands, or goes to where the first look stood at this frame.
    pub(crate) fn frame(&mut self, frame: usize, passed_over: bool) {
        let Some(selection) = &self.selection else {
            let Some(tar) = &self.tar else { return };
            let next = match &self.content {
                Content::Records { reader, number, .. } => {
                    Place::new(self.incremental, *number, reader.records())
                }
                Content::Nothing | Content::Bytes => Place::new(self.incremental, self.storages, 0),
            };
            let (tar, content) = (tar.clone(), self.content.clone());
            self.borders.push(Border { next, tar, content, storages: self.storages });
            return;
        };
        if !passed_over {
            return;
        }
        let border = selection.borders.get(frame).expect("only frames with borders are left out");
        self.tar = Some(border.tar.clone());
        self.storages = border.storages;
        self.content = match border.content.clone() {
            Content::Records { reader, number, slot, .. } => {
                Content::Records { reader, number, slot, chosen: true }
            }
            // Of other members nothing is wanted at a second look.
            Content::Nothing | Content::Bytes => Content::Nothing,
        };
        self.visitor.resume(self.storages);
    }

    pub(crate) fn joined_bytes(&self, next: &[u8], next_bytes: usize) -> usize {
        match &self.content {
            Content::Records { reader, .. } => reader.joined_bytes(next, next_bytes),
            Content::Nothing | Content::Bytes => 0,
        }
    }

    pub(crate) fn block(
        &mut self,
        block: &[u8],
        records: &mut Records,
    ) -> Result<ControlFlow<()>, crate::Error> {
        let mut tar = self.tar.take().expect("nothing is given after the end");
        let mut input = block;
        loop {
            match tar.next(&mut input) {
                Ok(Some(event)) => {
                    if let Some(damage) = self.event(&event, block, records)? {
                        self.visitor.fault(damage);
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(None) => {
                    self.tar = Some(tar);
                    return Ok(ControlFlow::Continue(()));
                }
                Err(error) => {
                    self.visitor.fault(error.into());
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }

    pub(crate) fn end(&mut self, report: ContainerReport) {
        self.end.container = Some(report);
        self.end.borders = Arc::new(std::mem::take(&mut self.borders));
        let Some(tar) = self.tar.take() else { return };
        match tar.finish() {
            Ok(tar) => self.end.tar = Some(tar),
            Err(error) => self.visitor.fault(error.into()),
        }
    }

    fn event(
        &mut self,
        event: &TarEvent<'_>,
        block: &[u8],
        records: &mut Records,
    ) -> Result<Option<Damage>, crate::Error> {
        match event {
            TarEvent::Member(member) => self.begin(member, block, records),
            TarEvent::Data(bytes) => match &self.content {
                Content::Nothing => Ok(None),
                Content::Bytes => {
                    self.visitor.bytes(bytes);
                    Ok(None)
                }
                Content::Records { .. } => self.records(bytes, block, records),
            },
            TarEvent::MemberEnd => {
                self.content = Content::Nothing;
                self.visitor.member_end();
                Ok(None)
            }
            TarEvent::EndBlocks => Ok(None),
            TarEvent::PaddingNotZero { offset } => {
                self.visitor.padding_not_zero(*offset);
                Ok(None)
            }
        }
    }

    fn begin(
        &mut self,
        member: &TarMember,
        block: &[u8],
        records: &mut Records,
    ) -> Result<Option<Damage>, crate::Error> {
        let kind = match classify(&member.path, member.kind) {
            Ok(kind) => kind,
            Err(error) => {
                self.visitor.fault(icecore_archive::Error::from(error).into());
                self.content = Content::Nothing;
                return Ok(None);
            }
        };
        let mut open = |head: StorageHead, listed, chosen| {
            let number = self.storages;
            self.storages += 1;
            let reader = StorageReader::new(member.size, listed);
            Content::Records { reader, number, slot: head.slot, chosen }
        };
        self.content = match self.visitor.member(member, &kind) {
            Wanted::Nothing => Content::Nothing,
            Wanted::Bytes => Content::Bytes,
            Wanted::Records { head, listed } => open(head, listed, false),
            Wanted::Chosen { head, listed } => open(head, listed, true),
        };
        match member.size {
            // A storage without a byte has its fault told though no bytes come.
            0 => self.records(&[], block, records),
            _ => Ok(None),
        }
    }

    fn records(
        &mut self,
        mut input: &[u8],
        block: &[u8],
        records: &mut Records,
    ) -> Result<Option<Damage>, crate::Error> {
        let Content::Records { reader, number, slot, chosen } = &mut self.content else {
            return Ok(None);
        };
        loop {
            let event = match reader.next(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(error.into())),
            };
            let place = |record| Place::new(self.incremental, *number, record);
            let (offset, place) = match &event {
                StorageEvent::Record { offset, number, .. }
                | StorageEvent::Joined { offset, number, .. } => (*offset, place(*number)),
                StorageEvent::Fault { offset, number, kind } => {
                    self.visitor.storage_fault(place(*number), *offset, *kind);
                    continue;
                }
                StorageEvent::End { .. } => continue,
            };
            let tag = match *chosen {
                true => match self.visitor.choose(place)? {
                    Some(tag) => tag,
                    None => continue,
                },
                false => 0,
            };
            let first = First { place, slot: *slot, offset, tag };
            match event {
                StorageEvent::Record { bytes, .. } => {
                    let start = bytes.as_ptr() as usize - block.as_ptr() as usize;
                    records.push(first, start, bytes.len());
                }
                StorageEvent::Joined { bytes, .. } => {
                    let start = block.len().next_multiple_of(8);
                    records.push(first, start, bytes.len());
                    records.joined = Some(bytes);
                }
                StorageEvent::Fault { .. } | StorageEvent::End { .. } => unreachable!("seen above"),
            }
        }
    }
}
