//! Gauges of the weather at upstream hosts, looked up when metrics are read.
//!
//! Must not know repositories. Invariants: hosts and names of accounts are the operator's, never an upstream's or a
//! caller's; series of what is no longer known go away; two readers at once never see half of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use client::{AccountReport, BreakerState, HostReport, RateLimit};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::KeyLabel;

/// Labels of what is known of a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HostLabels {
    upstream: KeyLabel,
}

/// Labels of what is known of an account at a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AccountLabels {
    upstream: KeyLabel,
    account: KeyLabel,
}

/// The gauges, and what they show.
#[derive(Clone, Debug, Default)]
pub(crate) struct WeatherGauges {
    breaker: Family<HostLabels, Gauge>,
    limit: Family<AccountLabels, Gauge>,
    remaining: Family<AccountLabels, Gauge>,
    exhausted_in: Family<AccountLabels, Gauge>,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Debug, Default)]
struct Shown {
    hosts: HashSet<HostLabels>,
    accounts: HashSet<AccountLabels>,
}

impl WeatherGauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "transship_upstream_breaker_state",
            "Circuit breaker of an upstream host: 0 closed (it is asked), 1 half-open (one request probes it), 2 open (it is not asked)",
            self.breaker.clone(),
        );
        registry.register(
            "transship_upstream_ratelimit_limit",
            "Requests that an upstream allows an account in a window, as it said last",
            self.limit.clone(),
        );
        registry.register(
            "transship_upstream_ratelimit_remaining",
            "Requests that an account has left at an upstream, as it said last; of accounts with the same name, the least",
            self.remaining.clone(),
        );
        registry.register_with_unit(
            "transship_upstream_ratelimit_exhausted_in",
            "Time until nothing is left at the rate of the last minutes; absent while nothing is being used",
            Unit::Seconds,
            self.exhausted_in.clone(),
        );
    }

    /// Shows these hosts and no others.
    pub(crate) fn show<'a>(&self, hosts: impl Iterator<Item = &'a HostReport>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *shown);
        for host in hosts {
            let upstream = KeyLabel(host.upstream.clone());
            let labels = HostLabels { upstream: upstream.clone() };
            self.breaker.get_or_create(&labels).set(number_of(host.breaker));
            shown.hosts.insert(labels);
            for (name, limit) in least(&host.accounts) {
                let labels = AccountLabels { upstream: upstream.clone(), account: KeyLabel(name.into()) };
                self.show_limit(&labels, limit);
                shown.accounts.insert(labels);
            }
        }
        for gone in before.hosts.difference(&shown.hosts) {
            self.breaker.remove(gone);
        }
        for gone in before.accounts.difference(&shown.accounts) {
            self.limit.remove(gone);
            self.remaining.remove(gone);
            self.exhausted_in.remove(gone);
        }
    }

    fn show_limit(&self, labels: &AccountLabels, limit: &RateLimit) {
        self.limit.get_or_create(labels).set(count(limit.limit));
        self.remaining.get_or_create(labels).set(count(limit.remaining));
        match limit.exhausted_in {
            Some(left) => {
                self.exhausted_in.get_or_create(labels).set(count(left.as_secs()));
            }
            None => {
                self.exhausted_in.remove(labels);
            }
        }
    }

    /// One series of each, for the reference.
    pub(super) fn show_every_family(&self) {
        let upstream = KeyLabel(Arc::from("host"));
        drop(self.breaker.get_or_create(&HostLabels { upstream: upstream.clone() }));
        let labels = AccountLabels { upstream, account: KeyLabel(Arc::from("account")) };
        for family in [&self.limit, &self.remaining, &self.exhausted_in] {
            drop(family.get_or_create(&labels));
        }
    }
}

/// Of the accounts with one name, the limit that has the least left.
fn least(accounts: &[AccountReport]) -> BTreeMap<&str, &RateLimit> {
    let mut by_name: BTreeMap<&str, &RateLimit> = BTreeMap::new();
    for (name, limit) in accounts.iter().filter_map(|a| Some((a.name.as_str(), a.rate_limit.as_ref()?))) {
        let there = by_name.entry(name).or_insert(limit);
        if limit.remaining < there.remaining {
            *there = limit;
        }
    }
    by_name
}

fn number_of(state: BreakerState) -> i64 {
    match state {
        BreakerState::Closed => 0,
        BreakerState::HalfOpen => 1,
        BreakerState::Open { .. } => 2,
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
