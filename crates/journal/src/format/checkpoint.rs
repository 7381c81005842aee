//! Checkpoints: how far a cursor or a projection has come, each in a file that is replaced whole.
//!
//! A position is a sequence *and* the digest of the frame that holds the last event below it. A
//! journal that lost its tail gives the same sequences to other events; the digest tells that, so
//! that nothing is skipped.
//!
//! Invariants:
//! - There is one way to write a checkpoint: what was read writes the same bytes again.
//! - A position that has consumed nothing has the digest zero, and no other has.
//!
//! What it does *not* do: know whether the position is still right; whoever has the journal
//! compares.

use crate::{
    Digest, Malformed, StoreId,
    format::{
        pieces::{Pieces, put_text},
        sealed,
    },
};

/// Bytes of a cursor's or a projection's name at most.
pub(crate) const NAME_BYTES_MAX: usize = 128;
/// Bytes of a projection's state at most.
pub(crate) const STATE_BYTES_MAX: usize = 256 << 20;

/// Bytes of a position at most: its fields and its name.
const POSITION_BYTES_MAX: usize = 104 + 2 + NAME_BYTES_MAX;

const CURSOR_FILE: sealed::Kind = sealed::Kind {
    magic: *b"ICCU",
    version: 1,
    bytes_max: sealed::BODY + POSITION_BYTES_MAX,
    not_this_kind: "this is no checkpoint of a cursor",
};

const PROJECTION_FILE: sealed::Kind = sealed::Kind {
    magic: *b"ICPR",
    version: 1,
    bytes_max: sealed::BODY + POSITION_BYTES_MAX + 16 + STATE_BYTES_MAX,
    not_this_kind: "this is no checkpoint of a projection",
};

/// Bytes of a cursor's checkpoint at most.
pub(crate) const CURSOR_FILE_BYTES_MAX: usize = CURSOR_FILE.bytes_max;
/// Bytes of a projection's checkpoint at most.
pub(crate) const PROJECTION_FILE_BYTES_MAX: usize = PROJECTION_FILE.bytes_max;

/// How far somebody who follows a journal has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) store_id: StoreId,
    /// What follows: the cursor or the projection. Not empty.
    pub(crate) name: String,
    /// Every event below was consumed.
    pub(crate) end_sequence: u64,
    /// Digest of the frame that holds event `end_sequence - 1`; zero if nothing was consumed.
    pub(crate) frame: Digest,
    /// What tells the query that it follows from others.
    pub(crate) query: Digest,
    /// When it was written, in nanoseconds since 1970.
    pub(crate) time: u64,
    /// How often this checkpoint has been written.
    pub(crate) commits: u64,
}

/// How far a projection has come, and what it has made of the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProjectionCheckpoint {
    pub(crate) position: Position,
    /// Version of the state's own format.
    pub(crate) state_version: u32,
    pub(crate) state: Vec<u8>,
}

impl Position {
    /// The file of a cursor's checkpoint. Refuses what could not be read again.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let mut out = sealed::begin();
        self.put(&mut out)?;
        sealed::finish(out, &CURSOR_FILE)
    }

    /// Reads the whole file of a cursor's checkpoint; takes any bytes.
    pub(crate) fn decode(file: &[u8]) -> Result<Self, Malformed> {
        sealed::open(file, &CURSOR_FILE)?;
        let mut pieces = Pieces::new(file, sealed::BODY);
        let position = Self::take(&mut pieces)?;
        pieces.end()?;
        Ok(position)
    }

    fn take(pieces: &mut Pieces<'_>) -> Result<Self, Malformed> {
        let position = Self {
            store_id: pieces.store_id()?,
            end_sequence: pieces.u64()?,
            frame: pieces.digest()?,
            query: pieces.digest()?,
            time: pieces.u64()?,
            commits: pieces.u64()?,
            name: pieces.text(NAME_BYTES_MAX)?,
        };
        position.check()?;
        Ok(position)
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.check()?;
        out.extend(self.store_id.0);
        out.extend(self.end_sequence.to_le_bytes());
        out.extend(self.frame.0);
        out.extend(self.query.0);
        out.extend(self.time.to_le_bytes());
        out.extend(self.commits.to_le_bytes());
        put_text(out, &self.name);
        Ok(())
    }

    fn check(&self) -> Result<(), Malformed> {
        let malformed = |what| Err(Malformed::new(sealed::BODY as u64, what));
        if !(1..=NAME_BYTES_MAX).contains(&self.name.len()) {
            return malformed("a checkpoint's name is empty or longer than 128 bytes");
        }
        if (self.end_sequence == 0) != (self.frame == Digest::ZERO) {
            return malformed("a position and its digest do not belong together");
        }
        Ok(())
    }
}

impl ProjectionCheckpoint {
    /// The file. Refuses what could not be read again: a name or a state that is too long.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Malformed> {
        if self.state.len() > STATE_BYTES_MAX {
            return Err(Malformed::new(0, "a projection's state is larger than 256 MiB"));
        }
        let mut out = sealed::begin();
        out.reserve_exact(POSITION_BYTES_MAX + 16 + self.state.len());
        self.position.put(&mut out)?;
        out.extend(self.state_version.to_le_bytes());
        out.extend([0; 4]);
        out.extend((self.state.len() as u64).to_le_bytes());
        out.extend(&self.state);
        sealed::finish(out, &PROJECTION_FILE)
    }

    /// Reads a whole file; takes any bytes.
    pub(crate) fn decode(file: &[u8]) -> Result<Self, Malformed> {
        sealed::open(file, &PROJECTION_FILE)?;
        let mut pieces = Pieces::new(file, sealed::BODY);
        let position = Position::take(&mut pieces)?;
        let state_version = pieces.u32()?;
        pieces.zeros::<4>()?;
        let Ok(state_bytes) = usize::try_from(pieces.u64()?) else {
            return Err(pieces.malformed("a projection's state is larger than memory can be"));
        };
        let state = pieces.bytes(state_bytes)?.to_vec();
        pieces.end()?;
        Ok(Self { position, state_version, state })
    }
}

/// For the fuzz target only.
pub(crate) mod fuzzing {
    use super::*;

    /// Any bytes, as they are and in envelopes whose sums are right: no panic, and what is read is
    /// written again byte for byte.
    pub fn checkpoint(bytes: &[u8]) {
        let body = bytes.get(sealed::BODY..).unwrap_or_default();
        let seal = |kind| sealed::finish([&sealed::begin(), body].concat(), kind);
        for file in [Some(bytes.to_vec()), seal(&CURSOR_FILE).ok(), seal(&PROJECTION_FILE).ok()] {
            let file = file.unwrap_or_default();
            if let Ok(position) = Position::decode(&file) {
                assert_eq!(position.encode(), Ok(file.clone()), "it is written as it was read");
            }
            if let Ok(checkpoint) = ProjectionCheckpoint::decode(&file) {
                assert_eq!(checkpoint.encode(), Ok(file), "it is written as it was read");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn position()(
            store_id: [u8; 16],
            name in "[a-zå]{1,60}",
            end_sequence in prop_oneof![Just(0), any::<u64>()],
            frame: [u8; 32],
            query: [u8; 32],
            time: u64,
            commits: u64,
        ) -> Position {
            Position {
                store_id: StoreId(store_id),
                name,
                end_sequence,
                frame: if end_sequence == 0 { Digest::ZERO } else { Digest(frame) },
                query: Digest(query),
                time,
                commits,
            }
        }
    }

    fn checkpoint() -> ProjectionCheckpoint {
        let position = Position {
            store_id: StoreId([1; 16]),
            name: "balances".into(),
            end_sequence: 17,
            frame: Digest([2; 32]),
            query: Digest([3; 32]),
            time: 1_700_000_000_000_000_000,
            commits: 4,
        };
        ProjectionCheckpoint { position, state_version: 2, state: b"a state".to_vec() }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            position in position(),
            state_version: u32,
            state in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let file = position.encode().expect("it is right");
            prop_assert_eq!(Position::decode(&file), Ok(position.clone()));
            prop_assert!(ProjectionCheckpoint::decode(&file).is_err());
            let checkpoint = ProjectionCheckpoint { position, state_version, state };
            let file = checkpoint.encode().expect("it is right");
            prop_assert!(Position::decode(&file).is_err());
            prop_assert_eq!(ProjectionCheckpoint::decode(&file), Ok(checkpoint));
        }

        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            fuzzing::checkpoint(&bytes);
        }

        #[test]
        fn any_change_of_a_valid_one_is_judged(
            at: prop::sample::Index,
            byte: u8,
            is_cursor: bool,
        ) {
            let checkpoint = checkpoint();
            let file = if is_cursor { checkpoint.position.encode() } else { checkpoint.encode() };
            let mut file = file.expect("it is right");
            let at = at.index(file.len());
            file[at] = byte;
            fuzzing::checkpoint(&file);
        }
    }

    #[test]
    fn each_flipped_bit_and_each_cut_is_refused() {
        let cursor = checkpoint().position.encode().expect("it is right");
        let projection = checkpoint().encode().expect("it is right");
        let is_read = |file: &[u8]| {
            Position::decode(file).is_ok() || ProjectionCheckpoint::decode(file).is_ok()
        };
        for file in [cursor, projection] {
            assert!(is_read(&file));
            for bit in 0..file.len() * 8 {
                let mut damaged = file.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(!is_read(&damaged), "bit {bit}");
            }
            for bytes in 0..file.len() {
                assert!(!is_read(&file[..bytes]), "{bytes} bytes");
            }
        }
    }

    #[test]
    fn a_position_belongs_to_its_digest_and_has_a_name() {
        let good = checkpoint().position;
        for bad in [
            Position { end_sequence: 0, ..good.clone() },
            Position { frame: Digest::ZERO, ..good.clone() },
            Position { name: String::new(), ..good.clone() },
            Position { name: "x".repeat(NAME_BYTES_MAX + 1), ..good.clone() },
        ] {
            assert!(bad.encode().is_err(), "{bad:?}");
        }
        let longest = Position { name: "x".repeat(NAME_BYTES_MAX), ..good };
        assert_eq!(Position::decode(&longest.encode().expect("it fits")), Ok(longest));
    }

    #[test]
    fn a_state_is_as_large_as_it_may_be_and_no_larger() {
        let mut largest = checkpoint();
        largest.position.name = "x".repeat(NAME_BYTES_MAX);
        largest.state = vec![7; STATE_BYTES_MAX];
        let file = largest.encode().expect("it fits");
        assert!(ProjectionCheckpoint::decode(&file) == Ok(largest.clone()), "as it was written");
        largest.state.push(7);
        assert!(largest.encode().is_err());
    }

    #[test]
    fn the_bytes_of_known_checkpoints_stay_the_same() {
        let cursor = blake3::hash(&checkpoint().position.encode().expect("it is right")).to_hex();
        assert_eq!(
            cursor.as_str(),
            "52043d047149f3c25db9a23840e67fa37ca81f4e51a96f7b3fc6dded945d5afe"
        );
        let projection = blake3::hash(&checkpoint().encode().expect("it is right")).to_hex();
        assert_eq!(
            projection.as_str(),
            "3f4c4b5f7865b05ffe45b04830d37333cf26240fc9fd9f3bb5a2013f444733ff"
        );
    }
}
