//! An archive taken apart into members that can be edited, and put together again.
//!
//! Members keep their headers; name, size and checksum are written anew. An archive that was not
//! edited gives exactly the tar stream from which it was read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use icecore_archive::{
    Error,
    manifest::Manifest,
    names::ArchiveName,
    status_cache::StatusCache,
    tar::{TarEvent, TarReader},
};
use icecore_types::{Hash, Slot};

use super::pack::{unpack, zstd};

/// Bytes of a tar block.
const BLOCK_BYTES: usize = 512;

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The header block as it stood.
    pub(crate) header: [u8; BLOCK_BYTES],
    /// Its path.
    pub(crate) path: String,
    /// Its content.
    pub(crate) content: Vec<u8>,
}

impl Member {
    /// A file with a header like that of the reference client's storages.
    pub(crate) fn file(path: &str, content: Vec<u8>) -> Self {
        let mut header = [0; BLOCK_BYTES];
        header[124..136].copy_from_slice(b"00000000000\0");
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar  \0");
        Self { header, path: path.to_string(), content }
    }

    /// Slot and id, when it is a storage.
    pub(crate) fn storage(&self) -> Option<(Slot, u64)> {
        let (slot, id) = self.path.strip_prefix("accounts/")?.split_once('.')?;
        Some((slot.parse().ok()?, id.parse().ok()?))
    }

    fn write(&self, tar: &mut Vec<u8>) {
        let mut header = self.header;
        header[..100].fill(0);
        header[..self.path.len()].copy_from_slice(self.path.as_bytes());
        let size = self.content.len();
        if number_of(&header[124..136]) != size as u64 {
            header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        }
        if header[..] != self.header[..] {
            header[148..156].fill(b' ');
            let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        tar.extend_from_slice(&header);
        tar.extend_from_slice(&self.content);
        tar.resize(tar.len().next_multiple_of(BLOCK_BYTES), 0);
    }
}

fn number_of(octal: &[u8]) -> u64 {
    let digits = octal.iter().filter(|byte| (b'0'..=b'7').contains(*byte));
    digits.fold(0, |number, digit| number * 8 + u64::from(digit - b'0'))
}

/// An archive in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    /// The base slot in its name.
    pub(crate) base: Option<Slot>,
    /// The slot in its name.
    pub(crate) slot: Slot,
    /// The hash in its name.
    pub(crate) hash: Hash,
    /// Its members in order.
    pub(crate) members: Vec<Member>,
    /// What follows the last member: two blocks of zeros.
    pub(crate) end: Vec<u8>,
}

impl Form {
    /// Reads an archive file.
    pub(crate) fn read(path: &Path) -> Self {
        let file = path.file_name().expect("a file").to_string_lossy();
        let name = ArchiveName::parse(&file).expect("an archive's name");
        let container = fs::read(path).expect("the archive can be read");
        Self::take_apart(name, &container).expect("a good archive")
    }

    /// Takes the bytes of an archive file apart.
    pub(crate) fn take_apart(name: ArchiveName, container: &[u8]) -> Result<Self, Error> {
        let tar = unpack(container)?;
        let mut reader = TarReader::new();
        let mut input = &tar[..];
        let mut members = Vec::new();
        let mut end = 0;
        while let Some(event) = reader.next(&mut input)? {
            match event {
                TarEvent::Member(member) => {
                    let [header, data, size] =
                        [member.offset, member.data_offset, member.size].map(|at| at as usize);
                    end = (data + size).next_multiple_of(BLOCK_BYTES);
                    members.push(Member {
                        header: *tar[header..].first_chunk().expect("a whole header was read"),
                        path: member.path,
                        content: tar.get(data..data + size).unwrap_or_default().to_vec(),
                    });
                }
                TarEvent::Data(_)
                | TarEvent::MemberEnd
                | TarEvent::PaddingNotZero { .. }
                | TarEvent::EndBlocks => {}
            }
        }
        reader.finish()?;
        Ok(Self {
            base: name.base(),
            slot: name.slot(),
            hash: *name.hash(),
            members,
            end: tar.get(end..).unwrap_or_default().to_vec(),
        })
    }

    /// The tar stream.
    pub(crate) fn tar(&self) -> Vec<u8> {
        let mut tar = Vec::new();
        for member in &self.members {
            member.write(&mut tar);
        }
        tar.extend_from_slice(&self.end);
        tar
    }

    /// The file name.
    pub(crate) fn file_name(&self, extension: &str) -> String {
        let Self { slot, hash, .. } = self;
        match self.base {
            Some(base) => format!("incremental-snapshot-{base}-{slot}-{hash}.{extension}"),
            None => format!("snapshot-{slot}-{hash}.{extension}"),
        }
    }

    /// Writes it as one zstd frame under its name.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        self.write_as(folder, "tar.zst", &zstd(&self.tar()))
    }

    /// Writes any bytes under its name.
    pub(crate) fn write_as(&self, folder: &Path, extension: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.join(self.file_name(extension));
        fs::write(&path, bytes).expect("the folder can be written");
        path
    }

    /// The number of a member.
    pub(crate) fn index(&self, path: &str) -> usize {
        self.members.iter().position(|member| member.path == path).expect("there is such a member")
    }

    /// A member by its path.
    pub(crate) fn member(&mut self, path: &str) -> &mut Member {
        let index = self.index(path);
        &mut self.members[index]
    }

    fn manifest_member(&self) -> usize {
        let is_manifest = |member: &Member| {
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let rest = member.path.strip_prefix("snapshots/");
            rest.and_then(|rest| rest.split_once('/'))
                .is_some_and(|(folder, file)| !file.is_empty() && digits(folder) && digits(file))
        };
        self.members.iter().position(is_manifest).expect("it has a manifest")
    }

    /// Its manifest's member.
    pub(crate) fn manifest_bytes(&mut self) -> &mut Member {
        let index = self.manifest_member();
        &mut self.members[index]
    }

    /// Its manifest.
    pub(crate) fn manifest(&self) -> Manifest {
        let bytes = &self.members[self.manifest_member()].content;
        Manifest::decode(bytes).expect("a good manifest").0
    }

    /// Edits its manifest.
    pub(crate) fn edit_manifest(&mut self, edit: impl FnOnce(&mut Manifest)) {
        let mut manifest = self.manifest();
        edit(&mut manifest);
        self.manifest_bytes().content = manifest.encode();
    }

    /// Edits its status cache.
    pub(crate) fn edit_status_cache(&mut self, edit: impl FnOnce(&mut StatusCache)) {
        let member = self.member("snapshots/status_cache");
        let mut cache = StatusCache::decode(&member.content).expect("a good status cache");
        edit(&mut cache);
        member.content = cache.encode();
    }

    /// The path of the storage of a slot.
    pub(crate) fn storage_of(&self, slot: Slot) -> String {
        let mut storages = self.members.iter().filter(|member| member.storage().is_some());
        let found = storages.find(|member| member.storage().expect("filtered").0 == slot);
        found.expect("the slot has a storage").path.clone()
    }

    /// Makes the manifest's list that of the storages as they are, so that M12 is content.
    pub(crate) fn relist(&mut self) {
        let list: Vec<_> = self
            .members
            .iter()
            .filter_map(|member| {
                let (slot, id) = member.storage()?;
                let accounts_current_len = member.content.len() as u64;
                let storage = icecore_archive::manifest::Storage { id, accounts_current_len };
                Some((slot, vec![storage]))
            })
            .collect();
        self.edit_manifest(|manifest| manifest.accounts_db.storages = list);
    }
}
