//! Values as people type them on the command line and in variables: sizes with units, switches.
//!
//! Must not know which flags they are for. Invariant: what is refused is told with an example.

use std::num::NonZeroU64;

/// `256MiB`, `10MB`, `51`: `MB` is decimal, `MiB` and `M` are binary.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "write a number of bytes, or one with a unit: 65536, 64KiB, 256MiB, 1GB".to_owned();
    let text = text.trim();
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().map_err(|_| wrong())?;
    let factor = match text[end..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "ki" | "kib" => 1 << 10,
        "m" | "mi" | "mib" => 1 << 20,
        "g" | "gi" | "gib" => 1 << 30,
        "t" | "ti" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(|| "that is more than there can be".to_owned())
}

/// The same, and more than none.
pub(crate) fn some_bytes(text: &str) -> Result<NonZeroU64, String> {
    NonZeroU64::new(bytes(text)?).ok_or_else(|| "must be more than 0".to_owned())
}

/// The value of a switch's variable; an empty one is off.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("a switch is true or false (or 1, yes, on; 0, no, off)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, count) in [
            ("51", 51),
            ("0", 0),
            ("64KiB", 65_536),
            ("64k", 65_536),
            ("256 MiB", 268_435_456),
            ("1GB", 1_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(bytes(text), Ok(count), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "1 XB", "99999999999999999999", "18446744073709551615k"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert!(some_bytes("0").is_err() && some_bytes("1K").is_ok());
    }

    #[test]
    fn switches_are_words_people_use() {
        assert_eq!((switch("1"), switch("Yes"), switch("off"), switch("")), (Ok(true), Ok(true), Ok(false), Ok(false)));
        assert!(switch("flase").is_err());
    }
}
