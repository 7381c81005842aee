//! Every kernel that this CPU can run, beside the `blake3` crate and the reference client's
//! lattice crate.

use icecore_hash::{Kernel, LatticeCounters, LatticeSum, account_lattice_hash};
use icecore_types::{AccountRef, DATA_BYTES_MAX, LatticeHash, Pubkey};
use proptest::prelude::*;
use solana_lattice_hash::lt_hash::LtHash;

/// Input bytes of an account besides its data.
const FIXED_BYTES: usize = 73;

const CHUNK_BYTES: usize = 1024;

/// An account that owns its content, different for every seed.
#[derive(Debug, Clone)]
struct Owned {
    pubkey: Pubkey,
    owner: Pubkey,
    lamports: u64,
    executable: bool,
    data: Vec<u8>,
}

impl Owned {
    fn new(data_bytes: usize, seed: u64) -> Self {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        Self {
            pubkey: Pubkey([0; 32].map(|_| next())),
            owner: Pubkey([0; 32].map(|_| next())),
            lamports: u64::from_le_bytes([0; 8].map(|_| next())).max(1),
            executable: next() % 2 == 1,
            data: (0..data_bytes).map(|_| next()).collect(),
        }
    }

    fn tombstone(seed: u64) -> Self {
        Self { lamports: 0, ..Self::new(seed as usize % 100, seed) }
    }

    fn borrowed(&self) -> AccountRef<'_> {
        AccountRef {
            pubkey: &self.pubkey,
            lamports: self.lamports,
            owner: &self.owner,
            executable: self.executable,
            rent_epoch: 9,
            data: &self.data,
        }
    }
}

fn borrowed(accounts: &[Owned]) -> Vec<AccountRef<'_>> {
    accounts.iter().map(Owned::borrowed).collect()
}

/// The reference client's sum.
fn reference(accounts: &[Owned]) -> LatticeHash {
    let mut sum = LtHash::identity();
    for account in accounts.iter().filter(|account| account.lamports > 0) {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&account.lamports.to_le_bytes())
            .update(&account.data)
            .update(&[u8::from(account.executable)])
            .update(&account.owner.0)
            .update(&account.pubkey.0);
        sum.mix_in(&LtHash::with(&hasher));
    }
    LatticeHash { lanes: Box::new(sum.0) }
}

/// The sum by the plain definition.
fn plain(accounts: &[Owned]) -> LatticeHash {
    let mut sum = LatticeHash::default();
    for account in accounts {
        sum.mix_in(&account_lattice_hash(&account.borrowed()));
    }
    sum
}

/// Asserts that every kernel gets the sum of both oracles.
fn check(accounts: &[Owned], what: &str) {
    let expected = plain(accounts);
    assert_eq!(expected, reference(accounts), "{what}: the oracles");
    for kernel in Kernel::available() {
        let mut sum = LatticeSum::new(*kernel);
        sum.add(&borrowed(accounts));
        assert_eq!(sum.finish(), expected, "{what}: {kernel}");
    }
}

#[test]
fn every_size_up_to_two_chunks_alone_and_sixteen_at_a_time() {
    let mut sums: Vec<_> = Kernel::available().iter().copied().map(LatticeSum::new).collect();
    // The longest first, so that padding has something to overwrite.
    for data_bytes in (0..=1100).rev() {
        let accounts: Vec<_> =
            (0..17).map(|seed| Owned::new(data_bytes, seed * 2000 + data_bytes as u64)).collect();
        let first = plain(&accounts[..1]);
        assert_eq!(first, reference(&accounts[..1]), "{data_bytes} bytes: the oracles");
        let all = plain(&accounts);
        for sum in &mut sums {
            let kernel = sum.kernel();
            sum.add(&borrowed(&accounts[..1]));
            assert_eq!(sum.finish(), first, "{data_bytes} bytes alone: {kernel}");
            sum.add(&borrowed(&accounts));
            assert_eq!(sum.finish(), all, "17 of {data_bytes} bytes: {kernel}");
        }
    }
}

#[test]
fn sizes_around_chunk_borders_up_to_ten_mebibytes() {
    let chunks =
        [2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 63, 64, 65, 66, 127, 128, 129, 200];
    for chunks in chunks {
        let border = chunks * CHUNK_BYTES - FIXED_BYTES;
        let around = [0, 1, 2, 7, 8, 9, 63, 64, 65, 66, 72, 73, 74, 500];
        let accounts: Vec<_> = around
            .into_iter()
            .flat_map(|distance| [border - distance, border + distance])
            .map(|data_bytes| Owned::new(data_bytes, data_bytes as u64))
            .collect();
        check(&accounts, &format!("around {chunks} chunks"));
    }
    let max = DATA_BYTES_MAX as usize;
    let large = [1 << 20, (1 << 20) + 12_345, max - 73, max - 1, max];
    let accounts: Vec<_> = large.map(|data_bytes| Owned::new(data_bytes, 3)).into();
    check(&accounts, "up to 10 MiB");
}

#[test]
fn tombstones_add_nothing() {
    let tombstones: Vec<_> = (0..40).map(Owned::tombstone).collect();
    for kernel in Kernel::available() {
        let mut sum = LatticeSum::new(*kernel);
        sum.add(&borrowed(&tombstones));
        assert!(sum.finish().is_identity(), "{kernel}");
        assert_eq!(sum.counters().tombstones, 40);
        assert_eq!(sum.counters().full_lanes + sum.counters().partial_lanes, 0);
    }
    assert!(account_lattice_hash(&tombstones[1].borrowed()).is_identity());
    let mut mixed = tombstones;
    mixed.extend((0..40).map(|seed| Owned::new(165, seed)));
    check(&mixed, "tombstones among others");
}

#[test]
fn all_but_the_last_few_accounts_fill_their_lanes() {
    // 1,000 accounts of each of 5 sizes: 1, 2 and 4 blocks, 3 chunks, 20 chunks.
    let accounts: Vec<_> = [0, 20, 165, 3_000, 20_000]
        .into_iter()
        .flat_map(|data_bytes| (0..1_000).map(move |seed| Owned::new(data_bytes, seed)))
        .collect();
    let expected = plain(&accounts);
    for kernel in Kernel::available() {
        let mut sum = LatticeSum::new(*kernel);
        // One at a time: lanes are filled across calls.
        for account in &accounts {
            sum.add(&[account.borrowed()]);
        }
        assert_eq!(sum.finish(), expected, "{kernel}");
        let counters = LatticeCounters {
            full_lanes: 4_992,
            partial_lanes: 8,
            several_chunks: 1_000,
            many_chunks: 1_000,
            tombstones: 0,
        };
        assert_eq!(*sum.counters(), counters, "{kernel}");
    }
}

#[test]
fn a_sum_begins_again_after_it_is_finished() {
    let accounts: Vec<_> = (0..100).map(|seed| Owned::new(seed as usize * 31, seed)).collect();
    for kernel in Kernel::available() {
        let mut sum = LatticeSum::new(*kernel);
        assert!(sum.finish().is_identity(), "{kernel}");
        for accounts in accounts.chunks(23) {
            sum.add(&borrowed(accounts));
            assert_eq!(sum.finish(), plain(accounts), "{kernel}");
        }
        assert!(sum.finish().is_identity(), "{kernel}");
    }
}

#[test]
fn any_changed_byte_changes_the_sum() {
    let account = Owned::new(165, 1);
    let original = plain(std::slice::from_ref(&account));
    let mut changed = vec![account.clone(); 5];
    changed[0].lamports ^= 1;
    changed[1].data[164] ^= 1;
    changed[2].executable = !account.executable;
    changed[3].owner.0[0] ^= 1;
    changed[4].pubkey.0[31] ^= 1;
    for kernel in Kernel::available() {
        for account in &changed {
            let mut sum = LatticeSum::new(*kernel);
            sum.add(&[account.borrowed()]);
            assert_ne!(sum.finish(), original, "{kernel}");
        }
    }
}

/// Sizes as chains have them: mostly one block to one chunk, some more.
fn data_bytes() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 0usize..1_100,
        2 => 1_000usize..18_000,
        1 => 18_000usize..150_000,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_batches_in_any_order_have_one_sum(
        sizes in proptest::collection::vec((data_bytes(), any::<u64>(), 0..10u8), 0..80),
        batch in 1usize..30,
    ) {
        let mut accounts: Vec<_> = sizes
            .into_iter()
            .map(|(data_bytes, seed, kind)| match kind {
                0 => Owned::tombstone(seed),
                _ => Owned::new(data_bytes, seed),
            })
            .collect();
        let expected = plain(&accounts);
        prop_assert_eq!(&expected, &reference(&accounts));
        for kernel in Kernel::available() {
            let mut sum = LatticeSum::new(*kernel);
            for batch in accounts.chunks(batch) {
                sum.add(&borrowed(batch));
            }
            prop_assert_eq!(&sum.finish(), &expected, "{}", kernel);
            accounts.reverse();
            sum.add(&borrowed(&accounts));
            prop_assert_eq!(&sum.finish(), &expected, "{} reversed", kernel);
        }
    }
}
