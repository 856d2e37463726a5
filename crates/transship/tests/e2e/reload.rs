//! The configuration read again: on SIGHUP and when the file changes.
//!
//! Must not know: how files are watched. Invariant: pulls go on; a wrong file changes nothing.

use std::fs;

use serde_json::{Value, json};
use testkit::image::Image;
use testkit::upstream::{FakeUpstream, Fault, Gate, Target};

use crate::http;
use crate::lab::{Lab, LabSetup, NAME, config};

/// Rewrites the file with these repositories beside `lab`, in one step as editors do.
fn rewrite(lab: &Lab, more: &Value) {
    let mut changed = config(&lab.upstream.url(), &LabSetup::default());
    changed["repos"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    replace_file(lab, &changed.to_string());
}

fn replace_file(lab: &Lab, text: &str) {
    let file = lab.transship.config_file();
    let beside = file.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, file).unwrap();
}

fn reloads(lab: &Lab) -> usize {
    lab.log().iter().filter(|line| line["message"] == "configuration reloaded").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_come_and_go_with_the_file() {
    let lab = Lab::start();
    let second = FakeUpstream::start();
    let image = Image::small(1, 1000);
    second.add_image("app", "1", &image);
    let added = lab.api("POST", "/api/repos", Some(json!({ "key": "by-api", "upstream": "https://registry.example" })));
    assert_eq!(added.await.status, 201);
    assert_eq!(lab.get("/v2/more/app/manifests/1").await.status, 404);

    rewrite(&lab, &json!({ "more": { "upstream": second.url(), "internal": true } }));
    lab.eventually("the change of the file is noticed", || reloads(&lab) >= 1).await;
    assert_eq!(lab.get("/v2/more/app/manifests/1").await.body, image.manifest.bytes);

    rewrite(&lab, &json!({}));
    lab.eventually("the second change is noticed", || reloads(&lab) >= 2).await;
    assert_eq!(lab.get("/v2/more/app/manifests/1").await.status, 404);
    assert_eq!(lab.api("GET", "/api/repos/by-api", None).await.status, 200, "what came over the API stays");
    assert_eq!(lab.api("GET", "/api/repos/lab", None).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_and_pulls_under_way_go_on() {
    let lab = Lab::start();
    let bytes = testkit::image::blob(1, 5_000_000);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let gate = Gate::new();
    lab.upstream.fault(Target::blob(&digest).get().nth(1), Fault::StallAfter(1_000_000, gate.clone()));
    let download = lab.open(&Lab::blob_path(&digest)).await;
    gate.wait_arrivals(1).await;
    lab.transship.reload();
    lab.eventually("the signal is heeded", || lab.log().iter().any(|line| line["why"] == "SIGHUP")).await;
    gate.release();
    assert_eq!(http::compare(download, &bytes).await, (bytes.len(), true));
    assert_eq!(lab.upstream.bytes_sent_for(&digest), bytes.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_changes_nothing_and_says_why() {
    let lab = Lab::start();
    let image = Image::small(1, 1000);
    lab.upstream.add_image(NAME, "1", &image);
    for (number, wrong) in
        ["repos: [", "listen: 7\ncolour: blue\n", "repos: { lab: { upstream: nonsense } }"].iter().enumerate()
    {
        replace_file(&lab, wrong);
        let refusals = || {
            lab.log()
                .iter()
                .filter(|line| line["message"].as_str().is_some_and(|text| text.contains("the old one stays in use")))
                .count()
        };
        lab.eventually("the wrong file is refused", || refusals() > number).await;
        assert_eq!(lab.get(&Lab::manifest_path("1")).await.body, image.manifest.bytes, "after {wrong}");
    }
    let log = lab.transship.log_text();
    for told in ["listen", "colour", "repos.lab.upstream"] {
        assert!(log.contains(told), "{told} is not told of in\n{log}");
    }
    rewrite(&lab, &json!({}));
    lab.eventually("a good file is taken again", || reloads(&lab) >= 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn budget_and_log_level_change_while_running() {
    let lab = Lab::start();
    let mut changed = config(&lab.upstream.url(), &LabSetup::default());
    changed["cache"] = json!({ "max_size": "3MiB" });
    changed["log"] = json!({ "level": "debug" });
    replace_file(&lab, &changed.to_string());
    lab.eventually("the change is noticed", || reloads(&lab) == 1).await;
    lab.wait_metric("transship_cache_max_size_bytes", f64::from(3 << 20)).await;
    changed["listen"] = json!(["127.0.0.1:1"]);
    changed["cache"] = json!({ "max_size": "5MiB" });
    replace_file(&lab, &changed.to_string());
    lab.wait_metric("transship_cache_max_size_bytes", f64::from(5 << 20)).await;
}
