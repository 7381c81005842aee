//! What can be wrong with a control page or a pin.

/// A control page that tells nothing, or a pin that could not be had or kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// No writer has ever opened the journal with this page.
    #[error(
        "no writer has set up the control page yet; read what the manifest names, or try again when one has opened the journal"
    )]
    Unset,
    /// The page is of another version.
    #[error(
        "the control page has version {found}, this program knows {known}; use the program that the writer belongs to"
    )]
    Version {
        /// What the page says.
        found: u32,
        /// What this program writes and reads.
        known: u32,
    },
    /// The page belongs to another store.
    #[error(
        "the control page belongs to another store; its file was copied or moved here: remove it while no writer runs"
    )]
    OtherStore,
    /// A writer was in the middle of a change all the time, or died there.
    #[error(
        "the writer did not finish a change of the control page; it may have died: see whether it runs, and try again; the next writer repairs the page"
    )]
    Unsettled,
    /// Values that cannot be.
    #[error("the control page is damaged: {what}; the next writer repairs it")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// This process may only read the page.
    #[error(
        "the control page cannot be written to, so nothing can be pinned; give this process the right to write to the journal's file `control`"
    )]
    ReadOnly,
    /// All places for pins are taken.
    #[error("all {max} pins are taken; wait until a reader ends or its lease does")]
    PinsFull {
        /// How many there are.
        max: usize,
    },
    /// The lease had ended, and the pin was taken back.
    #[error("the pin is lost: its lease had ended; pin again and start over, and renew more often")]
    PinLost,
}
