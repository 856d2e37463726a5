//! Where blobs are sent on to: hosts, HEAD there, and how long a signed address lasts.
//!
//! Must not know blobs. Invariant: of a signed address only names of parameters and times are told, never values.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use http::Method;
use http::header::CACHE_CONTROL;
use oci::{Digest, RepositoryName};
use url::Url;

use super::blobs;
use super::cache_control::CacheControl;
use super::report::{CheckId, Findings};
use super::seen::Seen;
use super::session::Session;
use crate::answer::Passed;
use crate::endpoint::authority;

/// Parameters of signed addresses that tell how many seconds they last.
const LIFETIMES: [&str; 2] = ["x-amz-expires", "x-goog-expires"];
/// Parameters that tell when they end, as seconds since 1970.
const ENDS: [&str; 4] = ["expires", "exp", "e", "verify"];

/// Judges the redirects of a blob's GET.
pub(super) async fn check(
    session: &Session,
    name: &RepositoryName,
    digest: &Digest,
    get: &Seen,
    findings: &mut Findings,
) {
    let id = CheckId::Redirect;
    let Some(last) = get.passed.last() else {
        return findings.pass(
            id,
            "none, the registry sends blobs itself",
            "no second host to reach, no address that expires",
        );
    };
    let way: Vec<String> = get
        .passed
        .iter()
        .map(|passed| format!("{} to {}", passed.status.as_u16(), authority(&passed.to).unwrap_or_default()))
        .collect();
    let signed = lifetime(&last.to);
    let signed_word = match (&signed, is_signed(&last.to)) {
        (Some(seconds), _) => format!("signed for {seconds} s"),
        (None, true) => "signed, its end unknown".to_owned(),
        (None, false) => "not signed".to_owned(),
    };
    let question = blobs::question(session, Method::HEAD, name, digest);
    let head = match session.ask_elsewhere(&last.to, &question).await {
        Ok(head) => format!("HEAD there {}", head.status),
        Err(_) => "HEAD there fails".to_owned(),
    };
    let seen = format!("{}, {signed_word}, {head}", way.join(", "));
    if let Some(kept) = outlives(&get.passed, signed) {
        return findings.fail(id, seen, kept);
    }
    if last.status.as_u16() == 301 || last.status.as_u16() == 308 {
        let meaning = "a permanent redirect: caches keep it for good, also when the place changes";
        return findings.degraded(id, seen, meaning);
    }
    if head.ends_with("200") {
        findings.pass(id, seen, "blobs come from there: that host must be reachable too");
    } else {
        let meaning = "the address is for GET only: sizes come from the registry, and a broken transfer asks it for a new address";
        findings.degraded(id, seen, meaning);
    }
}

/// Whether a shared cache would keep the redirect longer than the address works.
fn outlives(passed: &[Passed], signed: Option<u64>) -> Option<String> {
    let signed = signed?;
    let kept = passed.iter().filter_map(|passed| {
        let value = passed.headers.get(CACHE_CONTROL)?.to_str().ok()?;
        CacheControl::parse(value).shared_seconds()
    });
    let kept = kept.max()?;
    (kept > signed).then(|| {
        format!("the redirect may be cached for {kept} s, but its address works for {signed} s: a CDN would send clients to a dead address")
    })
}

fn parameters(url: &Url) -> BTreeMap<String, String> {
    url.query_pairs().map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned())).collect()
}

fn is_signed(url: &Url) -> bool {
    parameters(url)
        .keys()
        .any(|name| ["signature", "sig", "token", "policy", "hmac", "verify"].iter().any(|word| name.contains(word)))
}

/// For how many seconds a signed address works, by what its parameters say.
fn lifetime(url: &Url) -> Option<u64> {
    let parameters = parameters(url);
    let number = |name: &&str| parameters.get(*name)?.split('-').next()?.parse::<u64>().ok();
    if let Some(seconds) = LIFETIMES.iter().find_map(number) {
        return Some(seconds);
    }
    if !is_signed(url) {
        return None;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let azure = parameters.get("se").and_then(|text| humantime::parse_rfc3339_weak(text).ok());
    let azure = azure.and_then(|end| end.duration_since(UNIX_EPOCH).ok()).map(|end| end.as_secs());
    ENDS.iter().find_map(number).or(azure).filter(|end| *end > 1_000_000_000).map(|end| end.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read_from_what_signers_write() {
        let read = |query: &str| lifetime(&format!("https://cdn.example/x?{query}").parse().unwrap());
        assert_eq!(read("X-Amz-Expires=1200&X-Amz-Signature=canary"), Some(1200));
        assert_eq!(read("X-Goog-Expires=60&X-Goog-Signature=canary"), Some(60));
        let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 300;
        assert!(read(&format!("Expires={soon}&Signature=canary")).is_some_and(|left| (290..=300).contains(&left)));
        assert!(read(&format!("verify={soon}-canary")).is_some_and(|left| (290..=300).contains(&left)));
        assert!(read("se=2999-01-01T00%3A00%3A00Z&sig=canary").is_some());
        assert_eq!(read("expires=3"), None);
        assert_eq!(read("a=b"), None);
    }

    #[test]
    fn a_redirect_kept_longer_than_its_address_works_is_found() {
        let passed = |value: &'static str| {
            let mut headers = http::HeaderMap::new();
            headers.insert(CACHE_CONTROL, http::HeaderValue::from_static(value));
            vec![Passed {
                status: http::StatusCode::TEMPORARY_REDIRECT,
                headers,
                to: "https://cdn.example".parse().unwrap(),
            }]
        };
        assert!(outlives(&passed("max-age=31536000"), Some(300)).is_some());
        assert!(outlives(&passed("max-age=60"), Some(300)).is_none());
        assert!(outlives(&passed("no-store, max-age=31536000"), Some(300)).is_none());
        assert!(outlives(&passed("max-age=31536000"), None).is_none());
    }
}
