//! Addresses that the protocol itself names: native programs, sysvars, well-known programs.

use crate::Pubkey;

macro_rules! addresses {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $title:literal;)*) => {
        $($(#[$doc])* pub const $name: Pubkey = Pubkey::from_base58_const($text);)*

        /// What a well-known address is called, `None` for every other.
        pub fn name_of(address: &Pubkey) -> Option<&'static str> {
            const NAMES: &[(Pubkey, &str)] = &[$(($name, $title)),*];
            NAMES.iter().find(|(known, _)| known == address).map(|(_, title)| *title)
        }
    };
}

addresses! {
    /// Owner of plain wallets.
    SYSTEM = "11111111111111111111111111111111", "System";
    /// Owner of vote accounts.
    VOTE = "Vote111111111111111111111111111111111111111", "Vote";
    /// Owner of stake accounts.
    STAKE = "Stake11111111111111111111111111111111111111", "Stake";
    /// Owner of configuration accounts (validator info).
    CONFIG = "Config1111111111111111111111111111111111111", "Config";
    /// Owner of sysvar accounts.
    SYSVAR = "Sysvar1111111111111111111111111111111111111", "Sysvar";
    /// Owner of feature accounts.
    FEATURE = "Feature111111111111111111111111111111111111", "Feature";
    /// Owner of native programs.
    NATIVE_LOADER = "NativeLoader1111111111111111111111111111111", "Native loader";
    /// First BPF loader.
    BPF_LOADER_DEPRECATED = "BPFLoader1111111111111111111111111111111111", "BPF loader 1";
    /// Second BPF loader.
    BPF_LOADER = "BPFLoader2111111111111111111111111111111111", "BPF loader 2";
    /// Upgradeable BPF loader.
    BPF_LOADER_UPGRADEABLE = "BPFLoaderUpgradeab1e11111111111111111111111", "BPF upgradeable loader";
    /// Loader v4.
    LOADER_V4 = "LoaderV411111111111111111111111111111111111", "Loader v4";
    /// Address lookup tables.
    ADDRESS_LOOKUP_TABLE = "AddressLookupTab1e1111111111111111111111111", "Address lookup table";
    /// Compute budget program.
    COMPUTE_BUDGET = "ComputeBudget111111111111111111111111111111", "Compute budget";
    /// SPL token.
    TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "Token";
    /// SPL token-2022.
    TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb", "Token-2022";
    /// Associated token accounts.
    ASSOCIATED_TOKEN = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL", "Associated token account";
    /// Clock sysvar.
    SYSVAR_CLOCK = "SysvarC1ock11111111111111111111111111111111", "Sysvar: clock";
    /// Epoch schedule sysvar.
    SYSVAR_EPOCH_SCHEDULE = "SysvarEpochSchedu1e111111111111111111111111", "Sysvar: epoch schedule";
    /// Rent sysvar.
    SYSVAR_RENT = "SysvarRent111111111111111111111111111111111", "Sysvar: rent";
    /// Recent blockhashes sysvar.
    SYSVAR_RECENT_BLOCKHASHES = "SysvarRecentB1ockHashes11111111111111111111", "Sysvar: recent blockhashes";
    /// Slot hashes sysvar.
    SYSVAR_SLOT_HASHES = "SysvarS1otHashes111111111111111111111111111", "Sysvar: slot hashes";
    /// Slot history sysvar.
    SYSVAR_SLOT_HISTORY = "SysvarS1otHistory11111111111111111111111111", "Sysvar: slot history";
    /// Stake history sysvar.
    SYSVAR_STAKE_HISTORY = "SysvarStakeHistory1111111111111111111111111", "Sysvar: stake history";
    /// Last restart slot sysvar.
    SYSVAR_LAST_RESTART_SLOT = "SysvarLastRestartS1ot1111111111111111111111", "Sysvar: last restart slot";
    /// Epoch rewards sysvar.
    SYSVAR_EPOCH_REWARDS = "SysvarEpochRewards1111111111111111111111111", "Sysvar: epoch rewards";
    /// Fees sysvar (obsolete).
    SYSVAR_FEES = "SysvarFees111111111111111111111111111111111", "Sysvar: fees";
    /// Rewards sysvar (obsolete).
    SYSVAR_REWARDS = "SysvarRewards111111111111111111111111111111", "Sysvar: rewards";
    /// Where burned lamports go.
    INCINERATOR = "1nc1nerator11111111111111111111111111111111", "Incinerator";
    /// The stake program's configuration account.
    STAKE_CONFIG = "StakeConfig11111111111111111111111111111111", "Stake config";
    /// Metaplex token metadata.
    TOKEN_METADATA = "metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s", "Token metadata";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_addresses_have_names_and_others_none() {
        assert_eq!(name_of(&VOTE), Some("Vote"));
        assert_eq!(name_of(&SYSTEM), Some("System"));
        assert_eq!(name_of(&Pubkey([9; 32])), None);
    }
}
