//! The upstreams of one repository: the named one and its mirrors, and which of them is asked for what.
//!
//! Tags, access and "not found" are the named upstream's. A digest may come from any: its bytes prove themselves.
//! Must not know stores or requests. Invariant: a mirror is asked in the place of the named upstream only when that one
//! fails for the moment, never when it says no.

mod upstream;

use std::sync::Arc;

use client::ExchangeObserver;

use crate::repositories::{RepositorySpec, UpstreamDefaults};
pub(crate) use upstream::{Upstream, host_of};

/// The upstreams of one repository.
#[derive(Debug)]
pub(crate) struct Sources {
    named: Arc<Upstream>,
    #[expect(dead_code, reason = "asked by the next change")]
    mirrors: Vec<Arc<Upstream>>,
}

impl Sources {
    /// Sets up the clients. No network access.
    pub(crate) fn build(
        spec: &RepositorySpec,
        defaults: &UpstreamDefaults,
        observer: &Arc<dyn ExchangeObserver>,
    ) -> Result<Self, String> {
        let build = |upstream| Upstream::build(upstream, defaults, observer.clone()).map(Arc::new);
        Ok(Self { named: build(&spec.upstream)?, mirrors: spec.mirrors.iter().map(build).collect::<Result<_, _>>()? })
    }

    /// The upstream whose tags, access and "not found" count.
    pub(crate) fn named(&self) -> &Arc<Upstream> {
        &self.named
    }
}
