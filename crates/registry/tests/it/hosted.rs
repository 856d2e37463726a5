//! Hosted repositories without HTTP: uploads over restarts, limits, what a crash leaves at each step of a push.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use blob_store::BlobStore;
use bytes::Bytes;
use futures_util::stream;
use metadata::{LastDone, Metadata, UploadRow};
use oci::{Digest, DigestAlgorithm, MediaType, Reference, UploadId};
use serde_json::{Value, json};
use transship_registry::{
    Builtins, Chunk, ConfiguredRepository, GcEnd, GcMode, GcPatience, GcRequest, HostedError, HostedRoute,
    ManifestPush, Metrics, Mount, Place, Provenance, PullError, Pusher, Registry, RegistryConfig, RouteQuery, Shown,
    Stores, TagsQuery, UpstreamDefaults,
};

use crate::harness::{collect, eventually, eventually_some, keys, uploads};

const SHA256: DigestAlgorithm = DigestAlgorithm::Sha256;
pub(crate) const ADMIN: Pusher = Pusher::Admin;

/// A registry with the hosted repositories `rel` (tags `v*` immutable) and `lab`.
pub(crate) struct House {
    pub(crate) registry: Registry,
    pub(crate) metadata: Metadata,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) fields: Value,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(json!({})).await
    }

    pub(crate) async fn with(fields: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (registry, metadata) = start(folder.path(), &fields).await;
        Self { registry, metadata, folder, fields }
    }

    /// As after `kill -9`: nothing is said goodbye to, and what the test did to the folder meanwhile counts.
    pub(crate) async fn crash(self, meanwhile: impl AsyncFnOnce(&Path)) -> Self {
        let Self { registry, metadata, folder, fields } = self;
        registry.shutdown(Duration::from_secs(5)).await;
        drop((registry, metadata));
        meanwhile(folder.path()).await;
        let (registry, metadata) = start(folder.path(), &fields).await;
        Self { registry, metadata, folder, fields }
    }

    /// After a restart, and as if retention had run in both repositories two hours ago, by these settings.
    async fn ran_two_hours_ago(self, by: impl Fn(i64) -> i64) -> Self {
        let (lab, rel) = ("lab".parse().unwrap(), "rel".parse().unwrap());
        let noted = async || self.metadata.last_done("retention", &lab).await.unwrap();
        let last = eventually_some("retention was seen to be set", noted).await;
        let ran = LastDone { at: SystemTime::now() - Duration::from_hours(2), settings: by(last.settings) };
        let earlier = async |folder: &Path| {
            let metadata = metadata(folder).await;
            for key in [&lab, &rel] {
                metadata.note_done("retention", key, ran).await.unwrap();
            }
            metadata.close().await;
        };
        self.crash(earlier).await
    }

    pub(crate) fn route(&self, path: &str) -> HostedRoute {
        match self.place(path) {
            Place::Hosted(route) => route,
            Place::Proxy(_) | Place::Group(_) => panic!("{path} is not hosted"),
        }
    }

    pub(crate) fn place(&self, path: &str) -> Place {
        self.registry.locate(&RouteQuery { path, ns: None, host: None, local_port: None }).unwrap()
    }

    pub(crate) async fn push(&self, path: &str, bytes: &'static [u8]) -> Result<Digest, HostedError> {
        let digest = Digest::sha256_of(bytes);
        self.registry.push_blob(&self.route(path), ADMIN, &digest, chunk(bytes)).await.map(|()| digest)
    }

    pub(crate) async fn tag(&self, path: &str, tag: &str, text: &str) -> Result<Digest, HostedError> {
        let push = ManifestPush {
            reference: tag.parse().unwrap(),
            tags: Vec::new(),
            content_type: Some(MediaType::OCI_IMAGE_MANIFEST),
            bytes: Bytes::from(text.to_owned()),
        };
        self.registry.push_manifest(&self.route(path), ADMIN, push).await.map(|pushed| pushed.digest)
    }

    /// The same of another type.
    pub(crate) async fn tag_as(&self, path: &str, tag: &str, media_type: &str, text: &str) -> Digest {
        let push = ManifestPush {
            reference: tag.parse().unwrap(),
            tags: Vec::new(),
            content_type: Some(media_type.parse().unwrap()),
            bytes: Bytes::from(text.to_owned()),
        };
        self.registry.push_manifest(&self.route(path), ADMIN, push).await.unwrap().digest
    }

    pub(crate) async fn read(&self, path: &str, digest: &Digest) -> Result<Bytes, PullError> {
        let open = self.registry.open_blob(&self.place(path), digest, None).await?;
        collect(open.read(oci::ByteRange { start: 0, end: open.size() })).await
    }

    /// Files of pushed blobs and of uploads.
    pub(crate) fn files(&self) -> (usize, usize) {
        let root = self.folder.path().join("hosted");
        (count(&root.join("blobs")), count(&root.join("uploads")))
    }
}

fn count(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
}

async fn start(folder: &Path, fields: &Value) -> (Registry, Metadata) {
    let spec = |key: &str, more: &Value| {
        let mut document = json!({ "kind": "hosted" });
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ConfiguredRepository::from_document(key.parse().unwrap(), &document, Provenance::File).unwrap()
    };
    let config = RegistryConfig {
        cache_max_bytes: 1 << 20,
        builtins: Builtins::Included,
        repositories: vec![spec("rel", &json!({ "immutable_tags": ["v*"] })), spec("lab", fields)],
        upstream: UpstreamDefaults::default(),
        main_ports: vec![5000],
        gc: transship_registry::GcSettings::default(),
    };
    let rows = metadata(folder).await;
    let stores = Stores {
        blobs: Arc::new(blob_store::LocalStore::open(folder).unwrap()),
        staging: blob_store::Staging::open(&folder.join("staging")).unwrap(),
        uploads: uploads(folder),
        metadata: rows.clone(),
    };
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    (Registry::start(config, stores, metrics).await.unwrap(), rows)
}

pub(crate) async fn metadata(folder: &Path) -> Metadata {
    Metadata::open(&folder.join("transship.db"), keys()).await.unwrap()
}

fn chunk(bytes: &'static [u8]) -> Chunk {
    Chunk { range: None, body: Box::pin(stream::iter([Ok(Bytes::from_static(bytes))])) }
}

/// A body that breaks off.
fn broken(bytes: &'static [u8]) -> Chunk {
    let pieces = [Ok(Bytes::from_static(bytes)), Err("connection reset".to_owned())];
    Chunk { range: None, body: Box::pin(stream::iter(pieces)) }
}

pub(crate) fn image(layers: &[(&Digest, usize)]) -> String {
    let layer = |(digest, size): &(&Digest, usize)| json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size });
    let config = Digest::sha256_of(b"{}");
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 },
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    })
    .to_string()
}

#[tokio::test]
async fn an_upload_goes_on_after_a_broken_body_and_after_a_restart() {
    let house = House::new().await;
    let route = house.route("lab/app");
    let id = house.registry.begin_upload(&route, ADMIN, SHA256).await.unwrap();
    let broke = house.registry.append_upload(&route, ADMIN, &id, broken(b"hello, ")).await;
    assert!(matches!(broke, Err(HostedError::BodyBroke { received: 7, .. })), "{broke:?}");

    let house = house.crash(async |_| {}).await;
    let route = house.route("lab/app");
    assert_eq!(house.registry.upload_status(&route, ADMIN, &id).await.unwrap(), 7);
    let digest = Digest::sha256_of(b"hello, world");
    house.registry.finish_upload(&route, ADMIN, &id, &digest, Some(chunk(b"world"))).await.unwrap();
    assert_eq!(house.read("lab/app", &digest).await.unwrap(), "hello, world");
    assert_eq!(house.files(), (1, 0));
    let gone = house.registry.upload_status(&route, ADMIN, &id).await;
    assert!(matches!(gone, Err(HostedError::UploadUnknown)), "{gone:?}");
}

#[tokio::test]
async fn a_wrong_digest_or_length_leaves_the_session_as_it_was() {
    let house = House::new().await;
    let route = house.route("lab/app");
    let id = house.registry.begin_upload(&route, ADMIN, SHA256).await.unwrap();
    house.registry.append_upload(&route, ADMIN, &id, chunk(b"good")).await.unwrap();
    let long = Chunk { range: oci::ByteRange::new(4, 6), ..chunk(b"three") };
    let refused = house.registry.append_upload(&route, ADMIN, &id, long).await;
    assert!(matches!(refused, Err(HostedError::SizeInvalid { announced: 2, received: 5 })), "{refused:?}");
    let elsewhere = Chunk { range: oci::ByteRange::new(7, 8), ..chunk(b"x") };
    let refused = house.registry.append_upload(&route, ADMIN, &id, elsewhere).await;
    assert!(matches!(refused, Err(HostedError::OutOfOrder { received: 4 })), "{refused:?}");
    let digest = Digest::sha256_of(b"good end");
    let refused = house.registry.finish_upload(&route, ADMIN, &id, &digest, Some(chunk(b" bad"))).await;
    assert!(matches!(refused, Err(HostedError::DigestMismatch { .. })), "{refused:?}");
    assert_eq!(house.registry.upload_status(&route, ADMIN, &id).await.unwrap(), 4);
    house.registry.finish_upload(&route, ADMIN, &id, &digest, Some(chunk(b" end"))).await.unwrap();
    assert_eq!(house.read("lab/app", &digest).await.unwrap(), "good end");
}

#[tokio::test]
async fn what_was_refused_is_not_there_after_a_restart_and_the_upload_goes_on() {
    let house = House::new().await;
    let route = house.route("lab/app");
    let id = house.registry.begin_upload(&route, ADMIN, SHA256).await.unwrap();
    house.registry.append_upload(&route, ADMIN, &id, chunk(b"12345")).await.unwrap();
    let digest = Digest::sha256_of(b"12345678");
    let refused = house.registry.finish_upload(&route, ADMIN, &id, &digest, Some(chunk(b"bad"))).await;
    assert!(matches!(refused, Err(HostedError::DigestMismatch { .. })), "{refused:?}");
    let house = house.crash(async |_| {}).await;
    let route = house.route("lab/app");
    assert_eq!(house.registry.upload_status(&route, ADMIN, &id).await.unwrap(), 5);
    // More than was announced, in a body that breaks off: that is refused as a whole too.
    let body = broken(b"678 and a lot more").body;
    let long = Chunk { range: oci::ByteRange::new(5, 8), body };
    let refused = house.registry.append_upload(&route, ADMIN, &id, long).await;
    assert!(matches!(refused, Err(HostedError::SizeInvalid { announced: 3, .. })), "{refused:?}");
    assert_eq!(house.registry.upload_status(&route, ADMIN, &id).await.unwrap(), 5);
    let last = Chunk { range: oci::ByteRange::new(5, 8), ..chunk(b"678") };
    assert_eq!(house.registry.append_upload(&route, ADMIN, &id, last).await.unwrap(), 8);
    house.registry.finish_upload(&route, ADMIN, &id, &digest, None).await.unwrap();
    assert_eq!(house.read("lab/app", &digest).await.unwrap(), "12345678");
}

fn file_of(folder: &Path, digest: &Digest) -> std::path::PathBuf {
    folder.join("hosted/blobs/sha256").join(&digest.hex()[..2]).join(digest.hex())
}

/// What `docker push` does: asks, and leaves out what is said to be here.
#[tokio::test]
async fn what_is_damaged_or_gone_is_not_vouched_for_and_a_push_heals_it() {
    let house = House::new().await;
    house.push("lab/app", b"{}").await.unwrap();
    let layer = house.push("lab/app", b"layer").await.unwrap();
    let text = image(&[(&layer, 5)]);
    let manifest = house.tag("lab/app", "latest", &text).await.unwrap();
    let reference = Reference::Digest(manifest);
    let house = house.crash(async |folder| {
        for (digest, bytes) in [(&layer, "1ayer".to_owned()), (&manifest, text.replace("schema", "schemo"))] {
            std::fs::remove_file(file_of(folder, digest)).unwrap();
            std::fs::write(file_of(folder, digest), bytes).unwrap();
        }
    });
    let house = house.await;
    let damaged = house.registry.pull_manifest(&house.place("lab/app"), &reference).await;
    assert!(matches!(damaged, Err(PullError::Hosted(HostedError::Damaged(_)))), "{:?}", damaged.err());
    house.push("lab/app", b"layer").await.unwrap();
    house.tag("lab/app", "latest", &text).await.unwrap();
    let house = house.crash(async |_| {}).await;
    assert_eq!(house.read("lab/app", &layer).await.unwrap(), "layer");
    assert_eq!(house.registry.pull_manifest(&house.place("lab/app"), &reference).await.unwrap().bytes, text);

    // Cut or gone: nobody is told that it is here.
    for left in [Some("lay"), None] {
        std::fs::remove_file(file_of(house.folder.path(), &layer)).unwrap();
        if let Some(left) = left {
            std::fs::write(file_of(house.folder.path(), &layer), left).unwrap();
        }
        let told = house.registry.stat_blob(&house.place("lab/app"), &layer).await;
        assert!(matches!(told, Err(PullError::Hosted(HostedError::BlobUnknown(_)))), "{left:?}");
        let from = Mount::From(house.place("lab/app"));
        for mount in [&from, &Mount::Anywhere] {
            assert!(!house.registry.mount_blob(&house.route("rel/app"), ADMIN, &layer, mount).await.unwrap());
        }
        house.push("lab/app", b"layer").await.unwrap();
        assert_eq!(house.registry.stat_blob(&house.place("lab/app"), &layer).await.unwrap().size, 5);
        assert_eq!(house.read("lab/app", &layer).await.unwrap(), "layer");
        assert!(house.registry.mount_blob(&house.route("rel/app"), ADMIN, &layer, &from).await.unwrap());
        house.registry.delete_blob(&house.route("rel/app"), ADMIN, &layer).await.unwrap();
    }
}

/// A database that is moved away takes no byte with it, and put back it finds all of them.
#[tokio::test]
async fn what_was_pushed_outlives_its_database() {
    let house = House::new().await;
    house.push("lab/app", b"{}").await.unwrap();
    let layer = house.push("lab/app", b"layer").await.unwrap();
    let text = image(&[(&layer, 5)]);
    house.tag("lab/app", "latest", &text).await.unwrap();
    let id = house.registry.begin_upload(&house.route("lab/app"), ADMIN, SHA256).await.unwrap();
    house.registry.append_upload(&house.route("lab/app"), ADMIN, &id, chunk(b"half")).await.unwrap();
    assert_eq!(house.files(), (3, 1));
    let move_database = |folder: &Path, from: &str, to: &str| {
        for more in ["", "-wal", "-shm"] {
            let moved = std::fs::rename(folder.join(format!("{from}{more}")), folder.join(format!("{to}{more}")));
            // A database that was closed has no files beside it.
            assert!(moved.is_ok() || !more.is_empty(), "{moved:?}");
        }
    };
    let house = house.crash(async |folder| move_database(folder, "transship.db", "away.db")).await;
    for patience in [GcPatience::Grace, GcPatience::None] {
        let report = house.registry.collect_garbage(GcRequest { mode: GcMode::Collect, patience }).await.unwrap();
        assert_eq!(report.end, GcEnd::Failed);
        assert!(report.problem.as_ref().is_some_and(|why| why.contains("put back the database")), "{report:?}");
    }
    assert_eq!(house.files(), (3, 1), "nothing is gone");
    // A push that is refused takes nothing of it away either.
    assert!(house.tag("lab/app", "latest", &text).await.is_err());
    assert_eq!(house.files(), (3, 1));

    let house = house.crash(async |folder| move_database(folder, "away.db", "transship.db")).await;
    let report = GcRequest { mode: GcMode::Collect, patience: GcPatience::Grace };
    assert_eq!(house.registry.collect_garbage(report).await.unwrap().end, GcEnd::Completed);
    assert_eq!(house.registry.upload_status(&house.route("lab/app"), ADMIN, &id).await.unwrap(), 4);
    assert_eq!(house.read("lab/app", &layer).await.unwrap(), "layer");
    let pulled = house.registry.pull_manifest(&house.place("lab/app"), &"latest".parse().unwrap()).await.unwrap();
    assert_eq!(pulled.bytes, text);
}

/// A database of yesterday does not know what was pushed today: that waits for the grace.
#[tokio::test]
async fn what_an_older_database_does_not_know_waits_for_the_grace() {
    let house = House::new().await;
    house.push("lab/app", b"old").await.unwrap();
    let mut kept = Vec::new();
    let house = house.crash(async |folder| kept = std::fs::read(folder.join("transship.db")).unwrap()).await;
    let new = house.push("lab/app", b"new").await.unwrap();
    let house = house.crash(async |folder| std::fs::write(folder.join("transship.db"), &kept).unwrap()).await;
    let request = |patience| GcRequest { mode: GcMode::Collect, patience };
    for _ in 0..2 {
        let report = house.registry.collect_garbage(request(GcPatience::Grace)).await.unwrap();
        assert_eq!((report.end, report.left_overs.waiting, report.left_overs.blobs), (GcEnd::Completed, 1, 0));
    }
    assert_eq!(house.files(), (2, 0));
    let condemned = house.metadata.condemned_files(&format!("sha256:{}", &new.hex()[..2])).await.unwrap();
    assert!(condemned.contains_key(&new));
    // It is pushed again before that: nothing was lost, and the verdict is lifted.
    house.push("lab/app", b"new").await.unwrap();
    let report = house.registry.collect_garbage(request(GcPatience::None)).await.unwrap();
    assert_eq!((report.left_overs.waiting, report.left_overs.blobs), (0, 0));
    assert!(house.metadata.condemned_files("sha256:").await.unwrap().is_empty());
    assert_eq!(house.read("lab/app", &new).await.unwrap(), "new");
}

#[tokio::test]
async fn a_session_belongs_to_its_name_and_to_whoever_began_it() {
    let house = House::with(json!({ "push": "anyone" })).await;
    let route = house.route("lab/app");
    let id = house.registry.begin_upload(&route, ADMIN, SHA256).await.unwrap();
    for (path, pusher) in [("lab/other", ADMIN), ("rel/app", ADMIN), ("lab/app", Pusher::Anyone)] {
        let route = house.route(path);
        let found = house.registry.upload_status(&route, pusher, &id).await;
        assert!(matches!(found, Err(HostedError::UploadUnknown)), "{path} {pusher}: {found:?}");
        assert!(house.registry.append_upload(&route, pusher, &id, chunk(b"x")).await.is_err());
        assert!(house.registry.cancel_upload(&route, pusher, &id).await.is_err());
    }
    house.registry.cancel_upload(&route, ADMIN, &id).await.unwrap();
    assert_eq!(house.files(), (0, 0));
    assert!(house.registry.append_upload(&route, ADMIN, &id, chunk(b"x")).await.is_err(), "it was cancelled");
}

#[tokio::test]
async fn limits_hold_and_end_with_what_they_limit() {
    let limits = json!({ "push_limits": { "sessions": 2, "staged": 10, "blob": 8 } });
    let house = House::with(limits).await;
    let route = house.route("lab/app");
    let one = house.registry.begin_upload(&route, ADMIN, SHA256).await.unwrap();
    let two = house.registry.begin_upload(&route, ADMIN, SHA256).await.unwrap();
    let third = house.registry.begin_upload(&route, ADMIN, SHA256).await;
    assert!(matches!(third, Err(HostedError::TooMany { .. })), "{third:?}");
    house.registry.append_upload(&route, ADMIN, &one, chunk(b"123456")).await.unwrap();
    let staged = house.registry.append_upload(&route, ADMIN, &two, chunk(b"12345")).await;
    assert!(matches!(staged, Err(HostedError::TooMany { .. })), "{staged:?}");
    let large = house.registry.append_upload(&route, ADMIN, &one, chunk(b"789")).await;
    assert!(matches!(large, Err(HostedError::TooLarge { limit: 8, .. })), "{large:?}");
    house.registry.cancel_upload(&route, ADMIN, &one).await.unwrap();
    assert_eq!(house.registry.append_upload(&route, ADMIN, &two, chunk(b"12345")).await.unwrap(), 5);
    house.registry.begin_upload(&route, ADMIN, SHA256).await.unwrap();
    house.registry.begin_upload(&house.route("rel/app"), ADMIN, SHA256).await.unwrap();
}

#[tokio::test]
async fn one_request_at_a_time_writes_to_a_session() {
    let house = House::new().await;
    let route = house.route("lab/app");
    let id = house.registry.begin_upload(&route, ADMIN, SHA256).await.unwrap();
    let (gate, writing) = writer_at_work(&house, &id).await;
    let second = house.registry.append_upload(&route, ADMIN, &id, chunk(b"second")).await;
    assert!(matches!(second, Err(HostedError::UploadBusy)), "{second:?}");
    drop(gate);
    assert_eq!(writing.await.unwrap().unwrap(), 9);
    assert_eq!(house.registry.append_upload(&route, ADMIN, &id, chunk(b"second")).await.unwrap(), 15);
}

/// A connection broke off, and what had come of it is still being read: whoever goes on is told where that ends.
#[tokio::test]
async fn a_request_that_is_about_to_end_is_waited_for() {
    let house = House::new().await;
    let route = house.route("lab/app");
    let id = house.registry.begin_upload(&route, ADMIN, SHA256).await.unwrap();
    let (gate, writing) = writer_at_work(&house, &id).await;
    let (registry, of_status, its_id) = (house.registry.clone(), route.clone(), id.clone());
    let status = tokio::spawn(async move { registry.upload_status(&of_status, ADMIN, &its_id).await });
    let (registry, of_next, its_id) = (house.registry.clone(), route.clone(), id.clone());
    let next = tokio::spawn(async move { registry.append_upload(&of_next, ADMIN, &its_id, chunk(b"second")).await });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!status.is_finished() && !next.is_finished(), "both were answered while the first request wrote");
    drop(gate);
    assert_eq!(writing.await.unwrap().unwrap(), 9);
    assert_eq!(status.await.unwrap().unwrap(), 9, "all that the first request brought");
    assert_eq!(next.await.unwrap().unwrap(), 15);
}

type Append = tokio::task::JoinHandle<Result<u64, HostedError>>;

/// A request that has brought six bytes, and brings three more when the gate opens.
async fn writer_at_work(house: &House, id: &oci::UploadId) -> (Gate, Append) {
    let (gate, body) = gated_body(b"first ", b"end");
    let (registry, route, id) = (house.registry.clone(), house.route("lab/app"), id.clone());
    let writing =
        tokio::spawn(async move { registry.append_upload(&route, ADMIN, &id, Chunk { range: None, body }).await });
    eventually("the first request is at work", || gate.is_read()).await;
    (gate, writing)
}

/// A body that gives its bytes, waits until the gate is dropped, and gives the rest.
fn gated_body(bytes: &'static [u8], rest: &'static [u8]) -> (Gate, transship_registry::BodyStream) {
    let (open, opened) = tokio::sync::oneshot::channel::<()>();
    let read = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = read.clone();
    let body = stream::unfold(Some(opened), move |opened| {
        let seen = seen.clone();
        async move {
            let opened = opened?;
            if seen.swap(true, std::sync::atomic::Ordering::Relaxed) {
                let _ = opened.await;
                return Some((Ok(Bytes::from_static(rest)), None));
            }
            Some((Ok(Bytes::from_static(bytes)), Some(opened)))
        }
    });
    (Gate { _open: open, read }, Box::pin(body))
}

struct Gate {
    _open: tokio::sync::oneshot::Sender<()>,
    read: Arc<std::sync::atomic::AtomicBool>,
}

impl Gate {
    fn is_read(&self) -> bool {
        self.read.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[tokio::test]
async fn presence_in_the_store_is_nobodys_right() {
    let house = House::new().await;
    let digest = house.push("lab/app", b"layer").await.unwrap();
    for path in ["lab/other", "rel/app"] {
        let read = house.read(path, &digest).await;
        assert!(matches!(read, Err(PullError::Hosted(HostedError::BlobUnknown(_)))), "{path}: {read:?}");
        // Nor does pushing its digest with other bytes open it.
        let empty = house.registry.push_blob(&house.route(path), ADMIN, &digest, chunk(b"")).await;
        assert!(matches!(empty, Err(HostedError::DigestMismatch { .. })), "{empty:?}");
        assert!(house.read(path, &digest).await.is_err());
    }
    let mount = |from: &str| Mount::From(house.place(from));
    let to = house.route("rel/app");
    assert!(!house.registry.mount_blob(&to, ADMIN, &digest, &mount("lab/other")).await.unwrap());
    assert!(!house.registry.mount_blob(&to, ADMIN, &digest, &mount("dockerhub/library/debian")).await.unwrap());
    assert!(house.registry.mount_blob(&to, ADMIN, &digest, &mount("lab/app")).await.unwrap());
    assert_eq!(house.read("rel/app", &digest).await.unwrap(), "layer");
    assert!(house.registry.mount_blob(&house.route("rel/third"), ADMIN, &digest, &Mount::Anywhere).await.unwrap());
    // Deleted in one, the others keep it; in the last one, the bytes go.
    for (path, left) in [("lab/app", 1), ("rel/app", 1), ("rel/third", 0)] {
        house.registry.delete_blob(&house.route(path), ADMIN, &digest).await.unwrap();
        assert!(house.read(path, &digest).await.is_err());
        assert_eq!(house.files().0, left, "{path}");
    }
}

#[tokio::test]
async fn a_manifest_needs_what_it_lists_and_comes_back_byte_for_byte() {
    let house = House::new().await;
    let layer = Digest::sha256_of(b"layer");
    let text = image(&[(&layer, 5), (&layer, 5)]);
    let missing = house.tag("lab/app", "latest", &text).await;
    assert!(matches!(missing, Err(HostedError::ManifestBlobUnknown(_))), "{missing:?}");
    assert_eq!(house.files(), (0, 0), "nothing of a refused manifest stays");
    house.push("lab/app", b"{}").await.unwrap();
    house.push("lab/app", b"layer").await.unwrap();
    let wrong = house.tag("lab/app", "latest", &image(&[(&layer, 6)])).await;
    assert!(matches!(wrong, Err(HostedError::ManifestInvalid(_))), "{wrong:?}");
    let digest = house.tag("lab/app", "latest", &text).await.unwrap();
    let house = house.crash(async |_| {}).await;
    for reference in ["latest".to_owned(), digest.to_string()] {
        let reference: Reference = reference.parse().unwrap();
        let pulled = house.registry.pull_manifest(&house.place("lab/app"), &reference).await.unwrap();
        assert_eq!((pulled.bytes, pulled.digest), (Bytes::from(text.clone()), digest));
    }
    let elsewhere = house.registry.pull_manifest(&house.place("lab/other"), &digest.into()).await;
    assert!(matches!(elsewhere, Err(PullError::Hosted(HostedError::ManifestUnknown(_)))));
}

#[tokio::test]
async fn immutable_tags_hold_on_to_all_they_need() {
    let house = House::new().await;
    house.push("rel/app", b"{}").await.unwrap();
    let layer = house.push("rel/app", b"layer").await.unwrap();
    let first = house.tag("rel/app", "v1", &image(&[(&layer, 5)])).await.unwrap();
    house.tag("rel/app", "v1", &image(&[(&layer, 5)])).await.unwrap();
    let moved = house.tag("rel/app", "v1", &image(&[])).await;
    assert!(matches!(&moved, Err(HostedError::Denied(why)) if why.contains("'v1' is immutable")), "{moved:?}");
    let route = house.route("rel/app");
    for reference in [Reference::Tag("v1".parse().unwrap()), first.into()] {
        let deleted = house.registry.delete_manifest(&route, ADMIN, &reference).await;
        assert!(matches!(deleted, Err(HostedError::Denied(_))), "{reference}: {deleted:?}");
    }
    let deleted = house.registry.delete_blob(&route, ADMIN, &layer).await;
    assert!(matches!(deleted, Err(HostedError::Denied(_))), "{deleted:?}");
    let latest = house.tag("rel/app", "latest", &image(&[])).await.unwrap();
    house.registry.delete_manifest(&route, ADMIN, &latest.into()).await.unwrap();
    let gone = house.registry.pull_manifest(&house.place("rel/app"), &Reference::Tag("latest".parse().unwrap())).await;
    assert!(matches!(gone, Err(PullError::Hosted(HostedError::ManifestUnknown(_)))), "its tag goes with it");
}

/// What is on disk when a push is killed at a point, made with the steps a push is made of.
#[tokio::test]
async fn whatever_step_a_push_is_killed_at_nothing_half_is_visible_or_left() {
    let digest = Digest::sha256_of(b"bytes");
    let id: UploadId = "0b8e7c1a-0123-4567-89ab-cdef01234567".parse().unwrap();
    let row = |acknowledged| UploadRow {
        id: id.clone(),
        repo: "lab".parse().unwrap(),
        name: "app".parse().unwrap(),
        principal: "admin".into(),
        algorithm: SHA256,
        acknowledged,
        touched_at: SystemTime::now(),
    };
    let sessions = async |house: &House| house.registry.upload_status(&house.route("lab/app"), ADMIN, &id).await;

    // The file was made, its row was not.
    let house = House::new().await.crash(async |folder| {
        let mut upload = uploads(folder).create(&id, SHA256).await.unwrap();
        upload.append(vec![Bytes::from_static(b"bytes")]).await.unwrap();
    });
    let house = house.await;
    assert_eq!(house.files(), (0, 0));

    // The row was written, the file is gone with the power.
    let house = house.crash(async |folder| metadata(folder).await.insert_upload(&row(3)).await.unwrap()).await;
    assert!(matches!(sessions(&house).await, Err(HostedError::UploadUnknown)));

    // Bytes came after the last note: they are sent again.
    let house = house.crash(async |folder| {
        let mut upload = uploads(folder).create(&id, SHA256).await.unwrap();
        upload.append(vec![Bytes::from_static(b"bytXX")]).await.unwrap();
        metadata(folder).await.insert_upload(&row(3)).await.unwrap();
    });
    let house = house.await;
    assert_eq!(sessions(&house).await.unwrap(), 3);
    let route = house.route("lab/app");
    house.registry.finish_upload(&route, ADMIN, &id, &digest, Some(chunk(b"es"))).await.unwrap();
    assert_eq!(house.read("lab/app", &digest).await.unwrap(), "bytes");
    house.registry.delete_blob(&route, ADMIN, &digest).await.unwrap();

    // The blob has its name, the database does not know: its session is still there, its file is not.
    let house = house.crash(async |folder| {
        let uploads = uploads(folder);
        let mut upload = uploads.create(&id, SHA256).await.unwrap();
        upload.append(vec![Bytes::from_static(b"bytes")]).await.unwrap();
        metadata(folder).await.insert_upload(&row(5)).await.unwrap();
        uploads.publish(&digest, &upload).await.unwrap();
    });
    let house = house.await;
    assert!(house.read("lab/app", &digest).await.is_err(), "nobody was told of it");
    left_over(&house, (1, 0)).await;

    // A manifest's bytes are stored, its row is not; and a row that nobody needs is left of a delete.
    let house = house.crash(async |folder| {
        uploads(folder).store().put(&digest, Bytes::from_static(b"bytes")).await.unwrap();
        let (metadata, other) = (metadata(folder).await, Digest::sha256_of(b"other"));
        let (repo, name) = ("lab".parse().unwrap(), "app".parse().unwrap());
        metadata.link_hosted_blob(&repo, &name, (&other, 5), None, SystemTime::UNIX_EPOCH).await.unwrap();
        uploads(folder).store().put(&other, Bytes::from_static(b"other")).await.unwrap();
        metadata.delete_hosted_blob((&repo, &name), &other, &|_| false).await.unwrap().unwrap();
    });
    let house = house.await;
    eventually("what a row says that nobody needs is gone", || house.files() == (1, 0)).await;
    left_over(&house, (1, 0)).await;
}

/// Bytes without a row may be of a push that a lost row was about: they stay until somebody says that they are not needed, or
/// the grace is over.
async fn left_over(house: &House, files: (usize, usize)) {
    let request = |patience| GcRequest { mode: GcMode::Collect, patience };
    house.registry.collect_garbage(request(GcPatience::Grace)).await.unwrap();
    assert_eq!(house.files(), files);
    house.registry.collect_garbage(request(GcPatience::None)).await.unwrap();
    assert_eq!(house.files(), (0, 0));
}

#[tokio::test]
async fn what_was_acknowledged_is_there_without_a_clean_end_and_not_the_caches() {
    let house = House::new().await;
    let large: &'static [u8] = vec![7; 2 << 20].leak();
    // Twice the cache's budget: it has no say.
    let digest = house.push("lab/app", large).await.unwrap();
    let house = house.crash(async |_| {}).await;
    assert_eq!(house.read("lab/app", &digest).await.unwrap().len(), large.len());
    assert_eq!(count(&house.folder.path().join("blobs")), 0);
}

#[tokio::test]
async fn pushing_is_for_whoever_shows_the_token() {
    let house = House::with(json!({ "push": "anyone" })).await;
    let (rel, lab) = (house.route("rel/app"), house.route("lab/app"));
    let allowed = |route, shown| house.registry.authorize_push(route, shown).ok();
    assert_eq!(allowed(&rel, Shown::AdminToken), Some(Pusher::Admin));
    assert_eq!(allowed(&lab, Shown::AdminToken), Some(Pusher::Admin));
    assert_eq!(allowed(&lab, Shown::NothingFromHere), Some(Pusher::Anyone));
    for (route, shown) in [
        (&rel, Shown::NothingFromHere),
        (&rel, Shown::Nothing),
        (&rel, Shown::Wrong),
        (&lab, Shown::Nothing),
        (&lab, Shown::Wrong),
    ] {
        assert_eq!(allowed(route, shown), None, "{shown:?}");
    }
}

#[tokio::test]
async fn retention_runs_by_itself_one_interval_after_it_was_set() {
    let retention = json!({ "rules": [{ "keep_last": 1 }], "interval": "1h" });
    let house = House::with(json!({ "retention": retention })).await;
    house.push("lab/app", b"{}").await.unwrap();
    for tag in ["a", "b"] {
        house.tag("lab/app", tag, &image(&[])).await.unwrap();
    }
    let key = "lab".parse().unwrap();
    let tags = async |house: &House| {
        house.registry.list_tags(&house.place("lab/app"), &TagsQuery::default()).await.unwrap().tags.len()
    };
    let plan = house.registry.retention().plan(&key).await.unwrap();
    assert_eq!((plan.deletes, tags(&house).await), (1, 2), "it was set a moment ago");
    // As if it had run two hours ago.
    let house = house.ran_two_hours_ago(|settings| settings).await;
    while tags(&house).await == 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let history = house.registry.tags_over_time().history(&key, "app".parse().unwrap(), &"a".parse().unwrap(), 1).await;
    let moved = history.unwrap().moves.remove(0);
    assert_eq!((moved.how.as_str(), moved.by.as_str()), ("retention", "retention"));
}

#[tokio::test]
async fn retention_that_was_changed_begins_its_interval_anew() {
    let retention = json!({ "rules": [{ "keep_last": 1 }], "interval": "1h" });
    let house = House::with(json!({ "retention": retention })).await;
    house.push("lab/app", b"{}").await.unwrap();
    for tag in ["a", "b"] {
        house.tag("lab/app", tag, &image(&[])).await.unwrap();
    }
    let (lab, rel) = ("lab".parse().unwrap(), "rel".parse().unwrap());
    let before = SystemTime::now();
    let house = house.ran_two_hours_ago(|of_others| of_others + 1).await;
    let noted =
        async || house.metadata.last_done("retention", &lab).await.unwrap().is_some_and(|last| last.at >= before);
    while !noted().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let tags = house.registry.list_tags(&house.place("lab/app"), &TagsQuery::default()).await.unwrap().tags;
    assert_eq!(tags.len(), 2, "it is set since a moment");
    // Where it is not set any more, nothing is remembered that it would be due by.
    assert_eq!(house.metadata.last_done("retention", &rel).await.unwrap(), None);

    let (admin, key) = (house.registry.repositories(), "tmp".parse().unwrap());
    let document = |retention: Value| json!({ "key": "tmp", "kind": "hosted", "retention": retention });
    let ran = LastDone { at: SystemTime::UNIX_EPOCH, settings: 1 };
    admin.create(&document(retention.clone())).await.unwrap();
    for change in ["replace", "delete"] {
        house.metadata.note_done("retention", &key, ran).await.unwrap();
        match change {
            "replace" => drop(admin.replace(&key, &document(Value::Null)).await.unwrap()),
            _ => admin.delete(&key).await.unwrap(),
        }
        assert_eq!(house.metadata.last_done("retention", &key).await.unwrap(), None, "{change}");
    }
}
