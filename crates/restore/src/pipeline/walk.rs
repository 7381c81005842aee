//! The walk over an archive's tar stream: members to a visitor, account records to batches.
//!
//! What is wrong in the bytes goes to the visitor as faults; the walk goes on where it can (a
//! member that does not belong) and ends where it cannot (a damaged header, a cut stream).

use std::sync::Arc;

use crossbeam_channel::Sender;
use icecore_archive::{
    Error as ArchiveError,
    members::{MemberKind, classify},
    storage::{StorageEvent, StorageFault, StorageReader},
    tar::{TarEnd, TarEvent, TarMember, TarReader},
};
use icecore_types::Slot;

use super::{
    batch::{Batch, Place},
    blocks::Block,
    decompress::{BlockStream, ContainerReport, StreamFault},
};
use crate::{Error, progress::Progress};

/// A storage member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageHead {
    /// The slot in which its account versions were written.
    pub slot: Slot,
    /// A number that tells storages of one node apart.
    pub id: u64,
    /// Bytes of the member.
    pub bytes: u64,
}

/// What a pass does with what is no account record.
pub(crate) trait Visitor {
    /// A member that belongs begins. The answer says whether its bytes are wanted.
    fn member(&mut self, member: &TarMember, kind: &MemberKind) -> Wanted;

    /// Bytes of a member that answered [`Wanted::Bytes`].
    fn bytes(&mut self, bytes: &[u8]);

    /// The member has ended.
    fn member_end(&mut self);

    /// The bytes between a member's end and the next 512-byte border are not zero.
    fn padding_not_zero(&mut self, offset: u64);

    /// Something is wrong in the archive's bytes.
    fn fault(&mut self, error: ArchiveError);

    /// Something is wrong in a storage.
    fn storage_fault(&mut self, place: Place, offset: u64, fault: StorageFault);
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
}

/// How the walk ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct WalkEnd {
    /// Of the container, when its end was reached.
    pub(crate) container: Option<ContainerReport>,
    /// Of the tar stream, when its end was reached.
    pub(crate) tar: Option<TarEnd>,
}

enum Content {
    Nothing,
    Bytes,
    Records { reader: StorageReader, number: u32, slot: Slot },
}

/// Walks the whole stream.
pub(crate) fn walk(
    stream: &mut BlockStream<'_>,
    incremental: bool,
    visitor: &mut impl Visitor,
    batches: &Sender<Batch>,
    progress: &Progress,
) -> Result<WalkEnd, Error> {
    let mut tar = TarReader::new();
    let mut state = State { content: Content::Nothing, storages: 0, incremental, visitor };
    let mut end = WalkEnd::default();
    loop {
        let block = match stream.next() {
            Ok(Some(block)) => Arc::new(block),
            Ok(None) => break,
            Err(StreamFault::Operating(error)) => return Err(error),
            Err(StreamFault::Damage(error)) => {
                state.visitor.fault(error);
                return Ok(end);
            }
        };
        let mut batch = Batch::new(Arc::clone(&block));
        let walked = state.block(&mut tar, &block, &mut batch);
        progress.add_records(batch.len());
        if !batch.is_empty() && batches.send(batch).is_err() {
            // All workers have ended early: one of them holds the error.
            return Ok(end);
        }
        if let Err(error) = walked {
            state.visitor.fault(error);
            return Ok(end);
        }
    }
    end.container = stream.report();
    match tar.finish() {
        Ok(tar) => end.tar = Some(tar),
        Err(error) => state.visitor.fault(error),
    }
    Ok(end)
}

struct State<'a, V> {
    content: Content,
    storages: u32,
    incremental: bool,
    visitor: &'a mut V,
}

impl<V: Visitor> State<'_, V> {
    fn block(
        &mut self,
        tar: &mut TarReader,
        block: &Arc<Block>,
        batch: &mut Batch,
    ) -> Result<(), ArchiveError> {
        let mut input = &block[..];
        while let Some(event) = tar.next(&mut input)? {
            match event {
                TarEvent::Member(member) => self.begin(&member)?,
                TarEvent::Data(bytes) => self.bytes(block, bytes, batch)?,
                TarEvent::MemberEnd => {
                    self.content = Content::Nothing;
                    self.visitor.member_end();
                }
                TarEvent::EndBlocks => {}
                TarEvent::PaddingNotZero { offset } => {
                    self.visitor.padding_not_zero(offset);
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, member: &TarMember) -> Result<(), ArchiveError> {
        let kind = match classify(&member.path, member.kind) {
            Ok(kind) => kind,
            Err(error) => {
                self.visitor.fault(error.into());
                self.content = Content::Nothing;
                return Ok(());
            }
        };
        self.content = match self.visitor.member(member, &kind) {
            Wanted::Nothing => Content::Nothing,
            Wanted::Bytes => Content::Bytes,
            Wanted::Records { head, listed } => {
                let number = self.storages;
                self.storages += 1;
                let reader = StorageReader::new(member.size, listed);
                Content::Records { reader, number, slot: head.slot }
            }
        };
        if member.size == 0 {
            // A storage without a byte has its fault told though no bytes come.
            self.records(&mut &[][..], None)?;
        }
        Ok(())
    }

    fn bytes(
        &mut self,
        block: &Arc<Block>,
        bytes: &[u8],
        batch: &mut Batch,
    ) -> Result<(), ArchiveError> {
        match &self.content {
            Content::Nothing => {}
            Content::Bytes => self.visitor.bytes(bytes),
            Content::Records { .. } => {
                let mut input = bytes;
                self.records(&mut input, Some((block, batch)))?;
            }
        }
        Ok(())
    }

    fn records(
        &mut self,
        input: &mut &[u8],
        mut into: Option<(&Arc<Block>, &mut Batch)>,
    ) -> Result<(), ArchiveError> {
        let Content::Records { reader, number, slot } = &mut self.content else { return Ok(()) };
        while let Some(event) = reader.next(input)? {
            match (event, &mut into) {
                (StorageEvent::Record { offset, number: record, bytes }, Some((block, batch))) => {
                    let start = bytes.as_ptr() as usize - block.as_ptr() as usize;
                    let place = Place::new(self.incremental, *number, record);
                    batch.push(place, *slot, offset, start, bytes.len());
                }
                (StorageEvent::Joined { offset, number: record, bytes }, Some((_, batch))) => {
                    let place = Place::new(self.incremental, *number, record);
                    batch.push_joined(place, *slot, offset, bytes);
                }
                (StorageEvent::Fault { offset, number: record, kind }, _) => {
                    let place = Place::new(self.incremental, *number, record);
                    self.visitor.storage_fault(place, offset, kind);
                }
                (StorageEvent::End { .. }, _) => {}
                (StorageEvent::Record { .. } | StorageEvent::Joined { .. }, None) => {
                    unreachable!("no bytes, no record")
                }
            }
        }
        Ok(())
    }
}
