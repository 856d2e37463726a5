//! What all parts of the registry share: stores, caches in memory, the snapshot of repositories.
//!
//! Must not decide anything about a pull. Invariant: everything here is bounded, and safe to use from any task.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use metadata::Metadata;
use oci::RepoKey;
use tokio::sync::watch;

use crate::access::EntranceLogin;
use crate::cache::Cache;
use crate::counters::Counters;
use crate::error::PullError;
use crate::exchange_log::ExchangeLogs;
use crate::fill::Fills;
use crate::groups::{GroupRepository, GroupSpec, Groups, Member};
use crate::hosted::{Hosted, HostedRepository, HostedSpec};
use crate::metrics::Metrics;
use crate::observe::Observer;
use crate::pull::{Memory, SingleFlight, TagFlight};
use crate::repositories::{
    AnyRepository, ConfiguredRepository, Provenance, Repository, RepositoryMap, RepositorySpec, Source,
    UpstreamDefaults, builtin_specs,
};

/// Time to the first response header, whatever upstream does (containerd gives up at 30 s).
pub(crate) const FIRST_HEADER: Duration = Duration::from_secs(20);

/// Shared by every handle of one registry.
pub(crate) struct Core {
    pub(crate) metadata: Metadata,
    pub(crate) cache: Arc<Cache>,
    pub(crate) fills: Fills,
    pub(crate) hosted: Arc<Hosted>,
    pub(crate) groups: Groups,
    pub(crate) memory: Memory,
    pub(crate) tag_flights: Arc<SingleFlight<TagFlight>>,
    pub(crate) manifest_flights: Arc<SingleFlight<crate::pull::ManifestFlight>>,
    pub(crate) referrers_flights: Arc<SingleFlight<crate::pull::ReferrersFlight>>,
    pub(crate) name_flights: Arc<SingleFlight<crate::groups::NameFlight>>,
    pub(crate) size_flights: Arc<SingleFlight<crate::pull::SizeFlight>>,
    pub(crate) metrics: Metrics,
    pub(crate) admin_lock: tokio::sync::Mutex<()>,
    pub(crate) main_ports: Vec<u16>,
    pub(crate) exchanges: ExchangeLogs,
    /// When `/v2/` asks for a login at addresses that repositories share.
    pub(crate) entrance_login: Mutex<EntranceLogin>,
    file: Mutex<FileRepositories>,
    sequence: AtomicU64,
    map: ArcSwap<RepositoryMap>,
    changes: watch::Sender<u64>,
}

/// What the configuration file says of repositories.
#[derive(Clone, Debug)]
pub(crate) struct FileRepositories {
    pub(crate) specs: Vec<ConfiguredRepository>,
    pub(crate) builtin: Builtins,
    /// How clients of all upstreams behave.
    pub(crate) upstream: UpstreamDefaults,
}

/// Whether the well-known upstreams are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtins {
    /// They are.
    Included,
    /// Only what is configured is.
    Excluded,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("map", &self.map).finish_non_exhaustive()
    }
}

impl Core {
    pub(crate) fn new(
        metadata: Metadata,
        cache: Arc<Cache>,
        hosted: Arc<Hosted>,
        metrics: Metrics,
        file: FileRepositories,
    ) -> Self {
        Self {
            hosted,
            groups: Groups::new(metadata.clone(), metrics.clone()),
            fills: Fills::new(cache.clone(), metadata.clone(), metrics.clone()),
            metadata,
            cache,
            memory: Memory::new(),
            tag_flights: Arc::default(),
            manifest_flights: Arc::default(),
            referrers_flights: Arc::default(),
            name_flights: Arc::default(),
            size_flights: Arc::default(),
            metrics,
            admin_lock: tokio::sync::Mutex::new(()),
            main_ports: Vec::new(),
            exchanges: ExchangeLogs::default(),
            entrance_login: Mutex::default(),
            file: Mutex::new(file),
            sequence: AtomicU64::new(1),
            map: ArcSwap::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Notes the ports that belong to no single repository.
    pub(crate) fn with_main_ports(mut self, main_ports: Vec<u16>) -> Self {
        self.main_ports = main_ports;
        self
    }

    /// The repositories as they are now.
    pub(crate) fn map(&self) -> arc_swap::Guard<Arc<RepositoryMap>> {
        self.map.load()
    }

    /// Takes over what the configuration file says now.
    pub(crate) async fn replace_file(&self, mut file: FileRepositories) -> Result<(), PullError> {
        {
            let mut current = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            // What is known of hosts outlives a change of the file: a `Retry-After` holds on.
            file.upstream.climate = current.upstream.climate.clone();
            file.upstream.host_limits = file.upstream.host_limits.after(&current.upstream.host_limits);
            *current = file;
        }
        self.rebuild_map().await
    }

    /// The place of a question among all this process asks.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// Told each time the repositories change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Reads all sources and swaps the snapshot. Repositories that did not change keep their client and connections.
    pub(crate) async fn rebuild_map(&self) -> Result<(), PullError> {
        let rows = self.metadata.list_repositories().await.map_err(|e| PullError::storage(&e))?;
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut specs: Vec<(ConfiguredRepository, Source)> =
            file.specs.into_iter().map(|s| (s, Source::File)).collect();
        for row in rows {
            match serde_json::from_str(&row.document)
                .map_err(|e| e.to_string())
                .and_then(|document| parse(row.key.clone(), &document, Provenance::Api))
            {
                Ok(spec) => specs.push((spec, Source::Api)),
                Err(why) => {
                    tracing::error!(repo_key = %row.key, why, "a stored repository cannot be read and is left out");
                }
            }
        }
        if file.builtin == Builtins::Included {
            for (key, document) in builtin_specs() {
                match parse(key.clone(), &document, Provenance::File) {
                    Ok(spec) => specs.push((spec, Source::Builtin)),
                    Err(why) => {
                        tracing::error!(repo_key = %key, why, "a built-in repository cannot be read and is left out");
                    }
                }
            }
        }
        self.install(specs, &file.upstream);
        Ok(())
    }

    /// Builds repositories from specs; the first spec of a key wins.
    fn install(&self, specs: Vec<(ConfiguredRepository, Source)>, upstream: &UpstreamDefaults) {
        let old = self.map.load();
        let mut built: Vec<AnyRepository> = Vec::with_capacity(specs.len());
        let mut groups: Vec<(GroupSpec, Source)> = Vec::new();
        for (spec, source) in specs {
            let taken = |key: &RepoKey| built.iter().any(|repo| repo.key() == key);
            if taken(spec.key()) || groups.iter().any(|(group, _)| group.key == *spec.key()) {
                continue;
            }
            let key = spec.key().clone();
            match spec {
                ConfiguredRepository::Hosted(spec) => built.push(AnyRepository::Hosted(self.host(*spec, source))),
                // Once their members are there.
                ConfiguredRepository::Group(spec) => groups.push((*spec, source)),
                ConfiguredRepository::Proxy(spec) => {
                    let kept = old.get(key.as_ref()).filter(|r| r.source() == source && r.is_as(&spec, upstream));
                    match kept.cloned().map_or_else(|| self.build(*spec, source, upstream), Ok) {
                        Ok(repository) => built.push(AnyRepository::Proxy(repository)),
                        Err(why) => {
                            tracing::error!(repo_key = %key, why, "a repository cannot be set up and is left out");
                        }
                    }
                }
            }
        }
        let groups: Vec<_> = groups.into_iter().map(|(spec, source)| self.group(spec, source, &built)).collect();
        self.exchanges.keep_only(|key| built.iter().any(|repository| repository.key().as_str() == key));
        self.metrics.repositories.set(i64::try_from(built.len() + groups.len()).unwrap_or(i64::MAX));
        let (mut proxies, mut hosted) = (Vec::new(), Vec::new());
        for repository in built {
            match repository {
                AnyRepository::Proxy(repository) => proxies.push(repository),
                AnyRepository::Hosted(repository) => hosted.push(repository),
                // They are built from these.
                AnyRepository::Group(_) => {}
            }
        }
        self.map.store(Arc::new(RepositoryMap::new(proxies, hosted, groups)));
        self.groups.forget_all();
        self.changes.send_modify(|generation| *generation += 1);
    }

    fn host(&self, spec: HostedSpec, source: Source) -> Arc<HostedRepository> {
        let counters = Counters::new(Arc::from(spec.key.as_ref()), self.metrics.clone());
        Arc::new(HostedRepository::new(spec, source, Arc::new(counters)))
    }

    /// Builds a group. A member that cannot be one stays in its place, and nobody behind it is asked in its stead.
    fn group(&self, spec: GroupSpec, source: Source, built: &[AnyRepository]) -> Arc<GroupRepository> {
        let member = |key: &RepoKey| {
            let member = member_among(built, key);
            if let Member::Unusable(why) = &member {
                tracing::error!(repo_key = %spec.key, member = %key, %why, "a member of a group cannot be used; what it would be asked for is not asked of those behind it");
            }
            member
        };
        let members = spec.members.iter().map(member).collect();
        let counters = Counters::new(Arc::from(spec.key.as_ref()), self.metrics.clone());
        Arc::new(GroupRepository::new(spec, source, members, Arc::new(counters)))
    }

    fn build(
        &self,
        spec: RepositorySpec,
        source: Source,
        upstream: &UpstreamDefaults,
    ) -> Result<Arc<Repository>, String> {
        let key: Arc<str> = Arc::from(spec.key.as_ref());
        let log = self.exchanges.of(&key);
        let observer = Observer::new(key, self.metrics.clone(), log, upstream.header_trace);
        let observer: Arc<dyn client::ExchangeObserver> = Arc::new(observer);
        Repository::build(spec, source, upstream, &observer, &self.metrics).map(Arc::new)
    }

    /// Forgets what is known of a repository's tags and links, in memory and in the database.
    pub(crate) async fn forget_content(&self, key: &RepoKey) -> Result<(), metadata::MetadataError> {
        self.metadata.forget_repository_content(key).await?;
        self.memory.forget_all();
        Ok(())
    }
}

fn member_among(built: &[AnyRepository], key: &RepoKey) -> Member {
    match built.iter().find(|repository| repository.key() == key) {
        Some(AnyRepository::Proxy(repo)) if repo.is_passthrough() => Member::Unusable("has auth: passthrough".into()),
        Some(AnyRepository::Proxy(repo)) => Member::Proxy(repo.clone()),
        Some(AnyRepository::Hosted(repo)) => Member::Hosted(repo.clone()),
        Some(AnyRepository::Group(_)) => Member::Unusable("is a group".into()),
        None => Member::Unusable("is not there".into()),
    }
}

fn parse(key: RepoKey, document: &serde_json::Value, provenance: Provenance) -> Result<ConfiguredRepository, String> {
    ConfiguredRepository::from_document(key, document, provenance).map_err(|problems| {
        problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect::<Vec<_>>().join("; ")
    })
}
