//! Durations and sizes as people read them.
//!
//! Pure. Invariant: whole seconds, and at most two units.

use std::time::Duration;

/// A duration like `7m 3s` or `3days 4h`.
pub(super) fn duration(duration: Duration) -> String {
    let text = humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// The same of a number of seconds.
pub(super) fn seconds(seconds: u64) -> String {
    duration(Duration::from_secs(seconds))
}

/// A size like `12.3 MiB`.
pub(super) fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(seconds(0), "0s");
        assert_eq!(seconds(423), "7m 3s");
        assert_eq!(seconds(3 * 86_400 + 4 * 3600 + 5), "3days 4h");
        assert_eq!((size(999), size(1536), size(5 << 30)), ("999 B".into(), "1.5 KiB".into(), "5.0 GiB".into()));
    }
}
