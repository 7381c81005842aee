//! How values that are not Icecore's own types, or too long to be lists of numbers, show in JSON.

use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use icecore_types::{Account, LatticeHash};
use serde::{Serializer, ser::SerializeStruct as _};

/// An account with its data in base64.
pub(super) fn account<S: Serializer>(account: &Account, serializer: S) -> Result<S::Ok, S::Error> {
    let data = Base64Display::new(&account.data, &STANDARD);
    let mut json = serializer.serialize_struct("Account", 5)?;
    json.serialize_field("lamports", &account.lamports)?;
    json.serialize_field("data", &format_args!("{data}"))?;
    json.serialize_field("owner", &account.owner)?;
    json.serialize_field("executable", &account.executable)?;
    json.serialize_field("rent_epoch", &account.rent_epoch)?;
    json.end()
}

/// A lattice hash as the hexadecimal digits of its 2,048 bytes.
pub(super) fn lattice_hash<S: Serializer>(
    hash: &Option<LatticeHash>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match hash {
        Some(hash) => hex(&hash.to_bytes()[..], serializer),
        None => serializer.serialize_none(),
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes any text");
    }
    serializer.serialize_str(&text)
}
