//! Explanations of what a pull would do in bad weather: who is left alone, what stands in, which tokens are fetched.

use serde_json::json;
use testkit::image::Image;
use testkit::upstream::{Access, Account, BearerRules, Fault, Kind, Target};
use transship_registry::Explanation;

use crate::harness::{Lab, eventually_some};

const PASSWORD: &str = "canary-password";

async fn explained(lab: &Lab, image: &str) -> Explanation {
    let asked = lab.upstream.requests().len();
    let explanation = lab.registry.explain(&image.parse().unwrap()).await.unwrap();
    assert_eq!(lab.upstream.requests().len(), asked, "nobody upstream is asked");
    assert!(!serde_json::to_string(&explanation).unwrap().contains("canary"));
    explanation
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_breaker_leaves_nobody_to_ask_and_the_known_tag_in_its_place() {
    let lab = Lab::with(json!({ "tag_ttl": "0s" }), 1 << 30).await;
    lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    lab.manifest("v1").await.unwrap();
    assert_eq!(explained(&lab, "lab/team/app:v1").await.pull_now[0].at, [lab.upstream.host()]);
    lab.upstream.fault(Target::any(), Fault::status(503));
    for number in 0..40 {
        lab.manifest(&format!("t{number}")).await.map(drop).unwrap_err();
    }
    let told = explained(&lab, "lab/team/app:v1").await;
    let tag = &told.pull_now[0];
    assert_eq!((tag.request.as_str(), tag.at.len()), ("HEAD manifests/v1", 0), "{tag:?}");
    assert!(tag.not_asked[0].contains("its breaker is open for"), "{tag:?}");
    assert!(tag.instead.as_ref().unwrap().contains("marked stale"), "{tag:?}");
    let layer = told.pull_now.last().unwrap();
    assert!(layer.request.starts_with("GET blobs/") && layer.at.is_empty(), "{layer:?}");
    assert!(layer.instead.as_ref().unwrap().contains("fails"), "{layer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_pull_limit_keeps_manifests_back_and_nothing_else() {
    let lab = Lab::with(json!({ "tag_ttl": "0s" }), 1 << 30).await;
    lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    lab.manifest("v1").await.unwrap();
    let used_up = [("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "0;w=21600")];
    let headers = used_up.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    lab.upstream.fault(Target::kind(Kind::Manifest), Fault::Reply(429, headers, bytes::Bytes::new()));
    lab.manifest("unknown").await.map(drop).unwrap_err();
    let unknown = explained(&lab, "lab/team/app:other").await;
    let pull = &unknown.pull_now[0];
    assert!(pull.at.is_empty() && pull.not_asked[0].contains("its pull limit is used up"), "{pull:?}");
    let known = explained(&lab, "lab/team/app:v1").await;
    assert!(known.pull_now[0].not_asked[0].contains("kept for what is not cached"), "{:?}", known.pull_now[0]);
    assert_eq!(known.pull_now.last().unwrap().at, [lab.upstream.host()], "blobs do not count");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_answered_at_once_is_confirmed_behind_the_answer() {
    let fields = json!({ "tag_ttl": "0s", "stale_while_revalidate": "1h" });
    let lab = Lab::with(fields, 1 << 30).await;
    lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    lab.manifest("v1").await.unwrap();
    let told = explained(&lab, "lab/team/app:v1").await;
    assert!(told.tag.unwrap().served_meanwhile.unwrap().contains("in the background"));
    assert!(told.pull_now[0].in_background && told.pull_now[0].request == "HEAD manifests/v1");
    assert!(told.pull_now[1..].iter().all(|step| !step.in_background));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_told_of_when_they_would_be_fetched() {
    let auth = json!({ "name": "ci", "username": "u", "password": PASSWORD });
    let lab = Lab::with(json!({ "tag_ttl": "0s", "auth": auth }), 1 << 30).await;
    let account = Some(Account::new("u", PASSWORD));
    let rules = BearerRules { account, announced_seconds: Some(2), ..BearerRules::default() };
    lab.upstream.set_access(Access::Bearer(rules));
    lab.upstream.add_image("team/app", "v1", &Image::small(1, 3000));
    lab.manifest("v1").await.unwrap();
    let fresh = explained(&lab, "lab/team/app:v1").await;
    assert_eq!(fresh.pull_now[0].request, "HEAD manifests/v1", "the token is at hand");
    assert!(fresh.upstreams[0].token_for_s.is_some());
    let ended = eventually_some("the token ends", || async {
        let told = explained(&lab, "lab/team/app:v1").await;
        told.pull_now.into_iter().find(|step| step.request.contains("/token?"))
    })
    .await;
    let expected = format!("GET {}/token?service=fake-upstream&scope=repository:team/app:pull", lab.upstream.url());
    assert_eq!(ended.request, expected);
    assert_eq!(ended.at, [lab.upstream.host()]);
    assert!(ended.why.contains("with the credential 'ci'"), "{}", ended.why);
    let hub = explained(&lab, "alpine").await;
    assert_eq!(
        (hub.pull_now[0].request.as_str(), hub.pull_now[0].at[0].as_str()),
        ("GET https://auth.docker.io/token", "auth.docker.io")
    );
    assert!(hub.pull_now[0].why.contains("anonymously"));
    assert_eq!(hub.pull_now[1].request, "GET manifests/latest");
}
