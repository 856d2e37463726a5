//! Workflows end to end: pushes that are promoted by themselves, wait for a signature, and survive `kill -9`.
//!
//! Must not know: how the queue is kept. Invariant: waiting is for a state of the target or of the list, never for a time.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::image::Image;

use crate::lab::PROGRAM;
use crate::promotion::{COSIGN, Yard, open};

async fn listed(yard: &Yard, state: &str) -> Vec<Value> {
    let answer = yard.api("GET", &format!("/api/promotions?state={state}"), Value::Null).await;
    answer.json()["promotions"].as_array().unwrap().clone()
}

async fn until(yard: &Yard, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..6000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within a minute: {what}\n{}", yard.transship.log_text());
}

fn repos() -> Value {
    let to_prod = json!([
        { "from": "dev", "to": "prod", "when": "v*", "require": ["signed"] },
        { "from": "dev", "when": "l*", "require": [{ "labelled": { "team": "core" } }] },
        { "from": "dev", "when": "r*" },
        { "from": "dev", "when": "hand-*", "require": ["approved"], "run": "hand" },
    ]);
    json!({ "dev": open(&json!({})), "prod": open(&json!({ "promote": to_prod, "immutable_tags": ["r-held"] })) })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_waits_for_its_signature_over_kill_9_and_is_then_promoted() {
    let mut yard = Yard::start(&repos());
    let image = Image::small(1, 1000);
    let digest = yard.push("dev/app", "v1", &image).await.to_string();
    until(&yard, "the push waits", async || listed(&yard, "waiting").await.len() == 1).await;
    let waiting = listed(&yard, "waiting").await.remove(0);
    assert!(waiting["reason"].as_str().unwrap().contains("signed: no signature refers to"), "{waiting}");
    assert_eq!((&waiting["workflow"], yard.digest_of("prod/app", "v1").await), (&json!("dev to prod"), None));
    yard.transship.kill();
    yard.transship.start_again();
    assert_eq!(listed(&yard, "waiting").await.len(), 1, "still, and once");
    let by_hand = yard.run(&["promote", "dev/app:v1", "prod"]);
    assert!(by_hand.0 == 1 && by_hand.2.contains("signed: not met"), "the gate is the same by hand: {by_hand:?}");

    yard.refer("dev/app", COSIGN, &image).await;
    until(&yard, "it is promoted", async || yard.digest_of("prod/app", "v1").await == Some(digest.clone())).await;
    until(&yard, "the list says so", async || listed(&yard, "waiting").await.is_empty()).await;
    let done = listed(&yard, "done").await;
    assert_eq!((done.len(), &done[0]["id"], &done[0]["by"]), (1, &waiting["id"], &json!("workflow")), "{done:?}");
    assert!(done[0]["rules"][0]["passed"] == true, "{done:?}");

    // A tag that moves on while it waits is not promoted as it was.
    yard.push("dev/app", "v2", &Image::small(2, 1000)).await;
    until(&yard, "the first waits", async || listed(&yard, "waiting").await.len() == 1).await;
    yard.push("dev/app", "v2", &Image::small(3, 1000)).await;
    until(&yard, "it is given up", async || {
        let refused = listed(&yard, "refused").await;
        refused.iter().any(|one| one["reason"].as_str().is_some_and(|reason| reason.contains("something else by now")))
    })
    .await;
    until(&yard, "the second waits", async || listed(&yard, "waiting").await.len() == 1).await;
    assert_eq!(yard.digest_of("prod/app", "v2").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_acknowledged_is_promoted_also_when_the_program_dies_at_once() {
    let mut yard = Yard::start(&repos());
    for round in 0..3 {
        let image = Image::small(10 + round, 1000);
        let tag = format!("r{round}");
        let digest = yard.push("dev/app", &tag, &image).await.to_string();
        yard.transship.kill();
        yard.transship.start_again();
        until(&yard, &tag, async || yard.digest_of("prod/app", &tag).await == Some(digest.clone())).await;
    }
    let done = listed(&yard, "done").await;
    assert_eq!(done.len(), 3, "each once: {done:?}");
    // What can never be met, or is immutable at the target, is refused and said.
    yard.push("dev/app", "l1", &Image::small(20, 1000)).await;
    until(&yard, "the label is missing", async || listed(&yard, "refused").await.len() == 1).await;
    let held = Image::small(21, 1000);
    yard.push("prod/app", "r-held", &held).await;
    yard.push("dev/app", "r-held", &Image::small(22, 1000)).await;
    until(&yard, "the tag is immutable", async || listed(&yard, "refused").await.len() == 2).await;
    assert!(listed(&yard, "refused").await[0]["reason"].as_str().unwrap().contains("immutable"));
    assert_eq!(yard.digest_of("prod/app", "r-held").await, Some(held.digest().to_string()));
    // By hand only: nothing waits.
    yard.push("dev/app", "hand-1", &Image::small(23, 1000)).await;
    yard.push("dev/app", "r-last", &Image::small(24, 1000)).await;
    until(&yard, "r-last", async || yard.digest_of("prod/app", "r-last").await.is_some()).await;
    assert_eq!((listed(&yard, "waiting").await.len(), yard.digest_of("prod/app", "hand-1").await), (0, None));
    let (code, _, err) = yard.run(&["promote", "dev/app:hand-1", "prod"]);
    assert!(code == 1 && err.contains("approved: not met"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_in_a_circle_are_refused_in_the_file_and_over_the_api() {
    let repos = json!({
        "a": open(&json!({ "promote": [{ "from": "b" }] })), "b": open(&json!({ "promote": [{ "from": "a" }] })),
    });
    let (code, said) = config_check(&repos);
    assert!(code == Some(2) && said.contains("promoted back to it"), "{said}");

    let yard = Yard::start(&json!({ "fixed": open(&json!({})) }));
    let hosted = |key: &str, promote: Value| json!({ "key": key, "kind": "hosted", "promote": promote });
    for (key, promote) in [("b", json!([])), ("a", json!([{ "from": "b" }]))] {
        let made = yard.api("POST", "/api/repos", hosted(key, promote)).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let refused = yard.api("PUT", "/api/repos/b", hosted("b", json!([{ "from": "a" }]))).await;
    assert!(refused.status == 400 && refused.error_messages().contains("promoted back to it"), "{}", refused.text());
    let by_hand = hosted("b", json!([{ "from": "a", "run": "hand" }]));
    assert_eq!(yard.api("PUT", "/api/repos/b", by_hand).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_before_what_is_not_there_or_not_hosted_is_refused_in_the_file_and_over_the_api() {
    let gated = |from: &str| json!({ "kind": "hosted", "promote": [{ "from": from, "require": ["signed"] }] });
    for (from, problem) in [("dve", "there is no repository 'dve'"), ("hub", "'hub' is a cache of an upstream")] {
        let (dev, hub) = (open(&json!({})), json!({ "upstream": "https://r.example" }));
        let (code, said) = config_check(&json!({ "dev": dev, "hub": hub, "prod": gated(from) }));
        assert!(code == Some(2) && said.contains("prod.promote[0].from") && said.contains(problem), "{said}");
    }
    let yard = Yard::start(&json!({ "dev": open(&json!({})) }));
    let mut prod = gated("dve");
    prod["key"] = json!("prod");
    let refused = yard.api("POST", "/api/repos", prod.clone()).await;
    assert!(refused.status == 400 && refused.error_messages().contains("no repository 'dve'"), "{}", refused.text());
    prod["promote"][0]["from"] = json!("dev");
    assert_eq!(yard.api("POST", "/api/repos", prod.clone()).await.status, 201);
    prod["promote"][0]["when"] = json!([]);
    let refused = yard.api("PUT", "/api/repos/prod", prod).await;
    assert!(refused.status == 400 && refused.error_messages().contains("about no tag"), "{}", refused.text());
    yard.push("dev/app", "v1", &Image::small(1, 1000)).await;
    let unsigned = yard.api("POST", "/api/promotions", json!({ "from": "dev/app:v1", "to": "prod/app:v1" })).await;
    assert_eq!(unsigned.status, 403, "the gate stands: {}", unsigned.text());
}

/// What `transship config check` says of these repositories.
fn config_check(repos: &Value) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("transship.yaml");
    std::fs::write(&file, json!({ "builtin_upstreams": false, "repos": repos }).to_string()).unwrap();
    let output = std::process::Command::new(PROGRAM).env_clear().args(["config", "check"]).arg(&file).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
    (output.status.code(), said)
}
