//! The only place where the parts are put together: folder, stores, registry, HTTP face, listeners.
//!
//! Must hold no rules of its own. Invariant: nothing here touches the network beyond opening our own listeners, so
//! the server starts while every upstream is down.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use blob_store::{LocalStore, Staging, Uploads};
use metadata::Metadata;
use registry::{Builtins, Registry, RegistryConfig, Stores};
use server::{
    AccessLog, App, AppParts, Face, ListenError, ListenFor, Listeners, MakeSpan, PublicAddress, ServeLimits, Tls,
};

use crate::cache_dir::CacheDir;
use crate::config::{AdminToken, Config, Size};
use crate::{admin_token, metrics_reference};

/// Everything that runs.
pub(crate) struct House {
    /// What answers.
    pub(crate) registry: Registry,
    /// The rows, for what concerns the database as a whole.
    pub(crate) metadata: Metadata,
    /// Our sockets.
    pub(crate) listeners: Listeners<Face>,
    /// The certificate, when TLS is on.
    pub(crate) tls: Option<Tls>,
    /// Where the folder is.
    pub(crate) cache_dir: CacheDir,
    /// The cache's budget.
    pub(crate) budget: Size,
    /// The main addresses as taken (port 0 has become a real one).
    pub(crate) addresses: Vec<SocketAddr>,
    /// Where the admin token is, when it is in a file.
    pub(crate) admin_token: Option<PathBuf>,
}

/// Puts everything together and listens.
///
/// # Errors
/// The first thing that is in the way, with what to do about it.
pub(crate) async fn build(
    config: &Config,
    cache_dir: CacheDir,
    access_log: AccessLog,
    make_span: Option<MakeSpan>,
) -> Result<House> {
    let tls = config.tls.as_ref().map(|files| Tls::load(&files.cert, &files.key)).transpose()?;
    let budget = cache_dir.budget(config.max_size)?;
    // The database comes first: its lock keeps a second process away from all the rest.
    let metadata = open_metadata(config, &cache_dir).await?;
    let (token, token_file) = admin_token(&config.admin_token, &cache_dir)?;
    let pushed = LocalStore::open(&cache_dir.hosted()).context("cannot open the store of pushed blobs")?;
    let stores = Stores {
        uploads: Uploads::open(&cache_dir.hosted(), pushed).context("cannot open the folder of uploads")?,
        blobs: Arc::new(LocalStore::open(cache_dir.root()).context("cannot open the blob store")?),
        staging: Staging::open(&cache_dir.staging()).context("cannot open the staging folder")?,
        metadata: metadata.clone(),
    };
    let (exposition, pulls, http) = metrics_reference::register();
    let registry = Registry::start(registry_config(config, budget), stores, pulls).await?;
    registry.set_entrance_login(config.v2_login);
    let limits = ServeLimits { max_connections: config.max_connections, ..ServeLimits::default() };
    let connections = http.connections();
    let face = Face::new(App::new(AppParts {
        registry: registry.clone(),
        exposition: Arc::new(exposition),
        metrics: http,
        access_log,
        admin_token: token,
        public: PublicAddress {
            url: config.public_url.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
            tls: config.tls.is_some(),
        },
        make_span,
    }));
    let listeners = Listeners::new(face, limits, tls.clone(), connections);
    let listening = config.listen.iter().map(|address| listeners.listen(*address, ListenFor::Process).map_err(explain));
    let addresses = listening.collect::<Result<Vec<_>>>()?;
    let house = House { registry, metadata, listeners, tls, cache_dir, budget, addresses, admin_token: token_file };
    house.open_repository_listeners().await;
    Ok(house)
}

async fn open_metadata(config: &Config, cache_dir: &CacheDir) -> Result<Metadata> {
    let own = cache_dir.sealing_keys();
    let keys = config.sealing_keys.load(&own)?;
    Metadata::open(&cache_dir.database(), keys).await.with_context(|| {
        let keys =
            config.sealing_keys.file(own).map_or("TRANSSHIP_SECRETS_KEY".into(), |file| file.display().to_string());
        format!("cannot open the metadata database (its keys are those of {keys})")
    })
}

/// What the registry is told.
fn registry_config(config: &Config, budget: Size) -> RegistryConfig {
    RegistryConfig {
        cache_max_bytes: budget.0,
        builtins: builtins(config),
        repositories: config.repositories.clone(),
        upstream: config.upstream.clone(),
        gc: config.gc,
        main_ports: config.listen.iter().map(std::net::SocketAddr::port).collect(),
    }
}

/// Whether the well-known upstreams are wanted.
pub(crate) fn builtins(config: &Config) -> Builtins {
    if config.builtin_upstreams { Builtins::Included } else { Builtins::Excluded }
}

fn admin_token(source: &AdminToken, cache_dir: &CacheDir) -> Result<(server::AdminToken, Option<PathBuf>)> {
    let (token, file) = match source {
        AdminToken::Given(token) => (token.clone(), None),
        AdminToken::File(path) => (admin_token::read(path)?, Some(path.clone())),
        AdminToken::OwnFile => (admin_token::read_or_make(&cache_dir.admin_token())?, Some(cache_dir.admin_token())),
    };
    Ok((server::AdminToken::new(token.expose()), file))
}

/// Says what to do about an address that cannot be listened on.
fn explain(error: ListenError) -> anyhow::Error {
    let ListenError::Bind { address, source } = &error else { return error.into() };
    let port = address.port();
    match source.kind() {
        ErrorKind::AddrInUse => {
            let other = port.checked_add(1).unwrap_or(5001);
            let ip = address.ip();
            anyhow!(
                "port {port} is in use ({address}): another program listens there; stop it, or choose another port with \
                 --listen {}, TRANSSHIP_LISTEN or listen",
                SocketAddr::new(ip, other)
            )
        }
        ErrorKind::PermissionDenied => {
            anyhow!("not allowed to listen on port {port} ({address}); choose one above 1023 with --listen")
        }
        ErrorKind::AddrNotAvailable => {
            anyhow!("this machine does not have the address {}; choose another with --listen", address.ip())
        }
        _ => anyhow::Error::new(error),
    }
}

impl House {
    /// Opens and closes the listeners that repositories ask for. One that cannot be opened is logged: the others and
    /// the main ones serve.
    pub(crate) async fn open_repository_listeners(&self) {
        for error in self.listeners.reconcile(&self.registry.listen_addresses()).await {
            tracing::error!(error = format!("{:#}", explain(error)), "a repository's listener is not open");
        }
        self.warn_of_logins_in_the_clear();
    }

    /// Callers' passwords over plain HTTP from other machines: allowed, because TLS may end in front of us, but said.
    fn warn_of_logins_in_the_clear(&self) {
        if self.tls.is_some() {
            return;
        }
        for repo in self.registry.passthrough_repositories() {
            let listened = self.addresses.iter().chain(&repo.spec().listen);
            if let Some(listen) = listened.into_iter().find(|address| !address.ip().is_loopback()) {
                tracing::warn!(
                    repo_key = %repo.key(), %listen,
                    "callers' passwords (auth: passthrough) come in without TLS; set tls.cert and tls.key, or end TLS in front"
                );
            }
        }
    }
}
