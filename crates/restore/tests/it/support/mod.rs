//! What the tests share: where data lies, archives that can be edited, verification in one line.

mod data;
mod form;
mod pack;
mod rehash;
mod run;
mod storage;

pub(crate) use data::{archives_in, shared, tiny, tiny_full, tiny_incremental};
pub(crate) use form::{Form, Member};
pub(crate) use pack::{lz4, unpack, zstd, zstd_frame};
pub(crate) use rehash::{Forms, seal, state_of};
pub(crate) use run::{failed, genesis, strict, verify_files, verify_files_with, warned};
pub(crate) use storage::{RecordAt, append, encode, field, record, records};
