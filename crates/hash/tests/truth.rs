//! The bank hash and the lattice checksum recomputed from what the reference client said about its
//! own banks.
//!
//! The bundled set is always there; more come from the folder that `ICECORE_SHARED` names, and are
//! passed over with a note where it is absent.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use icecore_hash::{BankHashParts, BankHashScheme, bank_hash, lattice_checksum};
use icecore_types::{Hash, LATTICE_BYTES, LatticeHash};
use serde_json::Value;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text<'a>(truth: &'a Value, key: &str) -> &'a str {
    truth[key].as_str().expect("a text in the truth")
}

fn hash(truth: &Value, key: &str) -> Hash {
    text(truth, key).parse().expect("base58 in the truth")
}

fn number(truth: &Value, key: &str) -> u64 {
    truth[key].as_u64().expect("a number in the truth")
}

fn lattice(truth: &Value) -> LatticeHash {
    let hex = text(truth, "accounts_lt_hash_hex").as_bytes().as_chunks::<2>().0;
    assert_eq!(hex.len(), LATTICE_BYTES);
    let mut bytes = [0; LATTICE_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(hex) {
        let pair = str::from_utf8(pair).expect("hexadecimal digits");
        *byte = u8::from_str_radix(pair, 16).expect("hexadecimal digits");
    }
    LatticeHash::from_bytes(&bytes)
}

/// Recomputes the bank hash of a truth: under the lattice scheme, or with the accounts delta hash of
/// the bank's manifest under the delta scheme.
fn check(path: &Path, accounts_delta_hash: Option<&str>) {
    let file = fs::read(path).expect("the truth can be read");
    let truth: Value = serde_json::from_slice(&file).expect("the truth is JSON");
    let lattice = lattice(&truth);
    let name = path.display();
    let checksum = hash(&truth, "accounts_lt_hash_checksum");
    assert_eq!(lattice_checksum(&lattice), checksum, "{name}");
    let parts = BankHashParts {
        parent_hash: hash(&truth, "parent_hash"),
        signature_count: number(&truth, "signature_count"),
        last_blockhash: hash(&truth, "last_blockhash"),
        lattice: Some(&lattice),
        accounts_delta_hash: accounts_delta_hash.map(|text| text.parse().expect("base58")),
        epoch_accounts_hash: None,
        hard_forks: &[],
        parent_slot: number(&truth, "parent_slot"),
        slot: number(&truth, "slot"),
    };
    let scheme = match accounts_delta_hash {
        None => BankHashScheme::Lattice,
        Some(_) => BankHashScheme::Delta,
    };
    let expected = hash(&truth, "bank_hash");
    assert_eq!(bank_hash(&parts, scheme), Ok(expected), "{name}");
    let wrong = BankHashParts { signature_count: parts.signature_count + 1, ..parts };
    assert_ne!(bank_hash(&wrong, scheme), Ok(expected), "{name}");
}

#[test]
fn the_bundled_banks() {
    for name in ["truth-full-46.json", "truth-incremental-62.json"] {
        check(&workspace().join("testdata/tiny").join(name), None);
    }
}

#[test]
fn the_shared_banks() {
    let shared = env::var_os("ICECORE_SHARED")
        .map_or_else(|| workspace().join("../shared"), PathBuf::from)
        .join("data");
    let mut checked = 0;
    let delta_40 = Some("8KS6hrofGvXWUTHeAG65rxh2FqBTLcb1PwMYJPv6HY7o");
    let delta_56 = Some("3bYtMws2A49eqfeQyeriX2fpMKVqbGsFvu3mVVDbrR6y");
    for (name, accounts_delta_hash) in [
        ("tiny/truth-full-46.json", None),
        ("tiny/truth-incremental-62.json", None),
        ("small/truth-full-235.json", None),
        ("small/truth-incremental-297.json", None),
        ("old-2.3-lattice/truth-full-40.json", None),
        ("old-2.3-lattice/truth-incremental-56.json", None),
        ("old-2.3-merkle/truth-full-40.json", delta_40),
        ("old-2.3-merkle/truth-incremental-56.json", delta_56),
    ] {
        let path = shared.join(name);
        if path.exists() {
            check(&path, accounts_delta_hash);
            checked += 1;
        } else {
            eprintln!("skipped: {} is absent", path.display());
        }
    }
    eprintln!("{checked} banks checked");
}
