//! What the registry says of rate limits, and how it says "come back later".
//!
//! Must not know what was asked. Invariant: nothing is asked to find this out: no probe spends somebody's budget on purpose.

use http::HeaderName;

use super::report::{CheckId, Findings};
use super::seen::Seen;
use super::session::Session;

const LIMIT: [HeaderName; 2] =
    [HeaderName::from_static("ratelimit-limit"), HeaderName::from_static("x-ratelimit-limit")];
const REMAINING: [HeaderName; 2] =
    [HeaderName::from_static("ratelimit-remaining"), HeaderName::from_static("x-ratelimit-remaining")];

/// Checks the limits told with a manifest.
pub(super) fn check_limit(answer: Option<&Seen>, findings: &mut Findings) {
    let id = CheckId::RateLimit;
    let Some(answer) = answer else { return };
    let shown = |names: &[HeaderName]| names.iter().find_map(|name| answer.shown(name));
    let (limit, remaining) = (shown(&LIMIT), shown(&REMAINING));
    if limit.is_none() && remaining.is_none() {
        return findings.pass(id, "none announced", "no budget to keep an eye on");
    }
    let seen = format!(
        "limit {}, remaining {}",
        limit.as_deref().unwrap_or("unsaid"),
        remaining.as_deref().unwrap_or("unsaid")
    );
    match (limit.as_deref().and_then(number), remaining.as_deref().and_then(number)) {
        (_, Some(0)) => findings.fail(id, seen, "used up: nothing new can be pulled until it is filled again"),
        (Some(limit), Some(left)) if left.saturating_mul(10) < limit => {
            findings.degraded(id, seen, "nearly used up; log in, or add a mirror");
        }
        (_, Some(_)) => findings.pass(id, seen, "told in time: tags are served from the cache before it runs out"),
        (_, None) => findings.degraded(id, seen, "how much is left is only known when it is gone"),
    }
}

/// `100;w=21600` is 100 in six hours.
fn number(value: &str) -> Option<u64> {
    value.split([';', ',']).next()?.trim().parse().ok()
}

/// Checks the form of `Retry-After`, where one came.
pub(super) fn check_retry_after(session: &Session, findings: &mut Findings) {
    let id = CheckId::RetryAfter;
    let put_off = session.put_off();
    let Some((status, value)) = put_off.first() else {
        return findings.skipped(id, "no 429 or 503 came", "");
    };
    let seen = format!("{status} with {}", value.as_deref().map_or("none".to_owned(), super::seen::text));
    match value.as_deref().map(str::trim) {
        None => findings.degraded(id, seen, "when to come back is a guess: waits grow from try to try"),
        Some(seconds) if !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit()) => {
            findings.pass(id, seen, "in seconds: nobody asks before");
        }
        Some(date) if httpdate::parse_http_date(date).is_ok() => {
            findings.pass(id, seen, "as a date: nobody asks before, when the clocks agree");
        }
        Some(_) => findings.degraded(id, seen, "neither seconds nor a date: when to come back is a guess"),
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn limits_with_windows_are_read() {
        assert_eq!(number("100;w=21600"), Some(100));
        assert_eq!(number(" 76 "), Some(76));
        assert_eq!(number("many"), None);
    }
}
