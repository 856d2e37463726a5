//! W3C trace context through the program, and spans to an OpenTelemetry collector.
//!
//! Must not know: the tracing library. Invariant: the collector here takes what comes; spans are found by the bytes of
//! their names and ids.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use testkit::image::Image;
use testkit::upstream::{FakeUpstream, Fault, Kind, Location, Target};

use crate::lab::{Lab, LabSetup, NAME};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_through_the_log_to_the_upstream_and_to_nobody_else() {
    let lab = Lab::start();
    let cdn = FakeUpstream::start_beside(&lab.upstream);
    let image = Image::small(1, 100_000);
    lab.upstream.add_image(NAME, "1", &image);
    lab.upstream.fault(Target::kind(Kind::Blob), Fault::Redirect(307, Location::Cdn(cdn.url())));
    let layer = &image.blobs[1];
    for (id, path) in [("manifest", Lab::manifest_path("1")), ("blob", Lab::blob_path(&layer.digest))] {
        let answer = lab.get_with(&path, &[("traceparent", TRACEPARENT), ("X-Request-Id", id)]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(lab.request_line(id).await["trace_id"], TRACE_ID);
    }
    let asked = lab.upstream.requests();
    assert!(asked.len() >= 2);
    for request in &asked {
        let sent = request.header("traceparent").unwrap_or_else(|| panic!("no traceparent in {request:?}"));
        assert!(sent.starts_with(&format!("00-{TRACE_ID}-")) && sent.len() == TRACEPARENT.len(), "{sent}");
    }
    assert!(cdn.requests().iter().all(|request| request.header("traceparent").is_none()), "a CDN is told nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_trace_begins_one() {
    let lab = Lab::start();
    lab.upstream.add_image(NAME, "1", &Image::small(1, 10));
    lab.get_with(&Lab::manifest_path("1"), &[("X-Request-Id", "one")]).await;
    let trace_id = lab.request_line("one").await["trace_id"].as_str().unwrap().to_owned();
    assert!(trace_id.len() == 32 && trace_id != TRACE_ID, "{trace_id}");
    let sent = lab.upstream.requests()[0].header("traceparent").map(str::to_owned);
    assert!(sent.is_none_or(|sent| sent.contains(&trace_id)), "what is sent on is the same trace");
}

/// Takes every POST and keeps all bytes that came.
pub(crate) fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = taken.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            take_post(socket.unwrap(), &kept);
        }
    });
    (url, taken)
}

fn take_post(mut socket: TcpStream, kept: &Mutex<Vec<u8>>) {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = socket.read(&mut piece).unwrap_or(0);
        if read == 0 {
            return;
        }
        bytes.extend_from_slice(&piece[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok()).unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            kept.lock().unwrap().append(&mut bytes);
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_reach_a_collector_in_the_callers_trace() {
    let (url, taken) = collector();
    let args = vec!["--otlp-endpoint".to_owned(), url];
    let mut lab = Lab::with(LabSetup { args, ..LabSetup::default() });
    let image = Image::small(1, 100_000);
    lab.upstream.add_image(NAME, "1", &image);
    for path in [Lab::manifest_path("1"), Lab::blob_path(&image.blobs[1].digest)] {
        assert_eq!(lab.get_with(&path, &[("traceparent", TRACEPARENT)]).await.status, 200);
    }
    assert!(lab.transship.terminate().success(), "the last spans are sent at the end");
    let taken = taken.lock().unwrap();
    let holds = |part: &[u8]| taken.windows(part.len()).any(|window| window == part);
    for name in ["request", "cache lookup", "upstream fetch", "blob"] {
        assert!(holds(name.as_bytes()), "no span {name} among {} bytes", taken.len());
    }
    assert!(holds(&u128::from_str_radix(TRACE_ID, 16).unwrap().to_be_bytes()), "they are in the caller's trace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_holds_nothing_up() {
    let endpoint = format!("http://127.0.0.1:{}", testkit::port::free_port());
    let mut lab = Lab::with(LabSetup { args: vec!["--otlp-endpoint".into(), endpoint], ..LabSetup::default() });
    lab.upstream.add_image(NAME, "1", &Image::small(1, 10));
    assert_eq!(lab.get(&Lab::manifest_path("1")).await.status, 200);
    assert!(lab.transship.terminate().success());
}
