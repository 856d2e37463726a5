//! Stops: SIGTERM, a second signal, and what is left for the next start.
//!
//! Must not know: how connections are drained. Invariant: exit codes are read from the process itself.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use testkit::image;
use testkit::upstream::{Fault, Gate, Target};

use crate::http;
use crate::lab::{Lab, LabSetup, NAME};

const LONG: Duration = Duration::from_mins(1);

/// A blob whose first GET stalls after a third.
fn stalling(lab: &Lab, seed: u64) -> (bytes::Bytes, oci::Digest, Gate) {
    let bytes = image::blob(seed, 9_000_000);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let gate = Gate::new();
    lab.upstream.fault(Target::blob(&digest).get().nth(1), Fault::StallAfter(3_000_000, gate.clone()));
    (bytes, digest, gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_under_way_are_finished_before_the_end() {
    let mut lab = Lab::start();
    let (bytes, digest, gate) = stalling(&lab, 1);
    let early = lab.open(&Lab::blob_path(&digest)).await;
    let second = lab.open(&Lab::blob_path(&digest)).await;
    gate.wait_arrivals(1).await;
    lab.transship.send_terminate();
    let host = lab.transship.host();
    lab.eventually("no new connection is taken", || TcpStream::connect(&host).is_err()).await;
    assert!(lab.transship.wait_end(Duration::ZERO).is_none(), "it waits for the downloads");
    gate.release();
    for download in [early, second] {
        assert_eq!(http::compare(download, &bytes).await, (bytes.len(), true));
    }
    let ended = lab.transship.wait_end(LONG).expect("it ends when the downloads have ended");
    assert_eq!(ended.code(), Some(0), "{}", lab.transship.log_text());

    let sent = lab.upstream.bytes_sent_for(&digest);
    lab.transship.start_again();
    let again = lab.get(&Lab::blob_path(&digest)).await;
    assert!(again.is_whole() && again.body == bytes);
    lab.wait_stored(&digest).await;
    assert_eq!(lab.upstream.bytes_sent_for(&digest), sent, "what was complete is not fetched again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once_and_the_fill_goes_on_at_the_next_start() {
    let mut lab = Lab::start();
    let (bytes, digest, gate) = stalling(&lab, 2);
    let download = lab.open(&Lab::blob_path(&digest)).await;
    gate.wait_arrivals(1).await;
    lab.transship.send_terminate();
    let host = lab.transship.host();
    lab.eventually("no new connection is taken", || TcpStream::connect(&host).is_err()).await;
    lab.transship.send_terminate();
    let ended = lab.transship.wait_end(LONG).expect("it does not wait for the upstream, which stalls");
    assert_eq!(ended.code(), Some(0), "{}", lab.transship.log_text());
    assert!(!http::collect(download).await.is_whole(), "the download was cut, not ended");
    assert!(!lab.stored_file(&digest).exists());
    assert!(!lab.staged().is_empty(), "what came is kept");

    let before = lab.upstream.bytes_sent_for(&digest);
    lab.transship.start_again();
    lab.wait_stored(&digest).await;
    let more = lab.upstream.bytes_sent_for(&digest) - before;
    assert!(more <= bytes.len() as u64 - 2_000_000, "only the rest is fetched: {more} bytes");
    assert_eq!(lab.get(&Lab::blob_path(&digest)).await.body, bytes);
    gate.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_takes_no_longer_than_it_is_told() {
    let args = vec!["--shutdown-timeout".to_owned(), "1s".to_owned()];
    let mut lab = Lab::with(LabSetup { args, ..LabSetup::default() });
    let (_, digest, gate) = stalling(&lab, 3);
    let download = lab.open(&Lab::blob_path(&digest)).await;
    gate.wait_arrivals(1).await;
    lab.transship.send_terminate();
    // The upstream stalls for ever: without the limit this would not end.
    let ended = lab.transship.wait_end(LONG).expect("it ends by itself");
    assert_eq!(ended.code(), Some(0));
    assert!(!http::collect(download).await.is_whole());
    assert!(lab.transship.log_text().contains("connections were cut"));
    gate.release();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_program_with_idle_clients_ends_at_once() {
    let mut lab = Lab::start();
    let mut idle = TcpStream::connect(lab.transship.host()).unwrap();
    idle.write_all(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let unused = TcpStream::connect(lab.transship.host()).unwrap();
    assert_eq!(lab.transship.terminate().code(), Some(0));
    drop((idle, unused));
    let lines = lab.request_lines();
    assert!(lines.iter().any(|line| line["path"] == "/v2/"), "the last line of the log is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_nobody_reads_is_left_resumable() {
    let mut lab = Lab::start();
    let (bytes, digest, gate) = stalling(&lab, 4);
    drop(lab.open(&Lab::blob_path(&digest)).await);
    gate.wait_arrivals(1).await;
    assert_eq!(lab.transship.terminate().code(), Some(0));
    lab.transship.start_again();
    lab.wait_stored(&digest).await;
    assert_eq!(lab.get(&Lab::blob_path(&digest)).await.body, bytes);
    let sent = lab.upstream.bytes_sent_for(&digest);
    assert!(sent < bytes.len() as u64 + 2_000_000, "upstream sent {sent} bytes");
    gate.release();
}
