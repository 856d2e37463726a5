//! The handle on a registry: start, the verbs, readiness, reload, shutdown.
//!
//! Must not hold logic of its own; each verb lives in its module. Invariant: starting does no network access, and
//! shutting down leaves every fill published or resumable.

mod groups;
mod housekeeping;
mod pushes;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use blob_store::{BlobStore, Staging, Uploads};
use metadata::Metadata;
use oci::{Digest, RangeHeader, Reference};
use tokio::sync::watch;

use self::groups::Member;
use crate::access::{Action, CallerCredential, EntranceAsks, EntranceLogin, Principal};
use crate::cache::Cache;
use crate::core::{Builtins, Core, FileRepositories};
use crate::error::PullError;
use crate::exchange_log::LoggedExchange;
use crate::explain::{Explanation, ImageAddress};
use crate::groups::Want;
use crate::hosted::{
    At, CatalogPage, Channels, GcSettings, Hosted, HostedRepository, HostedRoute, Place, Promotions, ReferrersPage,
    ReferrersQuery,
};
use crate::metrics::Metrics;
use crate::pull::{AtHand, BlobFacts, ManifestAnswer, OpenBlob, ReferrersAnswer, TagsAnswer, TagsQuery};
use crate::repositories::{ConfiguredRepository, Repository, RepositoryAdmin, Route, RouteQuery, UpstreamDefaults};
use crate::retention::Retention;
use crate::sources::keep_checking;
use crate::tags_over_time::TagsOverTime;

/// How long a stop waits for the page that a garbage collection is at.
const LAST_PAGE: Duration = Duration::from_secs(2);

/// How a registry behaves.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// The cache's budget in bytes.
    pub cache_max_bytes: u64,
    /// Whether the well-known upstreams are there.
    pub builtins: Builtins,
    /// Repositories of the configuration file.
    pub repositories: Vec<ConfiguredRepository>,
    /// How upstream clients behave.
    pub upstream: UpstreamDefaults,
    /// Ports of the listeners for all repositories: none may claim one for itself.
    pub main_ports: Vec<u16>,
    /// How garbage of hosted repositories is collected.
    pub gc: GcSettings,
}

/// Where a registry keeps things.
pub struct Stores {
    /// Blobs.
    pub blobs: Arc<dyn BlobStore>,
    /// Growing objects.
    pub staging: Staging,
    /// Uploads under way, and the store of what was pushed.
    pub uploads: Uploads,
    /// Rows.
    pub metadata: Metadata,
}

/// Why a registry could not start.
#[derive(Debug, thiserror::Error)]
#[error("the registry cannot start: {0}")]
pub struct StartError(#[from] PullError);

/// Whether requests should be sent here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready,
    /// No, and why.
    NotReady(String),
}

/// A running registry. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    core: Arc<Core>,
    stopping: Arc<AtomicBool>,
}

impl Registry {
    /// Starts over `stores`: takes over what is there and resumes fills of a former run in the background.
    pub async fn start(config: RegistryConfig, stores: Stores, metrics: Metrics) -> Result<Self, StartError> {
        let Stores { blobs, staging, uploads, metadata } = stores;
        let cache = Cache::open(blobs, staging, metadata.clone(), config.cache_max_bytes, metrics.clone()).await?;
        let file = FileRepositories { specs: config.repositories, builtin: config.builtins, upstream: config.upstream };
        let hosted =
            Arc::new(Box::pin(Hosted::open(uploads, metadata.clone(), config.gc)).await.map_err(PullError::from)?);
        let core = Core::new(metadata, Arc::new(cache), hosted, metrics, file).with_main_ports(config.main_ports);
        let core = Arc::new(core);
        core.rebuild_map().await?;
        let registry = Self { core, stopping: Arc::default() };
        tokio::spawn(registry.clone().keep_house());
        tokio::spawn(registry.clone().resume_fills());
        tokio::spawn(registry.clone().keep_hosted());
        let stopping = registry.stopping.clone();
        tokio::spawn(registry.promotions().keep_workflows(move || stopping.load(Ordering::Relaxed)));
        let stopping = registry.stopping.clone();
        tokio::spawn(keep_checking(registry.core.clone(), move || stopping.load(Ordering::Relaxed)));
        Ok(registry)
    }

    /// Finds the repository that answers a request.
    pub fn route(&self, query: &RouteQuery<'_>) -> Result<Route, PullError> {
        let route = self.core.map().route(query)?;
        route.repo.sources().usage().touch();
        Ok(route)
    }

    /// Decides whether `caller` may do `action` on `route`, and as whom, before anything is looked up. Where callers pull
    /// with their own accounts (`auth: passthrough`), the verbs refuse a route that has not been here.
    ///
    /// # Errors
    /// `Unauthorized` for whoever may not, or not yet; `AccessUndecided` while upstream cannot be asked.
    pub async fn authorize(
        &self,
        mut route: Route,
        caller: Option<&CallerCredential>,
        action: &Action,
    ) -> Result<Route, PullError> {
        if !route.repo.is_passthrough() {
            return Ok(route);
        }
        let (decision, admission) = Box::pin(crate::access::authorize(&route, caller, action)).await;
        self.core.metrics.decided(route.repo.key(), decision.as_str());
        route.admission = admission?;
        Ok(route)
    }

    /// Whose rights `caller` would use on `route`, for logs.
    pub fn principal(&self, route: &Route, caller: Option<&CallerCredential>) -> Principal {
        route.repo.access().map_or(Principal::Repository, |access| access.principal(caller))
    }

    /// Whose login `GET /v2/` asks for where a request came in.
    pub fn entrance(&self, query: &RouteQuery<'_>) -> EntranceAsks {
        let rule = *self.core.entrance_login.lock().unwrap_or_else(PoisonError::into_inner);
        EntranceAsks::at(&self.core.map(), query, rule)
    }

    /// Says when `GET /v2/` asks for a login at addresses that repositories share; at first as `EntranceLogin::Auto` says.
    pub fn set_entrance_login(&self, rule: EntranceLogin) {
        *self.core.entrance_login.lock().unwrap_or_else(PoisonError::into_inner) = rule;
    }

    /// Checks a login for `GET /v2/` with the upstream of `repository`.
    ///
    /// # Errors
    /// As for [`Registry::authorize`].
    pub async fn log_in(&self, repository: &Repository, caller: Option<&CallerCredential>) -> Result<(), PullError> {
        Box::pin(crate::access::log_in(repository, caller)).await
    }

    /// Finds the repository of any kind that answers a request.
    pub fn locate(&self, query: &RouteQuery<'_>) -> Result<Place, PullError> {
        let place = self.core.map().locate(query)?;
        if let Place::Proxy(route) = &place {
            route.repo.sources().usage().touch();
        }
        Ok(place)
    }

    /// Pulls a manifest by tag or digest.
    pub async fn pull_manifest(
        &self,
        at: impl Into<At<'_>>,
        reference: &Reference,
    ) -> Result<ManifestAnswer, PullError> {
        match at.into() {
            At::Proxy(route) => crate::pull::pull_manifest(&self.core, route, reference).await,
            At::Hosted(route) => crate::hosted::pull_manifest(&self.core, route, reference).await,
            At::Group(route) => match self.member(route, &Action::Manifest(reference.clone()), Want::Content).await? {
                Member::Proxy(route) => Box::pin(crate::pull::pull_manifest(&self.core, &route, reference)).await,
                Member::Hosted(route) => crate::hosted::pull_manifest(&self.core, &route, reference).await,
            },
        }
    }

    /// Answers a pull of a tag if that needs no waiting; `None` says nothing about the pull. `tag` is as written.
    pub fn pull_at_hand(&self, query: &RouteQuery<'_>, tag: &str, now: Instant, time: SystemTime) -> Option<AtHand> {
        crate::pull::pull_at_hand(&self.core, query, tag, now, time)
    }

    /// Opens a blob for reading. `ranges` are those the answer will hold: `None` fills all of it.
    pub async fn open_blob(
        &self,
        at: impl Into<At<'_>>,
        digest: &Digest,
        ranges: Option<&RangeHeader>,
    ) -> Result<OpenBlob, PullError> {
        match at.into() {
            At::Proxy(route) => crate::pull::open_blob(&self.core, route, digest, ranges).await,
            At::Hosted(route) => crate::hosted::open_blob(&self.core, route, digest).await,
            At::Group(route) => match self.member(route, &Action::Blob(*digest), Want::Content).await? {
                Member::Proxy(route) => Box::pin(crate::pull::open_blob(&self.core, &route, digest, ranges)).await,
                Member::Hosted(route) => crate::hosted::open_blob(&self.core, &route, digest).await,
            },
        }
    }

    /// Tells a blob's size without fetching it.
    pub async fn stat_blob(&self, at: impl Into<At<'_>>, digest: &Digest) -> Result<BlobFacts, PullError> {
        match at.into() {
            At::Proxy(route) => crate::pull::stat_blob(&self.core, route, digest).await,
            At::Hosted(route) => crate::hosted::stat_blob(&self.core, route, digest).await,
            At::Group(route) => match self.member(route, &Action::Blob(*digest), Want::Stat).await? {
                Member::Proxy(route) => Box::pin(crate::pull::stat_blob(&self.core, &route, digest)).await,
                Member::Hosted(route) => crate::hosted::stat_blob(&self.core, &route, digest).await,
            },
        }
    }

    /// Lists the manifests that name `subject`: signatures, attestations, SBOMs.
    pub async fn referrers(&self, route: &Route, subject: &Digest) -> Result<ReferrersAnswer, PullError> {
        crate::pull::list_referrers(&self.core, route, subject).await
    }

    /// The same of a manifest that was pushed here, or that is not here yet.
    pub async fn hosted_referrers(
        &self,
        route: &HostedRoute,
        subject: &Digest,
        query: ReferrersQuery<'_>,
    ) -> Result<ReferrersPage, PullError> {
        crate::hosted::list_referrers(&self.core, route, subject, query).await
    }

    /// Lists tags.
    pub async fn list_tags(&self, at: impl Into<At<'_>>, query: &TagsQuery) -> Result<TagsAnswer, PullError> {
        match at.into() {
            At::Proxy(route) => crate::pull::list_tags(&self.core, route, query).await,
            At::Hosted(route) => crate::hosted::list_tags(&self.core, route, query).await,
            At::Group(route) => crate::groups::list_tags(&self.core, route, query).await,
        }
    }

    /// Lists the names that were pushed to, behind `last`; `None` when no hosted repository answers here.
    pub async fn catalog(
        &self,
        query: &RouteQuery<'_>,
        n: Option<u32>,
        last: Option<&str>,
    ) -> Result<Option<CatalogPage>, PullError> {
        crate::hosted::catalog(&self.core, query, n, last).await
    }

    /// The hosted repositories that a request on this host and listener may mean.
    pub fn hosted_here(&self, query: &RouteQuery<'_>) -> Vec<Arc<HostedRepository>> {
        let map = self.core.map();
        match map.hosted().dedicated(query) {
            Some(repo) => vec![repo.clone()],
            None if map.dedicated(query).is_some() => Vec::new(),
            None if map.groups().dedicated(query).is_some() => {
                let group = map.groups().dedicated(query);
                group.and_then(|group| group.push_member()).map(|(_, repo)| repo.clone()).into_iter().collect()
            }
            None => map.hosted().iter().cloned().collect(),
        }
    }

    /// Says what a pull of an image would do now, and why. Asks nobody and changes nothing.
    ///
    /// # Errors
    /// As for [`Registry::route`]; `Storage` when the database cannot be read.
    pub async fn explain(&self, address: &ImageAddress) -> Result<Explanation, PullError> {
        crate::explain::explain(&self.core, address).await
    }

    /// The last exchanges of a repository with its upstreams, newest first; `None` when there is no such repository.
    pub fn exchanges(&self, key: &str, limit: usize) -> Option<Vec<LoggedExchange>> {
        self.core.map().get(key).map(|repo| self.core.exchanges.of(repo.key()).newest(limit))
    }

    /// The administrator's view of the repositories.
    pub fn repositories(&self) -> RepositoryAdmin {
        RepositoryAdmin::new(self.core.clone())
    }

    /// Tags over time, of repositories of any kind.
    pub fn tags_over_time(&self) -> TagsOverTime {
        TagsOverTime::new(self.core.clone())
    }

    /// Channels of hosted repositories.
    pub fn channels(&self) -> Channels {
        Channels::new(self.core.clone())
    }

    /// Retention of hosted repositories.
    pub fn retention(&self) -> Retention {
        Retention::new(self.core.clone())
    }

    /// Promotions between hosted repositories.
    pub fn promotions(&self) -> Promotions {
        Promotions::new(self.core.clone())
    }

    /// Told each time the repositories change: listeners may have come or gone.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.core.changes()
    }

    /// The extra listeners that repositories ask for.
    pub fn listen_addresses(&self) -> Vec<std::net::SocketAddr> {
        self.core.map().all().flat_map(|repo| repo.listen().to_vec()).collect()
    }

    /// The repositories that take their callers' passwords.
    pub fn passthrough_repositories(&self) -> Vec<Arc<Repository>> {
        self.core.map().iter().filter(|repo| repo.is_passthrough()).cloned().collect()
    }

    /// What is known of the hosts of all upstreams, as a document for administrators: no secrets.
    pub fn upstreams(&self) -> serde_json::Value {
        crate::weather::documents(self.core.map().iter())
    }

    /// Brings the metrics up to date that are not counted but looked up.
    pub fn refresh_metrics(&self) {
        let hosts = crate::weather::hosts(self.core.map().iter());
        self.core.metrics.weather.show(hosts.iter().map(|host| &host.report));
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.core.metrics
    }

    /// Takes over a changed configuration.
    pub async fn reload(
        &self,
        repositories: Vec<ConfiguredRepository>,
        builtins: Builtins,
        upstream: UpstreamDefaults,
        cache_max_bytes: u64,
    ) -> Result<(), PullError> {
        let _guard = self.core.admin_lock.lock().await;
        self.core.replace_file(FileRepositories { specs: repositories, builtin: builtins, upstream }).await?;
        self.core.cache.set_max_bytes(cache_max_bytes).await;
        Ok(())
    }

    /// Whether requests should be sent here.
    pub fn readiness(&self) -> Readiness {
        if self.stopping.load(Ordering::Relaxed) {
            return Readiness::NotReady("shutting down".into());
        }
        Readiness::Ready
    }

    /// Says from now on that requests should go elsewhere.
    pub fn begin_shutdown(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Stops fills, leaving each published or resumable, and writes what is only in memory.
    pub async fn shutdown(&self, deadline: Duration) {
        self.begin_shutdown();
        self.core.fills.shutdown(deadline).await;
        // Between two pages a garbage collection sees that it is to end.
        if tokio::time::timeout(LAST_PAGE, self.core.hosted.gc_idle()).await.is_err() {
            tracing::warn!("a garbage collection is cut off; the next one goes on");
        }
        if let Err(error) = self.core.cache.flush_access_times().await {
            tracing::warn!(%error, "access times could not be written; eviction will go by older ones");
        }
        if let Err(error) = self.core.hosted.flush_pulls().await {
            tracing::warn!(%error, "times of pulls could not be written; retention will go by older ones");
        }
        self.core.metadata.close().await;
    }
}
