//! The only crate that opens files and reads clocks and randomness.
//!
//! Invariants:
//! - Every error names the path, what was tried, where (the offset, if there is one) and what to do.
//! - A published file is whole: it is written under a temporary name, synced, and renamed without
//!   replacing anything; what fails before that leaves nothing behind.
//! - Scratch files have no name: they vanish with the process, however it ends.
//! - What a store needs goes through [`Disk`], so that it runs unchanged on [`RealDisk`] and on
//!   [`SimulatedDisk`], which crashes, fails and rots as told.
//!
//! What it does *not* do: know any format, retry, or decide what an error means for an answer.

mod aligned;
mod clock;
mod disk;
mod error;
mod export;
mod file;
mod folder;
mod growing;
mod held;
mod machine;
mod mapping;
mod output;
mod process;
mod real;
mod scratch;
mod sequential;
mod shared_page;
mod simulated;
mod socket;

pub use aligned::{AlignedBuffer, DIRECT_BYTES};
pub use clock::Stopwatch;
pub use disk::{
    Access, Disk, DiskFile, Lock, ProcessIdentity, SHARED_PAGE_BYTES, SHARED_PAGE_WORDS, SharedPage,
};
pub use error::Error;
pub use export::ExportFolder;
pub use file::{File, StandardInput};
pub use folder::{FolderEntry, absolute, exists, is_folder, list};
pub use growing::GrowingMapping;
pub use held::{HeldFile, HeldFolder};
pub use machine::{Machine, machine, try_direct_reads};
pub use mapping::{Mapping, is_resident, prefetch, will_need};
pub use output::{Output, Publish};
pub use process::{MemoryUse, memory_use, memory_use_of_family};
pub use real::RealDisk;
pub use scratch::Scratch;
pub use sequential::{
    DirectMode, ReadMethod, ReadMethodUsed, ReadOptions, ReaderDescriptor, SequentialReader,
};
pub use simulated::{Fault, FaultKind, FaultPoint, SimulatedDisk};
pub use socket::{connect, listen};
