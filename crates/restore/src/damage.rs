//! What is wrong in an archive's bytes, as it travels between tiles: the check that it fails and a
//! sentence with its place.
//!
//! A decompressor runs in a process of its own, so its damage comes as bytes, and those are hostile
//! as the archive is: an unknown check is taken for that of containers, and what is no text is
//! replaced.

use icecore_archive::Error as ArchiveError;

use crate::check_id::CheckId;

/// Bytes of a sentence, at most.
const SENTENCE_BYTES_MAX: usize = 1000;

/// Something that is wrong in an archive's bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Damage {
    /// The check that it fails.
    pub check: CheckId,
    /// What it is, and where.
    pub sentence: String,
}

impl From<ArchiveError> for Damage {
    fn from(error: ArchiveError) -> Self {
        Self { check: CheckId::of(&error), sentence: error.to_string() }
    }
}

impl Damage {
    /// As bytes: the check's name, a space, the sentence.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let sentence = &self.sentence[..self.sentence.floor_char_boundary(SENTENCE_BYTES_MAX)];
        format!("{} {sentence}", self.check.id()).into_bytes()
    }

    /// From bytes that another process gave.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(SENTENCE_BYTES_MAX)];
        let text: String = String::from_utf8_lossy(bytes)
            .chars()
            .map(|character| if character.is_control() { ' ' } else { character })
            .collect();
        let (id, sentence) = text.split_once(' ').unwrap_or(("", &text));
        let check = CheckId::ALL.iter().copied().find(|check| check.id() == id);
        Self { check: check.unwrap_or(CheckId::C2), sentence: sentence.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_from_its_bytes_and_hostile_bytes_become_a_sentence() {
        let damage = Damage { check: CheckId::C3, sentence: "tar, offset 5: wrong".to_string() };
        assert_eq!(Damage::from_bytes(&damage.to_bytes()), damage);
        let hostile = Damage::from_bytes(b"Z9 \x1b[2J\xff");
        assert_eq!(hostile.check, CheckId::C2);
        assert_eq!(hostile.sentence, " [2J\u{fffd}");
        assert_eq!(Damage::from_bytes(b"").sentence, "");
        let long = Damage { check: CheckId::C2, sentence: "ä".repeat(5000) };
        assert!(long.to_bytes().len() <= SENTENCE_BYTES_MAX + 4);
    }
}
