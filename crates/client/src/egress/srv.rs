//! The servers of an upstream that is named by DNS service records (RFC 2782).
//!
//! The answers are kept by the resolver for as long as their TTL says, so each request asks it anew. TLS is verified
//! against the target's name, which plain DNS could forge: so targets must be in the domain of the service name itself,
//! whose names only its owner gets certificates for. Must not know requests. Invariants: targets come in the order of
//! RFC 2782, those that failed lately behind all others; a target of another domain is never used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::time::Instant;
use url::Url;

use super::resolver::absolute;

/// How long a target that failed is tried last.
const AVOIDED_FOR: Duration = Duration::from_secs(30);

/// Most targets tried for one request.
const MAX_TRIED: usize = 4;

/// The targets of one service name.
pub(super) struct ServicePool {
    name: String,
    domain: String,
    resolver: TokioResolver,
    /// What was found last: used while DNS gives no answer, and to know our own servers again.
    known: Mutex<Arc<[Target]>>,
    failed: Mutex<HashMap<(String, u16), Instant>>,
}

/// A target as its record says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    priority: u16,
    weight: u16,
    host: String,
    port: u16,
}

impl ServicePool {
    pub(super) fn new(name: String, domain: String, resolver: TokioResolver) -> Self {
        Self { name, domain, resolver, known: Mutex::new(Arc::new([])), failed: Mutex::default() }
    }

    /// Where to send a request for `url`, in the order to try.
    pub(super) async fn destinations(&self, url: &Url) -> Result<Vec<Url>, String> {
        let targets = self.look_up().await?;
        let ordered = self.avoid_failed(rank(&targets, |sum| fastrand::u32(0..=sum)));
        Ok(ordered.into_iter().take(MAX_TRIED).filter_map(|target| at(url, &target)).collect())
    }

    /// Whether the URL's host and port are one of the targets last found.
    pub(super) fn is_target(&self, url: &Url) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.iter().any(|target| {
            url.host_str() == Some(target.host.as_str()) && url.port_or_known_default() == Some(target.port)
        })
    }

    /// No connection to the target at `url`.
    pub(super) fn failed(&self, url: &Url) {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return };
        let now = Instant::now();
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, until| *until > now);
        failed.insert((host.to_owned(), port), now + AVOIDED_FOR);
    }

    async fn look_up(&self) -> Result<Arc<[Target]>, String> {
        let answer = self.resolver.lookup(absolute(&self.name), RecordType::SRV).await;
        let records = match &answer {
            Ok(answer) => answer.answers(),
            Err(error) => {
                let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let gone = error.is_nx_domain() || error.is_no_records_found();
                return if known.is_empty() || gone { Err(format!("{}: {error}", self.name)) } else { Ok(known) };
            }
        };
        let targets = records.iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(self.target(srv)),
            _ => None,
        });
        let targets: Arc<[Target]> = targets.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        if targets.is_empty() {
            return Err(format!("{} has no service records", self.name));
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = targets.clone();
        Ok(targets)
    }

    /// Reads a record; none for the root, which says that the service is not available here.
    fn target(&self, record: &SRV) -> Result<Option<Target>, String> {
        let host = record.target.to_utf8().trim_end_matches('.').to_ascii_lowercase();
        if host.is_empty() {
            return Ok(None);
        }
        let inside = host.strip_suffix(&self.domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if !inside {
            return Err(format!(
                "the service record of {} leads to {host}, outside of {}: not followed, because an unsigned DNS answer \
                 could name anybody; write such a server as an upstream of its own",
                self.name, self.domain
            ));
        }
        Ok(Some(Target { priority: record.priority, weight: record.weight, host, port: record.port }))
    }

    fn avoid_failed(&self, mut targets: Vec<Target>) -> Vec<Target> {
        let now = Instant::now();
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        targets.sort_by_key(|target| failed.get(&(target.host.clone(), target.port)).is_some_and(|until| *until > now));
        targets
    }
}

fn at(url: &Url, target: &Target) -> Option<Url> {
    let mut url = url.clone();
    url.set_host(Some(&target.host)).ok()?;
    url.set_port(Some(target.port)).ok()?;
    Some(url)
}

/// The order of RFC 2782: lower priorities first, within one by chance in proportion to weight. `draw` gives a number
/// from 0 to its argument.
fn rank(targets: &[Target], draw: impl Fn(u32) -> u32) -> Vec<Target> {
    let mut left = targets.to_vec();
    // Those with weight 0 stand before the others of their priority.
    left.sort_by_key(|target| (target.priority, target.weight != 0));
    let mut ordered = Vec::with_capacity(left.len());
    while let Some(priority) = left.first().map(|target| target.priority) {
        let same = left.iter().take_while(|target| target.priority == priority);
        let sum = same.clone().map(|target| u32::from(target.weight)).sum();
        let drawn = draw(sum);
        let mut running = 0;
        let chosen = same.clone().position(|target| {
            running += u32::from(target.weight);
            running >= drawn
        });
        ordered.push(left.remove(chosen.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(priority: u16, weight: u16, host: &str) -> Target {
        Target { priority, weight, host: host.to_owned(), port: 443 }
    }

    fn hosts(ordered: &[Target]) -> String {
        ordered.iter().map(|target| target.host.as_str()).collect()
    }

    #[test]
    fn priorities_come_first_and_weights_decide_within() {
        let all = [target(20, 9, "d"), target(10, 3, "b"), target(10, 1, "c"), target(10, 0, "a")];
        assert_eq!(hosts(&rank(&all, |_| 0)), "abcd", "nothing drawn: the first of each");
        assert_eq!(hosts(&rank(&all, |sum| sum)), "cbad", "all drawn: the last of each");
        assert_eq!(hosts(&rank(&all, |sum| sum.min(3))).find('d'), Some(3), "a later priority is always last");
        assert!(rank(&[], |_| 0).is_empty());
    }

    #[test]
    fn weights_are_proportions() {
        let all = [target(1, 90, "a"), target(1, 10, "b"), target(1, 0, "c")];
        let first = |host: &str| (0..2000).filter(|_| rank(&all, |sum| fastrand::u32(0..=sum))[0].host == host).count();
        let (a, b, c) = (first("a"), first("b"), first("c"));
        assert!(a > 1600 && b > 60 && c < 150, "{a} {b} {c}");
    }
}
