//! The checks of a verdict, by number.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! checks {
    ($($id:ident $title:literal)*) => {
        /// A check. Every verdict has every one of them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each has its title")]
        pub enum CheckId { $($id),* }

        impl CheckId {
            /// All checks, in the order in which a verdict lists them.
            pub const ALL: &'static [Self] = &[$(Self::$id),*];

            /// The id as text, as in `C1`.
            pub fn id(self) -> &'static str {
                match self { $(Self::$id => stringify!($id)),* }
            }

            /// What is checked.
            pub fn title(self) -> &'static str {
                match self { $(Self::$id => $title),* }
            }
        }
    };
}

checks! {
    C1 "file name"
    C2 "container complete"
    C3 "tar members"
    C4 "version"
    C5 "manifest, status cache, storages there"
    M1 "manifest decodes"
    M2 "manifest's slot is the name's"
    M3 "incremental builds on the full"
    M4 "hash in the name"
    M5 "bank hash from its parts"
    M6 "ticks and epoch schedule"
    M7 "slot leader"
    M8 "epoch stakes"
    M9 "blockhash queue"
    M10 "hard forks"
    M11 "stakes cache against accounts"
    M12 "storages list"
    A1 "account records"
    A2 "no account twice in a storage"
    A3 "no storage above the slot"
    S1 "capitalization"
    S2 "accounts hash"
    T1 "status cache"
    T2 "status cache against slot history"
    Y1 "clock sysvar"
    Y2 "epoch schedule sysvar"
    Y3 "rent sysvar"
    Y4 "recent blockhashes sysvar"
    Y5 "slot hashes sysvar"
    Y6 "stake history sysvar"
    Y7 "slot history sysvar"
    Y8 "last restart slot sysvar"
    G1 "genesis"
    K1 "anchors"
}

impl CheckId {
    /// The check that an error of `icecore-archive` fails.
    pub(crate) fn of(error: &icecore_archive::Error) -> Self {
        let id = error.check_id();
        Self::ALL
            .iter()
            .copied()
            .find(|check| check.id() == id)
            .expect("icecore-archive names checks of this list")
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

impl Serialize for CheckId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}
