//! What we allow ourselves at each upstream host, whoever pulls from it.
//!
//! Must not know how a limit is kept (`limits`). Invariants: all clients of one host share one limiter; a registry with
//! several names has one, under whichever of them it was written.

use std::collections::BTreeMap;

use oci::RegistryHost;
use url::Url;

use super::limits::{Limiter, OwnLimits};
use crate::endpoint::authority;
use crate::profiles;

/// The limits of all hosts. Clones share their limiters.
#[derive(Clone, Debug, Default)]
pub struct HostLimits {
    /// By `host[:port]`.
    hosts: BTreeMap<String, (OwnLimits, Limiter)>,
}

/// Whether both set the same limits; what is used up of them does not count.
impl PartialEq for HostLimits {
    fn eq(&self, other: &Self) -> bool {
        let limits =
            |all: &Self| all.hosts.iter().map(|(host, (limits, _))| (host.clone(), *limits)).collect::<Vec<_>>();
        limits(self) == limits(other)
    }
}

impl Eq for HostLimits {}

impl HostLimits {
    /// The limits by `host[:port]` as in a URL. The later of two names of one registry counts.
    pub fn new(limits: impl IntoIterator<Item = (RegistryHost, OwnLimits)>) -> Self {
        let entry = |(host, limits): (RegistryHost, OwnLimits)| (canonical(&host), (limits, Limiter::of_host(limits)));
        Self { hosts: limits.into_iter().map(entry).collect() }
    }

    /// The same limits, with those of `before` in place of equal ones: what is used up stays so.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        for (host, (limits, limiter)) in &mut self.hosts {
            if let Some((same, kept)) = before.hosts.get(host).filter(|(old, _)| old == limits) {
                (*limits, *limiter) = (*same, kept.clone());
            }
        }
        self
    }

    /// The limiter of the host of an upstream's URL; one without limits when none are written for it.
    pub fn limiter(&self, upstream: &Url) -> Limiter {
        self.find(upstream).map(|(_, limiter)| limiter.clone()).unwrap_or_default()
    }

    /// The limits of the host of an upstream's URL.
    pub fn limits(&self, upstream: &Url) -> Option<OwnLimits> {
        self.find(upstream).map(|(limits, _)| *limits)
    }

    fn find(&self, upstream: &Url) -> Option<&(OwnLimits, Limiter)> {
        let host = authority(upstream)?;
        let with_port = || Some(format!("{}:{}", upstream.host_str()?, upstream.port_or_known_default()?));
        self.hosts.get(&host).or_else(|| self.hosts.get(&with_port()?))
    }
}

/// The host that a registry of this name is asked at.
fn canonical(host: &RegistryHost) -> String {
    let profile = profiles::of_host(host.as_ref());
    let is_alias = profile.aliases.contains(&host.as_ref());
    let url = profile.url.filter(|_| is_alias).and_then(|url| authority(&url.parse().ok()?));
    url.unwrap_or_else(|| host.as_ref().to_owned())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn limits(requests: u32) -> OwnLimits {
        OwnLimits { requests_per_second: NonZeroU32::new(requests), ..OwnLimits::default() }
    }

    fn all(entries: &[(&str, u32)]) -> HostLimits {
        HostLimits::new(entries.iter().map(|(host, requests)| (host.parse().unwrap(), limits(*requests))))
    }

    fn at(limits: &HostLimits, url: &str) -> Option<u32> {
        limits.limits(&url.parse().unwrap())?.requests_per_second.map(NonZeroU32::get)
    }

    #[test]
    fn a_host_is_found_under_each_of_its_names_and_ports() {
        let limits = all(&[("docker.io", 5), ("r.example:8443", 7), ("q.example:443", 9)]);
        assert_eq!(at(&limits, "https://registry-1.docker.io/"), Some(5));
        assert_eq!(at(&limits, "https://r.example:8443/path"), Some(7));
        assert_eq!(at(&limits, "https://r.example/"), None, "another port is another host");
        assert_eq!(at(&limits, "https://q.example"), Some(9), "the scheme's own port");
        assert_eq!(at(&limits, "http://q.example"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_used_up_outlives_a_reload_that_changes_other_hosts() {
        use tokio::time::{Duration, Instant};
        let url: Url = "https://r.example".parse().unwrap();
        let before = all(&[("r.example", 1), ("other.example", 5)]);
        let enter = |limiter: Limiter| async move {
            limiter.enter(&"r.example".into(), Instant::now() + Duration::from_millis(1)).await.is_ok()
        };
        assert!(enter(before.limiter(&url)).await);
        assert_ne!(before, all(&[("r.example", 1)]));
        let after = all(&[("r.example", 1)]).after(&before);
        assert!(!enter(after.limiter(&url)).await, "the second in the same second");
        let changed = all(&[("r.example", 2)]).after(&before);
        assert!(enter(changed.limiter(&url)).await, "other limits begin anew");
    }
}
