//! One request's way past the weather: admitted, then answered, failed or given up.
//!
//! Must not know bodies. Invariant: every admitted request settles exactly once; one that is dropped without an
//! outcome says nothing of the host, but gives back the probe it was.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;

use super::blocks::{Cost, Wish};
use super::breaker::{Ticket, Verdict};
use super::host::HostWeather;
use super::{rate_limit_headers, wait_hint};
use crate::basic::CredentialId;
use crate::exchange::ExchangeKind;

/// What is about to be asked, and in whose name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) method: &'a Method,
    pub(crate) kind: ExchangeKind,
    pub(crate) account: CredentialId,
}

impl Question<'_> {
    pub(super) fn cost(&self) -> Cost {
        Cost::of(self.method, self.kind)
    }
}

/// A request that may go out.
pub(crate) struct Admission {
    pub(super) host: Arc<HostWeather>,
    pub(super) ticket: Ticket,
    pub(super) account: CredentialId,
    pub(super) head_of_manifest: bool,
    pub(super) settled: bool,
}

impl Admission {
    /// The head of an answer came after `latency`.
    pub(crate) fn answered(mut self, status: StatusCode, headers: &HeaderMap, latency: Duration) {
        let verdict = if is_outage(status) { Verdict::Failed } else { Verdict::Fine };
        let now = Instant::now();
        let stated = rate_limit_headers::read(headers, SystemTime::now());
        let wish = wish(status, headers, stated.is_some());
        self.settled = true;
        self.host.change(|state| {
            state.breaker.settle(self.ticket, verdict, now);
            state.errors.add(if verdict == Verdict::Failed { 1.0 } else { 0.0 });
            state.latency.add(latency.as_secs_f64());
            if self.head_of_manifest && verdict == Verdict::Fine {
                state.heads.add(latency);
            }
            if let Some(stated) = stated {
                state.note_rate_limit(self.account, stated, now);
            }
            if let Some(wish) = wish {
                state.blocks.note(self.account, wish, status, now);
            }
        });
    }

    /// No answer came, and it is the host's fault.
    pub(crate) fn failed(mut self) {
        self.settle(Verdict::Failed);
    }

    fn settle(&mut self, verdict: Verdict) {
        self.settled = true;
        let now = Instant::now();
        self.host.change(|state| {
            state.breaker.settle(self.ticket, verdict, now);
            if verdict == Verdict::Failed {
                state.errors.add(1.0);
            }
        });
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(Verdict::Unknown);
        }
    }
}

/// Every 5xx but "not implemented" and "version not supported", which are answers.
fn is_outage(status: StatusCode) -> bool {
    status.is_server_error() && !matches!(status.as_u16(), 501 | 505)
}

fn wish(status: StatusCode, headers: &HeaderMap, says_rate_limit: bool) -> Option<Wish> {
    let wait = || wait_hint(headers, SystemTime::now());
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(match wait() {
            Some(wait) => Wish::StayAway(wait),
            None if says_rate_limit => Wish::NoPulls,
            None => Wish::Silence,
        }),
        StatusCode::SERVICE_UNAVAILABLE => wait().map(Wish::StayAway),
        _ => None,
    }
}
