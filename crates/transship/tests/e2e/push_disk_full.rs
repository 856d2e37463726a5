//! Pushes on a disk that is full, on a real small file system.
//!
//! Must not know: how much room anything needs. Invariants: what is refused with 507 changed nothing; what was received stays
//! and goes on when there is room; garbage is collected on a disk that is full to the last byte.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use oci::Digest;
use serde_json::json;
use testkit::transship_process::TransshipSetup;

use crate::budget::SmallDisk;
use crate::gc::by_hand;
use crate::lab::comes_true;
use crate::push::{Hosted, IMAGE, manifest};

/// Takes what room there is, to the last byte.
fn fill_up(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("ballast");
    let file = File::create(&path).unwrap();
    let mut at = std::fs::metadata(&path).unwrap().len();
    for piece in [1 << 16, 4096, 1] {
        let bytes = vec![7; piece];
        while file.write_all_at(&bytes, at).is_ok() {
            at += piece as u64;
        }
    }
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_pushes_loses_none_and_can_be_cleaned_up() {
    let disk = SmallDisk::mount("64m");
    let cache_dir = Some(disk.folder.path().join("cache"));
    let house = Hosted::set_up(&json!({ "gc": by_hand() }), TransshipSetup { cache_dir, ..TransshipSetup::default() });
    let layer = testkit::image::blob(1, 2 << 20).to_vec();
    house.push_image("lab/app", "kept", &layer).await;
    let dropped = house.push_image("lab/app", "dropped", &testkit::image::blob(2, 6 << 20)).await;
    house.gc("").await;
    let typed = [("Content-Type", IMAGE)];
    let bytes = testkit::image::blob(3, 5 << 20).to_vec();
    let digest = Digest::sha256_of(&bytes);
    let at = house.send("POST", "/v2/lab/app/blobs/uploads/", &[], "").await.header("location").to_owned();
    assert_eq!(house.send("PATCH", &at, &[], bytes[..1 << 20].to_vec()).await.status, 202);
    assert_eq!(house.as_admin("DELETE", &format!("/v2/lab/app/manifests/{dropped}"), &[], "").await.status, 202);
    let files = house.files();

    let ballast = fill_up(disk.folder.path());
    let refused = house.send("PATCH", &at, &[], bytes[1 << 20..].to_vec()).await;
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert!(refused.error_messages().contains("no space left"), "{}", refused.text());
    let status = house.send("GET", &at, &[], "").await;
    let here: usize = status.header("range").strip_prefix("0-").unwrap().parse::<usize>().unwrap() + 1;
    assert!(here >= 1 << 20 && here < bytes.len(), "{here}");
    let text = manifest(&[(Digest::sha256_of(&layer), layer.len())])
        .replace("{\"config\"", "{\"annotations\":{\"a\":\"b\"},\"config\"");
    let refused = house.as_admin("PUT", "/v2/lab/app/manifests/kept", &typed, text.clone()).await;
    assert_eq!(refused.status, 507, "{}", refused.text());
    let at_once = format!("/v2/lab/app/blobs/uploads/?digest={}", Digest::sha256_of(&bytes[..100_000]));
    assert_eq!(house.send("POST", &at_once, &[], bytes[..100_000].to_vec()).await.status, 507);
    assert_eq!(house.files(), files, "what was refused left nothing");
    // Reads go on, and the tag points where it pointed.
    let pulled = house.send("GET", "/v2/lab/app/manifests/kept", &[], "").await;
    assert_eq!((pulled.status, pulled.text() == text), (200, false));
    let blob = format!("/v2/lab/app/blobs/{}", Digest::sha256_of(&layer));
    assert!(house.send("GET", &blob, &[], "").await.body == layer);
    assert_eq!(house.send("HEAD", &blob, &[], "").await.status, 200);

    // Nothing else makes room, so it must work without any.
    let freed = house.gc_all().await;
    assert_eq!(freed, 6 << 20, "{}", house.transship.log_text());
    let done = house.send("PUT", &format!("{at}?digest={digest}"), &[], bytes[here..].to_vec()).await;
    assert_eq!(done.status, 201, "the upload goes on: {}", done.text());
    std::fs::remove_file(ballast).unwrap();
    let pushed = house.as_admin("PUT", "/v2/lab/app/manifests/kept", &typed, text.clone()).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    assert!(house.send("GET", &format!("/v2/lab/app/blobs/{digest}"), &[], "").await.body == bytes);
    assert_eq!(house.send("GET", "/v2/lab/app/manifests/kept", &[], "").await.text(), text);
    house.gc("").await;
    let reserve = house.transship.cache_dir().join("hosted/reserve");
    assert!(comes_true(|| reserve.exists()).await, "there is room to clean up next time");
}

/// Deleting is how room is made, so it must work without any: uploads fill the disk to the last byte.
#[tokio::test(flavor = "multi_thread")]
async fn tags_and_manifests_can_be_deleted_on_a_full_disk() {
    let disk = SmallDisk::mount("30m");
    let cache_dir = Some(disk.folder.path().join("cache"));
    let house = Hosted::set_up(&json!({ "gc": by_hand() }), TransshipSetup { cache_dir, ..TransshipSetup::default() });
    let first = testkit::image::blob(1, 1 << 20).to_vec();
    let kept = house.push_image("lab/app", "kept", &first).await;
    house.push_image("lab/app", "moved", &first).await;
    let dropped = house.push_image("lab/app", "dropped", &testkit::image::blob(2, 1 << 20)).await;
    house.gc("").await;
    let at = house.send("POST", "/v2/lab/app/blobs/uploads/", &[], "").await.header("location").to_owned();
    let bytes = testkit::image::blob(3, 32 << 20).to_vec();
    assert_eq!(house.send("PATCH", &at, &[], bytes).await.status, 507);
    let ballast = fill_up(disk.folder.path());
    for reference in ["moved".to_owned(), dropped.to_string()] {
        let deleted = house.as_admin("DELETE", &format!("/v2/lab/app/manifests/{reference}"), &[], "").await;
        assert_eq!(deleted.status, 202, "{reference}: {}", deleted.text());
        let pulled = house.send("GET", &format!("/v2/lab/app/manifests/{reference}"), &[], "").await;
        assert_eq!(pulled.status, 404, "{reference}");
    }
    std::fs::remove_file(ballast).unwrap();
    for reference in ["kept".to_owned(), kept.to_string()] {
        let pulled = house.send("GET", &format!("/v2/lab/app/manifests/{reference}"), &[], "").await;
        assert_eq!(pulled.status, 200, "{reference}: what was not deleted is there");
    }
    let layer = house.send("GET", &format!("/v2/lab/app/blobs/{}", Digest::sha256_of(&first)), &[], "").await;
    assert!(layer.body == first);
}
