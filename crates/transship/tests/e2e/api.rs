//! The management API over HTTP.
//!
//! Must not know: where repositories are kept. Invariant: after each refusal the repositories are what they were.

use serde_json::{Value, json};
use testkit::image::Image;
use testkit::upstream::FakeUpstream;

use crate::http;
use crate::lab::{Lab, NAME};

async fn keys(lab: &Lab) -> Vec<String> {
    let listed = lab.api("GET", "/api/repos", None).await;
    assert_eq!(listed.status, 200);
    listed.json().as_array().unwrap().iter().map(|repo| repo["key"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_made_used_changed_and_removed_and_survives_restarts() {
    let mut lab = Lab::start();
    let (one, other) = (FakeUpstream::start(), FakeUpstream::start());
    let (first, second) = (Image::small(1, 1000), Image::small(2, 1000));
    one.add_image("app", "1", &first);
    other.add_image("app", "1", &second);
    let before = keys(&lab).await;

    let created = lab
        .api(
            "POST",
            "/api/repos",
            Some(json!({ "key": "mine", "kind": "proxy", "upstream": one.url(), "internal": true })),
        )
        .await;
    assert_eq!((created.status, created.header("location")), (201, "/api/repos/mine"), "{}", created.text());
    assert_eq!(created.json()["upstream"], one.url());
    assert_eq!(lab.get("/v2/mine/app/manifests/1").await.body, first.manifest.bytes, "usable at once");
    assert_eq!(keys(&lab).await.len(), before.len() + 1);

    lab.transship.start_again();
    let shown = lab.api("GET", "/api/repos/mine", None).await;
    assert_eq!((shown.status, shown.json()["source"] == "api"), (200, true), "{}", shown.text());

    let changed = lab
        .api("PUT", "/api/repos/mine", Some(json!({ "upstream": other.url(), "internal": true, "tag_ttl": "0s" })))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(lab.get("/v2/mine/app/manifests/1").await.body, second.manifest.bytes, "the change counts at once");
    lab.transship.start_again();
    assert_eq!(lab.api("GET", "/api/repos/mine", None).await.json()["tag_ttl"], "0s");

    let deleted = lab.api("DELETE", "/api/repos/mine", None).await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    for _ in ["at once", "after a restart"] {
        assert_eq!(lab.api("GET", "/api/repos/mine", None).await.status, 404);
        assert_eq!(lab.api("DELETE", "/api/repos/mine", None).await.status, 404);
        assert_eq!(lab.get("/v2/mine/app/manifests/1").await.status, 404);
        assert_eq!(keys(&lab).await, before);
        lab.transship.start_again();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_or_changed_without_the_token() {
    let lab = Lab::start();
    let token = lab.transship.admin_token();
    let wrong = [
        None,
        Some("Bearer wrong".to_owned()),
        Some("Bearer ".to_owned()),
        Some(format!("Basic {token}")),
        Some(token.clone()),
        Some(format!("Bearer {token}x")),
        Some(format!("Bearer {}", token.to_uppercase())),
    ];
    let body = json!({ "key": "mine", "upstream": "https://registry.example" }).to_string().into_bytes();
    for authorization in &wrong {
        for (method, path) in [
            ("GET", "/api/repos"),
            ("POST", "/api/repos"),
            ("GET", "/api/repos/lab"),
            ("PUT", "/api/repos/lab"),
            ("DELETE", "/api/repos/lab"),
            ("GET", "/api/repos/unknown"),
        ] {
            let mut headers = vec![("Content-Type", "application/json")];
            headers.extend(authorization.as_deref().map(|value| ("Authorization", value)));
            let answer = http::send(&lab.client, method, &lab.url(path), &headers, body.clone()).await;
            assert_eq!(answer.status, 401, "{method} {path} with {authorization:?}");
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
            assert_eq!(answer.json()["errors"][0]["code"], "UNAUTHORIZED");
            assert!(!answer.text().contains(&lab.upstream.url()), "nothing is told");
        }
    }
    assert!(!keys(&lab).await.contains(&"mine".to_owned()));
    assert_eq!(lab.api("GET", "/api/repos/lab", None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_be_taken_once() {
    let lab = Lab::start();
    let document = |key: &str| Some(json!({ "key": key, "upstream": "https://registry.example" }));
    assert_eq!(lab.api("POST", "/api/repos", document("mine")).await.status, 201);
    for key in ["mine", "lab"] {
        let again = lab.api("POST", "/api/repos", document(key)).await;
        assert_eq!(again.status, 409, "{key}: {}", again.text());
        assert!(again.error_messages().contains(key));
    }
    // What stands in the configuration file is changed there.
    for (method, body) in [("PUT", document("lab")), ("DELETE", None)] {
        let answer = lab.api(method, "/api/repos/lab", body).await;
        assert_eq!(answer.status, 409, "{method}: {}", answer.text());
        assert!(answer.error_messages().contains("configuration file"));
    }
    assert_eq!(lab.api("GET", "/api/repos/lab", None).await.json()["upstream"], lab.upstream.url());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_callers_cannot_both_create_one_key() {
    let lab = Lab::start();
    let calls = (0..20).map(|_| {
        lab.api("POST", "/api/repos", Some(json!({ "key": "raced", "upstream": "https://registry.example" })))
    });
    let mut statuses: Vec<u16> =
        futures_util::future::join_all(calls).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (201, &[409; 19][..]));
}

/// The fields that the errors of an answer name.
fn fields(answer: &http::Answer) -> Vec<String> {
    let body = answer.json();
    let errors = body["errors"].as_array().unwrap();
    let mut fields: Vec<String> =
        errors.iter().map(|error| error["detail"]["field"].as_str().unwrap().to_owned()).collect();
    fields.sort();
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_is_named_at_once() {
    let lab = Lab::start();
    let before = keys(&lab).await;
    let cases: &[(Value, &[&str])] = &[
        (json!({ "key": "x" }), &["upstream"]),
        (json!({ "upstream": "https://registry.example" }), &["key"]),
        (json!({ "key": "UPPER", "upstream": "https://registry.example" }), &["key"]),
        (json!({ "key": "metrics", "upstream": "https://registry.example" }), &["key"]),
        (json!({ "key": 7, "upstream": "https://registry.example" }), &["key"]),
        (json!({ "key": "x", "upstream": "ftp://registry.example" }), &["upstream"]),
        (json!({ "key": "x", "upstream": "https://user:pass@registry.example" }), &["upstream"]),
        (json!({ "key": "x", "upstream": "http://10.0.0.1" }), &["upstream"]),
        (json!({ "key": "x", "kind": "hosted", "upstream": "https://registry.example" }), &["upstream"]),
        (json!({ "key": "x", "kind": "group", "upstream": "https://registry.example" }), &["members", "upstream"]),
        (
            json!({ "key": "x", "upstream": "not a url", "tag_ttl": "soon", "hosts": [1, "a b"], "auth": { "username": "u", "pass": "p" }, "colour": 1 }),
            &["auth.pass", "auth.password", "colour", "hosts[0]", "hosts[1]", "tag_ttl", "upstream"],
        ),
        (json!({ "key": "No Key", "upstream": "nonsense", "internal": "yes" }), &["internal", "key", "upstream"]),
        (json!([]), &[""]),
    ];
    for (document, expected) in cases {
        let answer = lab.api("POST", "/api/repos", Some(document.clone())).await;
        assert_eq!(answer.status, 400, "{document}: {}", answer.text());
        assert_eq!(fields(&answer), *expected, "{document}: {}", answer.text());
    }
    let renamed = lab
        .api("PUT", "/api/repos/dockerhub", Some(json!({ "key": "other", "upstream": "https://registry.example" })))
        .await;
    assert_eq!((renamed.status, fields(&renamed)), (400, vec!["key".to_owned()]));
    assert_eq!(keys(&lab).await, before, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_ports_belong_to_one_repository() {
    let lab = Lab::start();
    let document =
        |key: &str| Some(json!({ "key": key, "upstream": "https://registry.example", "hosts": ["mirror.example"] }));
    assert_eq!(lab.api("POST", "/api/repos", document("one")).await.status, 201);
    let second = lab.api("POST", "/api/repos", document("two")).await;
    assert_eq!((second.status, fields(&second)), (400, vec!["hosts".to_owned()]), "{}", second.text());
    assert_eq!(lab.api("DELETE", "/api/repos/one", None).await.status, 204);
    assert_eq!(lab.api("POST", "/api/repos", document("two")).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_under_way_outlives_its_repository() {
    let lab = Lab::start();
    let bytes = testkit::image::blob(1, 10_000_000);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let document = json!({ "key": "brief", "upstream": lab.upstream.url(), "internal": true });
    assert_eq!(lab.api("POST", "/api/repos", Some(document)).await.status, 201);
    let gate = testkit::upstream::Gate::new();
    let stall = testkit::upstream::Fault::StallAfter(1_000_000, gate.clone());
    lab.upstream.fault(testkit::upstream::Target::blob(&digest).get().nth(1), stall);
    let path = format!("/v2/brief/{NAME}/blobs/{digest}");
    let download = lab.open(&path).await;
    assert_eq!(lab.api("DELETE", "/api/repos/brief", None).await.status, 204);
    assert_eq!(lab.get(&path).await.status, 404);
    gate.release();
    assert_eq!(http::compare(download, &bytes).await, (bytes.len(), true));
}
