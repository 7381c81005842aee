//! An account version's content, borrowed from where it lies or owned.

use crate::Pubkey;

/// One account version, borrowed from where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountRef<'a> {
    /// Address.
    pub pubkey: &'a Pubkey,
    /// Balance; zero is a tombstone: the account is closed.
    pub lamports: u64,
    /// The program that may change the account.
    pub owner: &'a Pubkey,
    /// Whether the account holds a program.
    pub executable: bool,
    /// Obsolete, in no hash.
    pub rent_epoch: u64,
    /// Account data, at most [`DATA_BYTES_MAX`](crate::DATA_BYTES_MAX) bytes.
    pub data: &'a [u8],
}

impl AccountRef<'_> {
    /// Whether this version says that the account is closed.
    pub fn is_tombstone(&self) -> bool {
        self.lamports == 0
    }

    /// An owned copy, with the address.
    pub fn to_owned(&self) -> (Pubkey, Account) {
        let account = Account {
            lamports: self.lamports,
            data: self.data.to_vec(),
            owner: *self.owner,
            executable: self.executable,
            rent_epoch: self.rent_epoch,
        };
        (*self.pubkey, account)
    }
}

/// One account version without its address, as the manifest's stakes cache holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Balance.
    pub lamports: u64,
    /// Account data.
    pub data: Vec<u8>,
    /// The program that may change the account.
    pub owner: Pubkey,
    /// Whether the account holds a program.
    pub executable: bool,
    /// Obsolete, in no hash.
    pub rent_epoch: u64,
}

impl Account {
    /// The account as it would lie under `pubkey`.
    pub fn borrowed<'a>(&'a self, pubkey: &'a Pubkey) -> AccountRef<'a> {
        AccountRef {
            pubkey,
            lamports: self.lamports,
            owner: &self.owner,
            executable: self.executable,
            rent_epoch: self.rent_epoch,
            data: &self.data,
        }
    }
}
