//! What keeps a topology from running, or ended it.

use std::{error::Error as StdError, io};

/// Why a pipeline could not be run, or what ended it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The topology is not sound; nothing was started.
    #[error("topology: {0}")]
    Topology(String),
    /// The system refused what a topology needs.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A tile failed.
    #[error("tile {tile}: {source}")]
    Tile {
        /// Its name.
        tile: String,
        /// The tile's own error, as it gave it.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The run was asked to end.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    pub(crate) fn system(action: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System { action: action.into(), source: source.into() }
    }
}
