//! For the fuzz target only: a chain segment of any bytes.

use crate::{
    StoreId,
    digest::StoreKeys,
    format::{
        FRAME_ALIGNMENT,
        frame::FrameScratch,
        record::Record,
        walk::{Step, step},
    },
};

/// Walks from frame to frame; what is one can be taken apart, and every step comes forward.
pub fn frames(bytes: &[u8]) {
    let keys = StoreKeys::new(&StoreId([7; 16]));
    let mut scratch = FrameScratch::default();
    let mut offset = 0;
    while offset < bytes.len() as u64 {
        let next = match step(&bytes[offset as usize..], offset) {
            Step::Frame { frame, next } => {
                frame.is_authentic(&keys, &mut scratch);
                let _ = frame.annex().map(|annex| annex.gates());
                for (at, bytes) in frame.records() {
                    assert!(at + bytes.len() <= frame.bytes.len(), "records lie in their frame");
                    if let Ok(record) = Record::decode(bytes) {
                        assert!(!record.stream.is_empty());
                        assert!(record.parents().count() <= crate::format::record::PARENTS_MAX);
                        record.extents().for_each(drop);
                    }
                }
                next
            }
            Step::Mark { next, .. } | Step::Padding { next } => next,
            Step::Needs(needs) => {
                assert!(needs > bytes.len() - offset as usize, "only what is not there is needed");
                offset + FRAME_ALIGNMENT
            }
            Step::Bad(_) => offset + FRAME_ALIGNMENT,
        };
        assert!(next > offset, "every step comes forward");
        assert_eq!(next % FRAME_ALIGNMENT, 0, "every step ends where a frame may begin");
        offset = next;
    }
}
