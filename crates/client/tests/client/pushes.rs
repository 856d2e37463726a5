//! Pushing: which token is asked for, what is resumed and from where, what is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use client::{
    Backoff, BlobPushed, BlobSource, BlobStream, ClientError, Climate, SharedError, SubjectListed, UploadError,
    UploadRule, UpstreamConfig,
};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use oci::{Digest, ManifestFacts, MediaType};
use serde_json::json;

use crate::support::*;

const UPLOADS: &str = "/v2/library/alpine/blobs/uploads/";
const SIZE: usize = 400_000;

/// `SIZE` bytes of text, which is read from any offset; or nothing but a failure.
struct Text(Option<String>);

fn text() -> Text {
    Text(Some("0123456789".repeat(SIZE / 10)))
}

impl BlobSource for Text {
    fn open(&self, offset: u64) -> BoxFuture<'_, Result<BlobStream, SharedError>> {
        let piece = match &self.0 {
            Some(text) => Ok(Bytes::from(text.as_bytes()[offset as usize..].to_vec())),
            None => Err(Arc::new(std::io::Error::other("the disk is gone")) as SharedError),
        };
        Box::pin(async move { Ok(stream::iter([piece]).boxed()) })
    }
}

fn digest_of_text() -> Digest {
    Digest::sha256_of(text().0.unwrap().as_bytes())
}

async fn push(client: &client::RegistryClient, source: &Text) -> Result<BlobPushed, UploadError> {
    client.push_blob(&name(), (&digest_of_text(), SIZE as u64), None, source, UploadRule::default()).await
}

fn begun() -> Reply {
    Reply::new(202, &[("location", "/v2/library/alpine/blobs/uploads/1?state=a")], "")
}

#[tokio::test]
async fn one_token_that_may_push_does_for_looking_and_pushing() {
    let server = Server::start_knowing(|url| {
        let challenge = |actions: &str| {
            format!("Bearer realm=\"{url}/token\",service=\"s\",scope=\"repository:library/alpine:{actions}\"")
        };
        let (pull, push) = (challenge("pull"), challenge("pull,push"));
        move |seen: &Seen| match (seen.method.as_str(), seen.path(), seen.authorization()) {
            (_, "/token", _) => Reply::json(&json!({ "token": "t" })),
            ("HEAD", _, None) => Reply::challenge(&pull),
            (_, _, None) => Reply::challenge(&push),
            ("HEAD", ..) => Reply::new(404, &[], ""),
            ("POST", ..) => begun(),
            ("PATCH", ..) => Reply::new(202, &[("location", "2?state=b"), ("range", &format!("0-{}", SIZE - 1))], ""),
            _ => Reply::new(201, &[], ""),
        }
    })
    .await;
    let client = with_credential(&server);
    assert!(!client.has_blob(&name(), &digest_of_text()).await.unwrap());
    assert_eq!(push(&client, &text()).await.unwrap(), BlobPushed::Uploaded);
    let tokens = server.seen_at("/token");
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert!(tokens[0].target.contains("pull%2Cpush"), "{}", tokens[0].target);
    let sent = server.seen().into_iter().find(|seen| seen.method == "PATCH").unwrap();
    assert_eq!((sent.body.len(), sent.header("content-range")), (SIZE, None), "in one piece, as docker sends it");
    let ended = server.seen().into_iter().find(|seen| seen.method == "PUT").unwrap();
    assert_eq!(ended.path(), "/v2/library/alpine/blobs/uploads/2");
    assert!(ended.target.contains("state=b&digest=sha256%3A"), "{}", ended.target);
}

#[tokio::test]
async fn what_breaks_off_goes_on_where_the_registry_says() {
    let patches = AtomicUsize::new(0);
    let server = Server::start(move |seen| match seen.method.as_str() {
        "POST" => begun(),
        "PATCH" if patches.fetch_add(1, Ordering::SeqCst) == 0 => Reply::silence(Then::Close),
        "PATCH" => Reply::new(202, &[("range", &format!("0-{}", SIZE - 1))], ""),
        "GET" => Reply::new(204, &[("range", "0-99999")], ""),
        "PUT" => Reply::new(201, &[], ""),
        _ => Reply::new(404, &[], ""),
    })
    .await;
    assert_eq!(push(&anonymous(&server), &text()).await.unwrap(), BlobPushed::Uploaded);
    let patches: Vec<_> = server.seen().into_iter().filter(|seen| seen.method == "PATCH").collect();
    assert_eq!(patches.len(), 2);
    assert_eq!(patches[1].header("content-range"), Some(format!("100000-{}", SIZE - 1).as_str()));
    assert_eq!(patches[1].body, text().0.unwrap()[100_000..]);
}

#[tokio::test]
async fn an_upload_that_is_gone_begins_anew_and_tries_are_bounded() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "POST" => begun(),
        "PATCH" => Reply::new(503, &[], ""),
        _ => Reply::new(404, &[], ""),
    })
    .await;
    let error = push(&anonymous(&server), &text()).await.unwrap_err();
    assert!(matches!(&error, UploadError::Registry(error) if error.upstream_status() == Some(503)), "{error}");
    let count = |method: &str| server.seen().iter().filter(|seen| seen.method == method).count();
    assert_eq!((count("POST"), count("PATCH")), (3, 3));
    assert_eq!(count("DELETE"), 1, "the last upload is cancelled");
}

#[tokio::test]
async fn what_fails_at_the_source_is_not_tried_again_and_leaves_no_upload() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "POST" => begun(),
        _ => Reply::new(204, &[], ""),
    })
    .await;
    let error = push(&anonymous(&server), &Text(None)).await.unwrap_err();
    assert!(matches!(&error, UploadError::Source(why) if why.to_string().contains("the disk is gone")), "{error}");
    let methods: Vec<_> = server.seen().into_iter().map(|seen| seen.method).collect();
    assert!(!methods.contains(&"PUT".to_owned()) && methods.last().unwrap() == "DELETE", "{methods:?}");
}

#[tokio::test]
async fn an_upload_that_goes_on_elsewhere_is_refused_and_nothing_is_sent_there() {
    let stranger = Server::start(|_| Reply::new(202, &[], "")).await;
    let there = stranger.at("/v2/library/alpine/blobs/uploads/1");
    let by_location = {
        let there = there.clone();
        Server::start(move |seen| match seen.method.as_str() {
            "POST" => Reply::new(202, &[("location", &there)], ""),
            _ => Reply::new(404, &[], ""),
        })
        .await
    };
    let by_redirect = Server::start(move |seen| match seen.method.as_str() {
        "POST" => begun(),
        "PATCH" => Reply::redirect(&there),
        _ => Reply::new(404, &[], ""),
    })
    .await;
    for server in [&by_location, &by_redirect] {
        let error = push(&with_credential(server), &text()).await.unwrap_err();
        assert!(matches!(&error, UploadError::Registry(ClientError::Refused { .. })), "{error}");
    }
    assert!(stranger.seen().is_empty());
}

#[tokio::test]
async fn a_mount_is_asked_for_with_rights_for_both_names() {
    let server = Server::start_knowing(|url| {
        let challenge = format!("Bearer realm=\"{url}/token\",scope=\"repository:library/alpine:pull,push\"");
        move |seen: &Seen| match (seen.path(), seen.authorization()) {
            ("/token", _) => Reply::json(&json!({ "token": "t" })),
            (UPLOADS, Some(_)) => Reply::new(201, &[], ""),
            _ => Reply::challenge(&challenge),
        }
    })
    .await;
    let (digest, from) = (digest_of_text(), "team/base".parse().unwrap());
    let pushed = anonymous(&server)
        .push_blob(&name(), (&digest, SIZE as u64), Some(&from), &text(), UploadRule::default())
        .await;
    assert_eq!(pushed.unwrap(), BlobPushed::Mounted);
    assert!(server.seen_at("/token")[0].target.contains("repository%3Ateam%2Fbase%3Apull"));
    let asked = server.seen_at(UPLOADS);
    assert!(asked[0].target.ends_with(&format!("mount={}&from=team%2Fbase", digest.to_string().replace(':', "%3A"))));
}

#[tokio::test]
async fn a_manifest_is_pushed_as_it_is_and_another_digest_is_noticed() {
    let server = Server::start(|seen| match seen.path() {
        MANIFEST_PATH => Reply::new(201, &[("oci-subject", "sha256:x")], ""),
        _ => Reply::new(201, &[("docker-content-digest", &digest().to_string())], ""),
    })
    .await;
    let (client, bytes) = (anonymous(&server), Bytes::from_static(MANIFEST.as_bytes()));
    let listed = client.push_manifest(&name(), &tag(), &MediaType::OCI_IMAGE_INDEX, &bytes).await.unwrap();
    assert_eq!(listed, SubjectListed::Yes);
    let seen = &server.seen_at(MANIFEST_PATH)[0];
    assert_eq!((seen.body.as_str(), seen.header("content-type")), (MANIFEST, Some(MANIFEST_TYPE)));
    let other = client.push_manifest(&name(), &digest().into(), &MediaType::OCI_IMAGE_INDEX, &bytes).await;
    assert!(matches!(other, Err(ClientError::DigestMismatch { .. })), "{other:?}");
}

#[tokio::test]
async fn an_upload_that_never_gets_on_is_given_up() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "POST" => begun(),
        "PATCH" => Reply::new(202, &[("range", "0-0")], ""),
        "GET" => Reply::new(204, &[("range", "0-0")], ""),
        _ => Reply::new(404, &[], ""),
    })
    .await;
    let error = push(&anonymous(&server), &text()).await.unwrap_err();
    assert!(error.to_string().contains("stays at 0 bytes"), "{error}");
    let count = |method: &str| server.seen().iter().filter(|seen| seen.method == method).count();
    assert_eq!((count("PATCH"), count("DELETE")), (3, 1));
}

#[tokio::test]
async fn a_mount_that_is_refused_is_an_upload() {
    for status in [403, 404] {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "POST" if seen.target.contains("mount=") => Reply::new(status, &[], ""),
            "POST" => begun(),
            "PATCH" => Reply::new(202, &[("range", &format!("0-{}", SIZE - 1))], ""),
            _ => Reply::new(201, &[], ""),
        })
        .await;
        let (digest, from) = (digest_of_text(), "team/base".parse().unwrap());
        let pushed = anonymous(&server)
            .push_blob(&name(), (&digest, SIZE as u64), Some(&from), &text(), UploadRule::default())
            .await;
        assert_eq!(pushed.unwrap(), BlobPushed::Uploaded, "{status}");
    }
}

#[tokio::test]
async fn a_part_is_sent_again_where_the_registry_sends_it_on_to() {
    let server = Server::start(|seen| match (seen.method.as_str(), seen.path()) {
        ("POST", _) => begun(),
        ("PATCH", "/v2/library/alpine/blobs/uploads/1") => Reply::redirect("/node2/uploads/1?state=z"),
        ("PATCH", "/node2/uploads/1") => Reply::new(202, &[("range", &format!("0-{}", SIZE - 1))], ""),
        ("PUT", "/node2/uploads/1") => Reply::new(201, &[], ""),
        _ => Reply::new(404, &[], ""),
    })
    .await;
    assert_eq!(push(&anonymous(&server), &text()).await.unwrap(), BlobPushed::Uploaded);
    let sent = server.seen_at("/node2/uploads/1");
    assert_eq!((sent.len(), sent[0].body.len()), (2, SIZE), "all of it, once");
    assert!(sent[1].target.contains("state=z&digest="), "{}", sent[1].target);

    let round = Server::start(|seen| match seen.method.as_str() {
        "POST" => begun(),
        "PATCH" => Reply::redirect(&seen.target),
        _ => Reply::new(404, &[], ""),
    })
    .await;
    push(&anonymous(&round), &text()).await.unwrap_err();
    assert!(round.seen().iter().filter(|seen| seen.method == "PATCH").count() < 30, "it does not go round for ever");
}

#[tokio::test]
async fn a_command_waits_for_a_registry_as_often_as_it_was_told() {
    let failing = |left: usize| {
        let left = AtomicUsize::new(left);
        move |seen: &Seen| match seen.method.as_str() {
            "POST" if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() => {
                Reply::new(503, &[], "")
            }
            "POST" => begun(),
            "PATCH" => Reply::new(202, &[("range", &format!("0-{}", SIZE - 1))], ""),
            "PUT" => Reply::new(201, &[], ""),
            _ => Reply::new(404, &[], ""),
        }
    };
    let backoff = Backoff { base: Duration::from_millis(1), max: Duration::from_millis(2) };
    let pressing = |server: &Server, max_attempts| {
        client(UpstreamConfig { climate: Climate::of_one_command(), max_attempts, backoff, ..config(server) })
    };
    let server = Server::start(failing(40)).await;
    assert_eq!(push(&pressing(&server, 51), &text()).await.unwrap(), BlobPushed::Uploaded);
    let server = Server::start(failing(40)).await;
    let error = push(&pressing(&server, 30), &text()).await.unwrap_err();
    assert!(error.to_string().contains("503"), "the reason is said: {error}");
}

#[tokio::test]
async fn a_referrer_that_is_there_is_listed_where_the_registry_does_not() {
    let subject = json!({ "mediaType": MANIFEST_TYPE, "digest": digest(), "size": 2 });
    let bytes = json!({ "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "manifests": [], "subject": subject });
    let bytes = bytes.to_string();
    let facts = ManifestFacts::parse(bytes.as_bytes(), None).unwrap();
    for (status, listed) in [(404, 2), (200, 0)] {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "GET" if seen.path().contains("/referrers/") => Reply::new(status, &[], r#"{"manifests":[]}"#),
            "PUT" => Reply::new(201, &[], ""),
            _ => Reply::new(404, &[], ""),
        })
        .await;
        let client = anonymous(&server);
        for _ in 0..2 {
            let digest = Digest::sha256_of(bytes.as_bytes());
            client.list_if_registry_does_not(&name(), digest, bytes.as_bytes(), &facts).await.unwrap();
        }
        let seen = server.seen();
        assert_eq!(seen.iter().filter(|seen| seen.method == "PUT").count(), listed, "{seen:?}");
        assert_eq!(seen.iter().filter(|seen| seen.path().contains("/referrers/")).count(), 1, "asked once");
    }
}
