//! Limits of a hosted repository as clients meet them: each is refused with what to do about it, and nothing stays of it.
//!
//! Must not know: where they are checked. Invariant: what is within a limit is taken beside what is not.

use oci::Digest;
use serde_json::json;

use crate::push::{Hosted, IMAGE, manifest};

#[tokio::test(flavor = "multi_thread")]
async fn every_limit_is_a_clear_refusal() {
    let limits = json!({
        "manifest": "1KiB", "layers": 2, "children": 1, "blob": "64KiB", "staged": "100KiB", "sessions": 2,
    });
    let repos = json!({ "lab": { "kind": "hosted", "push": "anyone", "push_limits": limits } });
    let house = Hosted::with(&json!({ "repos": repos }));
    let refused = async |answer: crate::http::Answer, status: u16, code: &str, words: &str| {
        let body = answer.json();
        assert_eq!((answer.status, body["errors"][0]["code"].as_str()), (status, Some(code)), "{body}");
        assert!(answer.error_messages().contains(words), "{body}");
    };
    house.push_blob("lab/app", b"{}").await;
    let layer = house.push_blob("lab/app", b"layer").await;
    let put = async |text: String, media_type: &str| {
        house.send("PUT", "/v2/lab/app/manifests/x", &[("Content-Type", media_type)], text).await
    };
    let one = manifest(&[(layer, 5)]);
    assert_eq!(put(one.clone(), IMAGE).await.status, 201);
    assert_eq!(put(manifest(&[(layer, 5); 2]), IMAGE).await.status, 201);
    refused(
        put(manifest(&[(layer, 5); 3]), IMAGE).await,
        400,
        "MANIFEST_INVALID",
        "3 layers are listed, 2 is the most",
    )
    .await;
    let long = format!("{one}{}", " ".repeat(1024));
    refused(put(long, IMAGE).await, 413, "SIZE_INVALID", "the manifest is larger than 1024 bytes").await;
    let index = |children: usize| {
        let child = json!({ "mediaType": IMAGE, "digest": Digest::sha256_of(one.as_bytes()), "size": one.len() });
        let media_type = "application/vnd.oci.image.index.v1+json";
        (
            json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": vec![child; children] }).to_string(),
            media_type,
        )
    };
    let (text, media_type) = index(1);
    assert_eq!(put(text, media_type).await.status, 201);
    let (text, media_type) = index(2);
    refused(put(text, media_type).await, 400, "MANIFEST_INVALID", "2 manifests are listed, 1 is the most").await;

    let large = vec![1; (64 << 10) + 1];
    let at_once = format!("/v2/lab/app/blobs/uploads/?digest={}", Digest::sha256_of(&large));
    let too_large = house.send("POST", &at_once, &[], large.clone()).await;
    refused(too_large, 413, "SIZE_INVALID", "the blob is larger than 65536 bytes").await;
    let begin = async || house.send("POST", "/v2/lab/app/blobs/uploads/", &[], "").await;
    let (first, second) = (begin().await, begin().await);
    let third = begin().await;
    assert_eq!(third.header("retry-after"), "30");
    refused(third, 429, "TOOMANYREQUESTS", "2 uploads are unfinished, which is the most that is allowed").await;
    let (first, second) = (first.header("location"), second.header("location"));
    assert_eq!(house.send("PATCH", first, &[], vec![2; 60 << 10]).await.status, 202);
    let staged = house.send("PATCH", second, &[], vec![3; 60 << 10]).await;
    refused(staged, 429, "TOOMANYREQUESTS", "finish or cancel some first").await;
    // The limit is each pusher's own.
    let other = house.as_admin("POST", "/v2/lab/app/blobs/uploads/", &[], "").await;
    assert_eq!(other.status, 202);
    assert_eq!(house.as_admin("DELETE", other.header("location"), &[], "").await.status, 204);
    for at in [first, second] {
        assert_eq!(house.send("DELETE", at, &[], "").await.status, 204);
    }
    assert_eq!(begin().await.status, 202, "what has ended does not count");
    assert_eq!(house.files(), (5, 1), "two blobs, three manifests, and one upload that has just begun");
}
