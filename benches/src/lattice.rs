//! Lattice hashes per second and core: every kernel that this CPU runs, beside the `blake3` crate
//! (as it chooses for this CPU, and held to AVX2) and beside `solana-lattice-hash`.
//!
//! All are measured in one run, interleaved, over the same accounts; the best of the rounds counts.
//! `blake3` held to AVX2 is the crate's own code for that instruction set, called through its
//! module for benchmarks. That module hashes inputs of one chunk only, so longer inputs have no
//! such column.

use std::{hint::black_box, time::Instant};

use blake3::platform::Platform;
use icecore_hash::{Kernel, LatticeSum};
use icecore_types::{AccountRef, LATTICE_BYTES, LatticeHash, Pubkey};
use solana_lattice_hash::lt_hash::LtHash;

use crate::blake3_sum::{add, collect, hasher, output};

/// Bytes of account data that are measured.
const DATA_BYTES: [usize; 5] = [0, 165, 500, 1_000, 10_000];

/// Bytes of data in a round, at most; the number of accounts follows.
const ROUND_BYTES: usize = 4 << 20;

/// Accounts in a round, at most: a round takes a few milliseconds, so that on a busy machine some of
/// the rounds are undisturbed.
const ROUND_ACCOUNTS: usize = 2_000;

/// Interleaved rounds, unless others are asked for.
pub(crate) const ROUNDS: usize = 200;

const BLOCK_BYTES: usize = 64;
const CHUNK_BYTES: usize = 1024;

/// Prints a table of accounts per second and of ratios.
pub(crate) fn run(rounds: usize) {
    println!("lattice hashes, thousand accounts per second and core, best of {rounds} rounds");
    for data_bytes in DATA_BYTES {
        let accounts = Accounts::new(data_bytes);
        measure(data_bytes, &accounts.borrowed(), rounds);
    }
}

/// Hashes accounts and adds them up.
type Sum = dyn FnMut(&[AccountRef<'_>]) -> LatticeHash;

/// One way to hash, and its best time so far.
struct Contender {
    name: String,
    sum: Box<Sum>,
    seconds: f64,
}

/// Measures one size and prints its rows.
fn measure(data_bytes: usize, accounts: &[AccountRef<'_>], rounds: usize) {
    let mut contenders = peers(data_bytes);
    let peer_count = contenders.len();
    contenders.extend(Kernel::available().iter().map(|kernel| {
        let mut sum = LatticeSum::new(*kernel);
        contender(kernel.name(), move |accounts| {
            sum.add(accounts);
            sum.finish()
        })
    }));

    let expected = (contenders[0].sum)(accounts);
    for contender in &mut contenders {
        let sum = (contender.sum)(accounts);
        assert!(sum == expected, "{} disagrees at {data_bytes} bytes", contender.name);
    }
    for _ in 0..rounds {
        for contender in &mut contenders {
            let start = Instant::now();
            black_box((contender.sum)(black_box(accounts)));
            contender.seconds = contender.seconds.min(start.elapsed().as_secs_f64());
        }
    }

    println!("\n{data_bytes} bytes of data, {} accounts", accounts.len());
    let (peers, kernels) = contenders.split_at(peer_count);
    for peer in peers {
        println!("{:>22} {:9.0}", peer.name, rate(accounts, peer));
    }
    for kernel in kernels {
        let ratios: Vec<_> = peers
            .iter()
            .map(|peer| format!("{:5.2} x {}", peer.seconds / kernel.seconds, peer.name))
            .collect();
        println!("{:>22} {:9.0}   {}", kernel.name, rate(accounts, kernel), ratios.join(", "));
    }
}

fn rate(accounts: &[AccountRef<'_>], contender: &Contender) -> f64 {
    accounts.len() as f64 / contender.seconds / 1e3
}

fn contender(name: &str, sum: impl FnMut(&[AccountRef<'_>]) -> LatticeHash + 'static) -> Contender {
    Contender { name: name.to_string(), sum: Box::new(sum), seconds: f64::INFINITY }
}

fn peers(data_bytes: usize) -> Vec<Contender> {
    let mut peers = vec![
        contender("blake3", |accounts| {
            let mut sum = LatticeHash::default();
            for account in accounts {
                add(&mut sum, &output(account));
            }
            sum
        }),
        contender("solana-lattice-hash", |accounts| {
            let mut sum = LtHash::identity();
            for account in accounts {
                sum.mix_in(&LtHash::with(&hasher(account)));
            }
            LatticeHash { lanes: Box::new(sum.0) }
        }),
    ];
    if data_bytes + 73 <= CHUNK_BYTES
        && let Some(platform) = Platform::avx2()
    {
        peers.push(contender("blake3 on AVX2", move |accounts| {
            let mut sum = LatticeHash::default();
            for account in accounts {
                add(&mut sum, &one_chunk(platform, account));
            }
            sum
        }));
    }
    peers
}

/// The output for an input of one chunk, by the crate's code for `platform`.
fn one_chunk(platform: Platform, account: &AccountRef<'_>) -> [u8; LATTICE_BYTES] {
    const INITIAL: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    const START: u8 = 1;
    const END_AND_ROOT: u8 = 2 | 8;
    let mut input = [0; CHUNK_BYTES];
    let length = collect(account, &mut input);
    let blocks = input.as_chunks::<BLOCK_BYTES>().0;
    let last = (length - 1) / BLOCK_BYTES;
    let mut value = INITIAL;
    let flags = |at| if at == 0 { START } else { 0 };
    for (at, block) in blocks[..last].iter().enumerate() {
        platform.compress_in_place(&mut value, block, BLOCK_BYTES as u8, 0, flags(at));
    }
    let mut output = [0; LATTICE_BYTES];
    let last_bytes = (length - last * BLOCK_BYTES) as u8;
    let flags = flags(last) | END_AND_ROOT;
    platform.xof_many(&value, &blocks[last], last_bytes, 0, flags, &mut output);
    output
}

/// Accounts whose data lies back to back, as in a storage.
struct Accounts {
    addresses: Vec<[Pubkey; 2]>,
    data: Vec<u8>,
    data_bytes: usize,
}

impl Accounts {
    fn new(data_bytes: usize) -> Self {
        let count = (ROUND_BYTES / data_bytes.max(1)).min(ROUND_ACCOUNTS);
        let mut state = 1u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        Self {
            addresses: (0..count)
                .map(|_| [0; 2].map(|_| Pubkey([0; 32].map(|_| byte()))))
                .collect(),
            data: (0..count * data_bytes).map(|_| byte()).collect(),
            data_bytes,
        }
    }

    fn borrowed(&self) -> Vec<AccountRef<'_>> {
        let data = |at| &self.data[at * self.data_bytes..][..self.data_bytes];
        self.addresses
            .iter()
            .enumerate()
            .map(|(at, [pubkey, owner])| AccountRef {
                pubkey,
                lamports: at as u64 + 1,
                owner,
                executable: at % 2 == 1,
                rent_epoch: u64::MAX,
                data: data(at),
            })
            .collect()
    }
}
