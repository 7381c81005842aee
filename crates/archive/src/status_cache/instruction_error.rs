//! Why an instruction failed, with the tags of the reference client (`SerdeInstructionError` of
//! its status cache, 4.2.2). The newer `solana-instruction-error` has no text in `BorshIoError`;
//! the status cache has kept it.

use icecore_types::{Cursor, Wire, WireError};
use serde::Serialize;

use super::wire_enum::wire_enum;

/// The longest text of a `BorshIoError` that is accepted, in bytes. The texts are messages of the
/// standard library and of the codec, about a hundred bytes long; the reference client itself
/// writes an empty one since 3.0.
pub const BORSH_IO_MESSAGE_BYTES_MAX: u64 = 64 << 10;

/// The text of a `BorshIoError`: UTF-8 with a `u64` length of at most
/// [`BORSH_IO_MESSAGE_BYTES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct BorshIoMessage(pub String);

impl Wire for BorshIoMessage {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        let length = cursor.read::<u64>()?;
        if length > BORSH_IO_MESSAGE_BYTES_MAX {
            return Err(WireError::Invalid {
                what: "length of a BorshIoError's text",
                value: length,
            });
        }
        let bytes = cursor.take(length as usize)?;
        match str::from_utf8(bytes) {
            Ok(text) => Ok(Self(text.to_owned())),
            Err(error) => Err(WireError::Invalid {
                what: "byte of UTF-8",
                value: bytes[error.valid_up_to()].into(),
            }),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        (self.0.len() as u64).encode(out);
        out.extend_from_slice(self.0.as_bytes());
    }
}

wire_enum! {
    /// Why an instruction failed. The names are the reference client's.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub enum InstructionError as "instruction error" {
        /// No reason given.
        0 GenericError,
        /// An argument is invalid.
        1 InvalidArgument,
        /// The instruction's data is invalid.
        2 InvalidInstructionData,
        /// An account's data is invalid.
        3 InvalidAccountData,
        /// An account's data is too small.
        4 AccountDataTooSmall,
        /// An account has too few lamports.
        5 InsufficientFunds,
        /// An account belongs to another program.
        6 IncorrectProgramId,
        /// A signature is missing.
        7 MissingRequiredSignature,
        /// An account to be initialized is so already.
        8 AccountAlreadyInitialized,
        /// An account is not initialized.
        9 UninitializedAccount,
        /// Lamports before and after the instruction differ.
        10 UnbalancedInstruction,
        /// An account's owner was changed by another program.
        11 ModifiedProgramId,
        /// An account's lamports were spent by another program.
        12 ExternalAccountLamportSpend,
        /// An account's data was changed by another program.
        13 ExternalAccountDataModified,
        /// A read-only account's lamports were changed.
        14 ReadonlyLamportChange,
        /// A read-only account's data was changed.
        15 ReadonlyDataModified,
        /// An account is named twice.
        16 DuplicateAccountIndex,
        /// An account's executable flag was changed.
        17 ExecutableModified,
        /// An account's rent epoch was changed.
        18 RentEpochModified,
        /// Too few accounts are named.
        19 NotEnoughAccountKeys,
        /// An account's size was changed.
        20 AccountDataSizeChanged,
        /// The account is no program.
        21 AccountNotExecutable,
        /// An account is borrowed already.
        22 AccountBorrowFailed,
        /// An account was left borrowed.
        23 AccountBorrowOutstanding,
        /// Two views of an account differ.
        24 DuplicateAccountOutOfSync,
        /// The program's own error number.
        25 Custom(number: u32),
        /// The program's error number has no meaning.
        26 InvalidError,
        /// A program's data was changed.
        27 ExecutableDataModified,
        /// A program's lamports were changed.
        28 ExecutableLamportChange,
        /// A program would not be exempt from rent.
        29 ExecutableAccountNotRentExempt,
        /// The program is not supported.
        30 UnsupportedProgramId,
        /// Programs call programs too deep.
        31 CallDepth,
        /// An account is missing.
        32 MissingAccount,
        /// A program would call itself through another.
        33 ReentrancyNotAllowed,
        /// A seed is too long.
        34 MaxSeedLengthExceeded,
        /// Seeds give no valid address.
        35 InvalidSeeds,
        /// An account was grown too much.
        36 InvalidRealloc,
        /// The compute budget is spent.
        37 ComputationalBudgetExceeded,
        /// A call asks for more than its caller may.
        38 PrivilegeEscalation,
        /// The program's environment could not be made.
        39 ProgramEnvironmentSetupFailure,
        /// The program did not end well.
        40 ProgramFailedToComplete,
        /// The program did not compile.
        41 ProgramFailedToCompile,
        /// An account is immutable.
        42 Immutable,
        /// A wrong authority signed.
        43 IncorrectAuthority,
        /// Data could not be decoded.
        44 BorshIoError(message: BorshIoMessage),
        /// An account is not exempt from rent.
        45 AccountNotRentExempt,
        /// An account's owner is invalid.
        46 InvalidAccountOwner,
        /// A number left its range.
        47 ArithmeticOverflow,
        /// The sysvar is not supported.
        48 UnsupportedSysvar,
        /// An account's owner may not be that.
        49 IllegalOwner,
        /// Accounts were grown too much together.
        50 MaxAccountsDataAllocationsExceeded,
        /// Too many accounts.
        51 MaxAccountsExceeded,
        /// Too many instructions.
        52 MaxInstructionTraceLengthExceeded,
        /// A built-in program used no compute units.
        53 BuiltinProgramsMustConsumeComputeUnits,
    }
}
