//! Decoded token-2022 extensions.
//!
//! The confidential ones are ciphertexts and keys of the zero-knowledge proofs; they, and numbers
//! that are not known, stay [`RawExtension`]s.
//!
//! Serialized, an extension has the shape of the RPC: `{"extension": name, "state": {...}}`.

use icecore_types::{Bits64, Cursor, Epoch, Pubkey, Wire, WireError, wire_struct};
use serde::{Serialize, Serializer};

use super::{ExtensionKind, RawExtension, TokenAccountState, TokenMetadata};
use crate::parsed::{Hex, as_text};

/// An optional address: 32 bytes, all zero for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Authority(pub Option<Pubkey>);

impl Wire for Authority {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        let address: Pubkey = cursor.read()?;
        Ok(Self((!address.is_zero()).then_some(address)))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.unwrap_or_default().encode(out);
    }
}

wire_struct! {
    /// A fee on transfers: 18 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct TransferFee {
        /// The first epoch in which it applies.
        pub epoch: Epoch,
        /// The most that one transfer costs, in the mint's smallest unit.
        pub maximum_fee: u64,
        /// Of the amount, in 1/10,000.
        pub transfer_fee_basis_points: u16,
    }
}

wire_struct! {
    /// Fees on transfers: 108 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct TransferFeeConfig {
        /// Who may set the fee.
        pub transfer_fee_config_authority: Authority,
        /// Who may withdraw withheld fees.
        pub withdraw_withheld_authority: Authority,
        /// Withheld fees gathered in the mint, in its smallest unit.
        pub withheld_amount: u64,
        /// The fee until the newer one applies.
        pub older_transfer_fee: TransferFee,
        /// The fee set last.
        pub newer_transfer_fee: TransferFee,
    }
}

wire_struct! {
    /// Interest with which amounts are shown: 52 bytes. Rates are in 1/10,000 a year.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct InterestBearingConfig {
        /// Who may set the rate.
        pub rate_authority: Authority,
        /// From when on interest counts, in seconds since 1970.
        pub initialization_timestamp: i64,
        /// The average rate until `last_update_timestamp`.
        pub pre_update_average_rate: Rate,
        /// When the rate was last set, in seconds since 1970.
        pub last_update_timestamp: i64,
        /// The rate since then.
        pub current_rate: Rate,
    }
}

/// A signed rate in 1/10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rate(pub i16);

impl Wire for Rate {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        cursor.read::<u16>().map(|bits| Self(bits.cast_signed()))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.cast_unsigned().encode(out);
    }
}

wire_struct! {
    /// A program that is called on every transfer: 64 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct TransferHook {
        /// Who may set the program.
        pub authority: Authority,
        /// The program.
        pub program_id: Authority,
    }
}

wire_struct! {
    /// Where the metadata is: 64 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct MetadataPointer {
        /// Who may set the address.
        pub authority: Authority,
        /// The account, often the mint itself.
        pub metadata_address: Authority,
    }
}

wire_struct! {
    /// Where the group is: 64 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct GroupPointer {
        /// Who may set the address.
        pub authority: Authority,
        /// The account.
        pub group_address: Authority,
    }
}

wire_struct! {
    /// Where the group membership is: 64 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct GroupMemberPointer {
        /// Who may set the address.
        pub authority: Authority,
        /// The account.
        pub member_address: Authority,
    }
}

wire_struct! {
    /// A group of mints: 80 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct TokenGroup {
        /// Who may change it.
        pub update_authority: Authority,
        /// The group's own mint.
        pub mint: Pubkey,
        /// Number of members.
        pub size: u64,
        /// The most members it may have.
        pub max_size: u64,
    }
}

wire_struct! {
    /// A mint's membership in a group: 72 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct TokenGroupMember {
        /// The member's mint.
        pub mint: Pubkey,
        /// The group.
        pub group: Pubkey,
        /// Its number within the group.
        pub member_number: u64,
    }
}

wire_struct! {
    /// A factor with which amounts are shown: 56 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct ScaledUiAmountConfig {
        /// Who may set the factor.
        pub authority: Authority,
        /// The factor.
        #[serde(serialize_with = "float_as_text")]
        pub multiplier: Bits64,
        /// When the new factor takes over, in seconds since 1970.
        pub new_multiplier_effective_timestamp: i64,
        /// The new factor.
        #[serde(serialize_with = "float_as_text")]
        pub new_multiplier: Bits64,
    }
}

fn float_as_text<S: Serializer>(value: &Bits64, serializer: S) -> Result<S::Ok, S::Error> {
    as_text(&value.get(), serializer)
}

wire_struct! {
    /// Whether everything is paused: 33 bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    pub struct PausableConfig {
        /// Who may pause.
        pub authority: Authority,
        /// Whether minting, burning and transfers are paused.
        pub paused: Flag,
    }
}

/// A boolean of which every byte but zero is true, as the token programs read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Flag(pub bool);

impl Wire for Flag {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        cursor.read::<u8>().map(|byte| Self(byte != 0))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

wire_struct! {
    /// The state in which accounts begin: 1 byte.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
    #[serde(rename_all = "camelCase")]
    pub struct DefaultAccountState {
        /// The state.
        pub account_state: TokenAccountState,
    }
}

impl Wire for TokenAccountState {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        let byte = cursor.read::<u8>()?;
        Self::from_byte(byte)
            .ok_or(WireError::Invalid { what: "token account state", value: byte.into() })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
}

/// An extension that has been decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "extension",
    content = "state"
)]
#[non_exhaustive]
pub enum Extension<'a> {
    /// Fees on transfers.
    TransferFeeConfig(TransferFeeConfig),
    /// Fees withheld in this account.
    TransferFeeAmount {
        /// In the mint's smallest unit.
        withheld_amount: u64,
    },
    /// Who may close the mint.
    MintCloseAuthority {
        /// The authority.
        close_authority: Authority,
    },
    /// The state in which accounts begin.
    DefaultAccountState(DefaultAccountState),
    /// The owner cannot change.
    ImmutableOwner,
    /// Incoming transfers need a memo.
    MemoTransfer {
        /// Whether this is in force.
        require_incoming_transfer_memos: Flag,
    },
    /// Tokens cannot be transferred.
    NonTransferable,
    /// Amounts are shown with interest.
    InterestBearingConfig(InterestBearingConfig),
    /// Other programs may not act for the owner.
    CpiGuard {
        /// Whether this is in force.
        lock_cpi: Flag,
    },
    /// A delegate over all accounts of the mint.
    PermanentDelegate {
        /// The delegate.
        delegate: Authority,
    },
    /// The mint's tokens cannot be transferred.
    NonTransferableAccount,
    /// A program that is called on transfers.
    TransferHook(TransferHook),
    /// The mint has a transfer hook.
    TransferHookAccount {
        /// Whether a transfer is under way.
        transferring: Flag,
    },
    /// Where the metadata is.
    MetadataPointer(MetadataPointer),
    /// The metadata.
    TokenMetadata(TokenMetadata<'a>),
    /// Where the group is.
    GroupPointer(GroupPointer),
    /// The group.
    TokenGroup(TokenGroup),
    /// Where the group membership is.
    GroupMemberPointer(GroupMemberPointer),
    /// The group membership.
    TokenGroupMember(TokenGroupMember),
    /// Amounts are shown multiplied.
    ScaledUiAmountConfig(ScaledUiAmountConfig),
    /// Everything can be paused.
    PausableConfig(PausableConfig),
    /// The mint can be paused.
    PausableAccount,
    /// Burning needs a second signature.
    PermissionedBurnConfig {
        /// Whose.
        authority: Authority,
    },
}

impl<'a> RawExtension<'a> {
    /// Decodes the value; `None` for kinds that stay raw and for a value of another length than its
    /// kind has.
    pub fn decode(&self) -> Option<Extension<'a>> {
        let mut cursor = Cursor::new(self.value);
        let extension = decode(self.kind, &mut cursor).ok()??;
        cursor.remaining().is_empty().then_some(extension)
    }
}

fn decode<'a>(
    kind: ExtensionKind,
    cursor: &mut Cursor<'a>,
) -> Result<Option<Extension<'a>>, WireError> {
    Ok(Some(match kind {
        ExtensionKind::TRANSFER_FEE_CONFIG => Extension::TransferFeeConfig(cursor.read()?),
        ExtensionKind::TRANSFER_FEE_AMOUNT => {
            Extension::TransferFeeAmount { withheld_amount: cursor.read()? }
        }
        ExtensionKind::MINT_CLOSE_AUTHORITY => {
            Extension::MintCloseAuthority { close_authority: cursor.read()? }
        }
        ExtensionKind::DEFAULT_ACCOUNT_STATE => Extension::DefaultAccountState(cursor.read()?),
        ExtensionKind::IMMUTABLE_OWNER => Extension::ImmutableOwner,
        ExtensionKind::MEMO_TRANSFER => {
            Extension::MemoTransfer { require_incoming_transfer_memos: cursor.read()? }
        }
        ExtensionKind::NON_TRANSFERABLE => Extension::NonTransferable,
        ExtensionKind::INTEREST_BEARING_CONFIG => Extension::InterestBearingConfig(cursor.read()?),
        ExtensionKind::CPI_GUARD => Extension::CpiGuard { lock_cpi: cursor.read()? },
        ExtensionKind::PERMANENT_DELEGATE => {
            Extension::PermanentDelegate { delegate: cursor.read()? }
        }
        ExtensionKind::NON_TRANSFERABLE_ACCOUNT => Extension::NonTransferableAccount,
        ExtensionKind::TRANSFER_HOOK => Extension::TransferHook(cursor.read()?),
        ExtensionKind::TRANSFER_HOOK_ACCOUNT => {
            Extension::TransferHookAccount { transferring: cursor.read()? }
        }
        ExtensionKind::METADATA_POINTER => Extension::MetadataPointer(cursor.read()?),
        ExtensionKind::TOKEN_METADATA => Extension::TokenMetadata(TokenMetadata::read(cursor)?),
        ExtensionKind::GROUP_POINTER => Extension::GroupPointer(cursor.read()?),
        ExtensionKind::TOKEN_GROUP => Extension::TokenGroup(cursor.read()?),
        ExtensionKind::GROUP_MEMBER_POINTER => Extension::GroupMemberPointer(cursor.read()?),
        ExtensionKind::TOKEN_GROUP_MEMBER => Extension::TokenGroupMember(cursor.read()?),
        ExtensionKind::SCALED_UI_AMOUNT => Extension::ScaledUiAmountConfig(cursor.read()?),
        ExtensionKind::PAUSABLE => Extension::PausableConfig(cursor.read()?),
        ExtensionKind::PAUSABLE_ACCOUNT => Extension::PausableAccount,
        ExtensionKind::PERMISSIONED_BURN => {
            Extension::PermissionedBurnConfig { authority: cursor.read()? }
        }
        _ => return Ok(None),
    }))
}

/// An extension that stays raw, as it is serialized.
#[derive(Serialize)]
struct Undecoded<'a> {
    extension: &'static str,
    kind: u16,
    #[serde(serialize_with = "as_text")]
    value: Hex<'a>,
}

impl Serialize for RawExtension<'_> {
    /// The decoded shape, else `{"extension": name or "unknown", "kind": number, "value": hex}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.decode() {
            Some(extension) => extension.serialize(serializer),
            None => Undecoded {
                extension: self.kind.name().unwrap_or("unknown"),
                kind: self.kind.0,
                value: Hex(self.value),
            }
            .serialize(serializer),
        }
    }
}
