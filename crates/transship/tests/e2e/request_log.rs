//! One log line for each request, with what an operator needs to follow it.
//!
//! Must not know: how lines are written. Invariant: requests are found by the `X-Request-Id` the test gave them.

use serde_json::Value;
use testkit::image::{self, Image};

use crate::http;
use crate::lab::{Lab, LabSetup, NAME};

/// The fields of one line, in the order of `names`, as JSON text; `-` for one that is missing.
fn fields(line: &Value, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| line.get(*name).map_or("-".to_owned(), Value::to_string)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_leaves_one_line_that_tells_all() {
    let mut lab = Lab::with_repository(serde_json::json!({ "tag_ttl": "0s" }));
    let image = Image::small(1, 100_000);
    lab.upstream.add_image(NAME, "1", &image);
    let layer = &image.blobs[1];
    let (manifest, blob) = (Lab::manifest_path("1"), Lab::blob_path(&layer.digest));
    let upstream_url = |rest: &str| format!("\"{}/v2/{NAME}/{rest}\"", lab.upstream.url());
    let manifest_url = upstream_url("manifests/1");
    let blob_url = upstream_url(&format!("blobs/{}", layer.digest));
    let manifest_bytes = image.manifest.bytes.len().to_string();
    let layer_bytes = layer.bytes.len().to_string();

    let names = ["status", "repo_key", "upstream_url", "cache", "bytes"];
    let range = vec![("Range", "bytes=0-9")];
    let cases = [
        ("m-miss", &manifest, vec![], ["200", "\"lab\"", &manifest_url, "\"miss\"", &manifest_bytes]),
        ("m-revalidated", &manifest, vec![], ["200", "\"lab\"", &manifest_url, "\"revalidated\"", &manifest_bytes]),
        ("b-miss", &blob, vec![], ["200", "\"lab\"", &blob_url, "\"miss\"", &layer_bytes]),
        ("b-hit", &blob, vec![], ["200", "\"lab\"", &blob_url, "\"hit\"", &layer_bytes]),
        ("b-range", &blob, range, ["206", "\"lab\"", &blob_url, "\"hit\"", "10"]),
    ];
    for (id, path, mut headers, expected) in cases {
        headers.push(("X-Request-Id", id));
        let answer = lab.get_with(path, &headers).await;
        assert_eq!(answer.header("x-request-id"), id);
        let line = lab.request_line(id).await;
        assert_eq!(fields(&line, &names), expected, "{id}: {line}");
        assert_eq!((&line["method"], &line["path"]), (&"GET".into(), &path.as_str().into()));
        assert!(line["latency_ms"].as_f64() > Some(0.0), "{line}");
        assert_eq!(line["trace_id"].as_str().unwrap().len(), 32, "{line}");
        if id == "b-miss" {
            lab.wait_stored(&layer.digest).await;
        }
    }
    lab.upstream.stop();
    lab.get_with(&manifest, &[("X-Request-Id", "m-stale")]).await;
    assert_eq!(lab.request_line("m-stale").await["cache"], "stale");
    lab.get_with(&Lab::manifest_path("unknown"), &[("X-Request-Id", "failed")]).await;
    let failed = lab.request_line("failed").await;
    assert_eq!((&failed["status"], &failed["level"]), (&502.into(), &"ERROR".into()), "{failed}");
    assert!(failed["error"].as_str().unwrap().contains(&lab.upstream.url()), "{failed}");
    let lines = lab.request_lines();
    for id in ["m-miss", "m-revalidated", "b-miss", "b-hit", "b-range", "m-stale", "failed"] {
        assert_eq!(lines.iter().filter(|line| line["request_id"] == id).count(), 1, "one line for {id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_is_told_apart_from_a_cut() {
    let lab = Lab::start();
    let bytes = image::blob(1, 30_000_000);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let response =
        lab.client.get(lab.url(&Lab::blob_path(&digest))).header("X-Request-Id", "left").send().await.unwrap();
    drop(response);
    let line = lab.request_line("left").await;
    assert_eq!(line["end"], "client_gone", "{line}");
    lab.wait_stored(&digest).await;

    let bad = lab.upstream.add_blob(NAME, image::blob(2, 3_000_000));
    lab.upstream.fault(testkit::upstream::Target::blob(&bad), testkit::upstream::Fault::FlipByte(1_000_000));
    let answer = lab.get_with(&Lab::blob_path(&bad), &[("X-Request-Id", "cut")]).await;
    assert!(!answer.is_whole());
    let line = lab.request_line("cut").await;
    assert_eq!((&line["end"], &line["level"]), (&"cut".into(), &"WARN".into()), "{line}");
    assert!(line["cut"].as_str().unwrap().contains("hash"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_cannot_forge_lines() {
    let lab = Lab::start();
    let forged = "{\"message\":\"request\",\"request_id\":\"forged\"}";
    let path = format!("/v2/lab/app/manifests/x%0a{}", forged.replace(['{', '}', '"'], "_"));
    let answer = lab.get_with(&path, &[("User-Agent", &format!("agent\t{forged}")), ("X-Request-Id", "real")]).await;
    assert_eq!(answer.status, 400);
    let line = lab.request_line("real").await;
    assert!(line["user_agent"].as_str().unwrap().contains("forged"), "{line}");
    assert!(lab.request_lines().iter().all(|line| line["request_id"] != "forged"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_and_the_form_follow_the_flags() {
    let args = ["--log-level", "warn", "--log-format", "human"].map(str::to_owned).to_vec();
    let quiet = Lab::with(LabSetup { args, ..LabSetup::default() });
    quiet.get("/v2/").await;
    let args = ["--log-format", "human"].map(str::to_owned).to_vec();
    let loud = Lab::with(LabSetup { args, ..LabSetup::default() });
    let answer = http::send(&loud.client, "GET", &loud.url("/v2/"), &[("X-Request-Id", "seen")], Vec::new()).await;
    assert_eq!(answer.status, 200);
    let log = || loud.transship.log_text();
    loud.eventually("the request is logged for people", || {
        log().contains("GET /v2/ 200") && log().contains("request_id=seen")
    })
    .await;
    assert!(loud.log().is_empty(), "no line is JSON");
    assert!(!quiet.transship.log_text().contains("/v2/ 200"));
}
