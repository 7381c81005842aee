//! Memory of the decoders: bounded for a manifest of mainnet's size, and for hostile ones.

mod manifest_support;

use std::sync::{Mutex, PoisonError};

use icecore_archive::{
    manifest::{
        BankScalars, LastField, Manifest, ManifestDecoder, ManifestItem, StakesItem, StakesOf,
        VoteAccountRef,
    },
    status_cache::StatusCache,
    writing::manifest::{ManifestEdit, ManifestRewriter},
};
use icecore_types::{AccountRef, Bits64, Cursor, Delegation, Hash, LATTICE_BYTES, Pubkey, Stake};
use manifest_support::tiny_full;
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// The peak is the process's: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const MIB: usize = 1 << 20;

/// Runs `work` and returns by how many bytes the heap grew at most.
fn heap_growth(work: impl FnOnce()) -> usize {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    work();
    HEAP.peak_usage() - before
}

/// Encodes items and feeds them in chunks, without ever holding more than a chunk.
struct Pipe {
    decoder: ManifestDecoder,
    chunk: Vec<u8>,
    bytes: u64,
    given: blake3::Hasher,
    again: blake3::Hasher,
    /// Copies the manifest, changing nothing.
    rewriter: ManifestRewriter<'static>,
    rewritten: blake3::Hasher,
    items_given: u64,
    items_visited: u64,
}

impl Pipe {
    const CHUNK_BYTES: usize = 100_000;

    fn give(&mut self, item: &ManifestItem<'_>) {
        item.encode(&mut self.chunk);
        self.items_given += 1;
        if self.chunk.len() >= Self::CHUNK_BYTES {
            self.feed(Self::CHUNK_BYTES);
        }
    }

    /// Feeds a prefix, so that chunks end within items.
    fn feed(&mut self, bytes: usize) {
        let mut encoded = Vec::new();
        let (again, visited) = (&mut self.again, &mut self.items_visited);
        self.decoder
            .feed(&self.chunk[..bytes], &mut |_, item| {
                encoded.clear();
                item.encode(&mut encoded);
                again.update(&encoded);
                *visited += 1;
            })
            .expect("it is well made");
        let rewritten = &mut self.rewritten;
        self.rewriter
            .feed(&self.chunk[..bytes], &mut |bytes| {
                rewritten.update(bytes);
            })
            .expect("it is well made");
        self.given.update(&self.chunk[..bytes]);
        self.bytes += bytes as u64;
        self.chunk.drain(..bytes);
    }
}

fn key(number: u64) -> Pubkey {
    let mut key = [7; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    Pubkey(key)
}

/// Stakes with the given numbers of vote accounts and delegations.
fn give_stakes(pipe: &mut Pipe, of: StakesOf, vote_accounts: u64, delegations: u64) {
    let mut give = |item: StakesItem<'_>| pipe.give(&ManifestItem::Stakes { of, item });
    // A vote account of 4.x has 3,762 bytes of data.
    let data = [9; 3762];
    give(StakesItem::VoteAccountCount(vote_accounts));
    for number in 0..vote_accounts {
        give(StakesItem::VoteAccount(VoteAccountRef {
            stake: number,
            account: AccountRef {
                pubkey: &key(number),
                lamports: 27_074_400,
                owner: &icecore_types::programs::VOTE,
                executable: false,
                rent_epoch: u64::MAX,
                data: &data,
            },
        }));
    }
    give(StakesItem::DelegationCount(delegations));
    for number in 0..delegations {
        let delegation = Delegation {
            voter_pubkey: key(number % vote_accounts),
            stake: number,
            activation_epoch: 700,
            deactivation_epoch: u64::MAX,
            warmup_cooldown_rate: Bits64::from(0.25),
        };
        give(match of {
            StakesOf::Bank | StakesOf::BankEpoch(_) => {
                StakesItem::Delegation(key(number), delegation)
            }
            StakesOf::VersionedEpoch(_) => {
                StakesItem::Stake(key(number), Stake { delegation, credits_observed: number })
            }
        });
    }
    give(StakesItem::Scalars(Default::default()));
    give(StakesItem::HistoryCount(0));
    if of == StakesOf::Bank {
        return;
    }
    give(StakesItem::TotalStake(vote_accounts));
    give(StakesItem::NodeCount(vote_accounts));
    for number in 0..vote_accounts {
        give(StakesItem::Node { node: key(number), vote_accounts: 1 });
        give(StakesItem::NodeVoteAccount(key(number)));
        give(StakesItem::NodeTotalStake(number));
    }
    give(StakesItem::AuthorizedVoterCount(vote_accounts));
    for number in 0..vote_accounts {
        give(StakesItem::AuthorizedVoter(key(number), key(number)));
    }
}

/// A manifest of mainnet's size: 1.5 million delegations, three epochs, 400,000 storages.
fn give_mainnet(pipe: &mut Pipe) {
    use ManifestItem as Item;
    const SCALARS_BYTES: usize = 512;
    let scalars: BankScalars =
        Cursor::new(&[0; SCALARS_BYTES]).read().expect("zeros are valid scalars");
    pipe.give(&Item::BlockhashQueue(Default::default()));
    pipe.give(&Item::BlockhashCount(0));
    pipe.give(&Item::BlockhashMaxAge(300));
    pipe.give(&Item::AncestorCount(0));
    pipe.give(&Item::BankHashes(Default::default()));
    pipe.give(&Item::HardForkCount(0));
    pipe.give(&Item::BankScalars(Box::new(scalars)));
    give_stakes(pipe, StakesOf::Bank, 6_000, 1_500_000);
    pipe.give(&Item::UnusedFirstCount(0));
    pipe.give(&Item::UnusedSecondCount(0));
    pipe.give(&Item::UnusedThirdCount(0));
    pipe.give(&Item::BankEpochCount(0));
    pipe.give(&Item::IsDelta(true));
    pipe.give(&Item::StorageSlotCount(400_000));
    for slot in 0..400_000 {
        pipe.give(&Item::StorageSlot { slot, storages: 1 });
        pipe.give(&Item::Storage(icecore_archive::manifest::Storage {
            id: slot,
            accounts_current_len: 136,
        }));
    }
    pipe.give(&Item::AccountsDbScalars(Default::default()));
    pipe.give(&Item::HistoricalRootCount(0));
    pipe.give(&Item::HistoricalRootWithHashCount(0));
    pipe.give(&Item::LamportsPerSignature(5000));
    pipe.give(&Item::IncrementalSnapshotPersistence(None));
    pipe.give(&Item::EpochAccountsHash(None));
    pipe.give(&Item::VersionedEpochCount(3));
    for epoch in 800..803 {
        pipe.give(&Item::VersionedEpoch(epoch));
        give_stakes(pipe, StakesOf::VersionedEpoch(epoch), 6_000, 300_000);
    }
    pipe.give(&Item::AccountsLatticeHash(Some(&[3; LATTICE_BYTES])));
    pipe.give(&Item::BlockId(Some(Hash([1; 32]))));
}

#[test]
fn a_manifest_of_mainnets_size_is_decoded_and_copied_in_little_memory() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let growth = heap_growth(|| {
        let mut pipe = Pipe {
            decoder: ManifestDecoder::new(),
            chunk: Vec::new(),
            bytes: 0,
            given: blake3::Hasher::new(),
            again: blake3::Hasher::new(),
            rewriter: ManifestRewriter::new(ManifestEdit::default()),
            rewritten: blake3::Hasher::new(),
            items_given: 0,
            items_visited: 0,
        };
        give_mainnet(&mut pipe);
        pipe.feed(pipe.chunk.len());
        assert!(pipe.bytes > 300 * MIB as u64, "only {} bytes", pipe.bytes);
        assert_eq!(pipe.items_given, pipe.items_visited);
        assert_eq!(pipe.given.finalize(), pipe.again.finalize());
        assert_eq!(pipe.given.finalize(), pipe.rewritten.finalize());
        assert_eq!(pipe.rewriter.finish().expect("it is whole").bytes, pipe.bytes);
        let end = pipe.decoder.finish().expect("it is whole");
        assert_eq!(end.last_field, LastField::BlockId);
        println!("{} bytes, {} items", pipe.bytes, pipe.items_visited);
    });
    println!("the heap grew by {growth} bytes");
    assert!(growth < MIB, "the heap grew by {growth} bytes");
}

#[test]
fn flipped_bits_neither_panic_nor_allocate() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let members = tiny_full();
    let mut refused = 0;
    let mut manifest = members.manifest;
    let growth = heap_growth(|| {
        for index in 0..manifest.len() {
            let bit = 1 << (index % 8);
            manifest[index] ^= bit;
            match Manifest::decode(&manifest) {
                Ok((decoded, end)) => {
                    let known = manifest.len() - end.trailing_bytes as usize;
                    assert!(decoded.encode() == manifest[..known], "byte {index}");
                }
                Err(_) => refused += 1,
            }
            manifest[index] ^= bit;
        }
    });
    println!("manifest: {refused} refused, the heap grew by {growth} bytes");
    assert!(refused > 0);
    assert!(growth < MIB, "the heap grew by {growth} bytes");

    let mut refused = 0;
    let mut status_cache = members.status_cache;
    let growth = heap_growth(|| {
        for index in 0..status_cache.len() * 8 {
            let bit = 1 << (index % 8);
            status_cache[index / 8] ^= bit;
            match StatusCache::decode(&status_cache) {
                Ok(decoded) => assert!(decoded.encode() == status_cache, "bit {index}"),
                Err(_) => refused += 1,
            }
            status_cache[index / 8] ^= bit;
        }
    });
    println!("status cache: {refused} refused, the heap grew by {growth} bytes");
    assert!(refused > 0);
    assert!(growth < MIB, "the heap grew by {growth} bytes");
}

#[test]
fn a_stated_length_is_not_allocated_before_its_bytes_come() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes = tiny_full().manifest;
    let mut vote_account = None;
    ManifestDecoder::new()
        .feed(&bytes, &mut |offset, item| {
            if let ManifestItem::Stakes { item, .. } = item
                && matches!(item, StakesItem::VoteAccount(_))
            {
                vote_account.get_or_insert(offset as usize);
            }
        })
        .expect("it decodes");
    let length_at = vote_account.expect("it has vote accounts") + 48;
    let mut hostile = bytes[..length_at].to_vec();
    hostile.extend(icecore_types::DATA_BYTES_MAX.to_le_bytes());
    hostile.extend([0; 1000]);
    let growth = heap_growth(|| {
        let mut decoder = ManifestDecoder::new();
        for chunk in hostile.chunks(100) {
            decoder.feed(chunk, &mut |_, _| {}).expect("the length is legal");
        }
        decoder.finish().expect_err("the data has not come");
    });
    assert!(growth < 64 << 10, "the heap grew by {growth} bytes");
}
