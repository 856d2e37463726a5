//! Sizes as people write them: `200GiB`, `10GB`, `1.5TiB`, `1048576`.
//!
//! Must not know what a size is for. Invariant: what is printed reads back as the same number.

use serde::{Deserialize, Deserializer};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    /// Reads a size. A bare number is bytes; `GB` is decimal, `GiB` and `Gi` are binary.
    ///
    /// # Errors
    /// Says what is wrong, with examples.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        registry::parse_size(text).map(Self)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let binary = [("PiB", 1_u64 << 50), ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match binary.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_reads_back() {
        for bytes in [0, 1, 1023, 1024, 1_000_000, 3 << 30, u64::MAX] {
            assert_eq!(Size::parse(&Size(bytes).to_string()), Ok(Size(bytes)));
        }
        assert_eq!(Size(50 << 30).to_string(), "50GiB");
    }
}
