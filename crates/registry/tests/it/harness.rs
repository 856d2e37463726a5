//! A registry over a temporary folder and a scripted upstream.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use blob_store::{LocalStore, Staging, Uploads};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use metadata::{Metadata, SealingKey, SealingKeys};
use oci::{ByteRange, Digest, RangeHeader, Reference, ResolvedRange};
use serde_json::{Value, json};
use testkit::upstream::FakeUpstream;
use transship_registry::{
    Builtins, Metrics, Provenance, PullError, PullOutcome, Registry, RegistryConfig, RepositorySpec, Route, RouteQuery,
    Stores, Timeouts, UpstreamDefaults,
};

pub(crate) const NAME: &str = "lab/team/app";

/// One registry with the proxy repository `lab`.
pub(crate) struct Lab {
    pub(crate) registry: Registry,
    pub(crate) upstream: FakeUpstream,
    folder: tempfile::TempDir,
    max_bytes: u64,
    document: Value,
    dns_server: Option<SocketAddr>,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        Self::with(json!({}), 10 << 30).await
    }

    /// `fields` are added to the repository's document.
    pub(crate) async fn with(fields: Value, max_bytes: u64) -> Self {
        let upstream = FakeUpstream::start();
        let address = json!({ "upstream": upstream.url() });
        Self::at(upstream, &address, &fields, max_bytes, None).await
    }

    /// `lab` at any address, its names looked up by this name server; the scripted upstream is not asked.
    pub(crate) async fn elsewhere(address: &Value, dns_server: Option<SocketAddr>) -> Self {
        Self::at(FakeUpstream::start(), address, &json!({}), 10 << 30, dns_server).await
    }

    /// `lab` with mirrors: the second of the pair has one upstream for each.
    pub(crate) async fn mirrored(fields: Value, mirrors: usize) -> (Self, Vec<FakeUpstream>) {
        let upstream = FakeUpstream::start();
        let mirrors: Vec<FakeUpstream> = (0..mirrors).map(|_| FakeUpstream::start()).collect();
        let all: Vec<String> = std::iter::once(&upstream).chain(&mirrors).map(FakeUpstream::url).collect();
        (Self::at(upstream, &json!({ "upstreams": all }), &fields, 10 << 30, None).await, mirrors)
    }

    async fn at(
        upstream: FakeUpstream,
        address: &Value,
        fields: &Value,
        max_bytes: u64,
        dns_server: Option<SocketAddr>,
    ) -> Self {
        let mut document = json!({ "kind": "proxy", "internal": true });
        for more in [address, fields] {
            document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        }
        let folder = tempfile::tempdir().unwrap();
        let registry = start(folder.path().to_owned(), max_bytes, &document, dns_server).await;
        Self { registry, upstream, folder, max_bytes, document, dns_server }
    }

    /// Ends the registry as a graceful stop does and starts another over the same folder.
    pub(crate) async fn restart(self) -> Self {
        self.registry.shutdown(Duration::from_secs(5)).await;
        let Self { registry, upstream, folder, max_bytes, document, dns_server } = self;
        drop(registry);
        let registry = start(folder.path().to_owned(), max_bytes, &document, dns_server).await;
        Self { registry, upstream, folder, max_bytes, document, dns_server }
    }

    pub(crate) fn route(&self) -> Route {
        self.route_to(NAME)
    }

    pub(crate) fn route_to(&self, path: &str) -> Route {
        self.registry.route(&RouteQuery { path, ns: None, host: None, local_port: None }).unwrap()
    }

    pub(crate) async fn manifest(&self, reference: &str) -> Result<(Bytes, PullOutcome), PullError> {
        let reference: Reference = reference.parse().unwrap();
        let answer = self.registry.pull_manifest(&self.route(), &reference).await?;
        assert_eq!(Digest::sha256_of(&answer.bytes), answer.digest, "a manifest is served under its own digest");
        Ok((answer.bytes, answer.outcome))
    }

    /// Pulls a whole blob.
    pub(crate) async fn blob(&self, digest: &Digest) -> Result<(Bytes, PullOutcome), PullError> {
        let open = self.registry.open_blob(&self.route(), digest, None).await?;
        let bytes = collect(open.read(ByteRange { start: 0, end: open.size() })).await?;
        Ok((bytes, open.outcome()))
    }

    /// Pulls ranges of a blob.
    pub(crate) async fn ranges(&self, digest: &Digest, header: &str) -> Result<(Vec<Bytes>, PullOutcome), PullError> {
        let header = RangeHeader::parse(header).unwrap().unwrap();
        let open = self.registry.open_blob(&self.route(), digest, Some(&header)).await?;
        let ranges = match header.resolve(open.size()) {
            ResolvedRange::Full => vec![ByteRange { start: 0, end: open.size() }],
            ResolvedRange::Single(range) => vec![range],
            ResolvedRange::Multiple(ranges) => ranges,
            ResolvedRange::Unsatisfiable => Vec::new(),
        };
        let mut parts = Vec::new();
        for range in ranges {
            parts.push(collect(open.read(range)).await?);
        }
        Ok((parts, open.outcome()))
    }

    /// Waits until the blob is in the store, and asserts that nothing is left in staging for it.
    pub(crate) async fn wait_stored(&self, digest: &Digest) {
        let path = self.stored_path(digest);
        eventually("the blob is stored", || path.exists()).await;
        eventually("staging is empty", || self.staged().is_empty()).await;
    }

    pub(crate) fn stored_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder.path().join("blobs").join("sha256").join(&hex[..2]).join(hex)
    }

    /// Names of the files in staging.
    pub(crate) fn staged(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("staging")).unwrap();
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// Bytes that blobs and growing objects take on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        ["blobs", "staging"].iter().map(|folder| disk_bytes(&self.folder.path().join(folder))).sum()
    }
}

fn disk_bytes(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    // A file may be renamed between listing and looking: then it is counted where it went, or next time.
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(facts) if facts.is_dir() => disk_bytes(&entry.path()),
            Ok(facts) => facts.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

async fn start(folder: PathBuf, max_bytes: u64, document: &Value, dns_server: Option<SocketAddr>) -> Registry {
    let lab = RepositorySpec::from_document("lab".parse().unwrap(), document, Provenance::File).unwrap();
    let timeouts = Timeouts { idle: Duration::from_secs(2), ..Timeouts::default() };
    let config = RegistryConfig {
        cache_max_bytes: max_bytes,
        builtins: Builtins::Included,
        repositories: vec![lab.into()],
        upstream: UpstreamDefaults { timeouts, dns_server, ..UpstreamDefaults::default() },
        main_ports: vec![5000],
        gc: transship_registry::GcSettings::default(),
    };
    let stores = Stores {
        blobs: Arc::new(LocalStore::open(&folder).unwrap()),
        staging: Staging::open(&folder.join("staging")).unwrap(),
        uploads: uploads(&folder),
        metadata: Metadata::open(&folder.join("transship.db"), keys()).await.unwrap(),
    };
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    Registry::start(config, stores, metrics).await.unwrap()
}

/// The area of pushes under a folder.
pub(crate) fn uploads(folder: &std::path::Path) -> Uploads {
    let root = folder.join("hosted");
    Uploads::open(&root, LocalStore::open(&root).unwrap()).unwrap()
}

pub(crate) async fn collect(stream: transship_registry::BlobStream) -> Result<Bytes, PullError> {
    let pieces: Vec<Bytes> = stream.try_collect().await?;
    Ok(pieces.concat().into())
}

/// Reads until the stream fails; how many bytes came before that. Panics when it ends cleanly.
pub(crate) async fn collect_until_cut(mut stream: transship_registry::BlobStream) -> u64 {
    let mut got = 0;
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(bytes) => got += bytes.len() as u64,
            Err(_) => return got,
        }
    }
    panic!("the stream ended cleanly after {got} bytes");
}

/// Waits for something that another task brings about.
pub(crate) async fn eventually(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The same for something that is looked up.
pub(crate) async fn eventually_some<T, Looking: Future<Output = Option<T>>>(
    what: &str,
    look: impl Fn() -> Looking,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The same key each time: a restarted registry must open what it sealed.
pub(crate) fn keys() -> SealingKeys {
    SealingKeys::new(SealingKey::from_bytes(&[7; 32]), vec![])
}
