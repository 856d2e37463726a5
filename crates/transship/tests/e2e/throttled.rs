//! A fleet of clients on cached tags, at an upstream that counts pulls as Docker Hub does and then refuses all of them.
//!
//! Must not know: how tags are kept. Invariants: what upstream was asked is read from its log; no test waits for an hour:
//! that nobody asks before the hour is over is seen in the log of a burst.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mock_upstream::registries::FakeRegistry;
use serde_json::json;
use testkit::image::Image;
use testkit::transship_process::{TransshipProcess, TransshipSetup};
use testkit::upstream::{Fault, Kind, Target};

use crate::http::{self, Answer};
use crate::lab::{PROGRAM, comes_true, log_of, metric_in};

const TAGS: usize = 50;
const PULLS: usize = 1000;
/// Longest wait: generous, for only a failing test reaches it.
const PATIENCE: Duration = Duration::from_mins(1);

/// The program before a fake of Docker Hub with as many tags.
struct Fleet {
    hub: FakeRegistry,
    transship: TransshipProcess,
    client: reqwest::Client,
    images: Vec<Image>,
}

impl Fleet {
    fn start(tag_ttl: &str) -> Self {
        let hub = FakeRegistry::start("dockerhub").unwrap();
        let images: Vec<Image> = (0..TAGS).map(|seed| Image::small(seed as u64, 2_000)).collect();
        for (number, image) in images.iter().enumerate() {
            hub.add_image(&format!("v{number}"), image);
        }
        let account = hub.account().unwrap();
        let token_hosts: Vec<String> = hub.token_host().into_iter().collect();
        let repository = json!({
            "upstream": hub.origin().url(), "internal": true, "profile": "dockerhub", "tag_ttl": tag_ttl,
            "token_hosts": token_hosts,
            "auth": { "username": account.username, "password": account.password },
        });
        let config = json!({ "repos": { "hub": repository } }).to_string();
        let setup = TransshipSetup { config: Some(config), ..TransshipSetup::default() };
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { transship: TransshipProcess::start(PROGRAM, setup), hub, client, images }
    }

    async fn get(&self, number: usize) -> Answer {
        let url = format!("{}/v2/hub/{}/manifests/v{number}", self.transship.url(), self.hub.pull_name());
        http::send(&self.client, "GET", &url, &[], Vec::new()).await
    }

    /// A thousand pulls, a hundred at a time; all succeed with the right bytes.
    async fn burst(&self) -> Vec<Answer> {
        let mut answers = Vec::new();
        for hundred in 0..PULLS / 100 {
            let pulls = (0..100).map(|number| self.get((hundred * 100 + number) % TAGS));
            answers.extend(join_all(pulls).await);
        }
        for (number, answer) in answers.iter().enumerate() {
            let image = &self.images[number % TAGS];
            assert_eq!((answer.status, answer.body == image.manifest.bytes), (200, true), "{}", answer.text());
        }
        answers
    }

    async fn metrics(&self) -> String {
        let url = format!("{}/metrics", self.transship.url());
        http::send(&self.client, "GET", &url, &[], Vec::new()).await.text()
    }

    /// Requests for manifests since the log was cleared, by method.
    fn asked(&self, method: &str) -> HashMap<String, usize> {
        let mut asked = HashMap::new();
        for request in self.hub.origin().requests() {
            if request.method == method && request.kind() == Kind::Manifest {
                *asked.entry(request.path).or_default() += 1;
            }
        }
        asked
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_on_cached_tags_costs_a_head_for_each_tag_and_no_pull() {
    let fleet = Fleet::start("1h");
    for number in 0..TAGS {
        assert_eq!(fleet.get(number).await.status, 200);
    }
    fleet.hub.origin().clear_log();
    fleet.burst().await;
    assert!(fleet.hub.origin().requests().is_empty(), "inside their time tags cost nothing");

    // Bursts until every tag was due at least once.
    let fleet = Fleet::start("1s");
    for number in 0..TAGS {
        assert_eq!(fleet.get(number).await.status, 200);
    }
    fleet.hub.origin().clear_log();
    let began = Instant::now();
    while fleet.asked("HEAD").len() < TAGS {
        assert!(began.elapsed() < PATIENCE, "{:?}", fleet.asked("HEAD"));
        fleet.burst().await;
    }
    let lives = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
    let heads = fleet.asked("HEAD");
    assert!(heads.values().all(|count| *count <= lives), "{heads:?} in {lives} times to live");
    assert_eq!(fleet.asked("GET"), HashMap::new(), "no pull was spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_of_429_is_answered_from_the_cache_and_says_so() {
    let fleet = Fleet::start("0s");
    for number in 0..TAGS {
        assert_eq!(fleet.get(number).await.status, 200);
    }
    fleet.hub.origin().fault(Target::any(), Fault::too_many_requests(Some("3600")));
    fleet.hub.origin().clear_log();
    let answers = fleet.burst().await;
    for answer in &answers {
        assert!(answer.header("warning").starts_with("299 - \"stale: "), "{:?}", answer.headers);
        assert!(answer.header("age").parse::<u64>().is_ok(), "{:?}", answer.headers);
        assert_eq!(answer.header("cache-control"), "no-cache");
        assert!(answer.header("cache-status").contains("fwd=stale"), "{:?}", answer.headers);
    }
    assert!(fleet.hub.origin().requests().len() <= TAGS, "what was under way before the first refusal");

    fleet.hub.origin().clear_log();
    fleet.burst().await;
    let unknown = format!("{}/v2/hub/{}/manifests/unknown", fleet.transship.url(), fleet.hub.pull_name());
    let unknown = http::send(&fleet.client, "GET", &unknown, &[], Vec::new()).await;
    assert_eq!(unknown.status, 429, "what is not cached is not called missing: {}", unknown.text());
    let wait: u64 = unknown.header("retry-after").parse().unwrap();
    assert!((3000..=3600).contains(&wait), "{wait}");
    assert!(fleet.hub.origin().requests().is_empty(), "nobody asks before the hour is over");

    let stale = "transship_pulls_total{repo_key=\"hub\",kind=\"manifest\",outcome=\"stale\"}";
    let counted = metric_in(&fleet.metrics().await, stale);
    assert_eq!(counted, u32::try_from(2 * PULLS).ok().map(f64::from));
    let logged = || {
        let lines = log_of(&fleet.transship);
        lines.iter().filter(|line| line["message"] == "request" && line["cache"] == "stale").count()
    };
    assert!(comes_true(|| logged() == 2 * PULLS).await, "{} lines say stale", logged());
}
