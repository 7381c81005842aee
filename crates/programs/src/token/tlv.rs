//! The list of a token-2022 account's extensions: `u16` kind, `u16` length, the value, and so on
//! until the data ends or a kind of zero comes.

use std::iter::FusedIterator;

use icecore_types::Cursor;
use serde::{Serialize, Serializer};

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// An extension by its number (`ExtensionType` of `spl-token-2022-interface` 3.1).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct ExtensionKind(pub u16);

        impl ExtensionKind {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// What the RPC calls it, `None` for an unknown number.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Fees on transfers (mint).
    TRANSFER_FEE_CONFIG = 1, "transferFeeConfig";
    /// Fees withheld from transfers (account).
    TRANSFER_FEE_AMOUNT = 2, "transferFeeAmount";
    /// Who may close the mint.
    MINT_CLOSE_AUTHORITY = 3, "mintCloseAuthority";
    /// Confidential transfers (mint).
    CONFIDENTIAL_TRANSFER_MINT = 4, "confidentialTransferMint";
    /// Confidential balance (account).
    CONFIDENTIAL_TRANSFER_ACCOUNT = 5, "confidentialTransferAccount";
    /// The state in which accounts begin (mint).
    DEFAULT_ACCOUNT_STATE = 6, "defaultAccountState";
    /// The owner cannot change (account).
    IMMUTABLE_OWNER = 7, "immutableOwner";
    /// Incoming transfers need a memo (account).
    MEMO_TRANSFER = 8, "memoTransfer";
    /// Tokens cannot be transferred (mint).
    NON_TRANSFERABLE = 9, "nonTransferable";
    /// Amounts are shown with interest (mint).
    INTEREST_BEARING_CONFIG = 10, "interestBearingConfig";
    /// Other programs may not act for the owner (account).
    CPI_GUARD = 11, "cpiGuard";
    /// A delegate over all accounts (mint).
    PERMANENT_DELEGATE = 12, "permanentDelegate";
    /// The mint's tokens cannot be transferred (account).
    NON_TRANSFERABLE_ACCOUNT = 13, "nonTransferableAccount";
    /// A program that is called on transfers (mint).
    TRANSFER_HOOK = 14, "transferHook";
    /// The mint has a transfer hook (account).
    TRANSFER_HOOK_ACCOUNT = 15, "transferHookAccount";
    /// Confidential transfer fees (mint).
    CONFIDENTIAL_TRANSFER_FEE_CONFIG = 16, "confidentialTransferFeeConfig";
    /// Confidential fees withheld (account).
    CONFIDENTIAL_TRANSFER_FEE_AMOUNT = 17, "confidentialTransferFeeAmount";
    /// Where the metadata is (mint).
    METADATA_POINTER = 18, "metadataPointer";
    /// The metadata itself (mint).
    TOKEN_METADATA = 19, "tokenMetadata";
    /// Where the group is (mint).
    GROUP_POINTER = 20, "groupPointer";
    /// The group itself (mint).
    TOKEN_GROUP = 21, "tokenGroup";
    /// Where the group membership is (mint).
    GROUP_MEMBER_POINTER = 22, "groupMemberPointer";
    /// The group membership itself (mint).
    TOKEN_GROUP_MEMBER = 23, "tokenGroupMember";
    /// Confidential minting and burning (mint).
    CONFIDENTIAL_MINT_BURN = 24, "confidentialMintBurn";
    /// Amounts are shown multiplied (mint).
    SCALED_UI_AMOUNT = 25, "scaledUiAmountConfig";
    /// Everything can be paused (mint).
    PAUSABLE = 26, "pausableConfig";
    /// The mint can be paused (account).
    PAUSABLE_ACCOUNT = 27, "pausableAccount";
    /// Burning needs a second signature (mint).
    PERMISSIONED_BURN = 28, "permissionedBurnConfig";
}

/// One extension as it lies in the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawExtension<'a> {
    /// Which extension.
    pub kind: ExtensionKind,
    /// Its value, at most 65,535 bytes.
    pub value: &'a [u8],
}

/// The extensions of an account or mint, in the order of the data. An entry that does not fit ends
/// the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extensions<'a> {
    bytes: &'a [u8],
}

impl<'a> Extensions<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The extensions.
    pub fn iter(&self) -> ExtensionsIter<'a> {
        ExtensionsIter { cursor: Cursor::new(self.bytes) }
    }

    /// The first extension of a kind.
    pub fn find(&self, kind: ExtensionKind) -> Option<RawExtension<'a>> {
        self.iter().find(|extension| extension.kind == kind)
    }
}

impl<'a> IntoIterator for Extensions<'a> {
    type Item = RawExtension<'a>;
    type IntoIter = ExtensionsIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for Extensions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// Iterates over [`Extensions`].
#[derive(Debug, Clone)]
pub struct ExtensionsIter<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Iterator for ExtensionsIter<'a> {
    type Item = RawExtension<'a>;

    fn next(&mut self) -> Option<RawExtension<'a>> {
        // A copy is advanced and kept only when the entry is whole: the end stays the end.
        let mut cursor = self.cursor.clone();
        let kind = cursor.read::<u16>().ok()?;
        if kind == 0 {
            return None;
        }
        let length = cursor.read::<u16>().ok()?;
        let value = cursor.take(length.into()).ok()?;
        self.cursor = cursor;
        Some(RawExtension { kind: ExtensionKind(kind), value })
    }
}

impl FusedIterator for ExtensionsIter<'_> {}
