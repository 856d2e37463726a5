//! The cache's budget under load: what the disk says, not what the program says.
//!
//! Must not know: what is evicted first. Invariant: the disk is measured all the time, as `du` does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use testkit::image::Image;
use testkit::program::{Finished, command};

use crate::http;
use crate::lab::{Lab, LabSetup, NAME, disk_bytes};

const BUDGET: u64 = 64 << 20;
const IMAGES: u64 = 40;
const LAYER: usize = 8 << 20;
const CLIENTS: u64 = 8;

/// Measures blobs and growing objects until told to stop; the largest sum is kept.
fn watch_disk(lab: &Lab, stop: Arc<AtomicBool>) -> (Arc<AtomicU64>, std::thread::JoinHandle<()>) {
    let most = Arc::new(AtomicU64::new(0));
    let (root, seen) = (lab.transship.cache_dir(), most.clone());
    let thread = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let bytes = disk_bytes(&root.join("blobs")) + disk_bytes(&root.join("staging"));
            seen.fetch_max(bytes, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    (most, thread)
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_clients_pulling_five_times_the_budget_never_fail_and_never_overflow_it() {
    let config = json!({ "cache": { "max_size": "64MiB" } });
    let lab = Lab::with(LabSetup { config, ..LabSetup::default() });
    let images: Arc<Vec<Image>> = Arc::new((0..IMAGES).map(|seed| Image::small(seed, LAYER)).collect());
    for (tag, image) in images.iter().enumerate() {
        lab.upstream.add_image(NAME, &tag.to_string(), image);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (most, watcher) = watch_disk(&lab, stop.clone());
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
    let said = lab.metric("transship_cache_size_bytes").await.unwrap();
    let rest = disk_bytes(&lab.transship.cache_dir());
    let database = rest
        - disk_bytes(&lab.transship.cache_dir().join("blobs"))
        - disk_bytes(&lab.transship.cache_dir().join("staging"));
    assert!(database < 8 << 20, "{database} bytes beside the blobs");
    assert!(said <= f64::from(u32::try_from(BUDGET).unwrap()) * 1.01, "{said}");
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

/// A small file system of its own.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(size: &str) -> Self {
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
