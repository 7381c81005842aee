//! What the service says of its work.

use std::{fmt, time::Duration};

use icecore_store::{AccountsHashed, SnapshotMade};
use icecore_types::Slot;

use super::Kind;

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// An archive is begun.
    Begun {
        /// Which.
        kind: Kind,
        /// Its slot.
        slot: Slot,
        /// The slot of the full archive that it builds on.
        base: Option<Slot>,
    },
    /// An archive has its name.
    Made {
        /// What the journal says of it.
        made: SnapshotMade,
        /// How long it took.
        time: Duration,
    },
    /// An archive of this store was found that the journal did not know.
    Found {
        /// What the journal says of it now.
        made: SnapshotMade,
    },
    /// An archive was not made.
    Failed {
        /// Which.
        kind: Kind,
        /// Its slot.
        slot: Slot,
        /// Why.
        why: String,
    },
    /// Accounts were hashed.
    Hashed {
        /// What the journal says.
        hashed: AccountsHashed,
        /// How long it took.
        time: Duration,
    },
    /// Accounts were not hashed.
    NotHashed {
        /// Of which slot.
        slot: Slot,
        /// Why.
        why: String,
    },
    /// An archive is gone, as there are newer ones.
    Retired {
        /// What it was called.
        name: String,
    },
    /// An archive should go and is being read.
    InUse {
        /// What it is called.
        name: String,
    },
    /// No file is free for an archive: all that are there are being read.
    NoFile {
        /// Which.
        kind: Kind,
        /// Its slot.
        slot: Slot,
    },
    /// Something does not work, and is tried again.
    Trouble {
        /// What.
        what: String,
    },
}

impl Kind {
    /// Its word, for messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun { kind, slot, base } => {
                write!(out, "making the {} snapshot of slot {slot}", kind.word())?;
                base.map_or(Ok(()), |base| write!(out, " on {base}"))
            }
            Self::Made { made, time } => write!(
                out,
                "made {}: {} accounts, {} bytes, {:.2} s",
                made.name.0,
                made.num_accounts,
                made.bytes,
                time.as_secs_f64()
            ),
            Self::Found { made } => write!(out, "found {}, made before", made.name.0),
            Self::Failed { kind, slot, why } => {
                write!(out, "the {} snapshot of slot {slot} was not made: {why}", kind.word())
            }
            Self::Hashed { hashed, time } if hashed.agrees() => write!(
                out,
                "the accounts of slot {} are those that it states ({} accounts, {:.2} s); accounts hash {}",
                hashed.slot,
                hashed.num_accounts,
                time.as_secs_f64(),
                hashed.merkle
            ),
            Self::Hashed { hashed, .. } => write!(
                out,
                "THE ACCOUNTS OF SLOT {} ARE NOT THOSE THAT IT STATES: lattice hash {}, stated {}; capitalization {}, stated {}; run `icecore store check`",
                hashed.slot,
                hashed.lattice_checksum,
                hashed.stated_lattice_checksum,
                hashed.capitalization,
                hashed.stated_capitalization
            ),
            Self::NotHashed { slot, why } => {
                write!(out, "the accounts of slot {slot} were not hashed: {why}")
            }
            Self::Retired { name } => write!(out, "{name} has gone, as there are newer ones"),
            Self::InUse { name } => write!(out, "{name} is being read; it goes later"),
            Self::NoFile { kind, slot } => write!(
                out,
                "the {} snapshot of slot {slot} has to wait: older ones are being read",
                kind.word()
            ),
            Self::Trouble { what } => write!(out, "{what}; trying again"),
        }
    }
}
