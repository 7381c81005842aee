//! A run of bytes wanted in one piece: taken where it lies, or gathered when it comes in pieces.

/// Gathers one run of bytes after the other.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gather {
    kept: Vec<u8>,
    /// Whether `kept` was given out whole.
    is_given: bool,
}

impl Gather {
    /// The next `total` bytes, at least one, once they are there.
    ///
    /// The caller bounds `total`. Memory grows as bytes arrive and is kept for the next run. Until
    /// a run is complete, every call must ask for the same total.
    pub(crate) fn take<'g, 'a: 'g>(
        &'g mut self,
        input: &mut &'a [u8],
        total: usize,
    ) -> Option<&'g [u8]> {
        if self.is_given {
            self.kept.clear();
            self.is_given = false;
        }
        let (taken, rest) = input.split_at(input.len().min(total - self.kept.len()));
        *input = rest;
        if taken.len() == total {
            return Some(taken);
        }
        self.kept.extend_from_slice(taken);
        self.is_given = self.kept.len() == total;
        self.is_given.then_some(&self.kept)
    }

    /// Bytes in memory.
    pub(crate) fn held_bytes(&self) -> usize {
        self.kept.len()
    }

    /// The bytes of a run that is not complete.
    pub(crate) fn pending(&self) -> &[u8] {
        match self.is_given {
            true => &[],
            false => &self.kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_given_in_place_or_joined() {
        let mut gather = Gather::default();
        let bytes = [1, 2, 3, 4, 5, 6, 7];
        let mut input = &bytes[..5];
        let whole = gather.take(&mut input, 3).expect("it is all there");
        assert!(std::ptr::eq(whole, &bytes[..3]));
        assert_eq!(gather.take(&mut input, 3), None);
        assert_eq!((gather.pending(), input.len()), (&[4, 5][..], 0));
        input = &bytes[5..];
        assert_eq!(gather.take(&mut input, 3), Some(&[4, 5, 6][..]));
        assert_eq!((gather.pending(), input), (&[][..], &[7][..]));
        assert_eq!(gather.take(&mut input, 1), Some(&[7][..]));
    }
}
