//! How long the `blake3` crate takes for the lattice hashes of all account records of an archive on
//! one core: 2,048 bytes of output for each that is not a tombstone.
//!
//! Records are gathered first, a few megabytes at a time, and only hashing is timed. Beside it our
//! own kernel goes over the same records, to tell how near to the bound it can come at all.

use std::{hint::black_box, path::Path};

use icecore_archive::{
    members::{MemberKind, classify},
    storage::{StorageEvent, StorageReader},
    tar::{TarEvent, TarReader},
};
use icecore_disk::Stopwatch;
use icecore_hash::{Kernel, LatticeSum};
use icecore_types::Record;

use super::stream::Decoder;
use crate::{Failure, blake3_sum};

/// Bytes of records that are gathered before they are hashed.
const GATHERED_BYTES: usize = 4 << 20;

/// What was hashed, and how long it took.
#[derive(Debug, Clone, Default)]
pub(super) struct Hashed {
    /// Records, tombstones included.
    pub(super) records: u64,
    /// Records that were hashed.
    pub(super) accounts: u64,
    /// Of the `blake3` crate.
    pub(super) seconds: f64,
    /// Of our own kernel.
    pub(super) own_seconds: f64,
}

/// Records that wait to be hashed, back to back.
struct Gathered {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    own: LatticeSum,
}

impl Gathered {
    fn push(&mut self, record: &[u8], hashed: &mut Hashed) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
        if self.bytes.len() >= GATHERED_BYTES {
            self.hash(hashed);
        }
    }

    fn hash(&mut self, hashed: &mut Hashed) {
        let mut start = 0;
        let accounts: Vec<_> = self
            .ends
            .iter()
            .map(|end| {
                let bytes = &self.bytes[start..*end];
                start = *end;
                Record::parse(bytes).expect("the reader gives whole records").account()
            })
            .filter(|account| !account.is_tombstone())
            .collect();
        let stopwatch = Stopwatch::start();
        for account in &accounts {
            black_box(blake3_sum::output(black_box(account)));
        }
        hashed.seconds += stopwatch.seconds();
        let stopwatch = Stopwatch::start();
        self.own.add(black_box(&accounts));
        hashed.own_seconds += stopwatch.seconds();
        hashed.records += self.ends.len() as u64;
        hashed.accounts += accounts.len() as u64;
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Hashes an archive's records and adds to what was hashed before.
pub(super) fn of_archive(path: &Path, hashed: &mut Hashed) -> Result<(), Failure> {
    let mut decoder = Decoder::open(path)?;
    let mut tar = TarReader::new();
    let mut storage = None;
    let own = LatticeSum::new(Kernel::chosen()?);
    let mut gathered = Gathered { bytes: Vec::new(), ends: Vec::new(), own };
    while let Some(mut input) = decoder.next()? {
        while let Some(event) = tar.next(&mut input)? {
            match event {
                TarEvent::Member(member) => {
                    let is_storage = matches!(
                        classify(&member.path, member.kind),
                        Ok(MemberKind::Storage { .. })
                    );
                    storage = is_storage.then(|| StorageReader::new(member.size, None));
                }
                TarEvent::Data(mut bytes) => {
                    let Some(reader) = &mut storage else { continue };
                    while let Some(event) = reader.next(&mut bytes)? {
                        match event {
                            StorageEvent::Record { bytes, .. } => gathered.push(bytes, hashed),
                            StorageEvent::Joined { bytes, .. } => gathered.push(&bytes, hashed),
                            // What is wrong is for the verdict to say.
                            StorageEvent::Fault { .. } | StorageEvent::End { .. } => {}
                        }
                    }
                }
                TarEvent::MemberEnd | TarEvent::PaddingNotZero { .. } | TarEvent::EndBlocks => {}
            }
        }
    }
    gathered.hash(hashed);
    Ok(())
}
