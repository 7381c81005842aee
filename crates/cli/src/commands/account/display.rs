//! An account for a person: its fields, and its data decoded or as a dump.

use base64::{Engine, engine::general_purpose::STANDARD};
use icecore_programs::parse;
use icecore_types::{Pubkey, programs::name_of};

use crate::{
    exit::Failure,
    output::Answer,
    rows::{Encoding, Live, decimal},
    size::human,
};

/// Lines of data that are shown unless more are asked for.
const LINES_MAX: usize = 40;

/// Bytes on a line of a dump.
const DUMP_BYTES: usize = 16;

/// Decimals of a SOL in lamports.
const SOL_DECIMALS: u8 = 9;

/// Writes an account as lines. Without an encoding its data is decoded if the owner is known and
/// dumped else, and long data is cut unless `verbose`.
pub(super) fn block(
    live: &Live<'_>,
    encoding: Option<Encoding>,
    verbose: bool,
    answer: &mut Answer,
) -> Result<(), Failure> {
    let account = &live.account;
    let sol = decimal(account.lamports.into(), SOL_DECIMALS);
    let bytes = account.data.len();
    let size = if bytes < 1000 { String::new() } else { format!(" ({})", human(bytes as u64)) };
    let mut field = |name: &str, value: String| answer.line(format!("{name:10}  {value}"));
    field("pubkey", named(account.pubkey))?;
    field("lamports", format!("{} ({sol} SOL)", account.lamports))?;
    field("owner", named(account.owner))?;
    field("executable", account.executable.to_string())?;
    field("rent_epoch", account.rent_epoch.to_string())?;
    field("slot", live.slot.to_string())?;
    field("data_len", format!("{bytes}{size}"))?;
    let parsed = match encoding {
        None | Some(Encoding::Json) => parse(account),
        Some(Encoding::Base64 | Encoding::Base58) => None,
    };
    if let Some(parsed) = &parsed {
        field("parsed", format!("{} {}", parsed.program, parsed.kind))?;
        let json = serde_json::to_string_pretty(parsed).map_err(std::io::Error::from)?;
        return cut(json.lines().map(str::to_string), json.lines().count(), verbose, answer);
    }
    match encoding {
        _ if bytes == 0 => {}
        None => {
            let chunks = account.data.chunks(DUMP_BYTES);
            let total = chunks.len();
            cut(chunks.enumerate().map(dump_line), total, verbose, answer)?;
        }
        Some(Encoding::Base58) => {
            field("data", bs58::encode(account.data).into_string())?;
        }
        Some(Encoding::Base64 | Encoding::Json) => field("data", STANDARD.encode(account.data))?,
    }
    Ok(())
}

/// An address with what it is called.
fn named(address: &Pubkey) -> String {
    match name_of(address) {
        Some(name) => format!("{address} ({name})"),
        None => address.to_string(),
    }
}

/// Writes lines, indented; not more than a screenful of the `total` unless asked to.
fn cut(
    lines: impl Iterator<Item = String>,
    total: usize,
    verbose: bool,
    answer: &mut Answer,
) -> Result<(), Failure> {
    let shown = if verbose || total <= LINES_MAX { total } else { LINES_MAX };
    for line in lines.take(shown) {
        answer.line(format!("  {line}"))?;
    }
    if shown < total {
        answer.line(format!("  ... {} more lines (-v shows them)", total - shown))?;
    }
    Ok(())
}

/// A line of a dump: offset, bytes in hexadecimal, characters.
fn dump_line((number, bytes): (usize, &[u8])) -> String {
    let hex: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
    let text: String = bytes
        .iter()
        .map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' })
        .collect();
    format!("{:06x} {hex:width$}  {text}", number * DUMP_BYTES, width = DUMP_BYTES * 3)
}
