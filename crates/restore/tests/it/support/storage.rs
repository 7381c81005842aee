//! Account records, by plain offsets: an oracle beside the reader that is tested, and an editor.

use std::ops::Range;

use icecore_types::{AccountRef, Hash, Pubkey, Slot};

use super::{Form, Member};

/// Where the fields of a record lie.
pub(crate) mod field {
    use super::Range;

    pub(crate) const WRITE_VERSION: Range<usize> = 0..8;
    pub(crate) const DATA_LEN: Range<usize> = 8..16;
    pub(crate) const PUBKEY: Range<usize> = 16..48;
    pub(crate) const LAMPORTS: Range<usize> = 48..56;
    pub(crate) const RENT_EPOCH: Range<usize> = 56..64;
    pub(crate) const OWNER: Range<usize> = 64..96;
    pub(crate) const EXECUTABLE: usize = 96;
    pub(crate) const PADDING: Range<usize> = 97..104;
    pub(crate) const HASH: Range<usize> = 104..136;
    /// Data begins here.
    pub(crate) const DATA: usize = 136;
}

/// A record in a member's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordAt {
    /// The member's number in its archive.
    pub(crate) member: usize,
    /// The slot of its storage.
    pub(crate) slot: Slot,
    /// Its number in the storage.
    pub(crate) number: u32,
    /// Where header and data lie.
    pub(crate) range: Range<usize>,
    pub(crate) pubkey: Pubkey,
}

impl RecordAt {
    /// Its bytes, header and data.
    pub(crate) fn bytes<'a>(&self, form: &'a Form) -> &'a [u8] {
        &form.members[self.member].content[self.range.clone()]
    }

    /// Its bytes, to be edited; the data's length stays.
    pub(crate) fn bytes_mut<'a>(&self, form: &'a mut Form) -> &'a mut [u8] {
        &mut form.members[self.member].content[self.range.clone()]
    }

    /// Where it stands, in the words of a finding.
    pub(crate) fn place(&self, form: &Form) -> String {
        let Member { path, .. } = &form.members[self.member];
        format!("{path}: record {} at byte {} ({})", self.number, self.range.start, self.pubkey)
    }
}

/// A number of a record.
pub(crate) fn number(record: &[u8], field: Range<usize>) -> u64 {
    u64::from_le_bytes(record[field].try_into().expect("8 bytes"))
}

fn key(record: &[u8], field: Range<usize>) -> Pubkey {
    Pubkey(record[field].try_into().expect("32 bytes"))
}

/// A record's account, borrowed by a closure.
pub(crate) fn with_account<R>(record: &[u8], look: impl FnOnce(&AccountRef<'_>) -> R) -> R {
    look(&AccountRef {
        pubkey: &key(record, field::PUBKEY),
        lamports: number(record, field::LAMPORTS),
        owner: &key(record, field::OWNER),
        executable: record[field::EXECUTABLE] != 0,
        rent_epoch: number(record, field::RENT_EPOCH),
        data: &record[field::DATA..],
    })
}

/// All records of an archive, in its order.
pub(crate) fn records(form: &Form) -> Vec<RecordAt> {
    let mut found = Vec::new();
    for (member, content) in form.members.iter().enumerate() {
        let Some((slot, _)) = content.storage() else { continue };
        let bytes = &content.content[..];
        let mut start = 0;
        let mut number_in_storage = 0;
        while bytes.len().saturating_sub(start) >= field::DATA {
            let header = &bytes[start..start + field::DATA];
            let pubkey = key(header, field::PUBKEY);
            if pubkey.is_zero() && number(header, field::LAMPORTS) == 0 {
                break;
            }
            let data_bytes = number(header, field::DATA_LEN) as usize;
            let end = start.saturating_add(field::DATA).saturating_add(data_bytes);
            if end > bytes.len() {
                break;
            }
            let number = number_in_storage;
            found.push(RecordAt { member, slot, number, range: start..end, pubkey });
            number_in_storage += 1;
            start = end.next_multiple_of(8);
        }
    }
    found
}

/// The newest record of a key in an archive.
pub(crate) fn record(form: &Form, pubkey: &Pubkey) -> RecordAt {
    let own = records(form).into_iter().filter(|record| record.pubkey == *pubkey);
    own.max_by_key(|record| record.slot).expect("the archive has the key")
}

/// A record's bytes.
pub(crate) fn encode(account: &AccountRef<'_>) -> Vec<u8> {
    let mut bytes = vec![0; field::DATA];
    bytes[field::DATA_LEN].copy_from_slice(&(account.data.len() as u64).to_le_bytes());
    bytes[field::PUBKEY].copy_from_slice(&account.pubkey.0);
    bytes[field::LAMPORTS].copy_from_slice(&account.lamports.to_le_bytes());
    bytes[field::RENT_EPOCH].copy_from_slice(&account.rent_epoch.to_le_bytes());
    bytes[field::OWNER].copy_from_slice(&account.owner.0);
    bytes[field::EXECUTABLE] = u8::from(account.executable);
    bytes[field::HASH].copy_from_slice(&Hash::default().0);
    bytes.extend_from_slice(account.data);
    bytes
}

/// Appends a record to a storage's content.
pub(crate) fn append(content: &mut Vec<u8>, record: &[u8]) {
    content.resize(content.len().next_multiple_of(8), 0);
    content.extend_from_slice(record);
}
