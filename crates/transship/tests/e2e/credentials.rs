//! Credentials stay with the upstream they were configured for: token realms and redirects on other hosts.
//!
//! Must not know: the login flow. Invariant: what arrived at each host is read from that host's own log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::image::Image;
use testkit::upstream::{Access, Account, BearerRules, FakeUpstream, Fault, Kind, Location, Target};

use crate::lab::{Lab, NAME};

const PASSWORD: &str = "canary-7f3b";

fn with_auth(more: &Value) -> Lab {
    let mut repository = json!({ "auth": { "username": "ci", "password": PASSWORD }, "tag_ttl": "0s" });
    repository.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Lab::with_repository(repository)
}

fn account() -> Account {
    Account::new("ci", PASSWORD)
}

/// Asserts that nothing the upstream may know reached this host, in any header, path or query.
#[track_caller]
fn never_saw_the_credentials(host: &FakeUpstream) {
    let basic = STANDARD.encode(format!("ci:{PASSWORD}"));
    for request in host.requests() {
        let text = format!("{request:?}");
        assert!(!text.contains(PASSWORD) && !text.contains(&basic), "{text}");
        assert_eq!(request.authorization(), None, "{text}");
    }
}

/// Pulls manifest and layer of an image.
async fn pull(lab: &Lab, image: &Image) {
    let manifest = lab.get(&Lab::manifest_path("1")).await;
    assert_eq!((manifest.status, manifest.body == image.manifest.bytes), (200, true), "{}", manifest.text());
    for blob in &image.blobs {
        let answer = lab.get(&Lab::blob_path(&blob.digest)).await;
        assert_eq!((answer.status, answer.is_whole() && answer.body == blob.bytes), (200, true), "{}", answer.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_realm_on_another_host_gets_nothing() {
    let lab = with_auth(&json!({}));
    let foreign = FakeUpstream::start_beside(&lab.upstream);
    let image = Image::small(1, 1000);
    lab.upstream.add_image(NAME, "1", &image);
    let realm = Some(format!("{}/token", foreign.url()));
    lab.upstream.set_access(Access::Bearer(BearerRules { realm, account: Some(account()), ..BearerRules::default() }));
    for path in [Lab::manifest_path("1"), Lab::blob_path(&image.blobs[0].digest), format!("/v2/lab/{NAME}/tags/list")] {
        let answer = lab.get(&path).await;
        assert_eq!(answer.status, 502, "{path}: {}", answer.text());
        let error = &answer.json()["errors"][0];
        assert_eq!(error["code"], "DENIED");
        assert!(error["message"].as_str().unwrap().contains(&foreign.host()), "the host is named: {error}");
    }
    never_saw_the_credentials(&foreign);
    assert!(foreign.requests().is_empty(), "it is not even asked");
    assert!(lab.upstream.credentials_seen().is_empty(), "nobody asked the upstream itself for Basic");
    let series = format!("transship_upstream_refusals_total{{repo_key=\"lab\",upstream=\"{}\"}}", lab.upstream.host());
    assert!(lab.metric(&series).await >= Some(3.0), "each is counted");
    let told =
        |line: &Value| line["message"].as_str().is_some_and(|text| text.contains("is refused; nothing was sent"));
    assert!(lab.log().iter().any(|line| line["level"] == "WARN" && told(line)), "{}", lab.transship.log_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_realm_that_the_configuration_allows_is_used() {
    let upstream = FakeUpstream::start();
    let token_server = FakeUpstream::start_beside(&upstream);
    let lab = with_auth(&json!({ "token_hosts": [token_server.host()], "upstream": upstream.url() }));
    let image = Image::small(1, 1000);
    upstream.add_image(NAME, "1", &image);
    let realm = Some(format!("{}/token", token_server.url()));
    let rules = BearerRules { realm, account: Some(account()), ..BearerRules::default() };
    upstream.set_access(Access::Bearer(rules.clone()));
    token_server.set_access(Access::Bearer(rules));
    pull(&lab, &image).await;
    assert!(token_server.credentials_seen().iter().all(|seen| *seen == account().basic()));
    assert!(!token_server.credentials_seen().is_empty());
    assert!(
        upstream.credentials_seen().iter().all(|seen| seen.starts_with("Bearer ")),
        "the registry sees tokens only"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_another_host_carries_nothing_along() {
    for access in
        [Access::Basic(account()), Access::Bearer(BearerRules { account: Some(account()), ..BearerRules::default() })]
    {
        let lab = with_auth(&json!({}));
        let cdn = FakeUpstream::start_beside(&lab.upstream);
        let image = Image::small(1, 2_000_000);
        lab.upstream.add_image(NAME, "1", &image);
        lab.upstream.set_access(access.clone());
        lab.upstream.fault(Target::kind(Kind::Blob), Fault::Redirect(307, Location::Cdn(cdn.url())));
        pull(&lab, &image).await;
        assert!(cdn.bytes_sent_for(&image.blobs[1].digest) > 0, "{access:?}: the layer came from there");
        never_saw_the_credentials(&cdn);
        assert!(!lab.upstream.credentials_seen().is_empty(), "{access:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirected_login_or_manifest_takes_no_credentials_to_another_host() {
    let lab = with_auth(&json!({}));
    let foreign = FakeUpstream::start_beside(&lab.upstream);
    let image = Image::small(1, 1000);
    lab.upstream.add_image(NAME, "1", &image);
    lab.upstream.set_access(Access::Bearer(BearerRules { account: Some(account()), ..BearerRules::default() }));
    let token = Location::Fixed(format!("{}/token", foreign.url()));
    lab.upstream.fault(Target::kind(Kind::Token), Fault::Redirect(307, token));
    let answer = lab.get(&Lab::manifest_path("1")).await;
    assert!((400..=502).contains(&answer.status), "{}", answer.status);
    never_saw_the_credentials(&foreign);

    lab.upstream.clear_faults();
    let elsewhere = Location::Fixed(format!("{}/v2/{NAME}/manifests/1", foreign.url()));
    lab.upstream.fault(Target::kind(Kind::Manifest), Fault::Redirect(302, elsewhere));
    lab.get(&Lab::manifest_path("1")).await;
    never_saw_the_credentials(&foreign);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_not_internal_cannot_lead_to_private_addresses() {
    // The repository is allowed its own loopback upstream; a second one, declared public, is not even that.
    let lab = Lab::start();
    let answer = lab.api("POST", "/api/repos", Some(json!({ "key": "open", "upstream": lab.upstream.url() }))).await;
    assert_eq!(answer.status, 400);
    assert!(answer.error_messages().contains("internal"), "{}", answer.text());
    let named = format!("http://localhost:{}", lab.upstream.port());
    let answer = lab.api("POST", "/api/repos", Some(json!({ "key": "open", "upstream": named }))).await;
    assert_eq!(answer.status, 400);
    assert!(lab.upstream.requests().is_empty());
}
