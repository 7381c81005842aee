//! Account state over the journal: restored at full speed, fork-aware, readable at any kept slot.

mod attachment;
mod bank;
mod base;
mod checking;
mod commit;
mod compaction;
mod error;
mod events;
pub mod feed;
mod flush;
mod follow;
mod gates;
pub mod ingest;
mod keeper;
mod kept_bank;
mod kept_base;
mod leases;
mod locator;
mod looking_up;
mod made;
mod merging;
mod open;
mod open_slot;
mod options;
mod rebuilding;
mod record;
mod replay;
mod restoring;
mod retention;
mod rooted;
pub mod run;
mod run_set;
mod segments;
mod shared;
mod sight;
mod spilled;
mod spilling;
mod stats;
mod store;
mod stray_runs;
mod summing;
mod tail;
mod taking_back;
mod tree;
mod underway;
mod view;

pub use attachment::{ATTACHMENT_BYTES_MAX, Attachment};
pub use bank::{BankFields, BaseFacts, SlotStatement, StateTotals};
pub use base::BaseFit;
pub use checking::{
    CHECK_FINDINGS_MAX, CheckFinding, CheckPhase, CheckProgress, CheckReport, CheckStep,
};
pub use commit::{DENIALS_STREAM, Pending};
pub use compaction::{Compaction, SegmentUse};
pub use error::Error;
pub use events::{KIND_NAMES, SlotId};
pub use kept_bank::KeptBank;
pub use kept_base::{KeptBase, Succession};
pub use leases::LeaseInfo;
pub use locator::{Locator, SizeClass};
pub use made::{AccountsHashed, FileName, SnapshotIntent, SnapshotMade};
pub use open::{JOURNAL_OWNER, Opened};
pub use open_slot::OpenSlot;
pub use options::{At, CreateOptions, Options, Retention};
pub use rebuilding::{RebuildStep, Rebuilt};
pub use record::{Origin, RecordFault, RecordSeed, Version};
pub use restoring::{Adopted, Content, ContentWriter, RecordWriter, Records, Restoring};
pub use rooted::RootedSlot;
pub use stats::{SlotCounts, Stats};
pub use store::{SlotInfo, Store};
pub use tree::SlotState;
pub use view::{
    AccountChange, AccountVersion, Coverage, GapInfo, HistoryVersion, KeyPart, OwnerFilter,
    RecordHead, View, ViewSlot, VisitedAccount, WindowInfo,
};
