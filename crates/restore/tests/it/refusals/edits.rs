//! Changes that several cases make.

use icecore_types::RECORD_HEADER_BYTES;

use crate::support::{Form, Member, RecordAt, append, field, record, records, state_of};

pub(super) fn set(form: &mut Form, path: &str, content: &[u8]) {
    form.member(path).content = content.to_vec();
}

pub(super) fn add(form: &mut Form, path: &str, content: &[u8]) {
    form.members.push(Member::file(path, content.to_vec()));
}

pub(super) fn remove(form: &mut Form, path: &str) {
    let at = form.index(path);
    form.members.remove(at);
}

/// A living account with data that is neither a sysvar's nor cached in the manifest.
pub(super) fn plain(form: &Form) -> RecordAt {
    use icecore_types::programs::{STAKE, SYSVAR, VOTE};
    let mut all = records(form).into_iter();
    let found = all.find(|at| {
        let bytes = at.bytes(form);
        let is_other = [STAKE, VOTE, SYSVAR].iter().all(|id| id.0 != bytes[field::OWNER]);
        is_other && bytes.len() > field::DATA && bytes[field::EXECUTABLE] == 0
    });
    found.expect("there are some")
}

/// Changes a byte of a record.
pub(super) fn change(form: &mut Form, offset: usize) {
    let at = plain(form);
    at.bytes_mut(form)[offset] ^= 1;
}

pub(super) fn tombstone() -> Vec<u8> {
    let mut record = vec![0; RECORD_HEADER_BYTES];
    record[field::PUBKEY].fill(7);
    record
}

/// The first record of a slot's storage, which is its key's only one.
pub(super) fn one_of_slot(form: &Form, slot: u64) -> Vec<u8> {
    let all = records(form);
    let at = all.iter().find(|at| at.slot == slot).expect("the slot has records");
    assert_eq!(record(form, &at.pubkey), *at);
    let bytes = at.bytes(form).to_vec();
    assert_ne!(bytes[field::LAMPORTS], [0; 8]);
    bytes
}

/// The tombstone of a record's account.
pub(super) fn closed(record: &[u8]) -> Vec<u8> {
    let mut closed = tombstone();
    closed[field::PUBKEY].copy_from_slice(&record[field::PUBKEY]);
    closed
}

pub(super) fn into_slot(form: &mut Form, slot: u64, record: &[u8]) {
    let storage = form.storage_of(slot);
    append(&mut form.member(&storage).content, record);
}

pub(super) fn trailing_zeros(form: &mut Form, count: usize) {
    let storage = form.storage_of(4);
    let content = &mut form.member(&storage).content;
    content.resize(content.len() + count, 0);
}

/// Takes all closed accounts out of the storages; storages that held nothing else go.
pub(super) fn without_tombstones(form: &mut Form) {
    let all = records(form);
    for member in 0..form.members.len() {
        if form.members[member].storage().is_none() {
            continue;
        }
        let mut kept = Vec::new();
        for at in all.iter().filter(|at| at.member == member) {
            let record = at.bytes(form);
            if record[field::LAMPORTS] != [0; 8] {
                append(&mut kept, record);
            }
        }
        form.members[member].content = kept;
    }
    form.members.retain(|member| member.storage().is_none() || !member.content.is_empty());
}

/// Puts the newest version of every account into one storage.
pub(super) fn everything_in(form: &mut Form, slot: u64) {
    let mut content = Vec::new();
    for (_, record) in state_of(form, None).values() {
        append(&mut content, record);
    }
    form.members.retain(|member| member.storage().is_none());
    add(form, &format!("accounts/{slot}.900"), &content);
}
