//! `/metrics`, `/healthz` and `/readyz` as Prometheus and an orchestrator see them.
//!
//! Must not know: where counters live. Invariant: a number is compared with what the test did, not with another number
//! of the program.

use testkit::image::Image;
use testkit::upstream::{Fault, Gate, Target};

use crate::http;
use crate::lab::{Lab, NAME, metric_in};

/// A length as metrics write it.
fn size(bytes: &[u8]) -> f64 {
    f64::from(u32::try_from(bytes.len()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_and_bytes_are_counted_by_repository_and_outcome() {
    let mut lab = Lab::with_repository(serde_json::json!({ "tag_ttl": "0s" }));
    let image = Image::small(1, 300_000);
    lab.upstream.add_image(NAME, "1", &image);
    let layer = &image.blobs[1];
    let (manifest, blob) = (Lab::manifest_path("1"), Lab::blob_path(&layer.digest));
    lab.get(&manifest).await;
    lab.get(&blob).await;
    lab.wait_stored(&layer.digest).await;
    for _ in 0..3 {
        lab.get(&manifest).await;
        lab.get(&blob).await;
    }
    lab.get_with(&blob, &[("Range", "bytes=0-99")]).await;
    lab.upstream.stop();
    lab.get(&manifest).await;

    let pulls = |kind: &str, outcome: &str| {
        format!("transship_pulls_total{{repo_key=\"lab\",kind=\"{kind}\",outcome=\"{outcome}\"}}")
    };
    let text = lab.get("/metrics").await.text();
    for (series, expected) in [
        (pulls("manifest", "miss"), 1.0),
        (pulls("manifest", "revalidated"), 3.0),
        (pulls("manifest", "stale"), 1.0),
        (pulls("blob", "miss"), 1.0),
        (pulls("blob", "hit"), 4.0),
    ] {
        assert_eq!(metric_in(&text, &series), Some(expected), "{series} in\n{text}");
    }
    let bytes = size(&layer.bytes);
    let served = |outcome: &str| {
        metric_in(&text, &format!("transship_served_bytes_total{{repo_key=\"lab\",outcome=\"{outcome}\"}}"))
    };
    let manifest_bytes = size(&image.manifest.bytes);
    assert_eq!(served("miss"), Some(bytes + manifest_bytes));
    assert_eq!(served("hit"), Some(3.0 * bytes + 100.0));
    assert_eq!(served("revalidated"), Some(3.0 * manifest_bytes));
    let source = format!("repo_key=\"lab\",upstream=\"{}\"", lab.upstream.host());
    let received = metric_in(&text, &format!("transship_upstream_received_bytes_total{{{source}}}")).unwrap();
    assert!(received >= bytes + manifest_bytes && received < bytes + 2.0 * manifest_bytes, "{received}");
    assert!(metric_in(&text, "transship_cache_size_bytes") >= Some(bytes), "{text}");
    for histogram in ["transship_upstream_first_byte_seconds", "transship_upstream_exchange_seconds"] {
        let count = metric_in(&text, &format!("{histogram}_count{{{source}}}"));
        assert!(count >= Some(2.0), "{histogram}: {count:?}");
    }
    let failed = format!("transship_upstream_exchanges_total{{{source},kind=\"manifest\",status=\"none\"}}");
    let failed = metric_in(&text, &failed);
    assert!(failed >= Some(1.0), "the upstream that is down is counted\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fills_and_followers_are_seen_while_they_last() {
    let lab = Lab::start();
    let bytes = testkit::image::blob(1, 5_000_000);
    let digest = lab.upstream.add_blob(NAME, bytes.clone());
    let gate = Gate::new();
    lab.upstream.fault(Target::blob(&digest).get().nth(1), Fault::StallAfter(1_000_000, gate.clone()));
    let (one, two) = (lab.open(&Lab::blob_path(&digest)).await, lab.open(&Lab::blob_path(&digest)).await);
    lab.wait_metric("transship_fills_in_flight", 1.0).await;
    lab.wait_metric("transship_fill_followers", 2.0).await;
    gate.release();
    for download in [one, two] {
        assert_eq!(http::compare(download, &bytes).await, (bytes.len(), true));
    }
    lab.wait_metric("transship_fills_in_flight", 0.0).await;
    lab.wait_metric("transship_fill_followers", 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_is_what_prometheus_reads() {
    let lab = Lab::start();
    lab.get("/v2/").await;
    let answer = lab.get_with("/metrics", &[("Accept", "application/openmetrics-text;version=1.0.0")]).await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"), "{:?}", answer.headers);
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"));
    let mut described = std::collections::BTreeSet::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            assert!(["HELP", "TYPE", "UNIT"].contains(&words[0]) && !words[2].is_empty(), "{line}");
            described.insert(words[1].to_owned());
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = series.split('{').next().unwrap();
            let family = described.iter().any(|family| name.starts_with(family.as_str()));
            assert!(family, "{name} has no description");
        }
    }
    assert!(described.len() > 20, "{described:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn alive_and_ready_say_so_also_while_upstream_is_down() {
    let mut lab = Lab::start();
    lab.upstream.stop();
    lab.transship.start_again();
    for path in ["/healthz", "/readyz"] {
        let answer = lab.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"), "{path}");
        assert!(answer.json()["status"].is_string());
    }
}
