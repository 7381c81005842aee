//! An archive's members, folded into a summary while they stream by.
//!
//! Memory: one entry for each storage that the manifest lists or the archive holds, 16 bytes and
//! the hash table's room, up to [`STORAGES_MAX`] of each.

use std::{collections::HashSet, path::Path};

use icecore_archive::{
    container::{ContainerKind, Detection, detect},
    manifest::{ManifestDecoder, ManifestItem},
    members::{MEMBERS_MAX, MemberKind, VERSION_BYTES_MAX, classify, parse_version},
    names::ArchiveName,
    status_cache::{StatusCacheDecoder, StatusCacheItem},
    tar::{EndBlocks, TarEvent, TarMember},
    zstd_frames::{FrameEvent, FrameKind, FrameWalker},
};
use icecore_restore::ReadEnd;
use icecore_types::Slot;

use super::{Container, Members, Name, StatusCache, Storages, Summary};
use crate::{
    commands::inspect::{bank::Bank, file_name},
    exit::Failure,
};

/// Storages of a list that are compared with those of the other: what an archive may hold.
const STORAGES_MAX: usize = MEMBERS_MAX as usize;

/// Bytes in which the first frame with content is looked for.
const HEAD_BYTES: usize = 1 << 16;

/// Problems that are told.
const PROBLEMS_MAX: usize = 16;

/// The member whose content comes.
enum Open {
    Nothing,
    Version(Vec<u8>),
    Manifest(Box<ManifestDecoder>),
    StatusCache(Box<StatusCacheDecoder>),
}

pub(super) struct Look {
    summary: Summary,
    open: Open,
    /// (slot, id) as listed, and as found.
    listed: HashSet<(Slot, u64)>,
    listed_slot: Slot,
    there: HashSet<(Slot, u64)>,
}

impl Look {
    pub(super) fn new(file: &Path) -> Result<Self, Failure> {
        let file_name = file_name(file);
        let (name, name_problem) = match ArchiveName::parse(&file_name) {
            Ok(name) => (Some(name), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let summary = Summary {
            file: file_name,
            name: name.map(|name| Name {
                kind: if name.is_incremental() { "incremental" } else { "full" },
                base_slot: name.base(),
                slot: name.slot(),
                snapshot_hash: *name.hash(),
                extension: name.compression().extension(),
            }),
            name_problem,
            container: Container {
                bytes: icecore_disk::File::open(file)?.bytes(),
                ..Container::default()
            },
            version: None,
            members: Members::default(),
            bank: Bank::default(),
            storages: Storages::default(),
            status_cache: StatusCache::default(),
            problems: Vec::new(),
        };
        Ok(Self {
            summary,
            open: Open::Nothing,
            listed: HashSet::new(),
            listed_slot: 0,
            there: HashSet::new(),
        })
    }

    /// Looks at the file's beginning for what only a zstd frame's header says.
    pub(super) fn first_frame(&mut self, file: &Path) -> Result<(), Failure> {
        let container = &mut self.summary.container;
        let mut head = vec![0; HEAD_BYTES];
        let count = icecore_disk::File::open(file)?.read_at(0, &mut head)?;
        let mut head = &head[..count];
        let Detection::Known(kind) = detect(head) else { return Ok(()) };
        container.kind = Some(word(kind));
        let mut walker = FrameWalker::new();
        while kind == ContainerKind::Zstd
            && let Ok(Some(event)) = walker.next(&mut head)
        {
            if let FrameEvent::FrameStart { header } = event
                && let FrameKind::Data { window_bytes, has_checksum, .. } = header.kind
            {
                container.checksum = Some(has_checksum);
                container.window_bytes = Some(window_bytes);
                break;
            }
        }
        Ok(())
    }

    fn problem(&mut self, problem: String) {
        if self.summary.problems.len() < PROBLEMS_MAX {
            self.summary.problems.push(problem);
        }
    }

    pub(super) fn event(&mut self, event: TarEvent<'_>) {
        match event {
            TarEvent::Member(member) => self.member(&member),
            TarEvent::Data(bytes) => self.data(bytes),
            TarEvent::MemberEnd => self.member_end(),
            TarEvent::PaddingNotZero { offset } => {
                self.problem(format!("tar, offset {offset}: padding after a member is not zero"));
            }
            TarEvent::EndBlocks => {}
        }
    }

    fn member(&mut self, member: &TarMember) {
        let Summary { members, storages, bank, .. } = &mut self.summary;
        members.count += 1;
        self.open = Open::Nothing;
        match classify(&member.path, member.kind) {
            Ok(MemberKind::Version) => {
                members.versions += 1;
                if members.versions == 1 {
                    self.open = Open::Version(Vec::new());
                }
            }
            Ok(
                MemberKind::SnapshotsFolder
                | MemberKind::SlotFolder(_)
                | MemberKind::AccountsFolder,
            ) => members.folders += 1,
            Ok(MemberKind::StatusCache) => {
                members.status_caches += 1;
                if members.status_caches == 1 {
                    self.open = Open::StatusCache(Box::default());
                }
            }
            Ok(MemberKind::Manifest { .. }) => {
                members.manifests += 1;
                if members.manifests == 1 {
                    bank.manifest.bytes = Some(member.size);
                    self.open = Open::Manifest(Box::default());
                }
            }
            Ok(MemberKind::Storage { slot, id }) => {
                members.storages += 1;
                storages.count += 1;
                storages.bytes += member.size;
                widen(&mut storages.slot_first, &mut storages.slot_last, slot);
                if self.there.len() < STORAGES_MAX {
                    self.there.insert((slot, id));
                }
            }
            Err(error) => {
                members.foreign += 1;
                let offset = member.offset;
                self.problem(format!("tar, offset {offset}: {error}"));
            }
        }
    }

    fn data(&mut self, bytes: &[u8]) {
        let failed = match &mut self.open {
            Open::Nothing => None,
            Open::Version(text) => {
                // One byte more than is allowed tells that it is too long.
                let room = (VERSION_BYTES_MAX + 1).saturating_sub(text.len());
                text.extend_from_slice(&bytes[..bytes.len().min(room)]);
                None
            }
            Open::Manifest(decoder) => {
                let Summary { bank, storages, .. } = &mut self.summary;
                let (listed, slot) = (&mut self.listed, &mut self.listed_slot);
                let fed = decoder.feed(bytes, &mut |_, item| {
                    bank.visit(&item);
                    match item {
                        ManifestItem::StorageSlot { slot: next, .. } => *slot = next,
                        ManifestItem::Storage(storage) => {
                            storages.listed += 1;
                            if listed.len() < STORAGES_MAX {
                                listed.insert((*slot, storage.id));
                            }
                        }
                        _ => {}
                    }
                });
                fed.err().map(|error| error.to_string())
            }
            Open::StatusCache(decoder) => {
                let cache = &mut self.summary.status_cache;
                let fed = decoder.feed(bytes, &mut |_, item| cache.visit(&item));
                fed.err().map(|error| error.to_string())
            }
        };
        if let Some(problem) = failed {
            self.open = Open::Nothing;
            self.problem(problem);
        }
    }

    fn member_end(&mut self) {
        let ended = match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => Ok(()),
            Open::Version(text) => {
                self.summary.version = Some(text.trim_ascii().escape_ascii().to_string());
                parse_version(&text).map_err(|error| error.to_string())
            }
            Open::Manifest(decoder) => decoder
                .finish()
                .map(|end| self.summary.bank.finish(end))
                .map_err(|error| error.to_string()),
            Open::StatusCache(decoder) => {
                let ended = decoder.finish();
                self.summary.status_cache.is_whole = ended.is_ok();
                ended.map_err(|error| error.to_string())
            }
        };
        if let Err(problem) = ended {
            self.problem(problem);
        }
    }

    pub(super) fn finish(mut self, end: &ReadEnd) -> Summary {
        let Summary { container, storages, members, .. } = &mut self.summary;
        container.unpacked_bytes = end.unpacked_bytes;
        if let Some(report) = end.container {
            let is_framed = report.kind != ContainerKind::Tar;
            container.kind = Some(word(report.kind));
            container.frames = is_framed.then_some(report.frames);
            container.skippable_frames = is_framed.then_some(report.skippable_frames);
            container.trailing_bytes = is_framed.then_some(report.trailing_bytes);
        }
        if let Some(tar) = end.tar {
            container.tar_trailing_bytes = Some(tar.trailing_bytes);
            container.tar_end_blocks = Some(match tar.end_blocks {
                EndBlocks::Present => "present",
                EndBlocks::One => "one",
                EndBlocks::Missing => "missing",
            });
        }
        let fits = self.listed.len() < STORAGES_MAX && self.there.len() < STORAGES_MAX;
        if fits && members.manifests > 0 {
            let count = self.listed.difference(&self.there).count() as u64;
            storages.listed_not_there = Some(count);
            let count = self.there.difference(&self.listed).count() as u64;
            storages.there_not_listed = Some(count);
        }
        let missing = [
            (members.versions, "version"),
            (members.manifests, "manifest"),
            (members.status_caches, "status cache"),
        ];
        if let Some(damage) = &end.damage {
            self.problem(damage.to_string());
        } else {
            for (_, what) in missing.into_iter().filter(|(count, _)| *count == 0) {
                self.problem(format!("there is no {what} in it"));
            }
        }
        self.summary
    }
}

impl StatusCache {
    fn visit(&mut self, item: &StatusCacheItem) {
        match item {
            StatusCacheItem::SlotCount(_) => {}
            StatusCacheItem::Slot { slot, is_root, .. } => {
                self.slots += 1;
                self.not_rooted += u64::from(!is_root);
                widen(&mut self.slot_first, &mut self.slot_last, *slot);
            }
            StatusCacheItem::Blockhash { .. } => self.blockhashes += 1,
            StatusCacheItem::Entry { .. } => self.entries += 1,
        }
    }
}

/// Widens a range so that it holds `slot`.
fn widen(first: &mut Option<Slot>, last: &mut Option<Slot>, slot: Slot) {
    *first = Some(first.map_or(slot, |first| first.min(slot)));
    *last = Some(last.map_or(slot, |last| last.max(slot)));
}

fn word(kind: ContainerKind) -> &'static str {
    match kind {
        ContainerKind::Zstd => "zstd",
        ContainerKind::Lz4 => "lz4",
        ContainerKind::Tar => "tar",
    }
}
