//! What a large blob costs in memory, pushed and pulled.
//!
//! Must not know: how bytes are passed on. Invariant: the client makes the bytes as it sends them and holds none of them
//! either, so that what is measured is the program's. `TRANSSHIP_LARGE_MIB` says how large; 5120 is the five gigabytes of
//! the measurements.

use bytes::Bytes;
use futures_util::stream;
use oci::{Digest, DigestAlgorithm, Digester};

use crate::push::Hosted;

const PIECE: usize = 1 << 20;
const MOST_MORE: u64 = 64 << 20;

/// Piece `number` of the blob.
fn piece(number: u64) -> Bytes {
    let mut random = fastrand::Rng::with_seed(number);
    let words = std::iter::repeat_with(|| random.u64(..).to_le_bytes()).take(PIECE / 8);
    words.flatten().collect::<Vec<u8>>().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_layer_takes_no_more_memory_than_a_small_one() {
    let pieces: u64 = std::env::var("TRANSSHIP_LARGE_MIB").map_or(256, |text| text.parse().unwrap());
    let house = Hosted::start();
    // What the first push and pull bring about (threads, buffers, the database) is no blob's.
    let small = house.push_blob("lab/app", &piece(0)).await;
    assert_eq!(house.send("GET", &format!("/v2/lab/app/blobs/{small}"), &[], "").await.status, 200);
    let before = house.transship.resident_bytes();

    let mut digester = Digester::new(DigestAlgorithm::Sha256);
    (0..pieces).for_each(|number| digester.update(&piece(number)));
    let digest: Digest = digester.finish();
    let at = house.send("POST", "/v2/lab/app/blobs/uploads/", &[], "").await.header("location").to_owned();
    let body = stream::iter((0..pieces).map(|number| Ok::<_, std::io::Error>(piece(number))));
    let body = reqwest::Body::wrap_stream(body);
    let sent = house.client.patch(format!("{}{at}", house.transship.url())).body(body).send().await.unwrap();
    assert_eq!(sent.status(), 202);
    let done = house.send("PUT", &format!("{at}?digest={digest}"), &[], "").await;
    assert_eq!(done.status, 201, "{}", done.text());
    let pushed = house.transship.peak_resident_bytes();

    let url = format!("{}/v2/lab/app/blobs/{digest}", house.transship.url());
    let mut answer = house.client.get(url).send().await.unwrap();
    let (mut digester, mut bytes) = (Digester::new(DigestAlgorithm::Sha256), 0);
    while let Some(piece) = answer.chunk().await.unwrap() {
        bytes += piece.len() as u64;
        digester.update(&piece);
    }
    assert_eq!((bytes, digester.finish()), (pieces * PIECE as u64, digest));
    let pulled = house.transship.peak_resident_bytes();
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "{pieces} MiB: {} MiB resident before, most {} MiB pushed, {} MiB pulled",
        mib(before),
        mib(pushed),
        mib(pulled)
    );
    assert!(pulled.max(pushed) <= before + MOST_MORE, "{} MiB more", mib(pulled.max(pushed) - before));
}
