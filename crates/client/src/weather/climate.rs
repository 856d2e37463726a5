//! The weather at all hosts that this process asks.
//!
//! Must not know repositories. Invariants: one entry for each scheme, host and port, however many clients ask it;
//! bounded, and what must not be forgotten (a block, an open breaker, a host in use) is kept longest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use url::Url;

use super::host::HostWeather;
use crate::endpoint::authority;

/// Most hosts remembered. CDNs have many names.
const MOST_HOSTS: usize = 1024;

/// Cheap to clone; clones share everything. Give all clients of a process the same one.
#[derive(Clone, Default)]
pub struct Climate {
    hosts: Arc<Mutex<HashMap<String, Arc<HostWeather>>>>,
    care: Care,
}

/// What is done for hosts that fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Care {
    /// They are left alone for a while, and retries stay a fraction of requests: many callers stand behind this process.
    #[default]
    Spared,
    /// They are asked as often as each call may: behind this process stands one person who said how often.
    Pressed,
}

/// What is known of hosts is no setting: configurations that differ in nothing else are equal.
impl PartialEq for Climate {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Climate {}

impl std::fmt::Debug for Climate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Climate").finish_non_exhaustive()
    }
}

impl Climate {
    /// For a command that somebody waits for: without circuit breakers and retry budgets, so that nothing but the number of
    /// attempts ends it. Hosts that ask for a wait are heeded all the same.
    #[must_use]
    pub fn of_one_command() -> Self {
        Self { hosts: Arc::default(), care: Care::Pressed }
    }

    /// The weather at the host of a URL.
    pub(crate) fn at(&self, url: &Url) -> Arc<HostWeather> {
        let key = url.origin().ascii_serialization();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&key) {
            return host.clone();
        }
        let host = Arc::new(HostWeather::new(&authority(url).unwrap_or_default(), self.care));
        if hosts.len() >= MOST_HOSTS {
            hosts.retain(|_, host| Arc::strong_count(host) > 1 || host.is_stormy());
        }
        if hosts.len() < MOST_HOSTS {
            hosts.insert(key, host.clone());
        }
        host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_for_each_origin() {
        let climate = Climate::default();
        let at = |url: &str| climate.at(&url.parse().unwrap());
        let first = at("https://r.example/v2/a");
        assert!(Arc::ptr_eq(&first, &at("https://R.example:443/other?x=y")));
        assert!(!Arc::ptr_eq(&first, &at("http://r.example/v2/a")));
        assert!(!Arc::ptr_eq(&first, &at("https://r.example:8443/")));
        assert!(Arc::ptr_eq(&first, &climate.clone().at(&"https://r.example".parse().unwrap())));
    }

    #[test]
    fn memory_is_bounded_and_hosts_in_use_stay() {
        let climate = Climate::default();
        let used = climate.at(&"https://used.example".parse().unwrap());
        for number in 0..3 * MOST_HOSTS {
            climate.at(&format!("https://cdn{number}.example").parse().unwrap());
        }
        assert!(climate.hosts.lock().unwrap().len() <= MOST_HOSTS);
        assert!(Arc::ptr_eq(&used, &climate.at(&"https://used.example".parse().unwrap())));
    }
}
