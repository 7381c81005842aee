//! `icecore history`: all versions of an account that a store keeps.

use std::{ops::RangeInclusive, str::FromStr};

use clap::Args;
use icecore_store::{Coverage, Error, HistoryVersion};
use icecore_types::{Hash, Pubkey, Slot};
use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    moment::slot,
    options::CommonOptions,
    output::{Answer, Table},
    reading,
    source::StoreOptions,
};

#[derive(Debug, Args)]
#[command(
    after_help = "A version with zero lamports says that the account was closed. Versions of other forks \
are shown as long as these are kept. Exits with 1 when there is no version, with 3 when nothing is \
known of a part of the slots that were asked for."
)]
pub(crate) struct Options {
    /// The account
    #[arg(value_name = "PUBKEY")]
    pubkey: Pubkey,

    #[command(flatten)]
    store: StoreOptions,

    /// Only versions of these slots, the first and the last included; either may be left out
    #[arg(long, value_name = "A:B")]
    slots: Option<SlotRange>,
}

/// Slots from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SlotRange {
    first: Option<Slot>,
    last: Option<Slot>,
}

impl FromStr for SlotRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) =
            text.split_once(':').ok_or("it is written A:B, as in 40:98, 40: or :98")?;
        let end = |text: &str| (!text.is_empty()).then(|| slot(text)).transpose();
        let range = Self { first: end(first)?, last: end(last)? };
        match (range.first, range.last) {
            (Some(first), Some(last)) if first > last => {
                Err(format!("slot {first} comes after slot {last}"))
            }
            _ => Ok(range),
        }
    }
}

impl SlotRange {
    /// The range, if the store reaches as far as it does.
    fn within(self, first: Slot, last: Slot) -> Result<RangeInclusive<Slot>, Error> {
        let asked = [self.first, self.last].into_iter().flatten();
        match asked.into_iter().find(|slot| !(first..=last).contains(slot)) {
            Some(slot) => Err(Error::NotCovered { slot, first, last }),
            None => Ok(self.first.unwrap_or(first)..=self.last.unwrap_or(last)),
        }
    }
}

/// The answer.
#[derive(Debug, Serialize)]
struct Json {
    pubkey: Pubkey,
    versions: Vec<Version>,
    /// Slots within the range of which nothing is known: the first and the last of each stretch.
    gaps: Vec<(Slot, Slot)>,
}

#[derive(Debug, Serialize)]
struct Version {
    /// The slot that it counts from: for a version of a base point, the base point's.
    slot: Slot,
    bank_hash: Hash,
    rooted: bool,
    /// The slot in which it was written; that of a version of a base point can be an earlier one.
    written: Slot,
    base_point: bool,
    lamports: u64,
    owner: Pubkey,
    executable: bool,
    rent_epoch: u64,
    data_len: u64,
    data_blake3: String,
}

impl From<&HistoryVersion> for Version {
    fn from(version: &HistoryVersion) -> Self {
        let account = &version.account;
        Self {
            slot: version.slot,
            bank_hash: version.bank_hash,
            rooted: version.is_rooted,
            written: version.written,
            base_point: version.is_base,
            lamports: account.lamports,
            owner: account.owner,
            executable: account.executable,
            rent_epoch: account.rent_epoch,
            data_len: account.data.len() as u64,
            data_blake3: blake3::hash(&account.data).to_hex().to_string(),
        }
    }
}

pub(crate) fn run(common: &CommonOptions, options: &Options) -> Result<Exit, Failure> {
    let store = reading::open(&options.store.store)?;
    let Coverage { first, last, gaps, .. } = store.coverage();
    let (Some(first), Some(root)) = (first, last) else { return Err(Error::Empty.into()) };
    // Unrooted slots lie above the root.
    let highest = store.slots().iter().map(|slot| slot.number).max().unwrap_or(root).max(root);
    let slots = match options.slots {
        Some(asked) => asked.within(first, highest)?,
        None => first..=highest,
    };
    let found = store.history_of(&options.pubkey, slots.clone())?;
    let json = Json {
        pubkey: options.pubkey,
        versions: found.iter().map(Version::from).collect(),
        gaps: gaps
            .iter()
            .filter(|gap| gap.first <= *slots.end() && *slots.start() <= gap.last)
            .map(|gap| (gap.first, gap.last))
            .collect(),
    };
    let mut answer = Answer::new(common.output);
    match answer.is_display() {
        true => display(&json, &mut answer)?,
        false => answer.object(&json)?,
    }
    answer.finish()?;
    for (first, last) in &json.gaps {
        eprintln!("nothing is known of slots {first} to {last}: they lie in a gap");
    }
    if json.versions.is_empty() {
        eprintln!(
            "icecore: {}: no version in slots {} to {}",
            json.pubkey,
            slots.start(),
            slots.end()
        );
    }
    Ok(match options.slots.is_some() && !json.gaps.is_empty() {
        true => Exit::Incomplete,
        false if !json.versions.is_empty() => Exit::Good,
        false if store.kept_owners().is_empty() => Exit::Bad,
        // It may be of an owner that is not kept.
        false => Exit::Incomplete,
    })
}

fn display(json: &Json, answer: &mut Answer) -> Result<(), Failure> {
    if json.versions.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&[
        ">slot",
        "is",
        ">lamports",
        "owner",
        ">data_len",
        "data_blake3",
        ">written",
        "bank hash",
    ]);
    for version in &json.versions {
        let is = match (version.rooted, version.base_point) {
            (false, _) => "fork",
            (true, true) => "base",
            (true, false) => "rooted",
        };
        let mut row = vec![version.slot.to_string(), is.to_string()];
        match version.lamports {
            0 => row.extend(["closed", "", "", ""].map(String::from)),
            lamports => row.extend([
                lamports.to_string(),
                version.owner.to_string(),
                version.data_len.to_string(),
                version.data_blake3[..16].to_string(),
            ]),
        }
        row.extend([version.written.to_string(), version.bank_hash.to_string()]);
        table.row(row);
    }
    answer.line(format!("{}, {} versions", json.pubkey, json.versions.len()))?;
    for line in table.lines() {
        answer.line(line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_slots_has_two_ends_that_may_be_left_out() {
        let range = |text: &str| text.parse::<SlotRange>().map(|range| (range.first, range.last));
        assert_eq!(range("40:98"), Ok((Some(40), Some(98))));
        assert_eq!(range("40:"), Ok((Some(40), None)));
        assert_eq!(range(":98"), Ok((None, Some(98))));
        assert_eq!(range(":"), Ok((None, None)));
        assert!(range("98:40").is_err_and(|error| error.contains("comes after")));
        assert!(range("40").is_err_and(|error| error.contains("A:B")));
        assert!(range("x:40").is_err_and(|error| error.contains("'x' is no slot")));
    }

    #[test]
    fn a_range_must_lie_within_what_is_kept() {
        let within = |text: &str| text.parse::<SlotRange>().expect("a range").within(24, 127);
        assert_eq!(within("24:127").expect("covered"), 24..=127);
        assert_eq!(within(":").expect("covered"), 24..=127);
        assert_eq!(within("90:").expect("covered"), 90..=127);
        for (text, outside) in [("23:40", 23), (":128", 128), ("200:", 200)] {
            let error = within(text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("slot {outside} lies outside")), "{error}");
        }
    }
}
