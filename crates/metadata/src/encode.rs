//! How our values become column values.
//!
//! Must not know any table. Invariant: what is written here, `decode` reads back: times to the millisecond, numbers
//! exactly or not at all.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::MetadataError;

/// Unix milliseconds, rounded down; times beyond what a column holds become the nearest it does.
pub(crate) fn millis(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => whole_millis(since),
        Err(before) => {
            let until = before.duration();
            let rounded_up = until.saturating_add(Duration::from_nanos(999_999));
            -whole_millis(rounded_up)
        }
    }
}

fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A count, as long as it fits the signed integers of SQL.
pub(crate) fn count(what: &'static str, value: u64) -> Result<i64, MetadataError> {
    i64::try_from(value).map_err(|_| MetadataError::TooLarge { what, value })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::{count, millis};
    use crate::error::MetadataError;

    #[test]
    fn times_round_down_on_both_sides_of_1970() {
        assert_eq!(millis(UNIX_EPOCH), 0);
        assert_eq!(millis(UNIX_EPOCH + Duration::from_micros(1_999)), 1);
        assert_eq!(millis(UNIX_EPOCH - Duration::from_micros(1)), -1);
        assert_eq!(millis(UNIX_EPOCH - Duration::from_millis(2)), -2);
    }

    #[test]
    fn counts_are_exact_or_refused() {
        let largest = i64::MAX.unsigned_abs();
        assert_eq!(count("size", largest).unwrap(), i64::MAX);
        assert!(
            matches!(count("size", largest + 1), Err(MetadataError::TooLarge { what: "size", value }) if value == largest + 1)
        );
    }
}
