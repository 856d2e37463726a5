//! What the registry counts. Every metric is born here; `docs/metrics.md` is generated from the registration.
//!
//! Must not know how metrics are served. Invariant: no label value comes from a client or an upstream (repository
//! keys and hosts of upstreams are the operator's; everything else is a closed set), so the number of series is bounded.

mod gc;
mod groups;
mod weather;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use self::gc::GcMetrics;
use self::groups::GroupCounters;
use self::weather::WeatherGauges;
use crate::outcome::PullOutcome;

/// A repository key as a label: shared, never formatted on the hot path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyLabel(Arc<str>);

impl EncodeLabelValue for KeyLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        (&*self.0).encode(encoder)
    }
}

/// What was pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PullKind {
    /// A manifest or index.
    Manifest,
    /// A blob or a part of one.
    Blob,
    /// A list of tags.
    Tags,
    /// The referrers of a manifest.
    Referrers,
}

impl PullKind {
    /// The word in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Tags => "tags",
            Self::Referrers => "referrers",
        }
    }
}

/// Labels of `transship_pulls`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PullLabels {
    repo_key: KeyLabel,
    kind: &'static str,
    outcome: &'static str,
}

/// Labels of decisions about callers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DecisionLabels {
    repo_key: KeyLabel,
    decision: &'static str,
}

/// Labels of bytes served.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ServedLabels {
    repo_key: KeyLabel,
    outcome: &'static str,
}

/// Labels with the repository and one of its upstreams, by the `host[:port]` that the operator configured.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SourceLabels {
    repo_key: KeyLabel,
    upstream: KeyLabel,
}

/// Labels of upstream exchanges.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct UpstreamLabels {
    repo_key: KeyLabel,
    upstream: KeyLabel,
    kind: &'static str,
    status: &'static str,
}

/// Everything the registry counts.
#[derive(Clone, Debug)]
pub struct Metrics {
    pulls: Family<PullLabels, Counter>,
    served_bytes: Family<ServedLabels, Counter>,
    decisions: Family<DecisionLabels, Counter>,
    upstream_exchanges: Family<UpstreamLabels, Counter>,
    upstream_bytes: Family<SourceLabels, Counter>,
    upstream_first_byte: Family<SourceLabels, Histogram>,
    upstream_total: Family<SourceLabels, Histogram>,
    upstream_up: Family<SourceLabels, Gauge>,
    /// Realms, redirects and addresses that we did not go to.
    upstream_refusals: Family<SourceLabels, Counter>,
    /// Garbage collection.
    pub(crate) gc: GcMetrics,
    /// The weather at upstream hosts.
    pub(crate) weather: WeatherGauges,
    /// What groups answer.
    groups: GroupCounters,
    /// Questions that a mirror answered while the named upstream failed.
    mirror_answers: Family<SourceLabels, Counter>,
    /// Tags that a mirror has at another digest.
    pub tag_disagreements: Counter,
    /// Fills that went on from another source.
    pub fills_switched: Counter,
    /// Fills under way.
    pub fills_in_flight: Gauge,
    /// Readers that tail a fill.
    pub fill_followers: Gauge,
    /// Fills continued from bytes a former process left.
    pub fills_resumed: Counter,
    /// Fills that broke off.
    pub fills_failed: Counter,
    /// Blobs whose bytes did not hash to their digest.
    pub integrity_failures: Counter,
    /// Pulls streamed past the cache because there was no room.
    pub no_room: Counter,
    /// Bytes in the cache, staging included.
    pub cache_bytes: Gauge,
    /// The budget in bytes.
    pub cache_max_bytes: Gauge,
    /// Blobs evicted.
    pub evicted_blobs: Counter,
    /// Bytes evicted.
    pub evicted_bytes: Counter,
    /// Repositories that can be pulled from.
    pub repositories: Gauge<i64, std::sync::atomic::AtomicI64>,
    /// Bytes written to staging since start.
    pub staged_bytes: Counter<u64, AtomicU64>,
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.5, 13))
}

impl Metrics {
    /// Makes the metrics and registers each with its help text.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            pulls: Family::default(),
            served_bytes: Family::default(),
            decisions: Family::default(),
            upstream_exchanges: Family::default(),
            upstream_bytes: Family::default(),
            upstream_first_byte: Family::new_with_constructor(seconds),
            upstream_total: Family::new_with_constructor(seconds),
            upstream_up: Family::default(),
            upstream_refusals: Family::default(),
            gc: GcMetrics::default(),
            weather: WeatherGauges::default(),
            groups: GroupCounters::default(),
            mirror_answers: Family::default(),
            tag_disagreements: Counter::default(),
            fills_switched: Counter::default(),
            fills_in_flight: Gauge::default(),
            fill_followers: Gauge::default(),
            fills_resumed: Counter::default(),
            fills_failed: Counter::default(),
            integrity_failures: Counter::default(),
            no_room: Counter::default(),
            cache_bytes: Gauge::default(),
            cache_max_bytes: Gauge::default(),
            evicted_blobs: Counter::default(),
            evicted_bytes: Counter::default(),
            repositories: Gauge::default(),
            staged_bytes: Counter::default(),
        };
        metrics.register_pulls(registry);
        metrics.register_sources(registry);
        metrics.weather.register(registry);
        metrics.groups.register(registry);
        metrics.register_fills(registry);
        metrics.register_cache(registry);
        metrics.gc.register(registry);
        metrics
    }

    fn register_pulls(&self, registry: &mut Registry) {
        registry.register(
            "transship_pulls",
            "Pulls by repository, kind and outcome (hit, miss, stale, revalidated, bypassed)",
            self.pulls.clone(),
        );
        registry.register_with_unit(
            "transship_served",
            "Bytes of content sent to clients by repository and outcome",
            Unit::Bytes,
            self.served_bytes.clone(),
        );
        registry.register(
            "transship_access_decisions",
            "Decisions about callers of repositories with auth: passthrough (standing, public, granted, refused, grace, undecided)",
            self.decisions.clone(),
        );
        registry.register(
            "transship_upstream_exchanges",
            "Exchanges with upstreams by repository, kind and status class",
            self.upstream_exchanges.clone(),
        );
        registry.register_with_unit(
            "transship_upstream_received",
            "Bytes of bodies received from upstreams",
            Unit::Bytes,
            self.upstream_bytes.clone(),
        );
        registry.register_with_unit(
            "transship_upstream_first_byte",
            "Time from asking an upstream to its response headers",
            Unit::Seconds,
            self.upstream_first_byte.clone(),
        );
        registry.register_with_unit(
            "transship_upstream_exchange",
            "Time of a whole upstream exchange, body included",
            Unit::Seconds,
            self.upstream_total.clone(),
        );
        registry.register("transship_repositories", "Repositories that can be pulled from", self.repositories.clone());
    }

    fn register_sources(&self, registry: &mut Registry) {
        registry.register(
            "transship_upstream_up",
            "Whether the last health check of an upstream was answered (1) or not (0)",
            self.upstream_up.clone(),
        );
        registry.register(
            "transship_upstream_refusals",
            "Times that an upstream led somewhere we do not go (a token realm, a redirect, an address)",
            self.upstream_refusals.clone(),
        );
        registry.register(
            "transship_mirror_answers",
            "Questions that a mirror answered because the named upstream failed",
            self.mirror_answers.clone(),
        );
        registry.register(
            "transship_tag_disagreements",
            "Times that upstreams of one repository had a tag at different digests, or that one said two things of it",
            self.tag_disagreements.clone(),
        );
        registry.register(
            "transship_fills_switched",
            "Fills that went on from another source",
            self.fills_switched.clone(),
        );
    }

    fn register_fills(&self, registry: &mut Registry) {
        registry.register(
            "transship_fills_in_flight",
            "Fills (upstream to store) under way",
            self.fills_in_flight.clone(),
        );
        registry.register("transship_fill_followers", "Responses that tail a fill", self.fill_followers.clone());
        registry.register(
            "transship_fills_resumed",
            "Fills continued from bytes that a former process or attempt left",
            self.fills_resumed.clone(),
        );
        registry.register("transship_fills_failed", "Fills that broke off", self.fills_failed.clone());
        registry.register(
            "transship_integrity_failures",
            "Blobs whose bytes did not hash to their digest",
            self.integrity_failures.clone(),
        );
        registry.register(
            "transship_no_room",
            "Pulls streamed past the cache because disk or budget had no room",
            self.no_room.clone(),
        );
        registry.register_with_unit(
            "transship_staged",
            "Bytes written to staging",
            Unit::Bytes,
            self.staged_bytes.clone(),
        );
    }

    fn register_cache(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "transship_cache_size",
            "Bytes in the cache, growing objects included",
            Unit::Bytes,
            self.cache_bytes.clone(),
        );
        registry.register_with_unit(
            "transship_cache_max_size",
            "The cache's budget",
            Unit::Bytes,
            self.cache_max_bytes.clone(),
        );
        registry.register("transship_evicted_blobs", "Blobs evicted to hold the budget", self.evicted_blobs.clone());
        registry.register_with_unit(
            "transship_evicted",
            "Bytes evicted to hold the budget",
            Unit::Bytes,
            self.evicted_bytes.clone(),
        );
    }

    /// Makes one series of every family, so that a reference made from the registration shows all with their labels.
    pub fn show_every_family(&self) {
        let key: Arc<str> = Arc::from("key");
        self.pull_counter(&key, PullKind::Blob, PullOutcome::Hit).inc();
        self.served_counter(&key, PullOutcome::Hit).inc_by(0);
        self.decided(&key, "granted");
        let upstream = KeyLabel(Arc::from("host"));
        let repo_key = KeyLabel(key);
        let labels =
            UpstreamLabels { repo_key: repo_key.clone(), upstream: upstream.clone(), kind: "blob", status: "2xx" };
        drop(self.upstream_exchanges.get_or_create(&labels));
        let labels = SourceLabels { repo_key, upstream };
        drop(self.upstream_up.get_or_create(&labels));
        drop(self.upstream_refusals.get_or_create(&labels));
        self.weather.show_every_family();
        self.gc.show_every_family();
        self.groups.show_every_family();
        drop(self.mirror_answers.get_or_create(&labels));
        drop(self.upstream_bytes.get_or_create(&labels));
        drop(self.upstream_first_byte.get_or_create(&labels));
        drop(self.upstream_total.get_or_create(&labels));
    }

    /// The counter of answered pulls of one kind.
    pub(crate) fn pull_counter(&self, repo_key: &Arc<str>, kind: PullKind, outcome: PullOutcome) -> Counter {
        let repo_key = KeyLabel(repo_key.clone());
        self.pulls.get_or_create_owned(&PullLabels { repo_key, kind: kind.as_str(), outcome: outcome.as_str() })
    }

    /// Counts one decision about a caller.
    pub(crate) fn decided(&self, repo_key: &Arc<str>, decision: &'static str) {
        self.decisions.get_or_create(&DecisionLabels { repo_key: KeyLabel(repo_key.clone()), decision }).inc();
    }

    /// The counter of bytes that went to clients.
    pub(crate) fn served_counter(&self, repo_key: &Arc<str>, outcome: PullOutcome) -> Counter {
        let repo_key = KeyLabel(repo_key.clone());
        self.served_bytes.get_or_create_owned(&ServedLabels { repo_key, outcome: outcome.as_str() })
    }

    /// Notes what a health check found.
    pub(crate) fn checked(&self, repo_key: &Arc<str>, upstream: &Arc<str>, good: bool) {
        let labels = SourceLabels { repo_key: KeyLabel(repo_key.clone()), upstream: KeyLabel(upstream.clone()) };
        self.upstream_up.get_or_create(&labels).set(i64::from(good));
    }

    /// The counter of times that an upstream led somewhere we do not go.
    pub(crate) fn refusal_counter(&self, repo_key: &Arc<str>, upstream: &str) -> Counter {
        let labels = SourceLabels { repo_key: KeyLabel(repo_key.clone()), upstream: KeyLabel(upstream.into()) };
        self.upstream_refusals.get_or_create_owned(&labels)
    }

    /// Counts one question that a mirror answered in the place of the named upstream.
    pub(crate) fn stood_in(&self, repo_key: &Arc<str>, mirror: &Arc<str>) {
        let labels = SourceLabels { repo_key: KeyLabel(repo_key.clone()), upstream: KeyLabel(mirror.clone()) };
        self.mirror_answers.get_or_create(&labels).inc();
    }

    /// Counts one exchange with an upstream.
    pub(crate) fn exchanged(&self, repo_key: &Arc<str>, exchange: &client::Exchange) {
        let key = KeyLabel(repo_key.clone());
        let status = match exchange.status {
            None => "none",
            Some(429) => "429",
            Some(100..=299) => "2xx",
            Some(300..=399) => "3xx",
            Some(400..=499) => "4xx",
            Some(_) => "5xx",
        };
        let upstream = KeyLabel(exchange.upstream.clone());
        let labels =
            UpstreamLabels { repo_key: key.clone(), upstream: upstream.clone(), kind: exchange.kind.as_str(), status };
        self.upstream_exchanges.get_or_create(&labels).inc();
        let labels = SourceLabels { repo_key: key, upstream };
        self.upstream_bytes.get_or_create(&labels).inc_by(exchange.bytes);
        self.upstream_first_byte.get_or_create(&labels).observe(exchange.first_byte.as_secs_f64());
        self.upstream_total.get_or_create(&labels).observe(exchange.total.as_secs_f64());
    }
}
