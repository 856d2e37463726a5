//! `limits`: what a repository allows itself at its upstreams.
//!
//! Must not know how limits are kept. Invariant: a limit that is read lets something through.

use std::num::{NonZeroU32, NonZeroU64};

use client::OwnLimits;
use serde_json::{Map, Value};

use super::reader::Reader;
use super::{FieldProblem, Provenance};
use crate::repositories::size::parse_size;

/// Slower than this a connection looks dead to those who wait.
const LEAST_BYTES: u64 = 16 * 1024;

/// More at a time or a second is no limit.
const MOST: u32 = 100_000;

/// Reads limits that stand outside a repository's document, as those of hosts do; the same fields as in `limits`.
///
/// # Errors
/// Everything that is wrong, with paths inside `limits`.
pub fn read_own_limits(limits: &Value) -> Result<OwnLimits, Vec<FieldProblem>> {
    let document = Map::from_iter([("limits".to_owned(), limits.clone())]);
    let mut reader = Reader::new(&document, Provenance::File);
    let read = reader.limits();
    let problems = reader.into_problems();
    if problems.is_empty() {
        return Ok(read);
    }
    let inside = |path: String| path.strip_prefix("limits").map_or("", |rest| rest.trim_start_matches('.')).to_owned();
    Err(problems.into_iter().map(|problem| FieldProblem { path: inside(problem.path), ..problem }).collect())
}

impl Reader<'_> {
    pub(super) fn limits(&mut self) -> OwnLimits {
        let said = self.section("limits", |limits| OwnLimits {
            requests_per_second: limits.count("requests_per_second"),
            bytes_per_second: limits.bytes("bytes_per_second"),
            concurrent_requests: limits.count("concurrent_requests"),
        });
        said.unwrap_or_default()
    }

    fn count(&mut self, path: &'static str) -> Option<NonZeroU32> {
        let number = match self.value(path) {
            Value::Null => return None,
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let count = number.and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= MOST).and_then(NonZeroU32::new);
        if count.is_none() {
            self.problem(path, format!("must be a whole number from 1 to {MOST}"));
        }
        count
    }

    fn bytes(&mut self, path: &'static str) -> Option<NonZeroU64> {
        let read = match self.value(path) {
            Value::Null => return None,
            Value::Number(number) => number.as_u64().ok_or_else(|| format!("{number} is not a size; write 10MiB")),
            Value::String(text) => parse_size(text),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err("must be a size like 10MiB".to_owned()),
        };
        match read {
            Ok(bytes) if bytes >= LEAST_BYTES => return NonZeroU64::new(bytes),
            Ok(bytes) => self.problem(path, format!("{bytes} bytes a second are too few; write 16KiB or more")),
            Err(message) => self.problem(path, message),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(limits: &Value) -> Result<OwnLimits, Vec<String>> {
        let document = json!({ "limits": limits });
        let mut reader = Reader::new(document.as_object().unwrap(), Provenance::Api);
        let limits = reader.limits();
        let found = reader.into_problems();
        if found.is_empty() {
            return Ok(limits);
        }
        Err(found.into_iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect())
    }

    #[test]
    fn limits_are_read_and_none_is_none() {
        let all = json!({ "requests_per_second": 5, "bytes_per_second": "10MiB", "concurrent_requests": "4" });
        let expected = OwnLimits {
            requests_per_second: NonZeroU32::new(5),
            bytes_per_second: NonZeroU64::new(10 << 20),
            concurrent_requests: NonZeroU32::new(4),
        };
        assert_eq!(read(&all), Ok(expected));
        assert_eq!(
            read(&json!({ "bytes_per_second": 1_000_000 })).unwrap().bytes_per_second,
            NonZeroU64::new(1_000_000)
        );
        assert_eq!(read(&json!(null)), Ok(OwnLimits::default()));
        assert_eq!(read(&json!({})), Ok(OwnLimits::default()));
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let wrong = json!({ "requests_per_second": 0, "bytes_per_second": "1KiB", "concurrent_requests": -1, "x": 1 });
        let found = read(&wrong).unwrap_err();
        let expected = [
            "limits.x: unknown field",
            "limits.requests_per_second: must be a whole number from 1 to",
            "limits.bytes_per_second: 1024 bytes a second are too few",
            "limits.concurrent_requests: must be a whole number",
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:?}");
        assert_eq!(read(&json!(5)).unwrap_err().len(), 1);
        assert_eq!(read(&json!({ "bytes_per_second": "5M" })).unwrap_err().len(), 1);
    }
}
