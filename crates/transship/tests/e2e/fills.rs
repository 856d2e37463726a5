//! Whole pulls of cold blobs: one upstream byte for any number of clients, clients that leave, upstreams that break
//! off or lie.
//!
//! Must not know: how fills work. Invariant: bytes are compared with what the upstream holds, and counted where the
//! upstream sent them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use testkit::image;
use testkit::upstream::{Cut, Fault, Gate, Target};

use crate::http;
use crate::lab::{Lab, NAME};

const CLIENTS: u32 = 200;
const MEGABYTE: u64 = 1_000_000;

/// Opens `CLIENTS` downloads of one blob, each on a connection of its own, while the upstream holds the rest back.
async fn open_downloads(lab: &Lab, path: &str) -> Vec<reqwest::Response> {
    let url = lab.url(path);
    let opening = (0..CLIENTS).map(|_| {
        let url = url.clone();
        async move { http::client().get(url).send().await.unwrap() }
    });
    let responses = join_all(opening).await;
    assert!(responses.iter().all(|response| response.status() == 200));
    // All of them and the scrape itself.
    lab.wait_metric("transship_http_requests_in_flight", f64::from(CLIENTS) + 1.0).await;
    responses
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_cold_pulls_cost_upstream_one() {
    let lab = Lab::start();
    let bytes = image::blob(3, 100 * MEGABYTE as usize);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let gate = Gate::new();
    lab.upstream.fault(Target::blob(&digest).get().nth(1), Fault::StallAfter(MEGABYTE, gate.clone()));
    let downloads = open_downloads(&lab, &Lab::blob_path(&digest)).await;
    gate.release();
    let pulls = downloads.into_iter().map(|download| {
        let bytes = bytes.clone();
        tokio::spawn(async move { http::compare(download, &bytes).await })
    });
    for pulled in join_all(pulls).await {
        assert_eq!(pulled.unwrap(), (bytes.len(), true));
    }
    assert_eq!(lab.upstream.bytes_sent_for(&digest), bytes.len() as u64, "upstream sent each byte once");
    lab.wait_stored(&digest).await;
    let resident = lab.transship.peak_resident_bytes();
    assert!(resident < 200 << 20, "{resident} bytes of memory for {CLIENTS} streams");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_completes_although_all_clients_hang_up() {
    let lab = Lab::start();
    let bytes = image::blob(5, 20 * MEGABYTE as usize);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let path = Lab::blob_path(&digest);
    let gate = Gate::new();
    lab.upstream.fault(Target::blob(&digest).get().nth(1), Fault::StallAfter(8 * MEGABYTE, gate.clone()));
    let downloads = open_downloads(&lab, &path).await;
    for mut download in downloads {
        let first = download.chunk().await.unwrap().unwrap();
        assert!(bytes.starts_with(&first));
    }
    lab.wait_metric("transship_http_requests_in_flight", 1.0).await;
    assert!(!lab.stored_file(&digest).exists(), "upstream still holds back");

    gate.release();
    lab.wait_stored(&digest).await;
    let again = lab.get(&path).await;
    assert_eq!(again.header("cache-status"), "transship; hit");
    assert!(again.is_whole() && again.body == bytes);
    assert_eq!(lab.upstream.bytes_sent_for(&digest), bytes.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_at_sixty_percent_is_resumed_unnoticed() {
    let lab = Lab::start();
    for (seed, cut) in [(1, Cut::Reset), (2, Cut::Finish)] {
        let bytes = image::blob(seed, 50 * MEGABYTE as usize);
        let digest = lab.upstream.add_blob(NAME, bytes.clone());
        lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::CutAtFraction(0.6, cut));
        let path = Lab::blob_path(&digest);
        let pulls = join_all((0..8).map(|_| lab.open(&path))).await;
        for pulled in join_all(pulls.into_iter().map(|response| http::compare(response, &bytes))).await {
            assert_eq!(pulled, (bytes.len(), true), "{cut:?}");
        }
        let sent = lab.upstream.bytes_sent_for(&digest);
        assert!(sent * 100 <= bytes.len() as u64 * 105, "{cut:?}: upstream sent {sent} bytes");
        assert_eq!(lab.upstream.gets_for(&digest), 2, "{cut:?}: the second goes on where the first broke off");
        lab.wait_stored(&digest).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_dropped_every_ten_megabytes_is_one_answer_and_few_bytes_more() {
    let lab = Lab::start();
    let bytes = image::blob(6, 200 * MEGABYTE as usize);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    lab.upstream.fault(Target::blob(&digest).get(), Fault::CutAfter(10 * MEGABYTE, Cut::Reset));
    let answer = lab.open(&Lab::blob_path(&digest)).await;
    assert_eq!((answer.status().as_u16(), answer.content_length()), (200, Some(bytes.len() as u64)));
    assert_eq!(http::compare(answer, &bytes).await, (bytes.len(), true), "one answer, without a break");
    lab.wait_stored(&digest).await;
    let sent = lab.upstream.bytes_sent_for(&digest);
    assert!(sent * 100 <= bytes.len() as u64 * 105, "upstream sent {sent} bytes for {}", bytes.len());
    let gets = lab.upstream.gets_for(&digest);
    assert!((20..=22).contains(&gets), "{gets} connections of ten megabytes each");
    let pulls = || lab.request_lines().iter().filter(|line| line["kind"] == "blob").count();
    lab.eventually("the request is logged", || pulls() > 0).await;
    assert_eq!(pulls(), 1, "the client asked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wrong_byte_reaches_nobody_as_a_whole_blob() {
    let lab = Lab::start();
    let length = 10 * MEGABYTE;
    for (seed, wrong) in [(1, 0), (2, length / 2), (3, length - 1)] {
        let bytes = image::blob(seed, length as usize);
        let digest = lab.upstream.add_blob(NAME, bytes.clone());
        let path = Lab::blob_path(&digest);
        lab.upstream.fault(Target::blob(&digest), Fault::FlipByte(wrong));
        for answer in join_all((0..20).map(|_| lab.get(&path))).await {
            let refused = answer.status == 502 && answer.json()["errors"][0]["code"] == "UNKNOWN";
            let broken_off = answer.status == 200 && !answer.is_whole() && (answer.body.len() as u64) < length;
            assert!(refused || broken_off, "wrong byte {wrong}: {} with {} bytes", answer.status, answer.body.len());
        }
        lab.eventually("nothing is left in staging", || lab.staged().is_empty()).await;
        assert!(!lab.stored_file(&digest).exists(), "wrong byte {wrong}: nothing is published");

        lab.upstream.clear_faults();
        let asked = lab.upstream.gets_for(&digest);
        let again = lab.get(&path).await;
        assert!(again.status == 200 && again.is_whole() && again.body == bytes, "wrong byte {wrong}: {}", again.status);
        assert!(lab.upstream.gets_for(&digest) > asked, "the next pull asks again");
        lab.wait_stored(&digest).await;
    }
    assert!(lab.metric("transship_integrity_failures_total").await >= Some(3.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_flow_while_upstream_still_sends() {
    let lab = Lab::start();
    let bytes = image::blob(9, 4 * MEGABYTE as usize);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let gate = Gate::new();
    lab.upstream.fault(Target::blob(&digest).get().nth(1), Fault::StallAfter(MEGABYTE, gate.clone()));
    let mut early = lab.open(&Lab::blob_path(&digest)).await;
    let first = early.chunk().await.unwrap().unwrap();
    assert!(bytes.starts_with(&first), "the first bytes are here before the last were sent");
    let late = lab.open(&Lab::blob_path(&digest)).await;
    gate.release();
    assert_eq!(http::compare(early, &bytes[first.len()..]).await, (bytes.len() - first.len(), true));
    assert_eq!(http::compare(late, &bytes).await, (bytes.len(), true), "who comes late gets everything too");
    assert_eq!(lab.upstream.bytes_sent_for(&digest), bytes.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_holds_nobody_up() {
    let lab = Lab::start();
    let bytes = image::blob(11, 30 * MEGABYTE as usize);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let slow = lab.open(&Lab::blob_path(&digest)).await;
    // It does not read on: more than fits into the buffers of its connection is still to come.
    let fast = lab.get(&Lab::blob_path(&digest)).await;
    assert!(fast.is_whole() && fast.body == bytes);
    lab.wait_stored(&digest).await;
    assert_eq!(http::compare(slow, &bytes).await, (bytes.len(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_of_every_awkward_size_arrives() {
    let lab = Lab::start();
    let block = 256 << 10;
    for size in [0, 1, block - 1, block, block + 1, 4 * block, (1 << 20) + 1] {
        let bytes: Bytes = image::blob(size as u64, size);
        let digest = lab.upstream.add_blob(NAME, bytes.clone());
        for _ in ["cold", "warm"] {
            let answer = lab.get(&Lab::blob_path(&digest)).await;
            assert_eq!((answer.status, answer.is_whole(), answer.body == bytes), (200, true, true), "{size} bytes");
            assert_eq!(answer.header("content-length"), size.to_string());
        }
        lab.wait_stored(&digest).await;
        assert_eq!(lab.upstream.bytes_sent_for(&digest), size as u64, "{size} bytes");
    }
    tokio::time::timeout(Duration::from_mins(1), lab.get("/healthz")).await.unwrap();
}
