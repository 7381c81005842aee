//! What is known of a bank beside its accounts: stated by an archive's manifest or a slot's end.

use icecore_types::{
    Cursor, EpochSchedule, Hash, LATTICE_BYTES, LatticeHash, Slot, Wire, WireError, wire_struct,
};

/// The lattice hash of accounts, and what can be added up over them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StateTotals {
    /// The lattice hash of all live accounts.
    pub lattice: LatticeHash,
    /// Lamports of all accounts.
    pub capitalization: u64,
    /// Live accounts; in a filtered store, those that are kept.
    pub num_accounts: u64,
    /// Bytes of data of all live accounts; in a filtered store, of those that are kept.
    pub total_data_len: u64,
    /// In a filtered store, the part of `lattice` that belongs to accounts that are not kept, and is
    /// taken on trust; otherwise the identity.
    pub lattice_left_out: LatticeHash,
    /// In a filtered store, the lamports of accounts that are not kept.
    pub capitalization_left_out: u64,
}

impl Wire for StateTotals {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        Ok(Self {
            lattice: read_lattice(cursor)?,
            capitalization: cursor.read()?,
            num_accounts: cursor.read()?,
            total_data_len: cursor.read()?,
            lattice_left_out: match cursor.read::<bool>()? {
                true => read_lattice(cursor)?,
                false => LatticeHash::default(),
            },
            capitalization_left_out: cursor.read()?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lattice.to_bytes()[..]);
        self.capitalization.encode(out);
        self.num_accounts.encode(out);
        self.total_data_len.encode(out);
        let has_left_out = !self.lattice_left_out.is_identity();
        has_left_out.encode(out);
        if has_left_out {
            out.extend_from_slice(&self.lattice_left_out.to_bytes()[..]);
        }
        self.capitalization_left_out.encode(out);
    }
}

fn read_lattice(cursor: &mut Cursor<'_>) -> Result<LatticeHash, WireError> {
    Ok(LatticeHash::from_bytes(cursor.array::<LATTICE_BYTES>()?))
}

wire_struct! {
    /// What goes into a bank hash, and what stands beside it (formats.md section 1; the slot feed's
    /// `SlotEnd`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct BankFields {
        /// The slot's number.
        pub slot: Slot,
        /// The parent's number.
        pub parent_slot: Slot,
        /// The slot's bank hash.
        pub bank_hash: Hash,
        /// The parent's bank hash.
        pub parent_bank_hash: Hash,
        /// The last blockhash of the slot.
        pub last_blockhash: Hash,
        /// Signatures in the slot's transactions.
        pub signature_count: u64,
        /// Transactions since genesis; in no hash.
        pub transaction_count: u64,
        /// Blocks since genesis; in no hash.
        pub block_height: u64,
    }
}

/// What one archive, or a pair, states and what was recomputed of it: the facts of a base point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseFacts {
    /// The bank.
    pub bank: BankFields,
    /// Its accounts, as recomputed.
    pub totals: StateTotals,
    /// From slots to epochs.
    pub epoch_schedule: EpochSchedule,
    /// Hard forks (slot, count): they go into the bank hashes of later slots.
    pub hard_forks: Vec<(Slot, u64)>,
    /// Names of the archive or of the pair, the full one first.
    pub archives: Vec<String>,
    /// Whether the bank hash agreed with one given from outside.
    pub is_anchored: bool,
}

/// Hard forks and archive names in a list, at most.
const LIST_ITEMS_MAX: u64 = 1 << 16;
/// Bytes of an archive's name, at most.
const NAME_BYTES_MAX: u64 = 255;

fn count(cursor: &mut Cursor<'_>, what: &'static str, max: u64) -> Result<usize, WireError> {
    let value: u64 = cursor.read()?;
    if value > max {
        return Err(WireError::Invalid { what, value });
    }
    Ok(usize::try_from(value).expect("bounded"))
}

impl Wire for BaseFacts {
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, WireError> {
        let (bank, totals, epoch_schedule) = (cursor.read()?, cursor.read()?, cursor.read()?);
        let forks = count(cursor, "number of hard forks", LIST_ITEMS_MAX)?;
        let hard_forks = (0..forks).map(|_| cursor.read()).collect::<Result<_, _>>()?;
        let names = count(cursor, "number of archives", LIST_ITEMS_MAX)?;
        let mut archives = Vec::new();
        for _ in 0..names {
            let bytes = count(cursor, "length of a name", NAME_BYTES_MAX)?;
            let name = std::str::from_utf8(cursor.take(bytes)?);
            let invalid = WireError::Invalid { what: "name", value: bytes as u64 };
            archives.push(name.map_err(|_| invalid)?.to_string());
        }
        let is_anchored = cursor.read()?;
        Ok(Self { bank, totals, epoch_schedule, hard_forks, archives, is_anchored })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.bank.encode(out);
        self.totals.encode(out);
        self.epoch_schedule.encode(out);
        (self.hard_forks.len() as u64).encode(out);
        self.hard_forks.iter().for_each(|fork| fork.encode(out));
        (self.archives.len() as u64).encode(out);
        for name in &self.archives {
            (name.len() as u64).encode(out);
            out.extend_from_slice(name.as_bytes());
        }
        self.is_anchored.encode(out);
    }
}

/// What a slot states of itself, to be held against what was written in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotStatement {
    /// The bank. Number and parent must be those that the slot was begun with.
    pub bank: BankFields,
    /// The lattice hash of all accounts at the end of the slot.
    pub lattice: LatticeHash,
    /// Lamports of all accounts.
    pub capitalization: u64,
    /// Accounts written in the slot.
    pub accounts_written: u64,
}
