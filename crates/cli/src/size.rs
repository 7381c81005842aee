//! Sizes as people write and read them.

use std::str::FromStr;

/// A number of bytes, written as `300M`, `16MiB`, `2GB` or plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => {
                return Err(format!("'{unit}' is no unit of bytes (use K, M, G, T, KB, MiB, ...)"));
            }
        };
        let number: u64 = number.parse().map_err(|_| format!("'{text}' is no number of bytes"))?;
        number.checked_mul(factor).map(Self).ok_or_else(|| format!("'{text}' is too large"))
    }
}

/// So many of something, in words.
pub(crate) fn counted(count: u64, what: &str) -> String {
    let ending = match (count, what.ends_with("sh")) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{count} {what}{ending}")
}

/// Bytes for a person: three digits and a decimal unit.
pub(crate) fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ if value < 9.995 => format!("{value:.2} {}", UNITS[unit]),
        _ if value < 99.95 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units() {
        for (text, bytes) in
            [("0", 0), ("16MiB", 16 << 20), ("16M", 16 << 20), ("2GB", 2_000_000_000), ("5k", 5120)]
        {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "M", "1.5G", "10X", "99999999T", "-1"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_with_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 KB"),
            (12_345, "12.3 KB"),
            (999_499, "999 KB"),
            (999_999, "1.00 MB"),
            (450_000_000_000, "450 GB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
