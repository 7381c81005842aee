//! Address lookup tables in the shape of the RPC.

use icecore_types::Pubkey;
use serde::{Serialize, Serializer};

use super::{Info, Parsed, as_text};
use crate::{Rows, lookup_table::LookupTable};

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LookupTableInfo<'a> {
    #[serde(serialize_with = "as_text")]
    deactivation_slot: u64,
    #[serde(serialize_with = "as_text")]
    last_extended_slot: u64,
    last_extended_slot_start_index: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    authority: Option<Pubkey>,
    #[serde(serialize_with = "as_list")]
    addresses: Rows<'a, Pubkey>,
}

/// Parses an address lookup table.
pub(super) fn parse(data: &[u8]) -> Option<Parsed<'_>> {
    let table = LookupTable::decode(data)?;
    Some(Parsed {
        program: "address-lookup-table",
        kind: "lookupTable",
        info: Info::LookupTable(LookupTableInfo {
            deactivation_slot: table.deactivation_slot,
            last_extended_slot: table.last_extended_slot,
            last_extended_slot_start_index: table.last_extended_slot_start_index,
            authority: table.authority,
            addresses: table.addresses,
        }),
    })
}

fn as_list<S: Serializer>(rows: &Rows<'_, Pubkey>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rows.iter())
}
