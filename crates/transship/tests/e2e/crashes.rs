//! `kill -9` in the middle of fills.
//!
//! Must not know: what is written when. Invariants: the places are random and printed, so that a failure can be run
//! again with `TRANSSHIP_TEST_SEED`; after each restart the disk is looked at, not only the answers.

use oci::Digest;
use testkit::image;
use testkit::upstream::{Fault, Target};

use crate::lab::{Lab, NAME};

const POINTS: u64 = 10;
const SIZE: u64 = 8 << 20;
const BYTES_PER_SECOND: u64 = 8 << 20;

fn seed() -> u64 {
    let given = std::env::var("TRANSSHIP_TEST_SEED").ok().map(|text| text.parse().unwrap());
    given.unwrap_or_else(|| fastrand::u64(..))
}

/// Kills the program when upstream has sent `at` bytes of the blob to a client that pulls all of it.
async fn kill_at(lab: &mut Lab, digest: &Digest, at: u64) {
    let download = lab.open(&Lab::blob_path(digest)).await;
    assert_eq!(download.status(), 200);
    let upstream = &lab.upstream;
    lab.eventually("the fill is there", || upstream.bytes_sent_for(digest) >= at).await;
    lab.transship.kill();
    let got = crate::http::collect(download).await;
    // The very last point may come when everything has been sent.
    assert!(!got.is_whole() || got.body.len() as u64 == SIZE);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_at_ten_points_fills_resume_and_nothing_is_corrupt_or_left() {
    let seed = seed();
    println!("TRANSSHIP_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut lab = Lab::start();
    let mut sent_in_all = 0;
    for point in 0..POINTS {
        let bytes = image::blob(seed ^ point, SIZE as usize);
        let digest = lab.upstream.add_blob(NAME, bytes.clone());
        lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::Bandwidth(BYTES_PER_SECOND));
        // The last point is the moment in which everything has been sent.
        let at = if point + 1 == POINTS { SIZE } else { random.u64(1..SIZE) };
        println!("point {point}: killed at byte {at} of {digest}");
        kill_at(&mut lab, &digest, at).await;
        lab.transship.start_again();
        if point % 2 == 0 {
            // A client that comes while the fill resumes.
            let answer = lab.get(&Lab::blob_path(&digest)).await;
            assert!(answer.status == 200 && answer.is_whole() && answer.body == bytes, "point {point}: {answer:?}");
        }
        // Otherwise nobody asks: it resumes by itself.
        lab.wait_stored(&digest).await;
        let sent = lab.upstream.bytes_sent_for(&digest);
        assert!(sent <= 2 * SIZE, "point {point}: upstream sent {sent} bytes for {SIZE}");
        sent_in_all += sent;
        let again = lab.get_with(&Lab::blob_path(&digest), &[("Range", "bytes=-1000")]).await;
        assert_eq!(again.body, bytes[bytes.len() - 1000..]);
    }
    // What came after the last note, and what the sockets held, comes again.
    assert!(sent_in_all <= POINTS * SIZE * 3 / 2, "upstream sent {sent_in_all} bytes for {}", POINTS * SIZE);
    let resumed = lab.log().iter().filter(|line| line["message"] == "resuming a fill").count();
    // A kill in the first milliseconds leaves nothing to resume; over ten points of chance some do.
    assert!(resumed > 0, "no fill was resumed from bytes that were there");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_fill_survives_being_killed_again_and_again() {
    let seed = seed();
    println!("TRANSSHIP_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut lab = Lab::start();
    let bytes = image::blob(seed, 4 * SIZE as usize);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    lab.upstream.fault(Target::blob(&digest).get(), Fault::Bandwidth(BYTES_PER_SECOND));
    let download = lab.open(&Lab::blob_path(&digest)).await;
    for kill in 0..5 {
        let before = lab.upstream.bytes_sent_for(&digest);
        let more = random.u64(SIZE / 4..SIZE / 2);
        println!("kill {kill}: {more} bytes after {before}");
        let upstream = &lab.upstream;
        lab.eventually("the fill goes on by itself", || upstream.bytes_sent_for(&digest) >= before + more).await;
        lab.transship.kill();
        lab.transship.start_again();
    }
    assert!(!crate::http::collect(download).await.is_whole());
    lab.wait_stored(&digest).await;
    let answer = lab.get(&Lab::blob_path(&digest)).await;
    assert!(answer.is_whole() && answer.body == bytes);
    assert_eq!(answer.header("cache-status"), "transship; hit");
    let sent = lab.upstream.bytes_sent_for(&digest);
    assert!(sent <= 8 * SIZE, "upstream sent {sent} bytes for {}", 4 * SIZE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_waits_for_an_upstream_that_is_down_at_the_start() {
    let mut lab = Lab::start();
    let bytes = image::blob(1, SIZE as usize);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::Bandwidth(BYTES_PER_SECOND));
    kill_at(&mut lab, &digest, SIZE / 2).await;
    lab.upstream.stop();
    lab.transship.start_again();
    assert_eq!(lab.get("/readyz").await.status, 200, "it starts without the upstream");
    let early = lab.get_with(&Lab::blob_path(&digest), &[("Range", "bytes=0-99")]).await;
    assert!(early.status == 502 || (early.status == 206 && early.body == bytes[..100]), "{}", early.status);
    lab.upstream.restart();
    lab.wait_stored(&digest).await;
    let sent = lab.upstream.bytes_sent_for(&digest);
    assert!(sent < 2 * SIZE, "upstream sent {sent} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_were_fetched_before_kill_9_are_not_fetched_again() {
    let mut lab = Lab::with_repository(serde_json::json!({ "fill_on_range": "none" }));
    let bytes = image::blob(1, SIZE as usize);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let path = Lab::blob_path(&digest);
    let answer = lab.get_with(&path, &[("Range", "bytes=1048576-3145727")]).await;
    assert!(answer.status == 206 && answer.body == bytes[1 << 20..3 << 20]);
    let staging = lab.transship.cache_dir().join("staging");
    let map = staging.join(format!("{}-{}.map", digest.algorithm().as_str(), digest.hex()));
    let noted = || std::fs::read_to_string(&map).is_ok_and(|map| map.contains("3145728"));
    lab.eventually("what came is noted", noted).await;
    lab.transship.kill();
    lab.transship.start_again();
    assert!(lab.get(&path).await.body == bytes);
    lab.wait_stored(&digest).await;
    let sent = lab.upstream.bytes_sent_for(&digest);
    assert_eq!(sent, SIZE, "nothing is fetched twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_kill_9_is_there_after() {
    let mut lab = Lab::start();
    let image = image::Image::small(1, 3_000_000);
    let digest = lab.upstream.add_image(NAME, "1", &image);
    let created = lab.api(
        "POST",
        "/api/repos",
        Some(serde_json::json!({ "key": "added", "upstream": "https://registry.example" })),
    );
    assert_eq!(created.await.status, 201);
    let manifest = lab.get(&Lab::manifest_path("1")).await;
    assert_eq!(manifest.body, image.manifest.bytes);
    for blob in &image.blobs {
        assert_eq!(lab.get(&Lab::blob_path(&blob.digest)).await.body, blob.bytes);
        lab.wait_stored(&blob.digest).await;
    }
    lab.transship.kill();
    lab.upstream.stop();
    lab.transship.start_again();
    assert_eq!(lab.api("GET", "/api/repos/added", None).await.status, 200);
    for reference in ["1".to_owned(), digest.to_string()] {
        assert_eq!(lab.get(&Lab::manifest_path(&reference)).await.body, image.manifest.bytes, "{reference}");
    }
    for blob in &image.blobs {
        assert_eq!(lab.get(&Lab::blob_path(&blob.digest)).await.body, blob.bytes);
    }
}
