//! What is said on the socket.

use std::path::PathBuf;

use icecore_types::{Hash, Slot};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Who the node is, and how far.
    Stats,
    /// Make a slot final, with its ancestors.
    Root {
        /// Its number.
        slot: Slot,
        /// Where several kept slots bear the number: its bank hash.
        bank_hash: Option<Hash>,
    },
    /// Give back space.
    Compact,
    /// Ingest a slot feed.
    Ingest {
        /// The file, from the root of the file system.
        file: PathBuf,
        /// Stop after this slot.
        until: Option<Slot>,
        /// Whether a gap may be recorded.
        #[serde(default)]
        allow_gap: bool,
    },
    /// Make a full snapshot archive.
    Snapshot {
        /// Of which slot, now or once it is final; `None`: of the newest that can be had.
        #[serde(default)]
        slot: Option<Slot>,
    },
    /// Make an incremental one.
    Incremental {
        /// As above.
        #[serde(default)]
        slot: Option<Slot>,
    },
    /// Read and hash all accounts.
    AccountsHash {
        /// Of which slot; `None`: of the root.
        #[serde(default)]
        slot: Option<Slot>,
    },
}

/// What the node says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// It is begun; another answer follows.
    Accepted,
    /// It is not begun: other work of its kind goes on.
    Busy {
        /// What goes on.
        message: String,
    },
    /// It is not begun: the slot lies before all that is kept.
    SlotInPast {
        /// What is kept.
        message: String,
    },
    /// It is not begun: there is no such thing to be had.
    NotAvailable {
        /// Why not, and what can be had.
        message: String,
    },
    /// It is done.
    Done {
        /// What there is to say.
        result: Value,
    },
    /// It did not work.
    Error {
        /// Why.
        message: String,
        /// What a command ends with that asked for it.
        exit_code: u8,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_are_one_json_object_each() {
        for (request, text) in [
            (Request::Stats, r#"{"request":"stats"}"#),
            (Request::Compact, r#"{"request":"compact"}"#),
            (
                Request::Root { slot: 7, bank_hash: None },
                r#"{"request":"root","slot":7,"bank_hash":null}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&request).expect("JSON"), text);
            assert_eq!(serde_json::from_str::<Request>(text).expect("a request"), request);
        }
        let short: Request =
            serde_json::from_str(r#"{"request":"ingest","file":"/f"}"#).expect("a request");
        assert_eq!(short, Request::Ingest { file: "/f".into(), until: None, allow_gap: false });
        assert!(serde_json::from_str::<Request>(r#"{"request":"dance"}"#).is_err());
        for (text, request) in [
            (r#"{"request":"snapshot"}"#, Request::Snapshot { slot: None }),
            (r#"{"request":"incremental","slot":9}"#, Request::Incremental { slot: Some(9) }),
            (r#"{"request":"accounts-hash","slot":null}"#, Request::AccountsHash { slot: None }),
        ] {
            assert_eq!(serde_json::from_str::<Request>(text).expect("a request"), request);
        }
        let past = Reply::SlotInPast { message: "why".into() };
        let past = serde_json::to_string(&past).expect("JSON");
        assert_eq!(past, r#"{"answer":"slot-in-past","message":"why"}"#);
        let done = serde_json::to_string(&Reply::Done { result: 7.into() }).expect("JSON");
        assert_eq!(done, r#"{"answer":"done","result":7}"#);
    }
}
