//! Gates, pauses and pace. Durations are lower bounds only: a slow machine cannot break these tests.

use std::io::Read as _;
use std::time::{Duration, Instant};

use mock_upstream::image::{Image, blob};
use mock_upstream::upstream::{FakeUpstream, Fault, Gate, Target};

use crate::raw_client::{drain, get, open, rest};

#[tokio::test]
async fn a_held_answer_sees_what_changed_meanwhile() {
    let (upstream, gate) = (FakeUpstream::start(), Gate::new());
    upstream.add_image("app", "1", &Image::small(1, 10));
    upstream.fault(Target::manifest("1"), Fault::Hold(gate.clone()));
    let socket = open(&upstream, "GET", "/v2/app/manifests/1", &[]);
    gate.wait_arrivals(1).await;
    upstream.delete_tag("app", "1");
    gate.release();
    assert_eq!(drain(socket).status, 404);
}

#[tokio::test]
async fn a_stalled_body_goes_on_after_its_release() {
    let (upstream, gate) = (FakeUpstream::start(), Gate::new());
    let bytes = blob(6, 10_000);
    let digest = upstream.add_blob("app", bytes.clone());
    upstream.fault(Target::any(), Fault::StallAfter(4_000, gate.clone()));
    let socket = open(&upstream, "GET", &format!("/v2/app/blobs/{digest}"), &[]);
    gate.wait_arrivals(1).await;
    assert_eq!(upstream.bytes_sent_for(&digest), 4_000);
    gate.release();
    assert_eq!(drain(socket).body, bytes);
}

#[tokio::test]
async fn the_log_wakes_those_who_wait() {
    let upstream = FakeUpstream::start();
    let digest = upstream.add_blob("app", blob(6, 10));
    let socket = open(&upstream, "GET", &format!("/v2/app/blobs/{digest}"), &[("X-Mark", "7")]);
    upstream.wait_until(|log| log.iter().any(|seen| seen.status == Some(200))).await;
    let log = upstream.requests();
    assert_eq!((log.len(), log[0].header("x-mark")), (1, Some("7")));
    assert_eq!(drain(socket).status, 200);
}

#[test]
fn a_late_first_byte_is_late() {
    let upstream = FakeUpstream::start();
    upstream.fault(Target::any(), Fault::DelayFirstByte(Duration::from_millis(80)));
    let started = Instant::now();
    assert_eq!(get(&upstream, "/v2/").status, 200);
    assert!(started.elapsed() >= Duration::from_millis(80));
}

#[test]
fn bandwidth_and_drip_take_their_time() {
    for fault in [Fault::Bandwidth(100_000), Fault::Drip(2_500, Duration::from_millis(50))] {
        let upstream = FakeUpstream::start();
        let bytes = blob(6, 10_000);
        let digest = upstream.add_blob("app", bytes.clone());
        upstream.fault(Target::any(), fault);
        let started = Instant::now();
        assert_eq!(get(&upstream, &format!("/v2/app/blobs/{digest}")).body, bytes);
        assert!(started.elapsed() >= Duration::from_millis(90));
    }
}

#[test]
fn a_pause_interrupts_the_body_once() {
    let upstream = FakeUpstream::start();
    let bytes = blob(6, 10_000);
    let path = format!("/v2/app/blobs/{}", upstream.add_blob("app", bytes.clone()));
    upstream.fault(Target::any(), Fault::PauseAfter(5_000, Duration::from_millis(60)));
    let started = Instant::now();
    let mut socket = open(&upstream, "GET", &path, &[]);
    socket.read_exact(&mut [0; 5_000]).expect("the first half comes at once");
    assert!(rest(socket).0.ends_with(&bytes[5_000..]));
    assert!(started.elapsed() >= Duration::from_millis(60));
}
