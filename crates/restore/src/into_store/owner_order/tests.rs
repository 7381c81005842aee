//! The order of owners against a sorted set.

use std::collections::BTreeSet;

use icecore_store::SizeClass;
use proptest::prelude::*;

use super::*;
use crate::spill::SpillSpace;

/// An index that keeps its rows.
struct Lists;

type Rows = Vec<([u8; 64], Locator)>;

impl Index<64> for Lists {
    type Part = Rows;
    type Finished = Rows;
    type Run = Rows;

    fn part(&self) -> Rows {
        Vec::new()
    }

    fn push(&self, part: &mut Rows, key: &[u8; 64], locator: Locator) {
        part.push((*key, locator));
    }

    fn finish(&self, part: Rows) -> Rows {
        part
    }

    fn append(&self, run: &mut Rows, mut part: Rows) -> Result<(), Error> {
        run.append(&mut part);
        Ok(())
    }

    fn add(&self, run: &mut Rows, key: &[u8; 64], locator: Locator) -> Result<(), Error> {
        run.push((*key, locator));
        Ok(())
    }
}

/// Owners that differ in their last bytes only, not in the order of their numbers.
fn owner(number: u32) -> Pubkey {
    let mut owner = Pubkey([0x11; 32]);
    owner.0[28..].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_le_bytes());
    owner
}

/// Accounts by pubkey, in two bins: the owner's number, the key, where the record lies.
fn accounts(owners: &[u32]) -> Vec<(u32, Pubkey, Locator)> {
    let account = |(number, owner): (usize, &u32)| {
        let mut key = Pubkey([number as u8 % 2; 32]);
        key.0[28..].copy_from_slice(&(number as u32 / 2).swap_bytes().to_le_bytes());
        (*owner, key, Locator::new(1, number as u64 * 8, SizeClass::of(0)))
    };
    let mut accounts: Vec<_> = owners.iter().enumerate().map(account).collect();
    accounts.sort_unstable_by_key(|(_, key, _)| *key);
    accounts
}

/// Orders accounts whose owners have numbers below `owners_max`, the others none.
fn ordered(
    accounts: &[(u32, Pubkey, Locator)],
    owners_max: u32,
    bytes_max: usize,
    threads: usize,
    space: &SpillSpace,
) -> Rows {
    let mut counts = vec![0; owners_max as usize];
    for (number, ..) in accounts {
        if let Some(count) = counts.get_mut(*number as usize) {
            *count += 1;
        }
    }
    let memory =
        OrderMemory { gather_bytes: bytes_max, sort_bytes: bytes_max, others_bytes: bytes_max };
    let ranks = Ranks::new((0..owners_max).map(owner).collect(), &counts);
    let order = OwnerOrder::new(ranks, memory, space.file());
    // The last bin comes first: threads need not keep to the order of bins.
    for bin in [1, 0] {
        let mut taking = order.begin(bin);
        let of_bin = accounts.iter().filter(|(_, key, _)| usize::from(key.0[0]) == bin);
        for (number, key, locator) in of_bin {
            let taken = match *number {
                number if number >= owners_max => taking.push_other(&owner(number), key, *locator),
                number => taking.push(number, key, *locator),
            };
            taken.expect("taken");
        }
        taking.finish().expect("taken");
    }
    order.write(&Lists, Vec::new(), threads, &Progress::default()).expect("ordered")
}

/// The same, of the model.
fn expected(accounts: &[(u32, Pubkey, Locator)]) -> Rows {
    let row = |(number, key, locator): &(u32, Pubkey, Locator)| {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&owner(*number).0);
        bytes[32..].copy_from_slice(&key.0);
        (bytes, *locator)
    };
    accounts.iter().map(row).collect::<BTreeSet<_>>().into_iter().collect()
}

proptest! {
    #[test]
    fn accounts_come_by_owner_and_key(
        owners in prop::collection::vec(0u32..12, 0..300),
        owners_max in 0u32..14,
        bytes_max in prop::sample::select(vec![200, 1000, 1 << 20]),
        threads in 1usize..4,
    ) {
        let accounts = accounts(&owners);
        let space = SpillSpace::new(None);
        let ordered = ordered(&accounts, owners_max, bytes_max, threads, &space);
        prop_assert_eq!(ordered, expected(&accounts));
    }
}

#[test]
fn one_owner_of_all_and_an_owner_for_each_are_ordered_within_the_bound() {
    const ACCOUNTS: u32 = 60_000;
    let each: Vec<u32> = (0..ACCOUNTS).collect();
    let one = vec![0; ACCOUNTS as usize];
    // Most accounts are of one, the rest of many.
    let most: Vec<u32> = (0..ACCOUNTS).map(|number| number.saturating_sub(ACCOUNTS / 2)).collect();
    for (owners, owners_max) in
        [(&one, 1), (&each, ACCOUNTS), (&each, 1000), (&most, ACCOUNTS), (&most, 3), (&each, 0)]
    {
        let accounts = accounts(owners);
        let space = SpillSpace::new(None);
        let (bytes_max, threads) = (256 << 10, 3);
        let ordered = ordered(&accounts, owners_max, bytes_max, threads, &space);
        assert_eq!(ordered.len(), ACCOUNTS as usize);
        assert!(ordered == expected(&accounts), "{owners_max} owners with numbers");
        // Each thread sorts and reads, while others without numbers wait.
        let held_max = (threads * (bytes_max + BUFFER_BYTES_MIN) + bytes_max) as u64;
        assert!(space.bytes_held_max() <= held_max, "{} bytes", space.bytes_held_max());
    }
}

#[test]
fn groups_have_about_as_many_accounts_and_owners_with_many_are_alone() {
    let counts: Vec<u64> =
        (0..1000).map(|number| if number == 7 { 4_000_000 } else { 4_000 }).collect();
    let ranks = Ranks::new((0..1000).map(owner).collect(), &counts);
    assert!(ranks.groups().len() > 100);
    let alone = ranks.group_of(ranks.rank(7));
    assert_eq!(ranks.groups()[alone].len(), 1);
    let tasks = ranks.tasks(300);
    let parts: Vec<_> = tasks.iter().filter(|task| task.group == alone).collect();
    assert!(parts.len() > 50, "it is read by several threads");
    let pieces: Vec<_> = parts.iter().flat_map(|task| task.pieces.clone()).collect();
    assert_eq!(pieces, (0..300).collect::<Vec<_>>());
    for (group, owners) in ranks.groups().iter().enumerate().filter(|(group, _)| *group != alone) {
        let accounts = owners.len() as u64 * 4_000;
        assert!(accounts <= counts.iter().sum::<u64>() / 256, "group {group}");
        assert_eq!(tasks.iter().filter(|task| task.group == group).count(), 1);
    }
}
