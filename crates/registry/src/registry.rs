//! The handle on a registry: start, the verbs, readiness, reload, shutdown.
//!
//! Must not hold logic of its own; each verb lives in its module. Invariant: starting does no network access, and
//! shutting down leaves every fill published or resumable.

mod groups;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use blob_store::{BlobStore, Staging, Uploads};
use metadata::Metadata;
use oci::{Digest, DigestAlgorithm, RangeHeader, Reference, RepoKey, RepositoryName, UploadId};
use tokio::sync::watch;

use self::groups::Member;
use crate::access::{Action, Admission, CallerCredential, EntranceAsks, EntranceLogin, Principal};
use crate::cache::Cache;
use crate::core::{Builtins, Core, FileRepositories};
use crate::error::PullError;
use crate::exchange_log::LoggedExchange;
use crate::explain::{Explanation, ImageAddress};
use crate::fill::{Edge, Origin};
use crate::groups::Want;
use crate::hosted::{
    At, CatalogPage, Channels, Chunk, GcMode, GcPatience, GcReport, GcRequest, GcSettings, Hosted, HostedError,
    HostedRepository, HostedRoute, ManifestPush, Mount, Place, Promotions, PushedManifest, Pusher, ReferrersPage,
    ReferrersQuery, Shown,
};
use crate::metrics::Metrics;
use crate::pull::{AtHand, BlobFacts, ManifestAnswer, OpenBlob, ReferrersAnswer, TagsAnswer, TagsQuery};
use crate::repositories::{ConfiguredRepository, Repository, RepositoryAdmin, Route, RouteQuery, UpstreamDefaults};
use crate::retention::Retention;
use crate::sources::keep_checking;
use crate::tags_over_time::TagsOverTime;

/// How often access times go to the database.
const FLUSH_EVERY: Duration = Duration::from_secs(2);

/// How often uploads that nobody goes on with are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

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

    /// Decides whether a caller may push to a hosted repository, and as whom.
    ///
    /// # Errors
    /// `Unauthorized` for whoever may not.
    pub fn authorize_push(&self, route: &HostedRoute, shown: Shown) -> Result<Pusher, HostedError> {
        crate::hosted::authorize_push(&route.repo, shown)
    }

    /// Begins an upload; `algorithm` is what its bytes are hashed with as they come.
    pub async fn begin_upload(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        algorithm: DigestAlgorithm,
    ) -> Result<UploadId, HostedError> {
        self.core.hosted.begin_upload(route, pusher, algorithm).await
    }

    /// Takes a blob in one request.
    pub async fn push_blob(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        digest: &Digest,
        chunk: Chunk,
    ) -> Result<(), HostedError> {
        self.core.hosted.push_blob(route, pusher, digest, chunk).await
    }

    /// Links a blob that another name has; false when it is not there for this caller.
    pub async fn mount_blob(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        digest: &Digest,
        mount: &Mount,
    ) -> Result<bool, HostedError> {
        let of_group = match mount {
            Mount::From(Place::Group(from)) => {
                let from = crate::groups::mount_source(&self.core, from).await;
                let from = from.map_err(|error| HostedError::storage(&error))?;
                Some(from.map_or(Mount::Nowhere, |from| Mount::From(Place::Hosted(from))))
            }
            Mount::From(Place::Hosted(_) | Place::Proxy(_)) | Mount::Anywhere | Mount::Nowhere => None,
        };
        let mount = of_group.as_ref().unwrap_or(mount);
        // Hosted repositories are open to all readers; an account system says here which are not.
        let readable: Vec<RepoKey> = self.core.map().hosted().iter().map(|repo| repo.spec().key.clone()).collect();
        self.core.hosted.mount(route, pusher, digest, mount, &readable).await
    }

    /// Adds a chunk to an upload; how many bytes it has then.
    pub async fn append_upload(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        id: &UploadId,
        chunk: Chunk,
    ) -> Result<u64, HostedError> {
        self.core.hosted.append(route, pusher, id, chunk).await
    }

    /// How many bytes an upload has.
    pub fn upload_status(&self, route: &HostedRoute, pusher: Pusher, id: &UploadId) -> Result<u64, HostedError> {
        self.core.hosted.upload_status(route, pusher, id)
    }

    /// Ends an upload without a blob.
    pub async fn cancel_upload(&self, route: &HostedRoute, pusher: Pusher, id: &UploadId) -> Result<(), HostedError> {
        self.core.hosted.cancel_upload(route, pusher, id).await
    }

    /// Takes the last chunk of an upload, if there is one, and makes it the blob `digest`.
    pub async fn finish_upload(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        id: &UploadId,
        digest: &Digest,
        chunk: Option<Chunk>,
    ) -> Result<(), HostedError> {
        self.core.hosted.finish_upload(route, pusher, id, digest, chunk).await
    }

    /// Takes a manifest.
    pub async fn push_manifest(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        push: ManifestPush,
    ) -> Result<PushedManifest, HostedError> {
        let taken = self.core.hosted.push_manifest(route, pusher, push).await?;
        crate::groups::pushed(&self.core, route).await;
        Ok(taken)
    }

    /// Deletes a tag, or a manifest with all its tags.
    pub async fn delete_manifest(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        reference: &Reference,
    ) -> Result<(), HostedError> {
        self.core.hosted.delete_manifest(route, pusher, reference).await?;
        crate::groups::deleted(&self.core, route);
        Ok(())
    }

    /// Takes a blob away from a name.
    pub async fn delete_blob(&self, route: &HostedRoute, _pusher: Pusher, digest: &Digest) -> Result<(), HostedError> {
        self.core.hosted.delete_blob(route, digest).await
    }

    /// Changes how garbage is collected.
    pub fn set_gc(&self, settings: GcSettings) {
        self.core.hosted.gc_set(settings);
    }

    /// Collects garbage of hosted repositories now. Goes on when the caller leaves.
    ///
    /// # Errors
    /// `TooMany` when several wait for a run already; what fails within a run is in its report.
    pub async fn collect_garbage(&self, request: GcRequest) -> Result<GcReport, HostedError> {
        let (core, stopping) = (self.core.clone(), self.stopping.clone());
        let run = tokio::spawn(async move { crate::hosted::collect_garbage(&core, request, &stopping).await });
        run.await.unwrap_or_else(|error| Err(HostedError::storage(&error)))
    }

    /// What the last run did, if there was one since the start.
    pub fn last_gc(&self) -> Option<GcReport> {
        self.core.hosted.last_gc()
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

    /// The background work: reconcile once, then flush access times.
    async fn keep_house(self) {
        if let Err(error) = self.core.cache.reconcile().await {
            tracing::error!(%error, "database and disk could not be compared; the next start tries again");
        }
        self.core.cache.shrink().await;
        let mut tick = tokio::time::interval(FLUSH_EVERY);
        while !self.stopping.load(Ordering::Relaxed) {
            tick.tick().await;
            if let Err(error) = self.core.cache.flush_access_times().await {
                tracing::warn!(%error, "access times could not be written");
            }
            if let Err(error) = self.core.hosted.flush_pulls().await {
                tracing::warn!(%error, "times of pulls could not be written");
            }
        }
    }

    /// The same for what was pushed: once what a crash left, then what nobody goes on with.
    async fn keep_hosted(self) {
        if let Err(error) = self.core.hosted.sweep_left_overs(&self.stopping).await {
            tracing::error!(%error, "what a crash may have left could not be removed; garbage collection tries again");
        }
        tokio::spawn(self.clone().keep_collecting());
        let mut tick = tokio::time::interval(SWEEP_EVERY);
        while !self.stopping.load(Ordering::Relaxed) {
            tick.tick().await;
            let map = self.core.map().clone();
            let ttl = |key: &RepoKey| map.hosted().get(key.as_str()).map(|repo| repo.spec().limits.session_ttl);
            self.core.hosted.sweep_sessions(ttl).await;
            self.retention().run_due().await;
        }
    }

    /// Collects garbage at the start and then by the interval.
    async fn keep_collecting(self) {
        let mut changes = self.core.hosted.gc_changes();
        loop {
            let interval = changes.borrow_and_update().interval;
            if interval.is_some() && !self.stopping.load(Ordering::Relaxed) {
                let request = GcRequest { mode: GcMode::Collect, patience: GcPatience::Grace };
                if let Err(error) = self.collect_garbage(request).await {
                    tracing::debug!(%error, "no garbage collection this time");
                }
            }
            let pause = async {
                match interval {
                    Some(interval) => tokio::time::sleep(interval).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                told = changes.changed() => if told.is_err() { return },
            }
        }
    }

    /// Continues the whole fills that a former run left.
    async fn resume_fills(self) {
        let staged = match self.core.cache.staging().list() {
            Ok(staged) => staged,
            Err(error) => {
                return tracing::error!(%error, "staging cannot be listed; fills of a former run wait for a pull");
            }
        };
        let map = self.core.map().clone();
        let origins = staged.into_iter().filter(|s| s.note.whole).filter_map(|staged| {
            // Where callers pull with their own accounts, there is nobody to fetch for: it waits for the next pull.
            let repo = map.get(&staged.note.repo_key).filter(|repo| !repo.is_passthrough())?.clone();
            let name: RepositoryName = staged.note.name.parse().ok()?;
            // Not known to be confirmed: a first byte may have come while nobody asked the named upstream yet.
            Some(Origin {
                repo,
                name,
                digest: staged.digest,
                trace: None,
                admission: Admission::Open,
                edge: Edge::Unconfirmed,
                foreign: None,
            })
        });
        self.core.fills.resume(origins.collect()).await;
    }
}
