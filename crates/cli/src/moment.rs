//! Points of a store's history, as they are typed: the root, a slot, a slot of a fork.

use std::{fmt, str::FromStr};

use clap::Args;
use icecore_store::{At, Error, Store};
use icecore_types::{Hash, Slot};

/// A point of a store's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The last final slot.
    Root,
    /// A final slot, or the last one before it.
    Slot(Slot),
    /// A slot of any fork that is kept.
    Fork(ForkName),
}

/// A slot of a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForkName {
    pub(crate) slot: Slot,
    pub(crate) bank_hash: Option<Hash>,
}

/// When a store is read.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct AtOptions {
    /// With a store: the slot whose final state is read, or the last one before it [default: ROOT]
    #[arg(long, value_name = "N|ROOT", conflicts_with = "fork", value_parser = final_slot)]
    at_slot: Option<Moment>,

    /// With a store: a slot of any fork that is kept
    #[arg(long, value_name = "SLOT[@BANK_HASH]")]
    fork: Option<ForkName>,
}

impl AtOptions {
    /// What was asked for, if anything was.
    pub(crate) fn asked(&self) -> Option<Moment> {
        self.fork.map(Moment::Fork).or(self.at_slot)
    }
}

impl Moment {
    /// Where in a store to look.
    pub(crate) fn find(self, store: &Store) -> Result<At, Error> {
        match self {
            Self::Root => Ok(At::Root),
            Self::Slot(slot) => Ok(At::Slot(slot)),
            Self::Fork(ForkName { slot, bank_hash }) => {
                store.find_fork(slot, bank_hash).map(At::Fork)
            }
        }
    }

    /// What the answer is of, for a person.
    pub(crate) fn told(self, found: Slot, bank_hash: Hash) -> String {
        match self {
            Self::Root => format!("at slot {found}, the root"),
            Self::Slot(asked) if asked == found => format!("at slot {found}"),
            Self::Slot(asked) => format!("at slot {found}, the last rooted one before {asked}"),
            Self::Fork(_) => format!("at slot {found} of the fork with the bank hash {bank_hash}"),
        }
    }
}

fn final_slot(text: &str) -> Result<Moment, String> {
    match text {
        "ROOT" | "root" => Ok(Moment::Root),
        _ => slot(text).map(Moment::Slot).map_err(|error| format!("{error}, nor ROOT")),
    }
}

pub(crate) fn slot(text: &str) -> Result<Slot, String> {
    text.parse().map_err(|_| format!("'{text}' is no slot"))
}

impl FromStr for ForkName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((number, hash)) = text.split_once('@') else {
            return Ok(Self { slot: slot(text)?, bank_hash: None });
        };
        let bank_hash = hash.parse().map_err(|_| format!("'{hash}' is no bank hash"))?;
        Ok(Self { slot: slot(number)?, bank_hash: Some(bank_hash) })
    }
}

impl fmt::Display for ForkName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bank_hash {
            Some(hash) => write!(formatter, "{}@{hash}", self.slot),
            None => write!(formatter, "{}", self.slot),
        }
    }
}

/// Where one argument may be any of them: a number is a final slot, one with a bank hash a fork's.
impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.contains('@') {
            true => text.parse().map(Self::Fork),
            false => final_slot(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        let hash = "E56UEusXZfdrQBTzm1uukmCeEeJW6H6c2jqWJwWynWVF";
        assert_eq!("ROOT".parse(), Ok(Moment::Root));
        assert_eq!("77".parse(), Ok(Moment::Slot(77)));
        let fork: Moment = format!("77@{hash}").parse().expect("a fork");
        let Moment::Fork(name) = fork else { panic!("{fork:?}") };
        assert_eq!((name.slot, name.to_string()), (77, format!("77@{hash}")));
        assert_eq!("9".parse::<ForkName>().map(|name| name.bank_hash), Ok(None));
        for (text, reason) in [
            ("", "is no slot, nor ROOT"),
            ("-1", "is no slot, nor ROOT"),
            ("7@", "is no bank hash"),
            ("@x", "'x' is no bank hash"),
            ("x@11111111111111111111111111111111", "'x' is no slot"),
        ] {
            let error = text.parse::<Moment>().expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
    }
}
