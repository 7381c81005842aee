//! Programs, their code and buffers in the shape of the RPC.

use icecore_types::Pubkey;
use serde::Serialize;

use super::{Info, Parsed};
use crate::upgradeable_loader::LoaderState;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(super) enum LoaderInfo {
    Buffer { authority: Option<Pubkey> },
    Program { program_data: Pubkey },
    ProgramData { slot: u64, authority: Option<Pubkey> },
}

/// Parses an account of the upgradeable loader.
pub(super) fn parse(data: &[u8]) -> Option<Parsed<'_>> {
    let (kind, info) = match LoaderState::decode(data)? {
        LoaderState::Uninitialized => ("uninitialized", Info::Nothing),
        LoaderState::Buffer { authority, .. } => {
            ("buffer", Info::Loader(LoaderInfo::Buffer { authority }))
        }
        LoaderState::Program { program_data } => {
            ("program", Info::Loader(LoaderInfo::Program { program_data }))
        }
        LoaderState::ProgramData { slot, upgrade_authority, .. } => (
            "programData",
            Info::Loader(LoaderInfo::ProgramData { slot, authority: upgrade_authority }),
        ),
    };
    Some(Parsed { program: "bpf-upgradeable-loader", kind, info })
}
