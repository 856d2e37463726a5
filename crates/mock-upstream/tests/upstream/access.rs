//! Basic, Bearer and what arrives where.

use std::time::Duration;

use mock_upstream::image::Image;
use mock_upstream::upstream::{Access, Account, BearerRules, FakeUpstream, Fault, Kind, Target};

use crate::raw_client::{ask, get};

fn token(upstream: &FakeUpstream, path: &str, headers: &[(&str, &str)]) -> String {
    let seen = ask(upstream, "GET", path, headers);
    let body: serde_json::Value = serde_json::from_slice(&seen.body).expect("the token answer is JSON");
    body["token"].as_str().expect("it holds a token").to_owned()
}

#[test]
fn basic_lets_only_the_account_in() {
    let upstream = FakeUpstream::start();
    upstream.add_image("app", "1", &Image::small(1, 10));
    let account = Account::new("ann", "secret");
    upstream.set_access(Access::Basic(account.clone()));
    let refused = get(&upstream, "/v2/app/manifests/1");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some(r#"Basic realm="fake upstream""#)));
    assert_eq!(ask(&upstream, "GET", "/v2/app/manifests/1", &[("Authorization", &account.basic())]).status, 200);
}

#[test]
fn bearer_honours_scope_and_expiry() {
    let upstream = FakeUpstream::start();
    upstream.add_image("app", "1", &Image::small(1, 10));
    upstream.set_access(Access::Bearer(BearerRules::default()));
    let refused = get(&upstream, "/v2/app/manifests/1");
    let challenge =
        format!(r#"Bearer realm="{}/token",service="fake-upstream",scope="repository:app:pull""#, upstream.url());
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some(challenge.as_str())));

    let fits = format!("Bearer {}", token(&upstream, "/token?scope=repository%3Aapp%3Apull", &[]));
    let other = format!("Bearer {}", token(&upstream, "/token?scope=repository:other:pull", &[]));
    let status = |value: &str| ask(&upstream, "GET", "/v2/app/manifests/1", &[("Authorization", value)]).status;
    assert_eq!((status(&fits), status(&other), status("Bearer made-up")), (200, 401, 401));
    upstream.expire_tokens();
    assert_eq!(status(&fits), 401);
}

#[test]
fn a_short_lifetime_is_announced_and_kept() {
    let upstream = FakeUpstream::start();
    let rules = BearerRules { lifetime: Duration::ZERO, announced_seconds: Some(1), ..BearerRules::default() };
    upstream.set_access(Access::Bearer(rules));
    let seen = get(&upstream, "/token?scope=repository:app:pull");
    assert!(String::from_utf8_lossy(&seen.body).contains(r#""expires_in":1"#));
    let held = format!("Bearer {}", token(&upstream, "/token?scope=repository:app:pull", &[]));
    assert_eq!(ask(&upstream, "GET", "/v2/", &[("Authorization", &held)]).status, 401);
}

#[test]
fn the_token_server_knows_its_account_and_can_be_limited() {
    let upstream = FakeUpstream::start();
    let account = Account::new("ann", "secret");
    upstream.set_access(Access::Bearer(BearerRules { account: Some(account.clone()), ..BearerRules::default() }));
    assert_eq!(get(&upstream, "/token").status, 401);
    assert_eq!(ask(&upstream, "GET", "/token", &[("Authorization", &account.basic())]).status, 200);
    upstream.fault(Target::kind(Kind::Token), Fault::too_many_requests(Some("7")));
    let limited = ask(&upstream, "GET", "/token", &[("Authorization", &account.basic())]);
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("7")));
}

#[test]
fn a_realm_elsewhere_records_what_arrives_there() {
    let (upstream, elsewhere) = (FakeUpstream::start(), FakeUpstream::start());
    let realm = Some(format!("{}/token", elsewhere.url()));
    upstream.set_access(Access::Bearer(BearerRules { realm, ..BearerRules::default() }));
    assert!(get(&upstream, "/v2/").header("www-authenticate").expect("a challenge").contains(&elsewhere.url()));
    ask(&elsewhere, "GET", "/token", &[("Authorization", "Basic stolen")]);
    assert_eq!(elsewhere.credentials_seen(), ["Basic stolen"]);
}
