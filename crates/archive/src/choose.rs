//! Which archives of a folder to load.
//!
//! The pair that reaches the highest slot: an older full archive with an incremental beats a newer
//! full one without. Among pairs that reach the same slot:
//! 1. a full archive alone is better than a pair: there is less to read and less to trust;
//! 2. then the newer full archive: its incremental is smaller;
//! 3. among files for the same slots: one in the folder itself before one from `remote/`, then
//!    zstd before lz4 before plain tar, then the first by file name, so that the choice does not
//!    depend on the order in which a folder is listed.
//!
//! An incremental counts only on a full archive whose slot is its base, and only if its own slot is
//! higher. Temporary files and everything else with other names are no candidates to begin with:
//! [`ArchiveName::parse`] refuses them.

use std::cmp::Reverse;

use icecore_types::Slot;

use crate::names::{ArchiveName, Compression};

/// An archive file that could be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What its name says.
    pub name: ArchiveName,
    /// The file name itself, without a folder.
    pub file: String,
    /// Whether it lies in the folder `remote`, where downloads go.
    pub remote: bool,
}

/// Smaller is better among files for the same slots.
type Rank<'a> = (bool, Compression, &'a str);

impl Candidate {
    fn rank(&self) -> Rank<'_> {
        (self.remote, self.name.compression(), &self.file)
    }
}

/// The full archive to load and, if one goes further, the incremental on top of it.
///
/// `None` when there is no full archive. The time is the product of the numbers of full and
/// incremental archives, which a validator keeps at 2 and 4.
pub fn best_pair(candidates: &[Candidate]) -> Option<(&Candidate, Option<&Candidate>)> {
    candidates
        .iter()
        .filter(|candidate| !candidate.name.is_incremental())
        .map(|full| (full, best_on(full.name.slot(), candidates)))
        .min_by_key(|(full, incremental)| {
            let slot = incremental.unwrap_or(full).name.slot();
            (Reverse(slot), incremental.is_some(), Reverse(full.name.slot()), full.rank())
        })
}

/// The furthest incremental on the full archive at `base`.
fn best_on(base: Slot, candidates: &[Candidate]) -> Option<&Candidate> {
    candidates
        .iter()
        .filter(|candidate| candidate.name.base() == Some(base) && candidate.name.slot() > base)
        .min_by_key(|candidate| (Reverse(candidate.name.slot()), candidate.rank()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "2pRN9jNHGRLkRp4n6uySxy7KFY41E81qZenhu21ef2FZ";

    /// `100` is a full archive, `100-150` an incremental, `100.lz4` and `@100` (remote) variants.
    fn candidates(list: &[&str]) -> Vec<Candidate> {
        let candidate = |text: &&str| {
            let (remote, text) = match text.strip_prefix('@') {
                Some(rest) => (true, rest),
                None => (false, *text),
            };
            let (slots, extension) = match text.split_once('.') {
                Some((slots, extension)) => (slots, format!("tar.{extension}")),
                None => (text, "tar.zst".to_owned()),
            };
            let class = if slots.contains('-') { "incremental-" } else { "" };
            let file = format!("{class}snapshot-{slots}-{HASH}.{extension}");
            let name = ArchiveName::parse(&file).expect("a good name");
            Candidate { name, file, remote }
        };
        list.iter().map(candidate).collect()
    }

    fn chosen(list: &[&str]) -> Option<(usize, Option<usize>)> {
        let candidates = candidates(list);
        let index = |wanted: &Candidate| {
            let same = |candidate: &Candidate| std::ptr::eq(candidate, wanted);
            candidates.iter().position(same).expect("it is one of them")
        };
        best_pair(&candidates).map(|(full, incremental)| (index(full), incremental.map(index)))
    }

    #[test]
    fn the_highest_slot_reached_wins_not_the_newest_full() {
        assert_eq!(chosen(&[]), None);
        assert_eq!(chosen(&["100-150"]), None);
        assert_eq!(chosen(&["100", "200"]), Some((1, None)));
        assert_eq!(chosen(&["100", "200", "100-250", "100-150"]), Some((0, Some(2))));
        assert_eq!(chosen(&["100", "200", "100-250", "200-260"]), Some((1, Some(3))));
        assert_eq!(chosen(&["100", "200", "150-900"]), Some((1, None)));
        assert_eq!(chosen(&["100", "100-100", "100-90"]), Some((0, None)));
    }

    #[test]
    fn ties_are_broken_the_same_way_in_any_order() {
        for (list, expected) in [
            (vec!["100", "300", "100-300"], ("300", None)),
            (vec!["100", "200", "100-300", "200-300"], ("200", Some("200-300"))),
            (vec!["@100", "100.lz4", "100-150.lz4", "@100-150"], ("100.lz4", Some("100-150.lz4"))),
            (vec!["100.lz4", "100", "100"], ("100", None)),
        ] {
            let mut list = list;
            for _ in 0..list.len() {
                list.rotate_left(1);
                let (full, incremental) = chosen(&list).expect("there is a full archive");
                assert_eq!((list[full], incremental.map(|index| list[index])), expected);
            }
        }
    }
}
