//! Garbage collection without HTTP: what goes, what stays and for how long, and what is in the report.

use std::time::Duration;

use blob_store::BlobStore;
use bytes::Bytes;
use metadata::GarbageKind;
use oci::{Digest, MediaType, Reference};
use serde_json::{Value, json};
use transship_registry::{
    Builtins, GcEnd, GcMode, GcPatience, GcReport, GcRequest, GcSettings, HostedError, ManifestPush, Mount,
    PushedManifest, UpstreamDefaults,
};

use crate::harness::uploads;
use crate::hosted::{ADMIN, House, image};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// No lease lasts: what nothing needs goes with the next run that does not wait.
const NO_LEASE: GcSettings = GcSettings {
    interval: None,
    grace: Duration::from_hours(1),
    lease: Duration::ZERO,
    untagged: transship_registry::Untagged::Keep,
};

impl House {
    async fn collecting(fields: Value, settings: GcSettings) -> Self {
        let house = Self::with(fields).await;
        house.registry.set_gc(settings);
        house
    }

    async fn gc(&self, mode: GcMode, patience: GcPatience) -> GcReport {
        let report = self.registry.collect_garbage(GcRequest { mode, patience }).await.unwrap();
        assert_eq!((report.end, &report.problem), (GcEnd::Completed, &None));
        report
    }

    /// A run that does not wait: how many parts it took away.
    async fn gc_now(&self) -> u64 {
        self.gc(GcMode::Collect, GcPatience::None).await.total().collected
    }

    async fn has(&self, path: &str, digest: &Digest) -> bool {
        // Opening is no promise, so it writes no lease.
        self.registry.open_blob(&self.place(path), digest, None).await.is_ok()
    }

    async fn has_manifest(&self, path: &str, digest: &Digest) -> bool {
        self.registry.pull_manifest(&self.route(path), &Reference::Digest(*digest)).await.is_ok()
    }

    async fn put(&self, path: &str, text: &str) -> Result<PushedManifest, HostedError> {
        let digest = Digest::sha256_of(text.as_bytes());
        let push = ManifestPush {
            reference: Reference::Digest(digest),
            tags: Vec::new(),
            content_type: serde_json::from_str::<Value>(text).unwrap()["mediaType"]
                .as_str()
                .map(|t| t.parse().unwrap()),
            bytes: Bytes::from(text.to_owned()),
        };
        self.registry.push_manifest(&self.route(path), ADMIN, push).await
    }

    async fn delete(&self, path: &str, reference: &str) {
        self.registry.delete_manifest(&self.route(path), ADMIN, &reference.parse().unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn layers_of_a_deleted_manifest_go_after_the_grace_and_those_of_others_stay() {
    let house = House::collecting(json!({}), NO_LEASE).await;
    let (config, layer) = (house.push("lab/app", b"{}").await.unwrap(), house.push("lab/app", b"layer").await.unwrap());
    let digest = house.tag("lab/app", "latest", &image(&[(&layer, 5)])).await.unwrap();
    house.push("lab/other", b"layer").await.unwrap();
    house.push("lab/other", b"{}").await.unwrap();
    house.tag("lab/other", "latest", &image(&[(&layer, 5)])).await.unwrap();
    assert_eq!(house.gc_now().await, 0, "everything is needed");
    house.delete("lab/app", &digest.to_string()).await;

    let plan = house.gc(GcMode::DryRun, GcPatience::Grace).await;
    assert_eq!((plan.total().condemned, plan.total().collected, plan.freed_bytes), (2, 0, 0));
    let plan = house.gc(GcMode::DryRun, GcPatience::None).await;
    assert_eq!((plan.total().collected, plan.freed_blobs), (2, 0), "the other name has the same bytes");
    let run = house.gc(GcMode::Collect, GcPatience::Grace).await;
    assert_eq!((run.total().condemned, run.total().collected), (2, 0));
    let run = house.gc(GcMode::Collect, GcPatience::Grace).await;
    assert_eq!((run.total().condemned, run.total().waiting), (0, 2), "the grace is not over");
    assert!(house.has("lab/app", &layer).await, "and nothing is gone");

    let run = house.gc(GcMode::Collect, GcPatience::None).await;
    let lab = run.repositories.iter().find(|repo| repo.repo_key == "lab").unwrap();
    assert_eq!((lab.blobs.examined, lab.blobs.needed, lab.blobs.collected), (4, 2, 2));
    assert!(lab.items.iter().all(|item| item.name == "app" && item.action == "collect" && item.kind == "blob"));
    assert_eq!(run.freed_blobs, 0);
    assert!(!house.has("lab/app", &layer).await && !house.has("lab/app", &config).await);
    assert!(house.has("lab/other", &layer).await && house.read("lab/other", &layer).await.unwrap() == "layer");
    house.delete("lab/other", "latest").await;
    assert_eq!(house.gc_now().await, 0, "an untagged manifest stays");
    house.delete("lab/other", &digest.to_string()).await;
    let plan = house.gc(GcMode::DryRun, GcPatience::None).await;
    let run = house.gc(GcMode::Collect, GcPatience::None).await;
    assert_eq!((plan.freed_blobs, plan.freed_bytes), (2, 7), "what was said before");
    assert_eq!((run.freed_blobs, run.freed_bytes, house.files()), (2, 7, (0, 0)));
    assert_eq!(house.registry.last_gc(), Some(run), "a dry run is not the last one");
}

#[tokio::test]
async fn whoever_was_told_that_a_blob_is_here_can_push_what_needs_it() {
    let house = House::collecting(json!({}), NO_LEASE).await;
    let config = house.push("lab/app", b"{}").await.unwrap();
    let manifest = image(&[]);
    house.registry.set_gc(GcSettings { lease: Duration::from_hours(1), ..NO_LEASE });
    // Without a lease until someone asks for it, as docker does before it leaves out an upload.
    house.registry.stat_blob(&house.place("lab/app"), &config).await.unwrap();
    house.push("lab/pushed", b"{}").await.unwrap();
    let from = Mount::From(house.place("lab/pushed"));
    let mounted = house.registry.mount_blob(&house.route("lab/mounted"), ADMIN, &config, &from).await.unwrap();
    assert!(mounted);
    assert_eq!(house.gc_now().await, 0);
    let run = house.gc(GcMode::Collect, GcPatience::None).await;
    assert_eq!(run.total().leased, 3);
    for path in ["lab/app", "lab/pushed", "lab/mounted"] {
        house.put(path, &manifest).await.unwrap();
    }

    // Who was told nothing is told when the manifest comes.
    house.registry.set_gc(NO_LEASE);
    house.push("lab/late", b"{}").await.unwrap();
    assert_eq!(house.gc_now().await, 1);
    let refused = house.put("lab/late", &manifest).await;
    assert!(matches!(refused, Err(HostedError::ManifestBlobUnknown(_))), "{refused:?}");
    let gone = house.registry.stat_blob(&house.place("lab/late"), &config).await;
    assert!(gone.is_err(), "nothing was left half");
}

#[tokio::test]
async fn what_is_asked_for_or_needed_between_verdict_and_end_is_saved() {
    let house = House::collecting(json!({}), NO_LEASE).await;
    let (asked, needed) = (house.push("lab/app", b"asked").await.unwrap(), house.push("lab/app", b"{}").await.unwrap());
    assert_eq!(house.gc(GcMode::Collect, GcPatience::Grace).await.total().condemned, 2);
    house.registry.set_gc(GcSettings { lease: Duration::from_hours(1), ..NO_LEASE });
    house.registry.stat_blob(&house.place("lab/app"), &asked).await.unwrap();
    house.put("lab/app", &image(&[])).await.unwrap();
    assert_eq!(house.gc_now().await, 0);
    assert!(house.has("lab/app", &asked).await && house.has("lab/app", &needed).await);
    // A lease is written once in half its time, not with every question.
    let metadata = &house.metadata;
    let before = metadata.find_hosted_blob(&"lab".parse().unwrap(), &"app".parse().unwrap(), &asked).await.unwrap();
    house.registry.stat_blob(&house.place("lab/app"), &asked).await.unwrap();
    let after = metadata.find_hosted_blob(&"lab".parse().unwrap(), &"app".parse().unwrap(), &asked).await.unwrap();
    assert_eq!(before, after);
}

fn index(children: &[&Digest], size: usize) -> String {
    let child =
        |digest: &&Digest| json!({ "mediaType": MediaType::OCI_IMAGE_MANIFEST, "digest": digest, "size": size });
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children.iter().map(child).collect::<Vec<_>>() })
        .to_string()
}

fn referring(subject: &Digest, size: usize) -> String {
    let mut manifest: Value = serde_json::from_str(&image(&[])).unwrap();
    manifest["subject"] = json!({ "mediaType": INDEX, "digest": subject, "size": size });
    manifest.to_string()
}

#[tokio::test]
async fn untagged_manifests_go_where_that_is_wanted_and_referrers_with_their_subject() {
    let house = House::collecting(json!({ "gc": { "delete_untagged": true } }), NO_LEASE).await;
    for path in ["lab/app", "rel/app"] {
        house.push(path, b"{}").await.unwrap();
        let child = house.put(path, &image(&[])).await.unwrap().digest;
        let top = index(&[&child], image(&[]).len());
        let subject = house.tag_as(path, "latest", INDEX, &top).await;
        let signature = house.put(path, &referring(&subject, top.len())).await.unwrap().digest;
        assert_eq!(house.gc_now().await, 0, "{path}: tagged, listed, and referring to what is there");
        house.delete(path, "latest").await;
        let went = house.gc(GcMode::Collect, GcPatience::None).await;
        if path == "rel/app" {
            assert_eq!(went.total().collected, 0, "it does not say so");
            assert!(house.has_manifest(path, &subject).await);
            continue;
        }
        // One run for each step down: what leads to something goes before it.
        for _ in 0..3 {
            house.gc_now().await;
        }
        for digest in [subject, child, signature] {
            assert!(!house.has_manifest(path, &digest).await);
        }
        assert_eq!(house.files(), (0, 0), "and what only they needed");
    }
}

#[tokio::test]
async fn a_layer_that_need_not_be_here_stays_when_it_was_pushed_all_the_same() {
    let house = House::collecting(json!({}), NO_LEASE).await;
    house.push("lab/app", b"{}").await.unwrap();
    let layer = house.push("lab/app", b"layer").await.unwrap();
    let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    let manifest = image(&[(&layer, 5)]).replace("application/vnd.oci.image.layer.v1.tar", foreign);
    assert!(manifest.contains(foreign));
    house.put("lab/app", &manifest).await.unwrap();
    assert_eq!(house.gc_now().await, 0);
    assert!(house.has("lab/app", &layer).await);
}

#[tokio::test]
async fn left_overs_go_and_a_missing_file_takes_no_row_with_it() {
    let house = House::collecting(json!({}), NO_LEASE).await;
    let kept = house.push("lab/app", b"{}").await.unwrap();
    house.put("lab/app", &image(&[])).await.unwrap();
    let orphan = Digest::sha256_of(b"orphan");
    let area = uploads(house.folder.path());
    area.store().put(&orphan, Bytes::from_static(b"orphan")).await.unwrap();
    let id = "0b8e7c1a-0123-4567-89ab-cdef01234567".parse().unwrap();
    drop(area.create(&id, oci::DigestAlgorithm::Sha256).await.unwrap());
    let plan = house.gc(GcMode::DryRun, GcPatience::None).await;
    assert_eq!((plan.left_overs.blobs, house.files()), (0, (3, 1)), "a dry run removes nothing");
    let run = house.gc(GcMode::Collect, GcPatience::Grace).await;
    assert_eq!((run.left_overs.blobs, run.left_overs.waiting, run.left_overs.uploads), (0, 1, 1));
    let run = house.gc(GcMode::Collect, GcPatience::Grace).await;
    assert_eq!((run.left_overs.waiting, house.files()), (1, (3, 0)), "the grace is not over");
    house.registry.set_gc(GcSettings { grace: Duration::from_millis(1), ..NO_LEASE });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let run = house.gc(GcMode::Collect, GcPatience::Grace).await;
    assert_eq!((run.left_overs.blobs, run.left_overs.waiting, run.freed_bytes), (1, 0, 6));
    assert_eq!(house.files(), (2, 0));
    area.store().delete(&kept).await.unwrap();
    house.gc_now().await;
    let metadata = &house.metadata;
    assert!(metadata.has_hosted_blob(&kept).await.unwrap(), "it can be restored from a backup");
    // A store that is gone is an error, and no reason to forget what was in it.
    std::fs::rename(house.folder.path().join("hosted"), house.folder.path().join("away")).unwrap();
    let request = GcRequest { mode: GcMode::Collect, patience: GcPatience::None };
    let report = house.registry.collect_garbage(request).await.unwrap();
    assert!(report.end == GcEnd::Failed && report.problem.is_some(), "{report:?}");
    assert!(metadata.has_hosted_blob(&kept).await.unwrap());
}

#[tokio::test]
async fn a_repository_that_is_not_served_now_is_left_alone() {
    let house = House::collecting(json!({}), NO_LEASE).await;
    let digest = house.push("lab/app", b"loose").await.unwrap();
    house.registry.reload(Vec::new(), Builtins::Excluded, UpstreamDefaults::default(), 1 << 20).await.unwrap();
    assert_eq!(house.gc_now().await, 0);
    let metadata = &house.metadata;
    let parts = metadata.list_held_parts(GarbageKind::Link, &"lab".parse().unwrap(), None, 10).await.unwrap();
    assert!(parts.len() == 1 && parts[0].digest == digest && house.files() == (1, 0));
}

#[tokio::test]
async fn a_run_ends_when_the_server_stops_and_the_next_goes_on() {
    let house = House::collecting(json!({}), NO_LEASE).await;
    house.push("lab/app", b"loose").await.unwrap();
    house.registry.begin_shutdown();
    let request = GcRequest { mode: GcMode::Collect, patience: GcPatience::None };
    let report = house.registry.collect_garbage(request).await.unwrap();
    assert_eq!((report.end, house.files()), (GcEnd::Interrupted, (1, 0)));
    let house = house.crash(async |_| {}).await;
    house.registry.set_gc(NO_LEASE);
    assert_eq!((house.gc_now().await, house.files()), (1, (0, 0)));
}

#[tokio::test]
async fn limits_of_manifests_hold() {
    let limits = json!({ "push_limits": { "manifest": 600, "layers": 1, "children": 1 } });
    let house = House::collecting(limits, NO_LEASE).await;
    house.push("lab/app", b"{}").await.unwrap();
    let layer = house.push("lab/app", b"layer").await.unwrap();
    let child = house.put("lab/app", &image(&[(&layer, 5)])).await.unwrap().digest;
    let refused = house.put("lab/app", &image(&[(&layer, 5), (&layer, 5)])).await;
    assert!(matches!(&refused, Err(HostedError::ManifestInvalid(why)) if why.contains("2 layers")), "{refused:?}");
    let size = image(&[(&layer, 5)]).len();
    house.put("lab/app", &index(&[&child], size)).await.unwrap();
    let refused = house.put("lab/app", &index(&[&child, &child], size)).await;
    assert!(matches!(&refused, Err(HostedError::ManifestInvalid(why)) if why.contains("2 manifests")), "{refused:?}");
    let long = image(&[(&layer, 5)]).replace("\"schemaVersion\"", &format!("{}\"schemaVersion\"", " ".repeat(600)));
    let refused = house.put("lab/app", &long).await;
    assert!(matches!(refused, Err(HostedError::TooLarge { limit: 600, .. })), "{refused:?}");
    assert_eq!(house.files().0, 4, "nothing of what was refused stays");
}

#[tokio::test]
async fn an_immutable_repository_loses_nothing_untagged_whatever_holds_everywhere() {
    let settings = GcSettings { untagged: transship_registry::Untagged::Delete, ..NO_LEASE };
    let house = House::collecting(json!({ "immutable": true }), settings).await;
    let mut digests = Vec::new();
    for path in ["lab/app", "rel/app"] {
        house.push(path, b"{}").await.unwrap();
        digests.push(house.put(path, &image(&[])).await.unwrap().digest);
    }
    for _ in 0..3 {
        house.gc_now().await;
    }
    assert!(!house.has_manifest("rel/app", &digests[1]).await, "elsewhere it went");
    assert!(house.has_manifest("lab/app", &digests[0]).await);
    assert!(house.has("lab/app", &Digest::sha256_of(b"{}")).await, "with all it needs");
}

#[tokio::test]
async fn a_layer_that_need_not_be_here_is_kept_from_when_it_is() {
    let house = House::collecting(json!({}), NO_LEASE).await;
    house.push("lab/app", b"{}").await.unwrap();
    let foreign = Digest::sha256_of(b"foreign");
    let text = image(&[(&foreign, 7)])
        .replace("application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar");
    let manifest = house.put("lab/app", &text).await.unwrap().digest;
    // It comes later, as from a client that pushes such layers in the background.
    house.push("lab/app", b"foreign").await.unwrap();
    house.gc_now().await;
    assert!(house.has("lab/app", &foreign).await);
    house.delete("lab/app", &manifest.to_string()).await;
    house.gc_now().await;
    assert!(!house.has("lab/app", &foreign).await, "and no longer than that");
}
