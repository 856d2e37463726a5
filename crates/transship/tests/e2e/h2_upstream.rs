//! An upstream that speaks HTTP/2 and breaks off, stalls or floods: blobs come whole, and memory stays bounded.
//!
//! Must not know: the HTTP library. Invariant: what is measured is the program's own memory.

use std::io;

use oci::Digest;
use serde_json::json;
use tempfile::TempDir;
use testkit::h2::{Code, Exchange, H2Upstream, Kind, Manner};
use testkit::image;

use crate::lab::{Lab, NAME};

/// Small enough for the window that a stream begins with.
const SIZE: usize = 60_000;
/// An idle program has about 40 MiB; a flood that is kept would be hundreds.
const MOST_MEMORY: u64 = 160 << 20;

/// A laboratory before this upstream; the folder holds its authority.
fn before(upstream: &H2Upstream) -> (Lab, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    std::fs::write(&authority, upstream.ca_pem()).unwrap();
    let network = json!({ "ca": authority, "idle_timeout": "1s", "first_byte_timeout": "3s" });
    (Lab::with_repository(json!({ "upstream": upstream.url(), "network": network })), folder)
}

fn whole(exchange: &mut Exchange<'_>, bytes: &[u8]) -> io::Result<()> {
    exchange.answer(200, &[("content-length", &bytes.len().to_string())], bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_broken_off_comes_whole() {
    type Break = fn(&mut Exchange<'_>) -> io::Result<()>;
    let breaks: [(&str, Break); 4] = [
        ("goaway", |exchange| {
            exchange.go_away(exchange.stream, Code::NoError)?;
            exchange.hang_up()
        }),
        ("reset", |exchange| exchange.reset(Code::InternalError)),
        ("stalled", |_| Ok(())),
        ("dead", |exchange| exchange.fall_silent(Manner::Dead)),
    ];
    let bytes = image::blob(21, SIZE);
    let digest = Digest::sha256_of(&bytes);
    for (case, break_off) in breaks {
        let kept = bytes.clone();
        let upstream = H2Upstream::start(move |exchange| {
            if exchange.number > 1 {
                return whole(exchange, &kept);
            }
            exchange.head(200, &[("content-length", &kept.len().to_string())])?;
            exchange.data(&kept[..SIZE / 2])?;
            break_off(exchange)
        });
        let (lab, _folder) = before(&upstream);
        let answer = lab.get(&Lab::blob_path(&digest)).await;
        assert_eq!((answer.status, answer.is_whole(), answer.body == bytes), (200, true, true), "{case}");
        lab.wait_stored(&digest).await;
        assert!(upstream.requests() >= 2, "{case}: it was asked again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_are_ended_and_not_kept() {
    // 16 MiB of each, unless the connection is cut before.
    let flood = |exchange: &mut Exchange<'_>, kind, stream, payload: &[u8]| {
        for _ in 0..(16 << 20) / ((9 + payload.len()) * 1000) {
            exchange.frames(kind, stream, payload, 1000)?;
        }
        exchange.hang_up()
    };
    let upstream = H2Upstream::start(move |exchange| match exchange.number % 4 {
        0 => flood(exchange, Kind::ResetStream, exchange.stream + 100, &[0, 0, 0, 8]),
        1 => {
            exchange.begin_head(200)?;
            flood(exchange, Kind::Continuation, exchange.stream, &[])
        }
        2 => {
            exchange.head(200, &[("content-length", "60000")])?;
            flood(exchange, Kind::Data, exchange.stream, &[])
        }
        _ => flood(exchange, Kind::Ping, 0, &[0; 8]),
    });
    let (lab, _folder) = before(&upstream);
    for seed in 0..6_u8 {
        let answer = lab.get(&Lab::blob_path(&Digest::sha256_of(&[seed]))).await;
        assert!(matches!(answer.status, 502..=504), "{}: {}", answer.status, answer.text());
    }
    assert!(upstream.requests() >= 4, "every flood came by");
    let peak = lab.transship.peak_resident_bytes();
    assert!(peak < MOST_MEMORY, "{peak} bytes of memory; {} were sent to {NAME}", upstream.sent());
}
