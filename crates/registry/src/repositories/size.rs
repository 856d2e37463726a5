//! Sizes as people write them: `200GiB`, `10GB`, `1.5TiB`, `1048576`.
//!
//! Must not know what a size is for. Invariant: what could be read in two ways is not read.

const UNITS: &[(&str, u64)] = &[
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("pb", 1_000_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("pib", 1 << 50),
    ("ki", 1 << 10),
    ("mi", 1 << 20),
    ("gi", 1 << 30),
    ("ti", 1 << 40),
    ("pi", 1 << 50),
];

/// Reads a number of bytes. A bare number is bytes; `GB` is decimal, `GiB` and `Gi` are binary.
///
/// # Errors
/// Says what is wrong, with examples.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = (&trimmed[..split], trimmed[split..].trim().to_ascii_lowercase());
    let factor = match unit.as_str() {
        "" => 1,
        "k" | "m" | "g" | "t" | "p" => {
            let letter = unit.to_ascii_uppercase();
            return Err(format!("'{text}' is ambiguous; write {number}{letter}iB (1024) or {number}{letter}B (1000)"));
        }
        unit => UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor)
            .ok_or_else(|| format!("'{text}' is not a size; write 200GiB, 10GB or a number of bytes"))?,
    };
    scale(number, factor).ok_or_else(|| format!("'{text}' is not a size; write 200GiB, 10GB or a number of bytes"))
}

/// `number` (digits, at most one point) times `factor`, rounded down; `None` when it is no number or does not fit.
fn scale(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| (1..=9).contains(digits))?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor) / 10_u128.pow(digits);
    whole.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read() {
        let table = [
            ("0", 0),
            ("1048576", 1_048_576),
            ("1GiB", 1 << 30),
            ("1 gib", 1 << 30),
            ("1Gi", 1 << 30),
            ("10GB", 10_000_000_000),
            ("1.5KiB", 1_536),
            ("0.1B", 0),
            ("2TiB", 2 << 40),
            (" 512 MiB ", 512 << 20),
        ];
        for (text, bytes) in table {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_a_way_out() {
        for text in [
            "",
            "GiB",
            "-1GiB",
            "1.2.3GiB",
            "1.GiB",
            ".5GiB",
            "1XB",
            "1e3",
            "99999999999PiB",
            "1.0000000001GiB",
            "1GiB/s",
        ] {
            let message = parse_size(text).expect_err(text);
            assert!(message.contains("200GiB"), "{text}: {message}");
        }
        assert_eq!(parse_size("5G").unwrap_err(), "'5G' is ambiguous; write 5GiB (1024) or 5GB (1000)");
    }
}
