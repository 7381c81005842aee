//! Accounts of the upgradeable BPF loader: a program names the account that holds its code.
//!
//! Wire shape (`solana-loader-v3-interface` 7.0): a `u32` tag and the state. Code follows at a
//! fixed offset, whether or not the authority before it is there.

use icecore_types::{Cursor, Pubkey, Slot};

/// Bytes of a buffer before its code.
pub const BUFFER_HEADER_BYTES: usize = 4 + 1 + 32;

/// Bytes of a program data account before its code.
pub const PROGRAM_DATA_HEADER_BYTES: usize = 4 + 8 + 1 + 32;

/// What an account of the upgradeable loader holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoaderState<'a> {
    /// Nothing yet.
    Uninitialized,
    /// Code that is being uploaded.
    Buffer {
        /// Who may write it; `None` makes it immutable.
        authority: Option<Pubkey>,
        /// The code.
        code: &'a [u8],
    },
    /// A program: what transactions call.
    Program {
        /// The account that holds its code.
        program_data: Pubkey,
    },
    /// A program's code.
    ProgramData {
        /// The slot at which it was last deployed.
        slot: Slot,
        /// Who may replace it; `None` makes it immutable.
        upgrade_authority: Option<Pubkey>,
        /// The code.
        code: &'a [u8],
    },
}

impl<'a> LoaderState<'a> {
    /// Decodes account data; `None` when it is not a state of this loader.
    pub fn decode(data: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor::new(data);
        match cursor.read::<u32>().ok()? {
            0 => Some(Self::Uninitialized),
            1 => Some(Self::Buffer {
                authority: cursor.read().ok()?,
                code: data.get(BUFFER_HEADER_BYTES..).unwrap_or_default(),
            }),
            2 => Some(Self::Program { program_data: cursor.read().ok()? }),
            3 => Some(Self::ProgramData {
                slot: cursor.read().ok()?,
                upgrade_authority: cursor.read().ok()?,
                code: data.get(PROGRAM_DATA_HEADER_BYTES..).unwrap_or_default(),
            }),
            _ => None,
        }
    }
}
