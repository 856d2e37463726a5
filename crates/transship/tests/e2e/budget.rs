//! The cache's budget under load: what the disk says, not what the program says.
//!
//! Must not know: what is evicted first. Invariant: the disk is measured all the time, on a file
//! system that holds nothing else.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use testkit::image::Image;
use testkit::program::{Finished, command};

use crate::http;
use crate::lab::{Lab, LabSetup, NAME};

const BUDGET: u64 = 64 << 20;
const IMAGES: u64 = 40;
const LAYER: usize = 8 << 20;
const CLIENTS: u64 = 8;

/// A small file system of its own.
pub(crate) struct SmallDisk {
    pub(crate) folder: tempfile::TempDir,
}

impl SmallDisk {
    pub(crate) fn mount(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = command("mount", folder.path());
        Finished::of(mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(folder.path()))
            .expect_success();
        Self { folder }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Finished::of(command("umount", self.folder.path()).arg("--lazy").arg(self.folder.path()));
    }
}

/// Measures the disk until told to stop; the most that was taken is kept.
fn watch_disk(lab: &Lab, disk: &SmallDisk, stop: Arc<AtomicBool>) -> (Arc<AtomicU64>, std::thread::JoinHandle<()>) {
    let most = Arc::new(AtomicU64::new(0));
    let (root, mounted, seen) = (lab.transship.cache_dir(), disk.folder.path().to_owned(), most.clone());
    let thread = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            // The database may only have grown since: it is taken off first.
            let database = database_bytes(&root);
            seen.fetch_max(used_bytes(&mounted) - database, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    (most, thread)
}

/// Bytes taken on a file system, at one moment: walking its folders would count what moves meanwhile twice.
fn used_bytes(mounted: &Path) -> u64 {
    let facts = rustix::fs::statvfs(mounted).unwrap();
    (facts.f_blocks - facts.f_bfree) * facts.f_frsize
}

/// Bytes that the database takes.
fn database_bytes(root: &Path) -> u64 {
    let files = ["transship.db", "transship.db-wal", "transship.db-shm"].map(|name| root.join(name).metadata());
    files.into_iter().flatten().map(|facts| facts.blocks() * 512).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_clients_pulling_five_times_the_budget_never_fail_and_never_overflow_it() {
    let config = json!({ "cache": { "max_size": "64MiB" } });
    let disk = SmallDisk::mount("512m");
    let cache_dir = Some(disk.folder.path().join("cache"));
    let lab = Lab::with(LabSetup { config, cache_dir, ..LabSetup::default() });
    let images: Arc<Vec<Image>> = Arc::new((0..IMAGES).map(|seed| Image::small(seed, LAYER)).collect());
    for (tag, image) in images.iter().enumerate() {
        lab.upstream.add_image(NAME, &tag.to_string(), image);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (most, watcher) = watch_disk(&lab, &disk, stop.clone());
    let pullers = (0..CLIENTS).map(|client| {
        let (url, images) = (lab.transship.url(), images.clone());
        tokio::spawn(async move {
            let mut order: Vec<usize> = (0..images.len()).collect();
            fastrand::Rng::with_seed(client).shuffle(&mut order);
            // Together they pull every image, most of them more than once.
            for tag in order.into_iter().take(images.len() / 2).chain((client as usize..images.len()).step_by(8)) {
                pull(&url, tag, &images[tag]).await;
            }
        })
    });
    join_all(pullers).await.into_iter().for_each(Result::unwrap);
    stop.store(true, Ordering::Relaxed);
    watcher.join().unwrap();

    let most = most.load(Ordering::Relaxed);
    assert!(most <= BUDGET + BUDGET / 100, "{most} bytes on the disk with a budget of {BUDGET}");
    assert!(most >= BUDGET / 2, "the budget is made use of: {most} bytes");
    assert!(lab.metric("transship_evicted_blobs_total").await > Some(0.0));
    assert!(database_bytes(&lab.transship.cache_dir()) < 8 << 20);
    let said = lab.metric("transship_cache_size_bytes").await.unwrap();
    assert!(said <= f64::from(u32::try_from(BUDGET).unwrap()), "{said}");
}

/// Pulls an image on connections of its own.
async fn pull(url: &str, tag: usize, image: &Image) {
    let client = http::client();
    let manifest =
        http::send(&client, "GET", &format!("{url}{}", Lab::manifest_path(&tag.to_string())), &[], Vec::new()).await;
    assert_eq!((manifest.status, manifest.body == image.manifest.bytes), (200, true), "{}", manifest.text());
    for blob in &image.blobs {
        let response = client.get(format!("{url}{}", Lab::blob_path(&blob.digest))).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(http::compare(response, &blob.bytes).await, (blob.bytes.len(), true), "image {tag}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_larger_than_the_budget_streams_past_the_cache() {
    let lab = Lab::with(LabSetup { args: vec!["--max-size".into(), "4MiB".into()], ..LabSetup::default() });
    let bytes = testkit::image::blob(1, 20 << 20);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    for _ in 0..2 {
        let response = lab.open(&Lab::blob_path(&digest)).await;
        assert_eq!(http::compare(response, &bytes).await, (bytes.len(), true));
    }
    assert!(!lab.stored_file(&digest).exists());
    lab.eventually("nothing is left in staging", || lab.staged().is_empty()).await;
    assert!(lab.metric("transship_no_room_total").await >= Some(1.0));
    let small = testkit::image::blob(2, 1 << 20);
    let small_digest = lab.upstream.add_blob(NAME, small.clone());
    assert_eq!(lab.get(&Lab::blob_path(&small_digest)).await.body, small);
    lab.wait_stored(&small_digest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_no_pull() {
    let disk = SmallDisk::mount("16m");
    let args = vec!["--max-size".to_owned(), "1GiB".to_owned()];
    let lab = Lab::with(LabSetup { args, cache_dir: Some(disk.folder.path().join("cache")), ..LabSetup::default() });
    let blobs: Vec<_> = (0..12).map(|seed| testkit::image::blob(seed, 5 << 20)).collect();
    for bytes in &blobs {
        let digest = lab.upstream.add_blob(NAME, bytes.clone());
        for _ in 0..2 {
            let response = lab.open(&Lab::blob_path(&digest)).await;
            assert_eq!(http::compare(response, bytes).await, (bytes.len(), true));
        }
    }
    let image = Image::small(1, 1000);
    lab.upstream.add_image(NAME, "1", &image);
    assert_eq!(lab.get(&Lab::manifest_path("1")).await.body, image.manifest.bytes);
    lab.eventually("nothing is left in staging", || lab.staged().is_empty()).await;
    assert!(lab.metric("transship_no_room_total").await >= Some(1.0), "the metric tells of it");
    assert!(
        lab.log().iter().any(|line| line["level"] == "WARN" && line["message"].as_str().unwrap().contains("no room"))
    );
}
