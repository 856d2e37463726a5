//! Follows redirects, one checked hop at a time.
//!
//! Must not know challenges. Invariants: `Authorization` and the trace leave with the first hop that changes scheme,
//! host or port and never come back; an https chain never continues over http; no more than five hops; every hop passes
//! the egress filter.

use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use crate::answer::{Answer, AnsweredBy, Passed};
use crate::error::ClientError;
use crate::exchange::ExchangeKind;
use crate::foreign::ForeignHosts;
use crate::payload::Payload;
use crate::redact;
use crate::transport::{Attempt, Outgoing, Transport};

const MAX_HOPS: usize = 5;

/// A request that may be redirected.
pub(crate) struct Journey<'a> {
    pub(crate) method: &'a Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) authorization: Option<&'a HeaderValue>,
    pub(crate) traceparent: Option<&'a HeaderValue>,
    /// What is sent along; never to another origin.
    pub(crate) body: Payload,
    pub(crate) kind: ExchangeKind,
    pub(crate) may_leave: MayLeave<'a>,
}

/// Where redirects may lead.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MayLeave<'a> {
    /// To any host that the egress filter lets us reach.
    Origin,
    /// To hosts of this list, as far as the egress filter lets us reach them.
    Listed(&'a ForeignHosts),
    /// Nowhere else than the origin that was asked: tokens are not taken from strangers, and nothing is sent to them.
    Nothing,
}

impl MayLeave<'_> {
    /// The error says why a redirect to `next`, which is another origin, is not followed.
    fn admit(self, next: &Url) -> Result<(), String> {
        match self {
            Self::Origin => Ok(()),
            Self::Listed(hosts) => hosts.admit(next),
            Self::Nothing => Err(format!(
                "a redirect to another place, {}, of a request that is for the asked one alone",
                redact::url(next)
            )),
        }
    }
}

/// Sends the request and follows where it is sent on to.
pub(crate) async fn follow(
    transport: &Transport,
    journey: &Journey<'_>,
    attempt: Attempt,
) -> Result<Answer, ClientError> {
    let mut url = journey.url.clone();
    let mut by = AnsweredBy::Asked;
    let mut passed = Vec::new();
    for _ in 0..=MAX_HOPS {
        let home = by == AnsweredBy::Asked;
        let mut answer = transport
            .send(&Outgoing {
                method: journey.method,
                url: &url,
                headers: journey.headers,
                authorization: journey.authorization.filter(|_| home),
                traceparent: journey.traceparent.filter(|_| home),
                body: if home { journey.body.clone() } else { Payload::Nothing },
                kind: journey.kind,
                attempt,
            })
            .await?;
        answer.by = by;
        // GHCR sends questions for referrers to a web API that is limited apart from it: that is no answer.
        let is_detour = journey.kind == ExchangeKind::Referrers && answer.status == StatusCode::SEE_OTHER;
        if !is_redirect(answer.status) || is_detour {
            answer.passed = passed;
            return Ok(answer);
        }
        let location = match answer.single(&LOCATION) {
            Ok(Some(location)) => location.to_owned(),
            Ok(None) => return Err(reject(answer, "a redirect without a Location header")),
            Err(error) => return Err(answer.reject(error)),
        };
        let next = match next_hop(&url, &location) {
            Ok(next) => transport.canonical(next),
            Err(what) => return Err(refuse(transport, answer, what)),
        };
        if next.origin() != journey.url.origin() {
            if let Err(what) = journey.may_leave.admit(&next) {
                return Err(refuse(transport, answer, what));
            }
            by = AnsweredBy::Elsewhere;
        }
        if let Payload::Streamed(streamed) = &journey.body {
            streamed.send_on(next);
            return Err(reject(answer, "a redirect of what can be sent only once"));
        }
        answer.record.complete();
        passed.push(Passed { status: answer.status, headers: std::mem::take(&mut answer.headers), to: next.clone() });
        url = next;
    }
    Err(transport.refused(format!("more than {MAX_HOPS} redirects, the last to {}", redact::url(&url))))
}

fn reject(answer: Answer, what: &str) -> ClientError {
    let error = answer.protocol(what);
    answer.reject(error)
}

fn refuse(transport: &Transport, answer: Answer, what: String) -> ClientError {
    answer.reject(transport.refused(what))
}

/// 300 and 304 are answers, not instructions.
fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a `Location` leads from `current`. The error says why we do not go there.
fn next_hop(current: &Url, location: &str) -> Result<Url, String> {
    let mut next =
        current.join(location).map_err(|error| format!("a redirect to something that is no URL: {error}"))?;
    next.set_fragment(None);
    let shown = redact::url(&next);
    if !matches!(next.scheme(), "http" | "https") {
        return Err(format!("a redirect to the scheme {}", next.scheme()));
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err(format!("a redirect to {shown} that carries a user name or password"));
    }
    if current.scheme() == "https" && next.scheme() == "http" {
        return Err(format!("a redirect from https to {shown}"));
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::next_hop;

    #[test]
    fn locations_resolve_against_the_current_hop() {
        let current = "https://h.example/v2/a/blobs/x?y=1".parse().unwrap();
        let resolved = |location| next_hop(&current, location).map(String::from);
        assert_eq!(resolved("/cdn/x?sig=1#frag").unwrap(), "https://h.example/cdn/x?sig=1");
        assert_eq!(resolved("//cdn.example/x").unwrap(), "https://cdn.example/x");
        assert_eq!(resolved("y").unwrap(), "https://h.example/v2/a/blobs/y");
    }

    #[test]
    fn downgrades_and_odd_locations_are_refused_without_leaking() {
        let current = "https://h.example/v2/".parse().unwrap();
        for location in [
            "http://h.example/x",
            "http://cdn.example/x?sig=canary",
            "ftp://h.example/",
            "file:///etc/passwd",
            "https://u:canary@h.example/",
            "https://",
        ] {
            let what = next_hop(&current, location).expect_err(location);
            assert!(!what.contains("canary"), "{what}");
        }
        let plain = "http://h.example/v2/".parse().unwrap();
        next_hop(&plain, "https://h.example/v2/").unwrap();
        next_hop(&plain, "http://other.example/").unwrap();
    }
}
