//! What a frame says about its batch as a whole, behind its events.
//!
//! A list of entries: tag, length, content. Entries with tags that this version does not know are
//! stepped over; they are covered by the frame's digest like all others.

use crate::{
    Digest, Malformed,
    format::fields::{digest_at, u16_at, u32_at},
};

/// Bytes of an idempotency key at most.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Bytes of an annex at most.
pub(crate) const ANNEX_BYTES_MAX: usize = 64 << 10;

const ENTRY_HEADER_BYTES: usize = 8;
const TAG_IDEMPOTENCY: u16 = 1;
const TAG_GATES: u16 = 2;

/// What is known of a batch beside its events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Annex<'a> {
    /// Digest of the request, and the key under which it is not repeated.
    pub(crate) idempotency: Option<(Digest, &'a [u8])>,
    /// Names of the gates that let the batch pass, each with its length before it.
    gates: &'a [u8],
}

impl<'a> Annex<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut annex = Self::default();
        let mut at = 0;
        while at < bytes.len() {
            let malformed = |what| Malformed::new(at as u64, what);
            let header = bytes
                .get(at..at + ENTRY_HEADER_BYTES)
                .ok_or(malformed("an annex ends within the header of an entry"))?;
            let start = at + ENTRY_HEADER_BYTES;
            let content = u32_at(header, 4) as usize;
            let content = start
                .checked_add(content)
                .and_then(|end| bytes.get(start..end))
                .ok_or(malformed("an entry of an annex is longer than the annex"))?;
            match u16_at(header, 0) {
                TAG_IDEMPOTENCY => {
                    if !(33..=32 + IDEMPOTENCY_KEY_BYTES_MAX).contains(&content.len()) {
                        return Err(malformed("an idempotency key has a length that cannot be"));
                    }
                    annex.idempotency = Some((digest_at(content, 0), &content[32..]));
                }
                TAG_GATES => annex.gates = content,
                _ => {}
            }
            at = start + content.len();
        }
        Ok(annex)
    }

    /// Names of the gates that let the batch pass; bytes that are not text are replaced.
    pub(crate) fn gates(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut rest = self.gates;
        while let Some((&length, tail)) = rest.split_first() {
            let Some(name) = tail.get(..length as usize) else { break };
            names.push(String::from_utf8_lossy(name).into_owned());
            rest = &tail[length as usize..];
        }
        names
    }
}

fn put_entry(out: &mut Vec<u8>, tag: u16, parts: &[&[u8]]) {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&u32::from(tag).to_le_bytes());
    out.extend_from_slice(&(bytes as u32).to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Appends the entry of an idempotency key of 1 to 255 bytes.
pub(crate) fn put_idempotency(out: &mut Vec<u8>, request: &Digest, key: &[u8]) {
    put_entry(out, TAG_IDEMPOTENCY, &[&request.0, key]);
}

/// Appends the entry of gates that passed; their names have at most 255 bytes.
pub(crate) fn put_gates(out: &mut Vec<u8>, names: &[String]) {
    let mut content = Vec::new();
    for name in names {
        content.push(name.len() as u8);
        content.extend_from_slice(name.as_bytes());
    }
    put_entry(out, TAG_GATES, &[&content]);
}
