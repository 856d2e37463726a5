//! One log line for each exchange with an upstream: login, retry, redirect, body.
//!
//! Must not know: the client library. Invariant: lines are compared with the upstream's own log of requests.

use serde_json::Value;
use testkit::image::Image;
use testkit::upstream::{Access, BearerRules, FakeUpstream, Fault, Kind, Location, Target};

use crate::lab::{Lab, NAME};

fn exchanges(lab: &Lab) -> Vec<Value> {
    lab.log().into_iter().filter(|line| line["target"] == "transship::upstream").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_exchange_leaves_one_line() {
    let lab = Lab::start();
    let cdn = FakeUpstream::start_beside(&lab.upstream);
    let image = Image::small(1, 500_000);
    lab.upstream.add_image(NAME, "1", &image);
    lab.upstream.set_access(Access::Bearer(BearerRules::default()));
    lab.upstream.fault(Target::kind(Kind::Manifest).get().first(1), Fault::status(503));
    lab.upstream.fault(Target::kind(Kind::Blob), Fault::Redirect(307, Location::Cdn(cdn.url())));
    let layer = &image.blobs[1];
    assert_eq!(lab.get(&Lab::manifest_path("1")).await.body, image.manifest.bytes);
    assert_eq!(lab.get(&Lab::blob_path(&layer.digest)).await.body, layer.bytes);
    lab.wait_stored(&layer.digest).await;

    let asked = lab.upstream.requests().len() + cdn.requests().len();
    lab.eventually("each request of upstream and CDN has its line", || exchanges(&lab).len() == asked).await;
    let lines = exchanges(&lab);
    for line in &lines {
        assert_eq!(line["repo_key"], "lab", "{line}");
        assert!(line["method"].is_string() && line["url"].is_string() && line["kind"].is_string(), "{line}");
        assert!(line["ttfb_ms"].is_u64() && line["total_ms"].is_u64() && line["attempt"].is_u64(), "{line}");
    }
    let statuses = |kind: &str| -> Vec<u64> {
        let of_kind = lines.iter().filter(|line| line["kind"] == kind);
        of_kind.map(|line| line["status"].as_u64().unwrap()).collect()
    };
    assert!(statuses("token").contains(&200), "{lines:?}");
    assert!(statuses("manifest").ends_with(&[503, 200]), "the retry is seen: {:?}", statuses("manifest"));
    assert!(statuses("blob").contains(&307) && statuses("blob").ends_with(&[200]), "{:?}", statuses("blob"));
    let retried = lines.iter().find(|line| line["kind"] == "manifest" && line["status"] == 200).unwrap();
    assert!(retried["attempt"].as_u64() > Some(1), "{retried}");
    let body = lines.iter().find(|line| line["kind"] == "blob" && line["status"] == 200).unwrap();
    assert_eq!(body["bytes"], layer.bytes.len(), "{body}");
    assert!(body["url"].as_str().unwrap().starts_with(&cdn.url()), "{body}");
    assert!(lines.iter().any(|line| line["connect_ms"].is_u64()), "a new connection tells how long it took");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_cannot_be_reached_is_a_line_with_the_reason() {
    let mut lab = Lab::start();
    lab.upstream.stop();
    let answer = lab.get(&Lab::manifest_path("1")).await;
    assert_eq!(answer.status, 502);
    let error = &answer.json()["errors"][0];
    assert_eq!(
        (&error["detail"]["repo_key"], &error["detail"]["upstream"]),
        (&"lab".into(), &lab.upstream.url().into())
    );
    lab.eventually("the failure is logged", || !exchanges(&lab).is_empty()).await;
    let line = &exchanges(&lab)[0];
    assert!(line.get("status").is_none_or(Value::is_null), "{line}");
    assert!(line["error"].as_str().is_some_and(|error| error.contains("refused")), "{line}");
}
