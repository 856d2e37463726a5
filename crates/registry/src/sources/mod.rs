//! The upstreams of one repository: the named one and its mirrors, and which of them is asked for what.
//!
//! Tags, access and "not found" are the named upstream's. A digest may come from any: its bytes prove themselves.
//! Must not know stores or requests. Invariants: a mirror is asked in the place of the named upstream only when that one
//! fails for the moment, never when it says no; only what the named upstream says is passed on as "no".

mod ask;
mod choose;
mod health;
mod measure;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use client::{ExchangeObserver, ForeignClient, Limiter};
use oci::Digest;

use crate::repositories::{RepositorySpec, Strategy, UpstreamDefaults};
pub(crate) use ask::{Answered, Asked, Failure, Failures, StandIns, is_denial, stands_in};
use choose::Candidate;
pub(crate) use health::keep_checking;
pub(crate) use upstream::{Role, Upstream, host_of};

/// How many lies are remembered, over all digests of one repository.
const LIES: u64 = 10_000;
/// How long a source is avoided for a digest that it sent wrong bytes for.
const LIES_FOR: Duration = Duration::from_hours(1);

/// The upstreams of one repository.
#[derive(Debug)]
pub(crate) struct Sources {
    /// The named one first.
    all: Vec<Arc<Upstream>>,
    strategy: Strategy,
    lies: moka::sync::Cache<(Digest, usize), u32>,
    usage: health::Usage,
    /// For layers with addresses of their own, where the operator allows any.
    foreign: Option<ForeignClient>,
}

impl Sources {
    /// Sets up the clients. No network access.
    pub(crate) fn build(
        spec: &RepositorySpec,
        defaults: &UpstreamDefaults,
        observer: &Arc<dyn ExchangeObserver>,
    ) -> Result<Self, String> {
        let several = std::iter::once(&spec.upstream).chain(&spec.mirrors).enumerate();
        let share = upstream::Share { of: 1 + spec.mirrors.len(), limits: Limiter::new(spec.limits) };
        let build = |(index, one)| Upstream::build(index, one, defaults, &share, observer.clone()).map(Arc::new);
        let foreign = (!spec.foreign_layers.is_empty()).then(|| {
            let config = share.config(&spec.upstream, defaults);
            ForeignClient::new(config, spec.foreign_layers.clone(), observer.clone()).map_err(|e| e.to_string())
        });
        Ok(Self {
            all: several.map(build).collect::<Result<_, _>>()?,
            strategy: spec.strategy,
            lies: moka::sync::Cache::builder().max_capacity(LIES).time_to_live(LIES_FOR).build(),
            usage: health::Usage::default(),
            foreign: foreign.transpose()?,
        })
    }

    /// The upstream whose tags, access and "not found" count.
    pub(crate) fn named(&self) -> &Arc<Upstream> {
        &self.all[0]
    }

    /// All of them, the named one first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.all.iter()
    }

    /// Whether there is anything to choose.
    pub(crate) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// Whom to ask for `digest`, best first: all of them, those that lied about it or fail now last.
    pub(crate) fn for_digest(&self, digest: &Digest) -> Vec<Arc<Upstream>> {
        let candidates: Vec<Candidate> = self.all.iter().map(|upstream| self.candidate(upstream, digest)).collect();
        let order = choose::order(self.strategy, &candidates, &mut fastrand::Rng::new());
        order.into_iter().map(|index| self.all[index].clone()).collect()
    }

    fn candidate(&self, upstream: &Upstream, digest: &Digest) -> Candidate {
        Candidate {
            lies: self.lies.get(&(*digest, upstream.index())).unwrap_or(0),
            usable: upstream.is_usable(),
            low: upstream.is_low(),
            cost: upstream.cost(),
        }
    }

    /// Notes that bytes from the sources with these indices did not hash to `digest`.
    pub(crate) fn suspect(&self, digest: &Digest, indices: impl IntoIterator<Item = usize>) {
        for index in indices {
            let lies = self.lies.get(&(*digest, index)).unwrap_or(0);
            self.lies.insert((*digest, index), lies.saturating_add(1));
            if let Some(upstream) = self.all.get(index) {
                tracing::warn!(%digest, upstream = %upstream.address(), "this source is avoided for the digest that it may have sent wrong bytes for");
            }
        }
    }

    /// What fetches layers from addresses of their own, where that is allowed.
    pub(crate) fn foreign(&self) -> Option<&ForeignClient> {
        self.foreign.as_ref()
    }

    /// When requests last came for this repository.
    pub(crate) fn usage(&self) -> &health::Usage {
        &self.usage
    }
}

#[cfg(test)]
mod tests {
    use client::NoObserver;
    use oci::{Reference, Tag};
    use serde_json::json;
    use testkit::upstream::{FakeUpstream, Fault, Target};

    use super::*;
    use crate::repositories::Provenance;

    /// A named upstream and a mirror, both there.
    fn two(strategy: &str, upstreams: &[FakeUpstream; 2]) -> Sources {
        let urls: Vec<String> = upstreams.iter().map(FakeUpstream::url).collect();
        let document = json!({ "upstreams": urls, "strategy": strategy, "internal": true });
        let spec = RepositorySpec::from_document("lab".parse().unwrap(), &document, Provenance::File).unwrap();
        let observer: Arc<dyn ExchangeObserver> = Arc::new(NoObserver);
        Sources::build(&spec, &UpstreamDefaults::default(), &observer).unwrap()
    }

    #[tokio::test]
    async fn who_asked_to_be_left_alone_and_who_is_given_up_for_a_while_come_last() {
        for (strategy, fault, times) in [
            ("ordered", Fault::too_many_requests(Some("3600")), 1),
            ("fastest", Fault::too_many_requests(Some("3600")), 1),
            ("ordered", Fault::status(503), 30),
            ("fastest", Fault::status(503), 30),
        ] {
            let upstreams = [FakeUpstream::start(), FakeUpstream::start()];
            let sources = two(strategy, &upstreams);
            let digest = Digest::sha256_of(b"blob");
            let (name, reference) = ("team/app".parse().unwrap(), Reference::Tag("v1".parse::<Tag>().unwrap()));
            let first = || sources.for_digest(&digest)[0].role();
            assert_eq!(first(), Role::Named, "{strategy}");
            upstreams[0].fault(Target::any(), fault);
            for _ in 0..times {
                // Past what this repository measures of its own questions: only the host's weather knows.
                sources.named().client().head_manifest(&name, &reference).await.map(drop).unwrap_err();
            }
            assert_eq!(first(), Role::Mirror, "{strategy}");
        }
    }
}
