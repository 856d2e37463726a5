//! Reads how long an upstream asks us to stay away.
//!
//! `Retry-After` (RFC 9110 section 10.2.3) is seconds or a date; Docker Hub's management API was seen to send
//! `X-Retry-After` with an absolute Unix time. Pure. Invariants: at most one hour; what has passed means now; nonsense
//! means nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName};

/// Longest time an upstream can ask us to stay away.
const MOST: Duration = Duration::from_hours(1);

/// A number above this is a point in time (2001-09-09), not a number of seconds to wait.
const FIRST_DATE: u64 = 1_000_000_000;

const X_RETRY_AFTER: HeaderName = HeaderName::from_static("x-retry-after");

/// The wait that the headers ask for; `Retry-After` counts before `X-Retry-After`.
pub(crate) fn wait_hint(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let standard = text(headers, &RETRY_AFTER).and_then(|text| match whole_number(text) {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => httpdate::parse_http_date(text).ok().map(|date| until(date, now)),
    });
    let absolute = || {
        text(headers, &X_RETRY_AFTER).and_then(whole_number).map(|number| {
            if number < FIRST_DATE {
                return Duration::from_secs(number);
            }
            UNIX_EPOCH.checked_add(Duration::from_secs(number)).map_or(MOST, |date| until(date, now))
        })
    };
    standard.or_else(absolute).map(|wait| wait.min(MOST))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A number of any length; beyond what fits it is just very large.
fn whole_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn until(date: SystemTime, now: SystemTime) -> Duration {
    date.duration_since(now).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn read(name: &HeaderName, value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        wait_hint(&headers, UNIX_EPOCH + Duration::from_secs(NOW)).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_read_and_capped() {
        let date = |seconds: i64| {
            let at = NOW.checked_add_signed(seconds).unwrap();
            httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at))
        };
        for (text, wait) in [
            ("7", 7),
            (" 7 ", 7),
            ("0", 0),
            (date(90).as_str(), 90),
            (date(-90).as_str(), 0),
            ("999999999999999999999999", 3600),
            (date(1_000_000).as_str(), 3600),
        ] {
            assert_eq!(read(&RETRY_AFTER, text), Some(wait), "{text}");
        }
        for nonsense in ["", "soon", "-5", "1.5", "Fri, 99 Foo 2023"] {
            assert_eq!(read(&RETRY_AFTER, nonsense), None, "{nonsense}");
        }
        assert_eq!(wait_hint(&HeaderMap::new(), SystemTime::now()), None);
    }

    #[test]
    fn the_unofficial_header_holds_a_time_or_seconds() {
        let cases =
            [("1700000030", 30), ("1699999999", 0), ("1800000000", 3600), ("45", 45), ("99999999999999999999", 3600)];
        for (text, wait) in cases {
            assert_eq!(read(&X_RETRY_AFTER, text), Some(wait), "{text}");
        }
        let mut both = HeaderMap::new();
        both.insert(&X_RETRY_AFTER, "45".parse().unwrap());
        both.insert(RETRY_AFTER, "5".parse().unwrap());
        assert_eq!(wait_hint(&both, SystemTime::now()), Some(Duration::from_secs(5)));
    }
}
