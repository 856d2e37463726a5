//! Large blobs from the store, in every way their bytes leave: HTTP/1.1, HTTP/1.0, HTTP/2, whole, in part, in parts.
//!
//! Must not know: how the bytes get from disk to socket. Invariant: every byte is compared, and the log counts them all.

use bytes::Bytes;
use reqwest::{Client, Version};
use testkit::image;

use crate::http::{self, Answer};
use crate::lab::{Lab, NAME};

/// What `multipart/byteranges` must be, byte by byte.
fn parts_of(answer: &Answer, bytes: &Bytes, ranges: &[(usize, usize)]) -> Vec<u8> {
    let boundary = answer.header("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mut expected = Vec::new();
    for (start, end) in ranges {
        let head = format!(
            "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {start}-{}/{}\r\n\r\n",
            end - 1,
            bytes.len()
        );
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&bytes[*start..*end]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    expected
}

async fn every_range_is_exact(lab: &Lab, client: &Client, version: Version, path: &str, bytes: &Bytes) {
    let cases: &[(&str, &[(usize, usize)])] = &[
        ("bytes=0-", &[(0, bytes.len())]),
        ("bytes=0-16383", &[(0, 16_384)]),
        ("bytes=1-16383", &[(1, 16_384)]),
        ("bytes=777-1999999", &[(777, 2_000_000)]),
        ("bytes=-1048577", &[(bytes.len() - 1_048_577, bytes.len())]),
        (
            "bytes=5-9,20000-1500000,1600000-1616383,3000000-",
            &[(5, 10), (20_000, 1_500_001), (1_600_000, 1_616_384), (3_000_000, bytes.len())],
        ),
    ];
    for (header, ranges) in cases {
        let answer = http::send(client, "GET", &lab.url(path), &[("Range", header)], Vec::new()).await;
        assert_eq!((answer.status, answer.version), (206, version), "{header}");
        let expected = match ranges {
            [(start, end)] => bytes[*start..*end].to_vec(),
            several => parts_of(&answer, bytes, several),
        };
        assert!(answer.is_whole() && answer.body == expected, "{header}, {version:?}: {} bytes", answer.body.len());
        let line = lab.request_line(answer.header("x-request-id")).await;
        assert_eq!((&line["bytes"], &line["cache"]), (&expected.len().into(), &"hit".into()), "{header}: {line}");
        let head = http::send(client, "HEAD", &lab.url(path), &[], Vec::new()).await;
        assert_eq!((head.status, head.body.len()), (200, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_stored_blob_is_exact_in_every_protocol_and_range() {
    let lab = Lab::start();
    let bytes = image::blob(1, 4_000_007);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let path = Lab::blob_path(&digest);
    assert_eq!(lab.get(&path).await.body, bytes);
    lab.wait_stored(&digest).await;
    let http_1 = http::client();
    let http_2 = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    for (client, version) in [(&http_1, Version::HTTP_11), (&http_2, Version::HTTP_2)] {
        for _ in 0..2 {
            let whole = http::send(client, "GET", &lab.url(&path), &[], Vec::new()).await;
            assert!(whole.is_whole() && whole.version == version && whole.body == bytes);
        }
        every_range_is_exact(&lab, client, version, &path, &bytes).await;
    }
    let old = format!("GET {path} HTTP/1.0\r\n\r\n");
    let answer = http::raw(&lab.transship.host(), old.as_bytes(), |_| false).await;
    assert!(answer.ends_with(&bytes), "HTTP/1.0: {} bytes with the head", answer.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_file_that_lost_bytes_is_cut_and_then_fetched_anew() {
    let lab = Lab::start();
    let bytes = image::blob(2, 4_000_007);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let path = Lab::blob_path(&digest);
    assert_eq!(lab.get(&path).await.body, bytes);
    lab.wait_stored(&digest).await;
    assert_eq!(lab.get(&path).await.body, bytes, "the store has it open now");

    let file = lab.stored_file(&digest);
    let mut permissions = std::fs::metadata(&file).unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "the file is ours and about to be thrown away")]
    permissions.set_readonly(false);
    std::fs::set_permissions(&file, permissions).unwrap();
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(1_500_000).unwrap();

    let cut = lab.get(&path).await;
    assert!(!cut.is_whole() && cut.body.len() <= 1_500_000, "{} bytes", cut.body.len());
    assert_eq!(cut.body, bytes[..cut.body.len()], "nothing but bytes of the blob came");
    lab.eventually("the damaged file is dropped", || {
        std::fs::metadata(&file).map_or(true, |found| found.len() == bytes.len() as u64)
    })
    .await;
    assert_eq!(lab.get(&path).await.body, bytes);
}
