//! Why a transaction failed, with the tags of the reference client (`SerdeTransactionError` of
//! its status cache, 4.2.2; `solana-transaction-error` 3.x). 2.x writes the same tags.

use icecore_types::{Cursor, Wire, WireError};
use serde::{Serialize, Serializer};

use super::{InstructionError, wire_enum::wire_enum};

/// A transaction's result: tag 0 for success, 1 and the reason for failure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TransactionResult {
    /// It succeeded.
    #[default]
    Ok,
    /// It failed.
    Err(TransactionError),
}

impl Wire for TransactionResult {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        match cursor.read::<u32>()? {
            0 => Ok(Self::Ok),
            1 => cursor.read().map(Self::Err),
            tag => Err(WireError::Invalid { what: "result tag", value: tag.into() }),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ok => 0u32.encode(out),
            Self::Err(error) => {
                1u32.encode(out);
                error.encode(out);
            }
        }
    }
}

/// As in the reference client's JSON: `{"Ok": null}` or `{"Err": ...}`.
impl Serialize for TransactionResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Ok => Ok(()),
            Self::Err(error) => Err(error),
        }
        .serialize(serializer)
    }
}

wire_enum! {
    /// Why a transaction failed. The names are the reference client's.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub enum TransactionError as "transaction error" {
        /// An account was locked by another transaction.
        0 AccountInUse,
        /// The transaction names an account twice.
        1 AccountLoadedTwice,
        /// An account to be debited does not exist.
        2 AccountNotFound,
        /// The program to be called does not exist.
        3 ProgramAccountNotFound,
        /// The fee payer has too few lamports.
        4 InsufficientFundsForFee,
        /// The fee payer may not pay fees.
        5 InvalidAccountForFee,
        /// The transaction was executed before.
        6 AlreadyProcessed,
        /// The blockhash is too old or unknown.
        7 BlockhashNotFound,
        /// The instruction of that index failed.
        8 InstructionError(index: u8, error: InstructionError),
        /// Loaders call loaders too deep.
        9 CallChainTooDeep,
        /// A fee is due and no signature is there.
        10 MissingSignatureForFee,
        /// An index of an account is out of range.
        11 InvalidAccountIndex,
        /// A signature does not verify.
        12 SignatureFailure,
        /// The program may not be executed.
        13 InvalidProgramForExecution,
        /// The transaction is malformed.
        14 SanitizeFailure,
        /// Transactions are off.
        15 ClusterMaintenance,
        /// An account was left borrowed.
        16 AccountBorrowOutstanding,
        /// The block would cost too much.
        17 WouldExceedMaxBlockCostLimit,
        /// The transaction's version is not supported.
        18 UnsupportedVersion,
        /// An account may not be written.
        19 InvalidWritableAccount,
        /// The block would write an account too much.
        20 WouldExceedMaxAccountCostLimit,
        /// The block would allocate too much data.
        21 WouldExceedAccountDataBlockLimit,
        /// The transaction locks too many accounts.
        22 TooManyAccountLocks,
        /// An address lookup table does not exist.
        23 AddressLookupTableNotFound,
        /// An address lookup table has a wrong owner.
        24 InvalidAddressLookupTableOwner,
        /// An address lookup table's data is malformed.
        25 InvalidAddressLookupTableData,
        /// An index into an address lookup table is out of range.
        26 InvalidAddressLookupTableIndex,
        /// An account would begin to pay rent.
        27 InvalidRentPayingAccount,
        /// The block would hold too many votes.
        28 WouldExceedMaxVoteCostLimit,
        /// The state would hold too much data.
        29 WouldExceedAccountDataTotalLimit,
        /// The instruction of that index occurs twice and may not.
        30 DuplicateInstruction(index: u8),
        /// An account is left with too few lamports to be exempt from rent.
        31 InsufficientFundsForRent {
            /// The account's index in the transaction.
            account_index: u8
        },
        /// The transaction loads too much data.
        32 MaxLoadedAccountsDataSizeExceeded,
        /// The transaction asks for a limit of zero for loaded data.
        33 InvalidLoadedAccountsDataSizeLimit,
        /// The transaction must be sanitized again.
        34 ResanitizationNeeded,
        /// A program may not be executed for now.
        35 ProgramExecutionTemporarilyRestricted {
            /// The program's index in the transaction.
            account_index: u8
        },
        /// Lamports before and after differ.
        36 UnbalancedTransaction,
        /// The program cache is full.
        37 ProgramCacheHitMaxLimit,
        /// The result was not committed.
        38 CommitCancelled,
    }
}
