//! `genesis.bin` of a ledger folder: its hash and the few fields that an archive repeats.
//!
//! The file is the bincode form of the reference client's `GenesisConfig` (solana-genesis-config
//! 3.x); its SHA-256 is the genesis hash. Accounts in it are passed over.

use std::path::Path;

use icecore_types::{Cursor, EpochSchedule, Hash, WireError};
use sha2::{Digest, Sha256};

use crate::Error;

/// The largest `genesis.bin` that is read (`MAX_GENESIS_ARCHIVE_UNPACKED_SIZE` of the reference
/// client is 10 MiB; test networks raise it).
const GENESIS_BYTES_MAX: u64 = 256 << 20;

/// What a ledger says of its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// SHA-256 of the file.
    pub hash: Hash,
    /// What a file `genesis_hash` beside it states, if there is one.
    pub stated_hash: Option<Hash>,
    /// Seconds since 1970.
    pub creation_time: i64,
    /// Ticks in a slot.
    pub ticks_per_slot: u64,
    /// The epoch schedule.
    pub epoch_schedule: EpochSchedule,
}

impl Genesis {
    /// Reads `genesis.bin` in a ledger folder.
    pub fn read(ledger: &Path) -> Result<Self, Error> {
        let path = ledger.join("genesis.bin");
        let bytes = icecore_disk::File::open(&path)?.read_all(GENESIS_BYTES_MAX)?;
        let mut genesis = Self::decode(&bytes).map_err(|error| Error::Damaged {
            archive: path.display().to_string(),
            problem: format!("is no genesis: {error}"),
        })?;
        let stated = ledger.join("genesis_hash");
        if icecore_disk::exists(&stated) {
            let text = icecore_disk::File::open(&stated)?.read_all(1024)?;
            let text = String::from_utf8_lossy(&text);
            let hash = text.trim().parse().map_err(|error| Error::Damaged {
                archive: stated.display().to_string(),
                problem: format!("is no hash: {error}"),
            })?;
            genesis.stated_hash = Some(hash);
        }
        Ok(genesis)
    }

    /// Decodes the file.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(bytes);
        let creation_time = cursor.read()?;
        accounts(&mut cursor)?;
        for _ in 0..cursor.read::<u64>()? {
            // Native instruction processors: (name, program).
            text(&mut cursor)?;
            cursor.take(32)?;
        }
        accounts(&mut cursor)?; // reward pools
        let ticks_per_slot = cursor.read()?;
        cursor.read::<u64>()?; // unused
        // Proof of history: tick duration (seconds, nanoseconds), tick count, hashes per tick.
        cursor.take(8 + 4)?;
        cursor.read::<Option<u64>>()?;
        cursor.read::<Option<u64>>()?;
        cursor.take(8)?; // backwards compatibility
        cursor.take(33)?; // fee rate governor
        cursor.take(17)?; // rent
        cursor.take(48)?; // inflation
        let epoch_schedule = cursor.read()?;
        Ok(Self {
            hash: Hash(Sha256::digest(bytes).into()),
            stated_hash: None,
            creation_time,
            ticks_per_slot,
            epoch_schedule,
        })
    }
}

fn bytes_of<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], WireError> {
    let length = cursor.read::<u64>()?;
    cursor.take(usize::try_from(length).unwrap_or(usize::MAX))
}

fn text(cursor: &mut Cursor<'_>) -> Result<(), WireError> {
    bytes_of(cursor).map(|_| ())
}

/// Passes over a map of accounts. Every entry takes bytes, so a wrong count ends with the input.
fn accounts(cursor: &mut Cursor<'_>) -> Result<(), WireError> {
    for _ in 0..cursor.read::<u64>()? {
        cursor.take(32 + 8)?;
        bytes_of(cursor)?;
        cursor.take(32)?;
        cursor.read::<bool>()?;
        cursor.take(8)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_genesis_has_the_hash_that_its_validator_states() {
        let ledger = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tiny");
        let genesis = Genesis::read(&ledger).expect("bundled");
        assert_eq!(genesis.stated_hash, Some(genesis.hash));
        assert_eq!(genesis.ticks_per_slot, 64);
        assert!(genesis.epoch_schedule.warmup);
    }

    #[test]
    fn a_genesis_cut_anywhere_is_an_error() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/tiny/genesis.bin");
        let bytes = icecore_disk::File::open(path)
            .and_then(|file| file.read_all(GENESIS_BYTES_MAX))
            .expect("bundled");
        // The cluster type (4 bytes) is the only thing after the epoch schedule.
        for end in 0..bytes.len() - 4 {
            assert!(Genesis::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
    }
}
