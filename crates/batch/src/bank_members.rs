//! The members of an archive that are no storages: the manifest, whose new size must be known before
//! it is written, and the status cache. They are kept in a scratch file, or by a store.
//!
//! Steps:
//! 1. An archive is read until both have come, which in most archives is at its beginning.
//! 2. The manifest is read from where it is kept as often as needed: for what it states, for the
//!    size of the new one, for the new one.
//!
//! What it does *not* do: hold any of it in memory; mainnet's manifest has 300 MB and more.

use std::{
    ops::{ControlFlow, Range},
    path::Path,
};

use icecore_archive::{
    manifest::{
        BankHashes, BankScalars, IncrementalSnapshotPersistence, ManifestDecoder, ManifestError,
        ManifestItem,
    },
    members::{MemberKind, VERSION, classify},
    tar::TarEvent,
    writing::manifest::{ManifestEdit, ManifestRewriter},
};
use icecore_disk::Scratch;
use icecore_restore::{Options, Progress, read_archive};
use icecore_store::{Attachment, KeptBank};
use icecore_types::{Hash, LatticeHash, Slot};

use crate::{Error, tar_packer::TarPacker};

/// Bytes read from the scratch file at once.
const PIECE_BYTES: usize = 256 << 10;

/// The members, and what the manifest states.
pub(crate) struct BankMembers {
    archive: String,
    kept: Kept,
    /// What the manifest states.
    pub(crate) stated: Stated,
}

/// Where they are.
enum Kept {
    Scratch { scratch: Scratch, manifest: Range<u64>, status_cache: Range<u64> },
    Store(KeptBank),
}

/// What a manifest states, as far as it can change in a new archive.
#[derive(Debug, Clone)]
pub(crate) struct Stated {
    pub(crate) hashes: BankHashes,
    pub(crate) scalars: Box<BankScalars>,
    pub(crate) last_blockhash: Option<Hash>,
    pub(crate) hard_forks: Vec<(Slot, u64)>,
    pub(crate) lattice: LatticeHash,
    pub(crate) persistence: Option<IncrementalSnapshotPersistence>,
}

impl BankMembers {
    /// Reads them from an archive that was verified; `folder` is for the scratch file.
    pub(crate) fn read(
        archive: &Path,
        folder: &Path,
        options: &Options,
        progress: &Progress,
    ) -> Result<Self, Error> {
        let scratch = Scratch::create(folder)?;
        let mut manifest = 0..0;
        let mut status_cache = 0..0;
        let mut current = None;
        let mut refused = None;
        let end = read_archive(archive, options, progress, |event| {
            match event {
                TarEvent::Member(member) => {
                    current = classify(&member.path, member.kind).ok();
                    let at = scratch.bytes()..scratch.bytes();
                    match current {
                        Some(MemberKind::Manifest { .. }) => manifest = at,
                        Some(MemberKind::StatusCache) => status_cache = at,
                        _ => {}
                    }
                }
                TarEvent::Data(bytes) => {
                    let range = match current {
                        Some(MemberKind::Manifest { .. }) => &mut manifest,
                        Some(MemberKind::StatusCache) => &mut status_cache,
                        _ => return ControlFlow::Continue(()),
                    };
                    if let Err(error) = scratch.append(bytes) {
                        refused = Some(error);
                        return ControlFlow::Break(());
                    }
                    range.end += bytes.len() as u64;
                }
                TarEvent::MemberEnd if !manifest.is_empty() && !status_cache.is_empty() => {
                    return ControlFlow::Break(());
                }
                _ => {}
            }
            ControlFlow::Continue(())
        })?;
        if let Some(error) = refused {
            return Err(error.into());
        }
        let archive = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(damage) = end.damage {
            return Err(damaged(&archive, damage.to_string()));
        }
        if manifest.is_empty() || status_cache.is_empty() {
            return Err(changed(&archive));
        }
        Self::of(archive, Kept::Scratch { scratch, manifest, status_cache })
    }

    /// Those that a store keeps; `archive` is what they are called in errors.
    pub(crate) fn kept(archive: String, bank: KeptBank) -> Result<Self, Error> {
        Self::of(archive, Kept::Store(bank))
    }

    fn of(archive: String, kept: Kept) -> Result<Self, Error> {
        let stated = Stated::read(&archive, &kept)?;
        Ok(Self { archive, kept, stated })
    }

    /// Writes all members that are no storages, the manifest with changes.
    pub(crate) fn write(
        &self,
        edit: &ManifestEdit<'_>,
        tar: &mut TarPacker<'_>,
    ) -> Result<(), Error> {
        let slot = self.stated.scalars.slot;
        tar.member(MemberKind::Version, VERSION.len() as u64);
        tar.content(VERSION.as_bytes());
        tar.member(MemberKind::SnapshotsFolder, 0);
        tar.member(MemberKind::StatusCache, self.kept.bytes(Attachment::StatusCache));
        self.kept.pieces(Attachment::StatusCache, &mut |bytes| {
            tar.content(bytes);
            Ok(())
        })?;
        tar.member(MemberKind::SlotFolder(slot), 0);
        let bytes = self.manifest(edit.clone(), &mut |_| {})?;
        tar.member(MemberKind::Manifest { folder: slot, file: slot }, bytes);
        self.manifest(edit.clone(), &mut |bytes| tar.content(bytes))?;
        Ok(())
    }

    /// Gives the manifest with changes; says how many bytes it has.
    fn manifest(&self, edit: ManifestEdit<'_>, give: &mut dyn FnMut(&[u8])) -> Result<u64, Error> {
        let wrong = |error: ManifestError| damaged(&self.archive, error.to_string());
        let mut rewriter = ManifestRewriter::new(edit);
        self.kept
            .pieces(Attachment::Bank, &mut |bytes| rewriter.feed(bytes, give).map_err(wrong))?;
        Ok(rewriter.finish().map_err(wrong)?.bytes)
    }
}

impl Stated {
    fn read(archive: &str, kept: &Kept) -> Result<Self, Error> {
        let wrong = |error: ManifestError| damaged(archive, error.to_string());
        let (mut hashes, mut scalars, mut last_blockhash) = (None, None, None);
        let (mut lattice, mut persistence, mut hard_forks) = (None, None, Vec::new());
        let mut decoder = ManifestDecoder::new();
        kept.pieces(Attachment::Bank, &mut |bytes| {
            decoder
                .feed(bytes, &mut |_, item| match item {
                    ManifestItem::BlockhashQueue(head) => last_blockhash = head.last_hash,
                    ManifestItem::BankHashes(stated) => hashes = Some(stated),
                    ManifestItem::HardFork(fork) => hard_forks.push((fork.slot, fork.count)),
                    ManifestItem::BankScalars(stated) => scalars = Some(stated),
                    ManifestItem::IncrementalSnapshotPersistence(stated) => persistence = stated,
                    ManifestItem::AccountsLatticeHash(stated) => {
                        lattice = stated.map(LatticeHash::from_bytes);
                    }
                    _ => {}
                })
                .map_err(wrong)
        })?;
        decoder.finish().map_err(wrong)?;
        let hashes = hashes.ok_or_else(|| changed(archive))?;
        let scalars = scalars.ok_or_else(|| changed(archive))?;
        let lattice = lattice.ok_or_else(|| Error::NoLattice { archive: archive.to_string() })?;
        Ok(Self { hashes, scalars, last_blockhash, hard_forks, lattice, persistence })
    }
}

impl Kept {
    fn bytes(&self, what: Attachment) -> u64 {
        match (self, what) {
            (Self::Scratch { manifest, .. }, Attachment::Bank) => manifest.end - manifest.start,
            (Self::Scratch { status_cache, .. }, Attachment::StatusCache) => {
                status_cache.end - status_cache.start
            }
            (Self::Store(bank), what) => bank.bytes(what),
        }
    }

    /// Reads one of them in pieces.
    fn pieces(
        &self,
        what: Attachment,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let bank = match (self, what) {
            (Self::Scratch { scratch, manifest, .. }, Attachment::Bank) => {
                return pieces(scratch, manifest.clone(), visit);
            }
            (Self::Scratch { scratch, status_cache, .. }, Attachment::StatusCache) => {
                return pieces(scratch, status_cache.clone(), visit);
            }
            (Self::Store(bank), _) => bank,
        };
        let mut visited = Ok(());
        bank.read(what, &mut |bytes| {
            if visited.is_ok() {
                visited = visit(bytes);
            }
        })?;
        visited
    }
}

/// Reads a part of a scratch file in pieces.
fn pieces(
    scratch: &Scratch,
    range: Range<u64>,
    visit: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut at = range.start;
    while at < range.end {
        let wanted = (range.end - at).min(PIECE_BYTES as u64) as usize;
        let count = scratch.read_at(at, &mut buffer[..wanted])?;
        assert!(count > 0, "what was written to a scratch file is there");
        visit(&buffer[..count])?;
        at += count as u64;
    }
    Ok(())
}

/// An archive that is not sound.
pub(crate) fn damaged(archive: &str, problem: String) -> Error {
    icecore_restore::Error::Damaged { archive: archive.to_string(), problem }.into()
}

/// An archive that was sound a moment ago.
pub(crate) fn changed(archive: &str) -> Error {
    damaged(archive, "it was changed while it was read".to_string())
}
