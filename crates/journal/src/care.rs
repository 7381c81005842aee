//! Care for a journal: looking into it, finding out what is wrong with it, saving what is not, and
//! copying it. Works on folders; nobody needs to have the journal open, and nothing in it is changed.

mod check;
mod copy;
mod dump;
mod overview;
pub(crate) mod reduced;
mod rewrite;
mod salvage;
mod sources;
#[cfg(test)]
mod tests;
pub(crate) mod walk;

pub use check::{CheckOptions, Checked, FINDINGS_MAX, Finding, Severity, check};
pub use copy::{Copied, CopyOptions, copy};
pub use dump::{Piece, Take, dump};
pub use overview::{
    DataOverview, GapOverview, LineageOverview, Overview, SegmentOverview, overview,
};
pub use salvage::{PROBLEMS_MAX, Problem, Salvaged, salvage};
