//! Manifests: the right bytes, of a right type, or an error.

use client::{ClientError, ManifestFetch};
use oci::{Digest, DigestAlgorithm, MediaType, Reference};

use crate::support::*;

async fn fetch(reply: Reply, reference: &Reference) -> Result<ManifestFetch, ClientError> {
    let server = Server::start(move |_| reply.clone()).await;
    anonymous(&server).get_manifest(&name(), reference, None).await
}

async fn fetched(reply: Reply, reference: &Reference) -> (Vec<u8>, Digest, MediaType) {
    match fetch(reply, reference).await.unwrap() {
        ManifestFetch::Fetched { bytes, digest, media_type } => (bytes.to_vec(), digest, media_type),
        ManifestFetch::NotModified => panic!("nothing was asked conditionally"),
    }
}

fn of(body: &str) -> Reference {
    Reference::Digest(Digest::sha256_of(body.as_bytes()))
}

#[tokio::test]
async fn bytes_come_as_they_are_with_their_digest() {
    let odd = "{\"schemaVersion\":2,  \"manifests\":[]}\n\n";
    let (bytes, digest, media_type) = fetched(Reply::new(200, &[("content-type", MANIFEST_TYPE)], odd), &tag()).await;
    assert_eq!(bytes, odd.as_bytes());
    assert_eq!(digest, Digest::sha256_of(odd.as_bytes()));
    assert_eq!(media_type, MediaType::OCI_IMAGE_INDEX);
    let (bytes, ..) = fetched(manifest_reply(), &of(MANIFEST)).await;
    assert_eq!(bytes, MANIFEST.as_bytes());
}

#[tokio::test]
async fn every_manifest_type_is_accepted_and_anything_else_last() {
    let server = Server::start(|_| manifest_reply()).await;
    anonymous(&server).get_manifest(&name(), &tag(), None).await.unwrap();
    let accept = server.seen_at(MANIFEST_PATH)[0].header("accept").unwrap().to_owned();
    for media_type in [
        MediaType::OCI_IMAGE_INDEX,
        MediaType::OCI_IMAGE_MANIFEST,
        MediaType::DOCKER_MANIFEST_LIST,
        MediaType::DOCKER_MANIFEST_V2,
    ] {
        assert!(accept.contains(media_type.as_str()), "{accept}");
    }
    assert!(accept.ends_with("*/*;q=0.1"), "{accept}");
}

#[tokio::test]
async fn digests_that_disagree_are_errors() {
    let other = of("something else");
    let error = fetch(manifest_reply(), &other).await.unwrap_err();
    assert!(
        matches!(error, ClientError::DigestMismatch { expected, actual, .. }
            if Some(&expected) == other.digest() && actual == Digest::sha256_of(MANIFEST.as_bytes())),
        "{error:?}"
    );
    let wrong = Digest::sha256_of(b"wrong").to_string();
    let announced =
        |text: &str| Reply::new(200, &[("content-type", MANIFEST_TYPE), ("docker-content-digest", text)], MANIFEST);
    for reference in [tag(), of(MANIFEST)] {
        let error = fetch(announced(&wrong), &reference).await.unwrap_err();
        assert!(matches!(error, ClientError::DigestMismatch { .. }), "{error:?}");
        let error = fetch(announced("sha256:short"), &reference).await.unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. }), "{error:?}");
    }
    let sha512 = Digest::of(DigestAlgorithm::Sha512, MANIFEST.as_bytes());
    let (_, digest, _) = fetched(announced(&sha512.to_string()), &tag()).await;
    assert_eq!(digest, sha512, "a tag has the digest that the upstream names, once verified");
}

#[tokio::test]
async fn the_type_comes_from_the_body_where_the_header_says_nothing() {
    let untyped_image = r#"{"schemaVersion":2,"config":{},"layers":[]}"#;
    for kind in ["application/octet-stream", "application/json; charset=utf-8", "text/plain"] {
        let (.., media_type) = fetched(Reply::new(200, &[("content-type", kind)], MANIFEST), &tag()).await;
        assert_eq!(media_type, MediaType::OCI_IMAGE_INDEX, "{kind}");
    }
    let (.., media_type) = fetched(Reply::ok(untyped_image), &tag()).await;
    assert_eq!(media_type, MediaType::OCI_IMAGE_MANIFEST);
    let artifact = Reply::new(200, &[("content-type", "application/vnd.example.thing+json; v=1")], "{}");
    let (.., media_type) = fetched(artifact, &tag()).await;
    assert_eq!(media_type.as_str(), "application/vnd.example.thing+json");
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    let page = "<html>please log in</html>";
    for reply in [
        Reply::new(200, &[("content-type", "text/html; charset=utf-8")], page),
        Reply::new(200, &[("content-type", "text/html")], MANIFEST),
        Reply::new(200, &[("content-type", MANIFEST_TYPE)], page),
        Reply::new(200, &[("content-type", "application/octet-stream")], page),
        Reply::new(200, &[("content-type", "image/png")], MANIFEST),
        Reply::new(200, &[("content-type", "nonsense")], MANIFEST),
        Reply::ok(page),
        Reply::ok("{}"),
        Reply::ok(""),
        Reply::new(200, &[("content-type", MANIFEST_TYPE)], ""),
        Reply::new(200, &[("content-type", MANIFEST_TYPE), ("content-encoding", "gzip")], MANIFEST),
        Reply::new(204, &[], ""),
        Reply::new(206, &[("content-type", MANIFEST_TYPE)], MANIFEST),
        Reply::new(304, &[], ""),
    ] {
        let error = fetch(reply.clone(), &tag()).await.unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. }), "{reply:?}: {error:?}");
    }
}

#[tokio::test]
async fn manifests_are_bounded_while_they_are_read() {
    let limit = oci::limits::MAX_MANIFEST_BYTES;
    let typed = [("content-type", MANIFEST_TYPE)];
    let fits = format!("{{{}}}", " ".repeat(limit - 2));
    let (bytes, ..) = fetched(Reply::new(200, &typed, &fits), &tag()).await;
    assert_eq!(bytes.len(), limit);
    let huge = format!("{fits} ");
    for reply in [Reply::new(200, &typed, &huge), Reply::chunked(200, &typed, huge.as_bytes())] {
        let error = fetch(reply, &tag()).await.unwrap_err();
        assert!(matches!(error, ClientError::TooLarge { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_manifest_cut_off_is_fetched_again() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let server = Server::start(move |_| {
        if first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            Reply::new(200, &[("content-type", MANIFEST_TYPE), ("content-length", "1000")], "{").then(Then::Close)
        } else {
            manifest_reply()
        }
    })
    .await;
    anonymous(&server).get_manifest(&name(), &of(MANIFEST), None).await.unwrap();
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn conditional_requests_name_the_digest() {
    let known = Digest::sha256_of(MANIFEST.as_bytes());
    let etag = format!("\"{known}\"");
    let expected = etag.clone();
    let server = Server::start(move |seen| match seen.header("if-none-match") {
        Some(asked) if asked == expected => Reply::new(304, &[], ""),
        _ => manifest_reply(),
    })
    .await;
    let client = anonymous(&server);
    assert_eq!(client.get_manifest(&name(), &tag(), Some(&known)).await.unwrap(), ManifestFetch::NotModified);
    assert!(matches!(client.get_manifest(&name(), &tag(), None).await.unwrap(), ManifestFetch::Fetched { .. }));
}

#[tokio::test]
async fn heads_say_what_they_say_and_no_more() {
    let digest = Digest::sha256_of(MANIFEST.as_bytes());
    let text = digest.to_string();
    let full = [("content-type", MANIFEST_TYPE), ("docker-content-digest", text.as_str()), ("etag", "\"x\"")];
    let server = Server::start({
        let reply = Reply::new(200, &full, MANIFEST);
        move |_| reply.clone()
    })
    .await;
    let head = anonymous(&server).head_manifest(&name(), &tag()).await.unwrap();
    assert_eq!(
        (head.digest, head.size, head.etag.as_deref()),
        (Some(digest), Some(MANIFEST.len() as u64), Some("\"x\""))
    );
    assert_eq!(head.media_type, Some(MediaType::OCI_IMAGE_INDEX));

    let bare = Server::start(|_| Reply::chunked(200, &[], b"")).await;
    let head = anonymous(&bare).head_manifest(&name(), &tag()).await.unwrap();
    assert_eq!((head.digest, head.media_type, head.size, head.etag), (None, None, None, None));
    let bad = Server::start(|_| Reply::new(200, &[("docker-content-digest", "sha256:xyz")], "")).await;
    let error = anonymous(&bad).head_manifest(&name(), &tag()).await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol { .. }), "{error:?}");
}

#[tokio::test]
async fn refusals_keep_the_upstreams_words() {
    let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown to us"}]}"#;
    let error = fetch(Reply::new(404, &[("content-type", "application/json")], body), &tag()).await.unwrap_err();
    assert!(matches!(error, ClientError::NotFound { .. }), "{error:?}");
    assert_eq!(error.upstream_message(), Some("manifest unknown to us"));
    let page = Reply::new(403, &[("content-type", "text/html")], "<html>no</html>");
    let error = fetch(page, &tag()).await.unwrap_err();
    assert!(matches!(error, ClientError::Denied { .. }), "{error:?}");
    assert_eq!(error.upstream_message(), None);
    let endless = Reply::new(400, &[("content-type", "text/plain")], "x".repeat(1_000_000));
    let error = fetch(endless, &tag()).await.unwrap_err();
    assert_eq!(error.upstream_message().unwrap().chars().count(), 513);
}
