//! The weather at the upstream: bursts, rate limits that run out, an open circuit breaker, a false "not found".

use std::collections::HashMap;
use std::time::{Duration, Instant};

use client::{HostLimits, OwnLimits};
use serde_json::json;
use testkit::image::{Image, blob};
use testkit::upstream::{FakeUpstream, Fault, Gate, Kind, Request, Target};
use transship_registry::{
    Builtins, ConfiguredRepository, Provenance, PullError, PullOutcome, Timeouts, UpstreamDefaults,
};

use crate::harness::{Lab, eventually};

const TAGS: usize = 50;

async fn lab_with_tags(ttl: &str) -> Lab {
    let lab = Lab::with(json!({ "tag_ttl": ttl }), 1 << 30).await;
    let digest = lab.upstream.add_image("team/app", "t0", &Image::small(1, 3000));
    for number in 0..TAGS {
        lab.upstream.set_tag("team/app", &format!("t{number}"), &digest);
    }
    for number in 0..TAGS {
        lab.manifest(&format!("t{number}")).await.unwrap();
    }
    lab.upstream.clear_log();
    lab
}

/// A thousand pulls at once; all must succeed.
async fn burst(lab: &Lab) -> Vec<PullOutcome> {
    let pulls = (0..1000).map(|number| async move { lab.manifest(&format!("t{}", number % TAGS)).await.unwrap().1 });
    futures_util::future::join_all(pulls).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_on_cached_tags_costs_a_head_each_and_no_get() {
    let ttl = Duration::from_secs(1);
    let lab = lab_with_tags("1s").await;
    tokio::time::sleep(ttl).await;
    let started = Instant::now();
    burst(&lab).await;
    let lives = started.elapsed().as_secs() as usize + 1;
    let mut heads: HashMap<String, usize> = HashMap::new();
    for request in lab.upstream.requests() {
        assert_eq!(request.method, "HEAD");
        *heads.entry(request.path).or_default() += 1;
    }
    assert!(heads.values().all(|count| *count <= lives), "{heads:?} in {lives} times to live");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_of_429_is_an_hour_of_stale_answers() {
    let lab = lab_with_tags("1s").await;
    lab.upstream.fault(Target::any(), Fault::too_many_requests(Some("3600")));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let outcomes = burst(&lab).await;
    assert!(outcomes.iter().all(|outcome| *outcome == PullOutcome::Stale));
    assert!(lab.upstream.requests().len() <= TAGS, "only what was under way before the first answer");
    lab.upstream.clear_log();
    assert!(burst(&lab).await.iter().all(|outcome| *outcome == PullOutcome::Stale));
    assert!(matches!(lab.manifest("unknown").await, Err(PullError::RateLimited { retry_after: Some(_), .. })));
    assert_eq!(lab.upstream.requests().len(), 0, "nobody asks before the date");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_that_runs_out_moves_tags_to_the_background() {
    let lab = Lab::with(json!({ "tag_ttl": "0s" }), 1 << 30).await;
    let first = lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    let second = lab.upstream.add_untagged("team/app", &Image::small(2, 3000));
    for (name, value) in [("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "9;w=21600")] {
        lab.upstream.fault(Target::kind(Kind::Manifest), Fault::AddHeader(name.into(), value.into()));
    }
    lab.manifest("v1").await.unwrap();
    lab.upstream.set_tag("team/app", "v1", &second);
    let (bytes, outcome) = lab.manifest("v1").await.unwrap();
    assert_eq!((oci::Digest::sha256_of(&bytes), outcome), (first, PullOutcome::Stale));
    let heads = || lab.upstream.requests().iter().filter(|request| request.method == "HEAD").count();
    eventually("the tag is revalidated in the background", || heads() == 1).await;
    for _ in 0..500 {
        if oci::Digest::sha256_of(&lab.manifest("v1").await.unwrap().0) == second {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the tag's move was never seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_breaker_answers_at_once_and_asks_nothing() {
    let lab = lab_with_tags("0s").await;
    lab.upstream.fault(Target::any(), Fault::status(503));
    for number in 0..TAGS {
        assert_eq!(lab.manifest(&format!("t{number}")).await.unwrap().1, PullOutcome::Stale);
    }
    let resting = |error| matches!(error, Err(PullError::UpstreamResting { .. }));
    assert!(resting(lab.manifest("unknown").await.map(drop)));
    lab.upstream.clear_log();
    for _ in 0..20 {
        assert!(resting(lab.manifest("unknown").await.map(drop)));
    }
    assert!(lab.upstream.requests().len() <= 1, "at most one probe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_not_found_leaves_the_digest_and_is_not_kept() {
    let lab = Lab::with(json!({ "tag_ttl": "0s" }), 1 << 30).await;
    let digest = lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    lab.manifest("v1").await.unwrap();
    lab.upstream.fault(Target::manifest("v1"), Fault::status(404));
    assert!(matches!(lab.manifest("v1").await, Err(PullError::ManifestUnknown { .. })));
    assert_eq!(lab.manifest(&digest.to_string()).await.unwrap().1, PullOutcome::Hit);
    lab.upstream.clear_faults();
    let patience = Instant::now() + Duration::from_mins(1);
    while lab.manifest("v1").await.is_err() {
        assert!(Instant::now() < patience, "the 404 is kept for longer than a minute");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_weather_of_each_host_is_told_with_its_accounts_and_repositories() {
    let auth = json!({ "name": "ci", "username": "u", "password": "canary-password" });
    let lab = Lab::with(json!({ "tag_ttl": "0s", "auth": auth }), 1 << 30).await;
    lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    let said = [
        ("ratelimit-limit", "100;w=21600"),
        ("ratelimit-remaining", "76;w=21600"),
        ("docker-ratelimit-source", "192.0.2.7"),
    ];
    for (name, value) in said {
        lab.upstream.fault(Target::kind(Kind::Manifest), Fault::AddHeader(name.into(), value.into()));
    }
    lab.manifest("v1").await.unwrap();
    let host = |lab: &Lab| {
        let all = lab.registry.upstreams();
        let uses_it = |host: &&serde_json::Value| host["repositories"][0]["repository"] == "lab";
        all.as_array().unwrap().iter().find(uses_it).unwrap().clone()
    };
    let seen = host(&lab);
    let address = lab.upstream.url();
    assert_eq!(seen["url"], address.trim_end_matches('/'));
    assert_eq!((&seen["breaker"], &seen["blocked_until"]), (&json!("closed"), &json!(null)));
    assert!(seen["latency_ms"].is_u64());
    assert_eq!(seen["repositories"][0]["role"], "named");
    // The lab asks anonymously first, and is not asked for more.
    let limit = &seen["accounts"][0]["rate_limit"];
    assert_eq!(seen["accounts"][0]["name"], "anonymous");
    let numbers = [&limit["limit"], &limit["remaining"], &limit["window_seconds"]].map(|n| n.as_u64().unwrap());
    assert_eq!(numbers, [100, 76, 21600]);
    assert_eq!((&limit["source"], &limit["exhausted_in_seconds"]), (&json!("192.0.2.7"), &json!(null)));
    assert!(!seen.to_string().contains("canary"));

    lab.upstream.fault(Target::any(), Fault::too_many_requests(Some("3600")));
    lab.manifest("v1").await.unwrap();
    let date = host(&lab)["accounts"][0]["blocked_until"].as_str().unwrap().to_owned();
    assert!(date.ends_with('Z') && date.starts_with("20"), "{date}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_tag_is_served_at_once_where_that_is_wished_for() {
    let fields = json!({ "tag_ttl": "0s", "stale_while_revalidate": "1h", "stale_if_error": "0s" });
    let lab = Lab::with(fields, 1 << 30).await;
    let first = lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    let second = lab.upstream.add_untagged("team/app", &Image::small(2, 3000));
    assert_eq!(lab.manifest("v1").await.unwrap().1, PullOutcome::Miss, "nothing is known yet");
    lab.upstream.set_tag("team/app", "v1", &second);
    lab.upstream.clear_log();
    let (bytes, outcome) = lab.manifest("v1").await.unwrap();
    assert_eq!((oci::Digest::sha256_of(&bytes), outcome), (first, PullOutcome::Stale));
    for _ in 0..500 {
        if oci::Digest::sha256_of(&lab.manifest("v1").await.unwrap().0) == second {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the check in the background never moved the tag");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_on_one_kind_of_request_only_leave_what_is_cached() {
    let image = Image::small(1, 3000);
    let layer = image.blobs[1].digest;
    for status in [500, 502, 503, 504] {
        for target in [Target::any().head(), Target::any().get(), Target::kind(Kind::Blob)] {
            let lab = Lab::with(json!({ "tag_ttl": "0s" }), 1 << 30).await;
            let digest = lab.upstream.add_image("team/app", "v1", &image);
            let other = Image::small(2, 3000);
            lab.upstream.add_image("team/app", "v2", &other);
            lab.manifest("v1").await.unwrap();
            lab.blob(&layer).await.unwrap();
            lab.wait_stored(&layer).await;
            lab.upstream.fault(target, Fault::status(status));
            let (bytes, outcome) = lab.manifest("v1").await.unwrap();
            assert_eq!(oci::Digest::sha256_of(&bytes), digest, "{status}");
            assert!(matches!(outcome, PullOutcome::Stale | PullOutcome::Revalidated), "{status}: {outcome:?}");
            assert_eq!(lab.blob(&layer).await.unwrap().1, PullOutcome::Hit, "{status}");
            // What is not cached fails as the upstream does, or is there; it is never "unknown".
            for missing in [lab.manifest("v2").await.map(drop), lab.blob(&other.blobs[1].digest).await.map(drop)] {
                let unknown =
                    |e: &PullError| matches!(e, PullError::ManifestUnknown { .. } | PullError::BlobUnknown { .. });
                assert!(!missing.as_ref().is_err_and(unknown), "{status}: {missing:?}");
            }
        }
    }
}

/// Has the upstream tell that so much of 100 pulls is left.
fn tell_left(upstream: &FakeUpstream, left: u32) {
    for (name, value) in
        [("ratelimit-limit", "100;w=21600".to_owned()), ("ratelimit-remaining", format!("{left};w=21600"))]
    {
        upstream.fault(Target::kind(Kind::Manifest), Fault::AddHeader(name.into(), value));
    }
}

fn of_tag<'a>(requests: &'a [Request], tag: &str) -> Vec<&'a Request> {
    requests.iter().filter(|request| request.path.ends_with(&format!("/manifests/{tag}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_pulls_are_kept_for_what_is_not_cached() {
    let lab = Lab::with(json!({ "tag_ttl": "0s" }), 1 << 30).await;
    let first = lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    lab.upstream.add_image("team/app", "v2", &Image::small(2, 3000));
    tell_left(&lab.upstream, 5);
    lab.manifest("v1").await.unwrap();
    lab.upstream.clear_log();
    for _ in 0..20 {
        let (bytes, outcome) = lab.manifest("v1").await.unwrap();
        assert_eq!((oci::Digest::sha256_of(&bytes), outcome), (first, PullOutcome::Stale));
    }
    assert_eq!(lab.manifest("v2").await.unwrap().1, PullOutcome::Miss, "what is not here is pulled");
    let requests = lab.upstream.requests();
    assert!(of_tag(&requests, "v1").is_empty(), "it was asked for what is cached: {requests:?}");
    let told = lab.registry.upstreams().to_string();
    assert!(told.contains(r#""is_reserved":true"#), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_heads_are_free_the_last_pulls_are_kept_from_moved_tags_only() {
    let fields = json!({ "tag_ttl": "0s", "profile": "dockerhub", "library_prefix": false });
    let lab = Lab::with(fields, 1 << 30).await;
    let first = lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    let second = lab.upstream.add_untagged("team/app", &Image::small(2, 3000));
    tell_left(&lab.upstream, 5);
    lab.manifest("v1").await.unwrap();
    lab.upstream.set_tag("team/app", "v1", &second);
    lab.upstream.clear_log();
    let heads = || of_tag(&lab.upstream.requests(), "v1").iter().filter(|request| request.method == "HEAD").count();
    assert_eq!(oci::Digest::sha256_of(&lab.manifest("v1").await.unwrap().0), first);
    eventually("the tag is asked for with a HEAD", || heads() == 1).await;
    for _ in 0..20 {
        assert_eq!(oci::Digest::sha256_of(&lab.manifest("v1").await.unwrap().0), first);
    }
    let requests = lab.upstream.requests();
    assert!(requests.iter().all(|request| request.method == "HEAD"), "{requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_back_where_nothing_may_stand_in() {
    let lab = Lab::with(json!({ "tag_ttl": "0s", "stale_if_error": "0s" }), 1 << 30).await;
    lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    let second = lab.upstream.add_untagged("team/app", &Image::small(2, 3000));
    tell_left(&lab.upstream, 5);
    lab.manifest("v1").await.unwrap();
    lab.upstream.set_tag("team/app", "v1", &second);
    assert_eq!(oci::Digest::sha256_of(&lab.manifest("v1").await.unwrap().0), second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_own_limits_hold_for_all_its_repositories_and_reload() {
    let lab = Lab::new().await;
    let twin = json!({ "upstream": lab.upstream.url(), "internal": true, "limits": { "requests_per_second": 50 } });
    let spec = |key: &str, document: &serde_json::Value| {
        ConfiguredRepository::from_document(key.parse().unwrap(), document, Provenance::File).unwrap()
    };
    let plain = json!({ "upstream": lab.upstream.url(), "internal": true });
    let specs = || vec![spec("lab", &plain), spec("twin", &twin)];
    let host = lab.upstream.host().parse().unwrap();
    let one_at_a_time = OwnLimits { concurrent_requests: std::num::NonZeroU32::new(1), ..OwnLimits::default() };
    let limited = UpstreamDefaults {
        host_limits: HostLimits::new([(host, one_at_a_time)]),
        // A turn is waited for three quarters of the time that a call has.
        timeouts: Timeouts { first_byte: Duration::from_secs(1), ..Timeouts::default() },
        ..UpstreamDefaults::default()
    };
    lab.registry.reload(specs(), Builtins::Excluded, limited, 1 << 30).await.unwrap();
    let told = lab.registry.upstreams();
    assert_eq!(told[0]["limits"]["concurrent_requests"], 1, "{told}");
    assert_eq!(told[0]["repositories"][1]["limits"]["requests_per_second"], 50, "{told}");

    // A body that waits at the upstream holds the one place, and the other repository has no turn.
    let held = lab.upstream.add_blob("team/app", blob(1, 600_000));
    let gate = Gate::new();
    lab.upstream.fault(Target::blob(&held), Fault::StallAfter(1000, gate.clone()));
    let open = lab.registry.open_blob(&lab.route(), &held, None).await.unwrap();
    lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    let reference = "v1".parse().unwrap();
    let route = lab.route_to("twin/team/app");
    let refused = lab.registry.pull_manifest(&route, &reference).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("upstream.limits"), "{refused}");

    // Without the limit it has.
    lab.registry.reload(specs(), Builtins::Excluded, UpstreamDefaults::default(), 1 << 30).await.unwrap();
    lab.registry.pull_manifest(&lab.route_to("twin/team/app"), &reference).await.map(drop).unwrap();
    gate.release();
    drop(open);
}
