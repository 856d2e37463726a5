//! `transship explain`, `GET /api/explain` and the log of exchanges: true to what pulls do, and without secrets.
//!
//! Must not know: how anything is kept. Invariant: an explanation sends no request upstream, which upstreams count.

use std::process::{Command, Output};

use serde_json::{Value, json};
use testkit::image::Image;
use testkit::upstream::{Access, Account, BearerRules, FakeUpstream, Fault, Kind, Location, Target};

use crate::lab::{Lab, LabSetup, NAME, PROGRAM};

async fn explained(lab: &Lab, image: &str) -> Value {
    let asked = lab.upstream.requests().len();
    let answer = lab.api("GET", &format!("/api/explain?image={image}"), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(lab.upstream.requests().len(), asked, "nobody upstream is asked");
    answer.json()
}

fn requests(explained: &Value) -> Vec<String> {
    let steps = explained["pull_now"].as_array().unwrap();
    steps.iter().map(|step| step["request"].as_str().unwrap().to_owned()).collect()
}

fn run(lab: &Lab, arguments: &[&str]) -> Output {
    let token = lab.transship.cache_dir().join("admin.token");
    let mut command = Command::new(PROGRAM);
    command.env_clear().env("HOME", lab.transship.cache_dir()).arg("explain").args(arguments);
    command.args(["--server", &lab.transship.url(), "--admin-token-file", token.to_str().unwrap()]).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_says_what_a_pull_then_does() {
    let lab = Lab::with_repository(json!({ "tag_ttl": "1h" }));
    let image = Image::small(1, 100_000);
    lab.upstream.add_image(NAME, "1", &image);
    let name = format!("lab/{NAME}:1");

    let cold = explained(&lab, &name).await;
    assert_eq!((&cold["tag"]["state"], &cold["offline"]["complete"]), (&"unknown".into(), &false.into()));
    assert_eq!(requests(&cold), ["GET manifests/1"]);
    assert_eq!((&cold["route"]["repo_key"], &cold["route"]["name"]), (&"lab".into(), &NAME.into()));

    assert_eq!(lab.get(&Lab::manifest_path("1")).await.status, 200);
    let half = explained(&lab, &name).await;
    assert_eq!(half["tag"]["state"], "fresh");
    let blobs: Vec<String> = image.blobs.iter().map(|blob| format!("GET blobs/{}", blob.digest)).collect();
    assert_eq!(requests(&half), blobs, "the tag is trusted, the blobs are not here");
    assert_eq!(half["offline"]["missing"].as_array().unwrap().len(), blobs.len(), "{half}");

    for blob in &image.blobs {
        assert_eq!(lab.get(&Lab::blob_path(&blob.digest)).await.body, blob.bytes);
        lab.wait_stored(&blob.digest).await;
    }
    let warm = explained(&lab, &format!("{}/{name}", lab.transship.url().trim_start_matches("http://"))).await;
    assert_eq!(requests(&warm), Vec::<String>::new(), "{warm}");
    assert_eq!(warm["offline"], json!({ "complete": true, "complete_platforms": [], "missing": [] }));
    assert!(warm["parts"].as_array().unwrap().iter().all(|part| part["cached"] == "yes" && part["confirmed"] == true));
    let asked = lab.upstream.requests().len();
    assert_eq!(lab.get(&Lab::manifest_path("1")).await.status, 200);
    assert_eq!(lab.upstream.requests().len(), asked, "what was said is what a pull does");

    let shown = run(&lab, &[&name]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown.status.code(), Some(0), "{text}");
    assert!(text.contains("A pull now asks nobody") && text.contains("Without any upstream: complete."), "{text}");
    let json = run(&lab, &[&name, "--json"]);
    assert_eq!(serde_json::from_slice::<Value>(&json.stdout).unwrap()["offline"]["complete"], true);
    let wrong = run(&lab, &["nowhere.example/a"]);
    assert_eq!((wrong.status.code(), wrong.stdout.is_empty()), (Some(2), true));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("no repository has the key or upstream"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_past_its_time_and_the_registry_of_a_bare_name() {
    let lab = Lab::with_repository(json!({ "tag_ttl": "0s", "stale_if_error": "0s" }));
    let image = Image::small(2, 1000);
    lab.upstream.add_image(NAME, "1", &image);
    assert_eq!(lab.get(&Lab::manifest_path("1")).await.status, 200);
    let stale = explained(&lab, &format!("lab/{NAME}:1")).await;
    assert_eq!(requests(&stale)[0], "HEAD manifests/1");
    let missing = stale["offline"]["missing"].to_string();
    assert!(missing.contains("stale_if_error"), "{missing}");

    let hub = explained(&lab, "alpine").await;
    assert_eq!((&hub["route"]["repo_key"], &hub["route"]["name"]), (&"dockerhub".into(), &"library/alpine".into()));
    assert_eq!((&hub["route"]["library_added"], &hub["route"]["reference"]), (&true.into(), &"latest".into()));
    assert_eq!(lab.get("/api/explain?image=alpine").await.status, 401, "not without the token");
    assert_eq!(lab.api("GET", "/api/explain?image=a:", None).await.status, 400);
}

const PASSWORD: &str = "canary-password-77aa";
const SIGNATURE: &str = "canary-signature-19f0";
const COOKIE: &str = "canary-header-42be";

#[tokio::test(flavor = "multi_thread")]
async fn traced_exchanges_show_headers_and_no_secrets() {
    let repository = json!({ "auth": { "username": "ci", "password": PASSWORD } });
    let args = vec!["--trace-upstream".to_owned()];
    let lab = Lab::with(LabSetup { repository, args, ..LabSetup::default() });
    let cdn = FakeUpstream::start_beside(&lab.upstream);
    let image = Image::small(1, 50_000);
    lab.upstream.add_image(NAME, "1", &image);
    let account = Some(Account::new("ci", PASSWORD));
    lab.upstream.set_access(Access::Bearer(BearerRules { account, ..BearerRules::default() }));
    let signed = format!("{}/cdn/{}?X-Amz-Signature={SIGNATURE}", cdn.url(), image.blobs[1].digest);
    lab.upstream.fault(Target::kind(Kind::Blob), Fault::Redirect(307, Location::Fixed(signed)));
    assert_eq!(lab.get(&Lab::manifest_path("1")).await.status, 200);
    let with_cookie = [("Cookie", COOKIE), ("X-Secret", COOKIE)];
    assert_eq!(lab.get_with(&Lab::blob_path(&image.blobs[1].digest), &with_cookie).await.status, 200);
    lab.wait_stored(&image.blobs[1].digest).await;

    let answer = lab.api("GET", "/api/repos/lab/exchanges", None).await;
    let (text, list) = (answer.text(), answer.json());
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), lab.upstream.requests().len() + cdn.requests().len(), "{text}");
    let pair = |name: &str, value: &str| json!([name, value]).to_string();
    assert!(text.contains(&pair("authorization", "Bearer …")), "{text}");
    assert!(text.contains("docker-content-digest") && text.contains("X-Amz-Signature=…"), "{text}");
    assert_eq!(list[0]["kind"], "blob", "newest first: {text}");
    assert_eq!(lab.api("GET", "/api/repos/lab/exchanges?limit=1", None).await.json(), json!([list[0]]));
    assert_eq!(lab.api("GET", "/api/repos/none/exchanges", None).await.status, 404);
    assert_eq!(lab.get("/api/repos/lab/exchanges").await.status, 401);

    let log = lab.transship.log_text();
    assert!(log.contains("request_headers") && log.contains("response_headers"), "{log}");
    let explained = explained(&lab, &format!("lab/{NAME}:1")).await;
    assert_eq!(explained["upstreams"][0]["credential"]["kind"], "password", "{explained}");
    let shown = [text, log, explained.to_string()].join("\n");
    for secret in [PASSWORD, SIGNATURE, COOKIE, "fake-token-1"] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}
