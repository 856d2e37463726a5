//! Reads the headers in which upstreams tell their rate limits.
//!
//! Docker Hub: `ratelimit-limit: 100;w=21600`, `ratelimit-remaining: 76;w=21600`, `docker-ratelimit-source: <who>`.
//! GitHub, Quay and others: `x-ratelimit-limit`, `x-ratelimit-remaining`, `x-ratelimit-reset` (seconds, or a Unix time).
//! Pure. Invariant: a limit is reported only when both limit and remainder are numbers; `source` is short and printable.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;

/// Longest `docker-ratelimit-source` kept, in characters.
const LONGEST_SOURCE: usize = 64;

/// Larger numbers in `…-reset` are points in time.
const FIRST_DATE: u64 = 1_000_000_000;

/// Windows and resets beyond a month are nonsense.
const LONGEST_WINDOW: Duration = Duration::from_hours(31 * 24);

/// One answer's statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stated {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// The window that the limit is for, or the time until it begins anew.
    pub(super) window: Option<Duration>,
    pub(super) source: Option<String>,
}

/// What the headers say, if anything.
pub(super) fn read(headers: &HeaderMap, now: SystemTime) -> Option<Stated> {
    pair(headers, "ratelimit", now).or_else(|| pair(headers, "x-ratelimit", now))
}

fn pair(headers: &HeaderMap, family: &str, now: SystemTime) -> Option<Stated> {
    let text = |what: &str| headers.get(format!("{family}-{what}"))?.to_str().ok();
    let (limit, window) = quantity(text("limit")?)?;
    let (remaining, same_window) = quantity(text("remaining")?)?;
    let reset = || {
        let number: u64 = text("reset")?.trim().parse().ok()?;
        if number < FIRST_DATE {
            return Some(Duration::from_secs(number));
        }
        UNIX_EPOCH.checked_add(Duration::from_secs(number))?.duration_since(now).ok()
    };
    let window = window.or(same_window).or_else(reset).filter(|window| *window <= LONGEST_WINDOW);
    Some(Stated { limit, remaining, window, source: source(headers) })
}

/// `100;w=21600`, `100, 100;w=60` or `100`: the first number and the window that belongs to it.
fn quantity(text: &str) -> Option<(u64, Option<Duration>)> {
    let first = text.split(',').next()?;
    let mut parts = first.split(';').map(str::trim);
    let number = parts.next()?.parse().ok()?;
    let window = parts.find_map(|part| part.strip_prefix("w=")?.parse().ok()).map(Duration::from_secs);
    Some((number, window))
}

/// Whom the upstream counts: an address or an account's id.
fn source(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("docker-ratelimit-source")?.to_str().ok()?.trim();
    let printable = text.chars().filter(char::is_ascii_graphic).take(LONGEST_SOURCE).collect::<String>();
    (!printable.is_empty()).then_some(printable)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn said(pairs: &[(&'static str, &'static str)]) -> Option<Stated> {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect::<HeaderMap>();
        read(&headers, UNIX_EPOCH + Duration::from_secs(1_700_000_000))
    }

    #[test]
    fn docker_hub_is_understood() {
        let stated = said(&[
            ("ratelimit-limit", "100;w=21600"),
            ("ratelimit-remaining", "76;w=21600"),
            ("docker-ratelimit-source", "192.0.2.7"),
        ]);
        let expected = Stated {
            limit: 100,
            remaining: 76,
            window: Some(Duration::from_hours(6)),
            source: Some("192.0.2.7".into()),
        };
        assert_eq!(stated, Some(expected));
    }

    #[test]
    fn other_spellings_are_understood() {
        let x = |reset| {
            said(&[("x-ratelimit-limit", "60"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset)])
                .and_then(|stated| stated.window)
        };
        assert_eq!(x("30"), Some(Duration::from_secs(30)));
        assert_eq!(x("1700000090"), Some(Duration::from_secs(90)));
        assert_eq!(x("1600000000"), None, "it has passed");
        assert_eq!(x("900000000"), None, "no window is as long as that");
        let draft = said(&[("ratelimit-limit", "10, 10;w=1, 50;w=60"), ("ratelimit-remaining", "9")]).unwrap();
        assert_eq!((draft.limit, draft.remaining), (10, 9));
    }

    #[test]
    fn half_a_statement_or_nonsense_is_none() {
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[("ratelimit-limit", "100")]), None);
        assert_eq!(said(&[("ratelimit-limit", "many"), ("ratelimit-remaining", "5")]), None);
        assert_eq!(said(&[("ratelimit-limit", "-1"), ("ratelimit-remaining", "5")]), None);
        assert_eq!(said(&[("ratelimit-limit", ""), ("ratelimit-remaining", "5")]), None);
    }
}
