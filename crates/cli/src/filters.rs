//! Which accounts a command gives: the filters of the RPC's `getProgramAccounts`.
//!
//! Owners are alternatives, everything else must hold at once. As at the RPC, compared bytes lie at
//! an offset of the data, and data that ends before them does not match.

use std::{collections::HashSet, str::FromStr};

use clap::Args;
use icecore_store::OwnerFilter;
use icecore_types::{AccountRef, Pubkey};

/// What a single `--memcmp` may compare, in bytes: the reference client's `MAX_DATA_SIZE`
/// (`rpc-client-types` 3.1.8, `filter.rs`).
pub(crate) const COMPARED_BYTES_MAX: usize = 128;

/// Base58 characters that hold as many bytes: `MAX_DATA_BASE58_SIZE` at the same place.
const COMPARED_CHARACTERS_MAX: usize = 175;

/// Filters on account data.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DataFilters {
    /// Only accounts whose data has exactly N bytes
    #[arg(long, value_name = "N")]
    pub(crate) data_size: Option<u64>,

    /// Only accounts whose data holds these bytes at this offset; given again: these, too
    #[arg(long, value_name = "OFFSET:BASE58")]
    pub(crate) memcmp: Vec<Memcmp>,
}

/// Bytes that account data must hold at an offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Memcmp {
    offset: usize,
    bytes: Vec<u8>,
}

impl FromStr for Memcmp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (offset, bytes) = text.split_once(':').ok_or(
            "it is written OFFSET:BASE58, as in 32:So11111111111111111111111111111111111111112",
        )?;
        let offset = offset.parse().map_err(|_| format!("'{offset}' is no offset in bytes"))?;
        if bytes.is_empty() {
            return Err("no bytes to compare behind the ':'".into());
        }
        let too_long = || format!("more than {COMPARED_BYTES_MAX} bytes to compare");
        // Decoding takes time by the square of the length.
        if bytes.len() > COMPARED_CHARACTERS_MAX {
            return Err(too_long());
        }
        let bytes =
            bs58::decode(bytes).into_vec().map_err(|error| format!("not base58: {error}"))?;
        if bytes.len() > COMPARED_BYTES_MAX {
            return Err(too_long());
        }
        Ok(Self { offset, bytes })
    }
}

impl Memcmp {
    /// Bytes that lie at an offset.
    pub(crate) fn at(offset: usize, bytes: &[u8]) -> Self {
        Self { offset, bytes: bytes.to_vec() }
    }

    fn matches(&self, data: &[u8]) -> bool {
        data.get(self.offset..).is_some_and(|rest| rest.starts_with(&self.bytes))
    }
}

/// A choice of accounts.
#[derive(Debug, Clone)]
pub(crate) struct Filter<'a> {
    /// Empty: any owner.
    owners: HashSet<Pubkey>,
    data: &'a DataFilters,
}

impl<'a> Filter<'a> {
    /// Accounts of any of these programs, or of any program if none is named.
    pub(crate) fn new(owners: &[Pubkey], data: &'a DataFilters) -> Self {
        Self { owners: owners.iter().copied().collect(), data }
    }

    /// The programs, in the order of their addresses; none: any.
    pub(crate) fn owners(&self) -> Vec<Pubkey> {
        let mut owners: Vec<_> = self.owners.iter().copied().collect();
        owners.sort_unstable();
        owners
    }

    /// The same without the owners, for a store.
    pub(crate) fn of_owner(&self) -> OwnerFilter {
        let memcmp =
            self.data.memcmp.iter().map(|memcmp| (memcmp.offset as u64, memcmp.bytes.clone()));
        OwnerFilter { data_size: self.data.data_size, memcmp: memcmp.collect() }
    }

    pub(crate) fn matches(&self, account: &AccountRef<'_>) -> bool {
        (self.owners.is_empty() || self.owners.contains(account.owner))
            && self.data.data_size.is_none_or(|bytes| account.data.len() as u64 == bytes)
            && self.data.memcmp.iter().all(|memcmp| memcmp.matches(account.data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memcmp(text: &str) -> Memcmp {
        text.parse().expect("valid")
    }

    #[test]
    fn bytes_match_at_their_offset_and_nowhere_else() {
        // "3yZe7d" is the base58 form of "test".
        let wanted = memcmp("2:3yZe7d");
        assert!(wanted.matches(b"..test"));
        assert!(wanted.matches(b"..test.."));
        for other in [&b"test"[..], b".test", b"..tes", b"..", b"", b"...test"] {
            assert!(!wanted.matches(other), "{other:?}");
        }
        assert!(!memcmp("18446744073709551615:3yZe7d").matches(b"..test"));
        assert!(memcmp("0:111").matches(&[0, 0, 0, 7]));
    }

    #[test]
    fn what_cannot_be_compared_is_refused_with_its_reason() {
        let most = bs58::encode([0xff; COMPARED_BYTES_MAX]).into_string();
        assert_eq!(memcmp(&format!("0:{most}")).bytes, [0xff; COMPARED_BYTES_MAX]);
        let more = bs58::encode([1; COMPARED_BYTES_MAX + 1]).into_string();
        let ones = "1".repeat(COMPARED_BYTES_MAX + 1);
        for (text, reason) in [
            ("3yZe7d", "OFFSET:BASE58"),
            ("x:3yZe7d", "'x' is no offset"),
            ("-1:3yZe7d", "'-1' is no offset"),
            ("18446744073709551616:3yZe7d", "no offset"),
            ("0:", "no bytes to compare"),
            ("0:0OIl", "not base58"),
            (&format!("0:{more}"), "more than 128 bytes"),
            (&format!("0:{ones}"), "more than 128 bytes"),
            (&format!("0:{}", "z".repeat(1_000_000)), "more than 128 bytes"),
        ] {
            let error = text.parse::<Memcmp>().expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn owners_are_alternatives_and_the_rest_holds_at_once() {
        let (one, two, three) = (Pubkey([1; 32]), Pubkey([2; 32]), Pubkey([3; 32]));
        let account = |owner, data| AccountRef {
            pubkey: &Pubkey([9; 32]),
            lamports: 1,
            owner,
            executable: false,
            rent_epoch: 0,
            data,
        };
        let data = DataFilters { data_size: Some(4), memcmp: vec![memcmp("0:3yZe7d")] };
        let filter = Filter::new(&[one, two], &data);
        assert!(filter.matches(&account(&one, b"test")));
        assert!(filter.matches(&account(&two, b"test")));
        assert!(!filter.matches(&account(&three, b"test")));
        assert!(!filter.matches(&account(&one, b"test.")));
        assert!(!filter.matches(&account(&one, b"tess")));
        let none = DataFilters::default();
        assert!(Filter::new(&[], &none).matches(&account(&three, b"")));
    }
}
