//! Archives to a verdict, and to rows.
//!
//! - [`verify`] says whether a full archive, or a full and an incremental one, hold together.
//! - [`LiveAccounts`] gives the newest version of every live account, for exports and epoch jobs.
//!
//! Invariants:
//! - What is wrong in an archive's bytes is a finding in a verdict; an [`Error`] is something that
//!   keeps the answer from being reached.
//! - The answer does not depend on the number of threads.
//! - Memory grows by [`INDEX_BYTES_PER_RECORD`] for each account record, and by nothing else that
//!   the archive decides beyond named bounds.
//!
//! What it does *not* do: write archives, keep anything on disk, print.

mod account_facts;
mod check_id;
mod checks;
mod error;
mod findings;
mod first_look;
mod genesis;
mod index;
mod live;
mod manifest_facts;
mod pipeline;
mod progress;
mod second_look;
mod settle;
mod source;
mod totals;
mod verdict;
mod verify;

pub use check_id::CheckId;
pub use error::Error;
pub use findings::WrongRecord;
pub use genesis::Genesis;
pub use index::INDEX_BYTES_PER_RECORD;
pub use live::{LiveAccount, LiveAccounts, live_accounts};
pub use pipeline::{batch::Place, decompress::ContainerReport, run::Threads, walk::StorageHead};
pub use progress::Progress;
pub use source::{Pair, Source, candidates, path_of};
pub use totals::Totals;
pub use verdict::{
    Answer, CheckOutcome, NOT_COVERED, Outcome, Recomputed, Report, Stated, Verdict, Work,
};
pub use verify::{Expected, Options, verify};
