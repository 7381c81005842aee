//! The bytes of a file that is still appended to, as memory.
//!
//! More is mapped than the file has, so that what is appended later can be read without another
//! system call. Before bytes are given the file is known to reach that far: its length is asked for
//! when it is beyond what was known.
//!
//! Invariants, which whoever maps the file answers for:
//! - The file is only appended to and never cut while it is mapped.
//! - Bytes are asked for only after they were written, and nobody changes them any more.
//!
//! What it does *not* do: tell what was written; nor survive a disk that fails to read a page (see
//! [`Mapping`](crate::Mapping)).

use std::{
    fs, io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use crate::{Access, mapping::Region};

/// The start of a file that grows.
#[derive(Debug)]
pub struct GrowingMapping {
    file: Arc<fs::File>,
    region: Region,
    /// The file is at least this long.
    known_bytes: AtomicUsize,
}

impl GrowingMapping {
    /// Maps a file up to `bytes_max`, whatever it has by now.
    pub(crate) fn of_file(file: Arc<fs::File>, bytes_max: usize) -> io::Result<Self> {
        let region = Region::map(&file, bytes_max, Access::Read)?;
        region.advise_random();
        Ok(Self { file, region, known_bytes: AtomicUsize::new(0) })
    }

    /// Bytes that were written and do not change any more; `None` where the file ends before, or lies
    /// beyond what is mapped.
    pub fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        if range.end > self.known_bytes.load(Relaxed) {
            let bytes = usize::try_from(self.file.metadata().ok()?.len()).unwrap_or(usize::MAX);
            // The file never gets shorter, so neither must what is known of it.
            self.known_bytes.fetch_max(bytes, Relaxed);
            if range.end > bytes {
                return None;
            }
        }
        self.region.part(range)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_is_appended_is_seen_and_what_is_not_there_is_not_touched() {
        let file = Arc::new(tempfile::tempfile().expect("temporary file"));
        let growing = GrowingMapping::of_file(Arc::clone(&file), 1 << 20).expect("mapped");
        assert_eq!(growing.get(0..1), None);
        let mut expected = Vec::new();
        for round in 0..50u8 {
            let piece = vec![round; 3000];
            file.write_all_at(&piece, expected.len() as u64).expect("written");
            expected.extend(piece);
            assert_eq!(growing.get(0..expected.len()), Some(&expected[..]));
            assert_eq!(growing.get(expected.len()..expected.len() + 1), None);
        }
        file.set_len(2 << 20).expect("longer");
        assert!(growing.get((1 << 20) - 1..1 << 20).is_some());
        assert_eq!(growing.get(1 << 20..(1 << 20) + 1), None, "beyond what is mapped");
        #[expect(clippy::reversed_empty_ranges, reason = "a caller's mistake")]
        let reversed = 9..3;
        assert_eq!(growing.get(reversed), None);
    }
}
