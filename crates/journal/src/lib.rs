//! An embedded event store for one machine: one process writes, many read.

mod append;
mod batch;
mod bulk;
pub mod care;
mod causality;
mod checkpoint;
mod compaction;
mod control;
mod cursor;
mod digest;
mod dropping;
mod error;
mod extent_digest;
mod extents;
mod feed;
mod format;
mod gate;
mod graph;
mod head;
mod history;
mod index;
mod journal;
mod keeping;
mod keys;
mod kinds;
mod layer;
mod lookup;
mod merkle;
mod mountain;
mod open;
mod pinning;
mod primitives;
mod projection;
mod proof;
mod proving;
mod read;
mod reader;
mod receipt;
mod recovery;
mod reserve;
mod scan;
mod segment;
mod signing;
mod stream_heads;
mod subscription;
mod typed;
mod verify;
mod window;
mod writer;

pub use append::AppendOptions;
pub use batch::{Batch, EventRef, NewEvent, PAYLOAD_BYTES_MAX};
pub use bulk::{
    BULK_STREAM, BulkSession,
    segment::{BulkExtent, BulkSegment},
    writer::{BulkSpace, BulkWriter},
};
pub use causality::{Ancestors, Causality, CausalityError, Descendants, Graph, Node, Placement};
pub use compaction::{
    COMPACTIONS_STREAM, Compacted, CompactionRecord, CompactionRule, DecideExtent, ExtentFate,
};
pub use control::ControlError;
pub use cursor::{Cursor, CursorStatus};
pub use digest::{Digest, StoreId};
pub use dropping::{DropReport, DropRule, GAPS_STREAM, GapRecord};
pub use error::{Error, Malformed};
pub use extents::{
    DATA_SEGMENT_BYTES_END,
    read::ExtentReader,
    segment_bytes::{DataSegmentBytes, DataSegmentInfo},
    writer::ExtentWriter,
};
pub use feed::{Dropped, Followed};
pub use format::{
    annex::IDEMPOTENCY_KEY_BYTES_MAX,
    frame::{FRAME_BYTES_MAX, FRAME_EVENTS_MAX},
    record::{
        EXTENTS_MAX, Extent, INLINE_PAYLOAD_BYTES_END, PARENTS_MAX, RECORD_BYTES_MAX,
        SCOPE_BYTES_MAX, STREAM_BYTES_MAX,
    },
};
pub use gate::{
    DENIAL_CODE_BYTES_MAX, DENIAL_MESSAGE_BYTES_MAX, Denial, DenialRecord, GATE_NAME_BYTES_MAX,
    GATE_PANICKED, GATES_MAX, Gate, GateOutcomes, Gates, GatesError, Proposal, ProposedEvent,
};
pub use head::{Head, KeyId, PublicKey, SIGNED_HEAD_BYTES, SignedHead, SigningKey};
pub use history::History;
pub use journal::{Journal, Options, Policy};
pub use kinds::{
    KIND_NAME_BYTES_MAX, KindError, Kinds, KindsBuilder, KindsError, Payload, PayloadError, Upcast,
    reserved,
};
pub use open::{CreateOptions, Indexes};
pub use pinning::{OwnPin, ReaderPin};
pub use projection::{Projection, Projector, ProjectorOptions};
pub use proof::{
    ConsistencyProof, EventProof, FrameProof, ProofError, VerifiedEvent, VerifiedFrame,
};
pub use read::Event;
pub use reader::Reader;
pub use receipt::Receipt;
pub use recovery::Recovery;
pub use scan::{By, Query, Scan};
pub use segment::described::SegmentFile;
pub use subscription::Subscription;
pub use verify::{Report, Verified, VerifyOptions, WorkProgress};
pub use writer::{
    accept::Expectation,
    ticket::{Durability, Ticket},
    watermarks::{Progress, Stage},
};

/// For fuzz targets only.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::{
        control::fuzzing::control,
        format::{
            checkpoint::fuzzing::checkpoint, fuzzing::frames, manifest::fuzzing::manifest,
            reduced::fuzzing::reduced, segment_header::fuzzing::segment_header,
        },
        index::fuzzing::index_file,
        proof::fuzzing::journal_proof,
    };
}

/// The guide's blocks are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/journal.md")]
struct Guide;
