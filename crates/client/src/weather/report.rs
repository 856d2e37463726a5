//! All that is known of one host, for administrators and metrics.
//!
//! Must not decide, and must hold no secret: accounts by name. Invariant: a copy of one moment.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::blocks::Cost;
use super::host::HostWeather;
use super::rate_limit::RateLimit;
use super::snapshot::BreakerState;
use crate::basic::CredentialId;

/// The weather at one host with all accounts it is asked with.
#[derive(Clone, Debug, PartialEq)]
pub struct HostReport {
    /// `host[:port]`.
    pub upstream: Arc<str>,
    /// Whether the host is asked.
    pub breaker: BreakerState,
    /// Moving average of the time to the head of an answer; `None` before the first.
    pub latency: Option<Duration>,
    /// Moving average of failures (no connection, no answer in time, 5xx), 0 to 1.
    pub error_rate: f64,
    /// Until when nobody asks: a bare 429.
    pub blocked_until: Option<Instant>,
    /// What was heard of each account, by name.
    pub accounts: Vec<AccountReport>,
}

/// What was heard of one account.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountReport {
    /// Its name in the configuration; `anonymous` without a credential. Several may have the same name.
    pub name: String,
    /// Until when it does not ask at all: `Retry-After`.
    pub blocked_until: Option<Instant>,
    /// Until when it does not GET manifests: a pull limit is used up.
    pub pulls_blocked_until: Option<Instant>,
    /// What the host said of its rate limit, if it ever did.
    pub rate_limit: Option<RateLimit>,
}

impl HostWeather {
    /// All that is known.
    pub(crate) fn report(&self) -> HostReport {
        let now = Instant::now();
        self.change(|state| {
            let limited = state.rate_limits.keys().chain(state.names.keys()).copied();
            let known: HashSet<CredentialId> = limited.chain(state.blocks.accounts(now)).collect();
            let mut accounts: Vec<AccountReport> = known
                .into_iter()
                .map(|account| AccountReport {
                    name: state.name_of(account).to_owned(),
                    blocked_until: state.blocks.own(account, Cost::Free, now).map(|block| block.until),
                    pulls_blocked_until: state.blocks.own(account, Cost::Pull, now).map(|block| block.until),
                    rate_limit: state.rate_limit(account, now),
                })
                .collect();
            accounts.sort_by(|a, b| (&a.name, remaining(a)).cmp(&(&b.name, remaining(b))));
            HostReport {
                upstream: self.label.clone(),
                breaker: state.breaker.state(now),
                latency: state.latency.mean().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
                error_rate: state.errors.mean().unwrap_or_default(),
                blocked_until: state.blocks.of_everybody(now).map(|block| block.until),
                accounts,
            }
        })
    }
}

fn remaining(account: &AccountReport) -> Option<u64> {
    account.rate_limit.as_ref().map(|limit| limit.remaining)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, StatusCode};

    use super::super::{Climate, Question};
    use super::*;
    use crate::exchange::ExchangeKind;

    fn answered(host: &Arc<HostWeather>, account: CredentialId, status: u16, headers: &[(&'static str, &str)]) {
        let question = Question { method: &Method::HEAD, kind: ExchangeKind::Manifest, account };
        let mut said = HeaderMap::new();
        for (name, value) in headers {
            said.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        host.admit(&question).unwrap().answered(status, &said, Duration::from_millis(20));
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_are_told_apart_by_name() {
        let host = Climate::default().at(&"https://r.example".parse().unwrap());
        let credential = crate::Credential::Bearer(crate::Secret::new("canary"));
        let known = CredentialId::of(Some(&credential));
        host.name_account(known, &"ci".into());
        let limit = |left| [("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", left)];
        answered(&host, CredentialId::Anonymous, 200, &limit("7"));
        answered(&host, known, 200, &limit("90"));
        answered(&host, known, 429, &[("retry-after", "60")]);
        let report = host.report();
        assert_eq!((&*report.upstream, report.breaker), ("r.example", BreakerState::Closed));
        assert_eq!(report.blocked_until, None, "one account's wait is not everybody's");
        let told: Vec<_> = report.accounts.iter().map(|a| (a.name.as_str(), remaining(a))).collect();
        assert_eq!(told, [("anonymous", Some(7)), ("ci", Some(90))]);
        assert_eq!(report.accounts[0].blocked_until, None);
        assert_eq!(report.accounts[1].blocked_until, Some(Instant::now() + Duration::from_mins(1)));
        assert!(!format!("{report:?}").contains("canary"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_limit_and_an_abuse_limit_are_two_things() {
        let host = Climate::default().at(&"https://r.example".parse().unwrap());
        let used_up = [("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "0;w=21600")];
        answered(&host, CredentialId::Anonymous, 429, &used_up);
        let report = host.report();
        assert_eq!((report.blocked_until, report.accounts[0].blocked_until), (None, None));
        assert!(report.accounts[0].pulls_blocked_until.is_some());
        answered(&host, CredentialId::Anonymous, 429, &[]);
        assert!(host.report().blocked_until.is_some());
    }
}
