//! Faults of status, headers and redirects.

use mock_upstream::image::{Image, blob};
use mock_upstream::upstream::{DigestHeader, FakeUpstream, Fault, Kind, Location, Target};

use crate::raw_client::{Seen, ask, get};

fn manifest(fault: Fault) -> Seen {
    let upstream = FakeUpstream::start();
    upstream.add_image("app", "1", &Image::small(1, 10));
    upstream.fault(Target::manifest("1"), fault);
    get(&upstream, "/v2/app/manifests/1")
}

#[test]
fn the_digest_header_can_be_wrong_or_missing() {
    assert_eq!(manifest(Fault::ContentDigest(DigestHeader::Missing)).header("docker-content-digest"), None);
    let malformed = manifest(Fault::ContentDigest(DigestHeader::Says("sha256:xyz".into())));
    assert_eq!(malformed.header("docker-content-digest"), Some("sha256:xyz"));
}

#[test]
fn bytes_can_be_replaced() {
    let seen = manifest(Fault::ReplaceBody("{}".into(), Some("application/json".into())));
    assert_eq!((seen.status, &seen.body[..], seen.header("content-type")), (200, &b"{}"[..], Some("application/json")));
    let portal = manifest(Fault::html_page());
    assert_eq!((portal.status, portal.header("content-type")), (200, Some("text/html; charset=utf-8")));
}

#[test]
fn statuses_carry_their_headers() {
    let seen = manifest(Fault::too_many_requests(Some("Wed, 21 Oct 2037 07:28:00 GMT")));
    assert_eq!((seen.status, seen.header("retry-after")), (429, Some("Wed, 21 Oct 2037 07:28:00 GMT")));
    assert_eq!(manifest(Fault::status(503)).status, 503);
}

#[test]
fn headers_are_added_as_written() {
    let seen = manifest(Fault::AddHeader("X-Bad".into(), "1\r\nSet-Cookie: stolen=1".into()));
    assert_eq!(seen.header("set-cookie"), Some("stolen=1"));
    assert_eq!(manifest(Fault::RemoveHeader("Content-Type".into())).header("content-type"), None);
}

#[test]
fn faults_hit_only_their_target() {
    let upstream = FakeUpstream::start();
    upstream.add_image("app", "1", &Image::small(1, 10));
    upstream.fault(Target::kind(Kind::Manifest).head(), Fault::status(405));
    upstream.fault(Target::kind(Kind::Manifest).get().nth(2), Fault::status(500));
    let path = "/v2/app/manifests/1";
    assert_eq!(ask(&upstream, "HEAD", path, &[]).status, 405);
    let statuses = [get(&upstream, path).status, get(&upstream, path).status, get(&upstream, path).status];
    assert_eq!(statuses, [200, 500, 200]);
    upstream.clear_faults();
    assert_eq!(ask(&upstream, "HEAD", path, &[]).status, 200);
}

#[test]
fn a_cdn_serves_what_the_origin_redirects_to_and_refuses_credentials() {
    let (origin, bytes) = (FakeUpstream::start(), blob(5, 1000));
    let cdn = FakeUpstream::start_beside(&origin);
    let digest = origin.add_blob("app", bytes.clone());
    origin.fault(Target::kind(Kind::Blob), Fault::Redirect(307, Location::Cdn(cdn.url())));
    let seen = get(&origin, &format!("/v2/app/blobs/{digest}"));
    assert_eq!((seen.status, seen.header("content-length")), (307, Some("0")));
    let location = seen.header("location").expect("a redirect says where to").to_owned();
    let target = location.strip_prefix(&cdn.url()).expect("it leads to the CDN");
    assert_eq!(get(&cdn, target).body, bytes);
    assert_eq!(ask(&cdn, "GET", target, &[("Authorization", "Bearer x")]).status, 400);
    assert_eq!(cdn.credentials_seen(), ["Bearer x"]);
    assert_eq!((origin.bytes_sent_for(&digest), cdn.bytes_sent_for(&digest) >= 1000), (0, true));
}

#[test]
fn signed_addresses_expire_after_so_many_uses() {
    let (origin, cdn_uses) = (FakeUpstream::start(), 2);
    let digest = origin.add_blob("app", blob(5, 10));
    origin.fault(Target::any(), Fault::ExpireAfter(cdn_uses));
    let path = format!("/cdn/{digest}?signature=1");
    assert_eq!([get(&origin, &path).status, get(&origin, &path).status, get(&origin, &path).status], [200, 200, 403]);
    assert_eq!(get(&origin, &format!("/cdn/{digest}?signature=2")).status, 200);
}

#[test]
fn a_redirect_may_lead_to_itself() {
    let upstream = FakeUpstream::start();
    let path = format!("/v2/app/blobs/{}", upstream.add_blob("app", blob(5, 10)));
    upstream.fault(Target::any(), Fault::Redirect(302, Location::Itself));
    assert_eq!(get(&upstream, &path).header("location"), Some(format!("{}{path}", upstream.url()).as_str()));
}
