//! Bodies of files that are replaced whole, read and written piece after piece: integers, texts,
//! lists.
//!
//! Invariants:
//! - A length is compared with its bound, and with the bytes that are left, before anything is
//!   allocated for it.
//! - What was read writes the same bytes again: flags are 0 or 1, texts are UTF-8, lists keep their
//!   order.
//!
//! What it does *not* do: judge what the values mean.

use crate::{Digest, Malformed, StoreId};

/// Reads one piece after another.
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Something that lists are made of.
pub(crate) trait Piece: Sized {
    /// The least bytes that one takes.
    const BYTES_MIN: usize;

    /// Reads one.
    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed>;

    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);
}

impl<'a> Pieces<'a> {
    /// Reads the bytes of a file from `at` on.
    pub(crate) fn new(file: &'a [u8], at: usize) -> Self {
        Self { bytes: file, at }
    }

    /// An error at the place that was reached.
    pub(crate) fn malformed(&self, what: &'static str) -> Malformed {
        Malformed::new(self.at as u64, what)
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next `count` bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let Some((taken, _)) = self.rest().split_at_checked(count) else {
            return Err(self.malformed("more follows here than the file has"));
        };
        self.at += count;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(*self.bytes(N)?.first_chunk().expect("as many as were asked for"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, Malformed> {
        self.array().map(Digest)
    }

    pub(crate) fn store_id(&mut self) -> Result<StoreId, Malformed> {
        self.array().map(StoreId)
    }

    /// A byte that is 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::new(self.at as u64 - 1, "a yes or no is neither")),
        }
    }

    /// `N` bytes that are zero.
    pub(crate) fn zeros<const N: usize>(&mut self) -> Result<(), Malformed> {
        match self.array::<N>()? == [0; N] {
            true => Ok(()),
            false => {
                Err(Malformed::new((self.at - N) as u64, "bytes that have to be zero are not"))
            }
        }
    }

    /// A text: its bytes as u16, then UTF-8.
    pub(crate) fn text(&mut self, bytes_max: usize) -> Result<String, Malformed> {
        let at = self.at as u64;
        let count = usize::from(self.u16()?);
        if count > bytes_max {
            return Err(Malformed::new(at, "a text is too long"));
        }
        match std::str::from_utf8(self.bytes(count)?) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Malformed::new(at, "a text is not UTF-8")),
        }
    }

    /// A list: its length as u32, then its pieces.
    pub(crate) fn list<T: Piece>(&mut self, count_max: usize) -> Result<Vec<T>, Malformed> {
        let at = self.at as u64;
        let count = self.u32()? as usize;
        if count > count_max || count > self.rest().len() / T::BYTES_MIN {
            return Err(Malformed::new(at, "a list is longer than it can be"));
        }
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(T::take(self)?);
        }
        Ok(list)
    }

    /// Ends the reading: nothing may be left.
    pub(crate) fn end(self) -> Result<(), Malformed> {
        match self.rest().is_empty() {
            true => Ok(()),
            false => Err(self.malformed("bytes follow that belong to nothing")),
        }
    }
}

/// Appends a text. Whoever calls has checked that it is at most 65,535 bytes long.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let bytes = u16::try_from(text.len()).expect("texts are bounded far below that");
    out.extend(bytes.to_le_bytes());
    out.extend(text.as_bytes());
}

/// Appends a list. Whoever calls has checked its bound.
pub(crate) fn put_list<T: Piece>(out: &mut Vec<u8>, list: &[T]) {
    let count = u32::try_from(list.len()).expect("lists are bounded far below that");
    out.extend(count.to_le_bytes());
    list.iter().for_each(|piece| piece.put(out));
}

impl Piece for u32 {
    const BYTES_MIN: usize = 4;

    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed> {
        pieces.u32()
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_refused_before_room_is_made_for_it() {
        let mut bytes = u32::MAX.to_le_bytes().to_vec();
        bytes.extend([0; 8]);
        let error = Pieces::new(&bytes, 0).list::<u32>(usize::MAX).expect_err("too long");
        assert_eq!(error.at, 0);
        bytes[..4].copy_from_slice(&2u32.to_le_bytes());
        assert!(Pieces::new(&bytes, 0).list::<u32>(1).is_err());
        assert_eq!(Pieces::new(&bytes, 0).list::<u32>(2), Ok(vec![0, 0]));
    }

    #[test]
    fn flags_texts_zeros_and_the_end_are_judged() {
        assert!(Pieces::new(&[2], 0).flag().is_err());
        assert!(Pieces::new(&[0, 1], 0).zeros::<2>().is_err());
        assert!(Pieces::new(&[1, 0, 0xff], 0).text(9).is_err());
        assert!(Pieces::new(&[2, 0, b'a', b'b'], 0).text(1).is_err());
        assert!(Pieces::new(&[2, 0, b'a'], 0).text(9).is_err());
        assert_eq!(Pieces::new(&[1, 0, b'a'], 0).text(1).as_deref(), Ok("a"));
        assert!(Pieces::new(&[0], 0).end().is_err());
        assert_eq!(Pieces::new(&[0], 1).end(), Ok(()));
    }
}
