//! The node's control socket (design D12): what only the process that writes a store can do, asked for
//! by others.
//!
//! ```text
//! client ──{"request":"compact"}──> node
//!        <──{"answer":"accepted"}──
//!        <──{"answer":"done","result":{...}}──
//! ```
//!
//! One JSON object a line. Requests of one client are answered one after the other; clients do not wait
//! for each other. The socket, `node.sock` in the store's folder, is for its owner alone.

pub(crate) mod client;
mod protocol;
pub(crate) mod server;
pub(crate) mod snapshots;

use std::path::{Path, PathBuf};

pub(crate) use protocol::{Reply, Request};

/// The socket in a store's folder.
pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join("node.sock")
}
