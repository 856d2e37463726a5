//! Referrers: by the API, by tags where there is no API, and never by a detour or out of an outage.

use client::{ClientError, ReferrersApi, ReferrersFound, ReferrersList};
use oci::{Digest, MediaType, Referrer, referrers_index};
use serde_json::json;

use crate::support::*;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn subject() -> Digest {
    Digest::sha256_of(b"subject")
}

fn referrer(seed: &str) -> Referrer {
    Referrer {
        media_type: MediaType::OCI_IMAGE_MANIFEST,
        digest: Digest::sha256_of(seed.as_bytes()),
        size: 7,
        artifact_type: Some("application/vnd.example.sbom".into()),
        annotations: None,
    }
}

fn index(listed: &[Referrer], headers: &[(&str, &str)]) -> Reply {
    let headers = [&[("content-type", INDEX)], headers].concat();
    Reply::new(200, &headers, String::from_utf8(referrers_index(listed)).unwrap())
}

fn missing() -> Reply {
    Reply::new(404, &[], String::new())
}

async fn ask(server: &Server) -> Result<ReferrersList, ClientError> {
    anonymous(server).referrers(&name(), &subject(), ReferrersApi::Ask).await
}

/// How often paths with this in them were asked for.
fn asked(server: &Server, part: &str) -> usize {
    server.seen().iter().filter(|seen| seen.target.contains(part)).count()
}

#[tokio::test]
async fn the_api_is_read_page_by_page_and_its_links_lead_nowhere_else() {
    let stranger = Server::start(|_| missing()).await;
    let link = format!("<{}>; rel=\"next\"", stranger.at("/evil?page=2"));
    let server = Server::start(move |seen| {
        if seen.target.ends_with("?page=2") {
            index(&[referrer("two")], &[])
        } else {
            index(&[referrer("one")], &[("link", &link)])
        }
    })
    .await;
    let told = ask(&server).await.unwrap();
    assert_eq!(told, ReferrersList { listed: vec![referrer("one"), referrer("two")], found: ReferrersFound::Api });
    assert_eq!(asked(&server, &format!("/referrers/{}", subject())), 2);
    assert!(stranger.seen().is_empty());
}

#[tokio::test]
async fn a_registry_without_the_api_is_asked_by_tags_and_this_is_remembered() {
    for status in [303, 400, 404, 405, 406, 501] {
        let elsewhere = Server::start(|_| index(&[referrer("wrong")], &[])).await;
        let location = elsewhere.at("/-/v2/packages");
        let tag = format!("manifests/sha256-{}", subject().hex());
        let server = Server::start(move |seen| {
            if seen.target.contains("/referrers/") {
                return Reply::new(status, &[("location", &location)], String::new());
            }
            if seen.target.ends_with(&tag) { index(&[referrer("tagged")], &[]) } else { missing() }
        })
        .await;
        let client = anonymous(&server);
        for _ in 0..2 {
            let told = client.referrers(&name(), &subject(), ReferrersApi::Ask).await.unwrap();
            assert_eq!(
                told,
                ReferrersList { listed: vec![referrer("tagged")], found: ReferrersFound::Tag },
                "{status}"
            );
        }
        assert_eq!(asked(&server, "/referrers/"), 1, "{status} is remembered");
        assert!(elsewhere.seen().is_empty(), "{status} is not followed");
    }
}

#[tokio::test]
async fn cosigns_older_tags_are_found_last() {
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": [] }).to_string();
    let digest = Digest::sha256_of(manifest.as_bytes());
    let text = digest.to_string();
    let server = Server::start(move |seen| {
        if seen.target.contains(".sig") {
            Reply::new(200, &[("content-type", MANIFEST), ("docker-content-digest", &text)], manifest.clone())
        } else {
            missing()
        }
    })
    .await;
    let told = ask(&server).await.unwrap();
    assert_eq!(told.found, ReferrersFound::CosignTags);
    assert_eq!(told.listed.len(), 1);
    assert_eq!(told.listed[0].digest, digest);
    assert_eq!(told.listed[0].artifact_type.as_deref(), Some("application/vnd.dev.cosign.artifact.sig.v1+json"));
}

#[tokio::test]
async fn none_anywhere_is_an_empty_list_and_an_outage_is_not() {
    let server = Server::start(|_| missing()).await;
    assert_eq!(ask(&server).await.unwrap(), ReferrersList { listed: vec![], found: ReferrersFound::Nowhere });
    for status in [429, 500, 503] {
        let server = Server::start(move |_| Reply::new(status, &[], String::new())).await;
        ask(&server).await.expect_err("it could not be asked");
        assert_eq!(asked(&server, "/manifests/"), 0, "{status} is not taken for a missing API");
    }
}

#[tokio::test]
async fn what_is_no_list_and_lists_without_end_are_errors() {
    let endless = |seen: &Seen| {
        let page: u32 = seen.target.split_once("?page=").map_or(0, |(_, page)| page.parse().unwrap());
        index(&[referrer("again")], &[("link", &format!("<?page={}>; rel=\"next\"", page + 1))])
    };
    let server = Server::start(move |seen| endless(seen)).await;
    assert!(matches!(ask(&server).await, Err(ClientError::Protocol { .. })));
    assert!(server.seen().len() < 100);
    for body in ["<html></html>", "[]", "{\"manifests\":7}"] {
        let server = Server::start(move |_| Reply::new(200, &[("content-type", INDEX)], body)).await;
        assert!(matches!(ask(&server).await, Err(ClientError::Protocol { .. })), "{body}");
    }
}

#[tokio::test]
async fn lists_are_bounded_in_all_their_pages_together() {
    let noted = |seed: String, note: usize| Referrer {
        annotations: Some([("note".to_owned(), "n".repeat(note))].into()),
        ..referrer(&seed)
    };
    let pages: [(&str, usize, Vec<Referrer>); 2] = [
        (
            "many",
            3,
            (0..5_000).map(|number| Referrer { artifact_type: None, ..referrer(&number.to_string()) }).collect(),
        ),
        ("large", 5, vec![noted("large".into(), 1 << 20)]),
    ];
    for (case, most, page) in pages {
        let server = Server::start(move |seen| {
            let number: u32 = seen.target.split_once("?page=").map_or(0, |(_, page)| page.parse().unwrap());
            index(&page, &[("link", &format!("<?page={}>; rel=\"next\"", number + 1))])
        })
        .await;
        let error = ask(&server).await.unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. } | ClientError::TooLarge { .. }), "{case}: {error:?}");
        assert!(server.seen().len() <= most, "{case}: {} pages", server.seen().len());
    }
}
