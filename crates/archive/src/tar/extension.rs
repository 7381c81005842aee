//! Headers that say more about the member behind them: GNU long names and pax records.
//!
//! A path or size that is said twice, in whatever way, is refused: readers disagree about which one
//! counts, and an archive must not hold different members for different readers.

use super::{PATH_BYTES_MAX, TarFault, header::text};

/// What an extension header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExtensionKind {
    /// GNU `L`: the next member's path.
    LongName,
    /// GNU `K`: the target of the next member, a link. Links are refused by their type.
    LongLink,
    /// pax `x`: records about the next member.
    Pax,
    /// pax `g`: records about all members that follow.
    PaxGlobal,
}

impl ExtensionKind {
    /// `None` for the type flags of members.
    pub(super) fn of(flag: u8) -> Option<Self> {
        match flag {
            b'L' => Some(Self::LongName),
            b'K' => Some(Self::LongLink),
            b'x' => Some(Self::Pax),
            b'g' => Some(Self::PaxGlobal),
            _ => None,
        }
    }
}

/// What extension headers have said about the next member.
#[derive(Debug, Clone, Default)]
pub(super) struct Extensions {
    pub(super) path: Option<String>,
    pub(super) size: Option<u64>,
    /// Whether there was a header at all, which needs a member behind it.
    pub(super) is_open: bool,
}

impl Extensions {
    /// Takes the whole content of an extension header.
    pub(super) fn read(&mut self, kind: ExtensionKind, content: &[u8]) -> Result<(), TarFault> {
        self.is_open |= kind != ExtensionKind::PaxGlobal;
        match kind {
            ExtensionKind::LongLink => Ok(()),
            ExtensionKind::LongName => {
                // GNU tar counts the NUL at the end in the size.
                self.set_path(content.strip_suffix(b"\0").unwrap_or(content))
            }
            ExtensionKind::Pax | ExtensionKind::PaxGlobal => {
                let mut rest = content;
                while !rest.is_empty() {
                    let (key, value) = pax_record(&mut rest).ok_or(TarFault::PaxRecord)?;
                    self.pax(kind, key, value)?;
                }
                Ok(())
            }
        }
    }

    fn pax(&mut self, kind: ExtensionKind, key: &[u8], value: &[u8]) -> Result<(), TarFault> {
        match key {
            b"path" | b"size" if kind == ExtensionKind::PaxGlobal => Err(TarFault::GlobalRecord),
            b"path" => self.set_path(value),
            b"size" => {
                let size = decimal(value).ok_or(TarFault::Size)?;
                match self.size.replace(size) {
                    None => Ok(()),
                    Some(_) => Err(TarFault::SaidTwice),
                }
            }
            _ if key.starts_with(b"GNU.sparse.") => Err(TarFault::Sparse),
            _ => Ok(()),
        }
    }

    fn set_path(&mut self, bytes: &[u8]) -> Result<(), TarFault> {
        if bytes.len() > PATH_BYTES_MAX {
            return Err(TarFault::PathTooLong { bytes: bytes.len() });
        }
        if bytes.contains(&0) {
            return Err(TarFault::PathEncoding);
        }
        match self.path.replace(text(bytes)?.to_owned()) {
            None => Ok(()),
            Some(_) => Err(TarFault::SaidTwice),
        }
    }
}

/// Takes a record, `<its length> <key>=<value>` and a line end, from the front of `content`.
fn pax_record<'a>(content: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let digits = content.iter().position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&content[..digits])?).ok()?;
    let (record, rest) = content.split_at_checked(length)?;
    let body = record.get(digits + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    *content = rest;
    Some((&body[..equals], &body[equals + 1..]))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}
