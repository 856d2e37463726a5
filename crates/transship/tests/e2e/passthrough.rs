//! Callers with their own accounts at the upstream (`auth: passthrough`): who may have what, cached or not.
//!
//! Must not know: how decisions are remembered. Invariant: the upstream has the last word; what it refuses to a caller
//! is refused here, and looks the same whether it is cached, could be fetched, or does not exist.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci::Digest;
use serde_json::{Value, json};
use testkit::image::{Image, blob};
use testkit::upstream::{Access, Account, Accounts, Fault, Gate, Kind, Login, Target};

use crate::http::{self, Answer};
use crate::lab::{Lab, LabSetup};

const SECRET: &str = "team/secret";
const SHARED: &str = "team/shared";
const LOGINS: [Login; 4] = [Login::Basic(401), Login::Basic(403), Login::Basic(404), Login::Bearer];

fn account(name: &str) -> Account {
    Account::new(name, &format!("canary-{name}-77e1"))
}

/// Ann may read both, Bob the shared one only.
fn rights(login: Login) -> Accounts {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let rights = vec![(account("ann"), names(&[SECRET, SHARED])), (account("bob"), names(&[SHARED]))];
    Accounts { login, rights, public: Vec::new() }
}

struct House {
    lab: Lab,
    secret: Image,
    cold: Image,
}

impl House {
    /// Two images in the secret repository, of which none is cached, and one in the shared one.
    fn start(login: Login, times: &Value) -> Self {
        let repository = json!({ "auth": "passthrough", "passthrough": times });
        let args = vec!["--log-level".to_owned(), "trace".to_owned()];
        let lab = Lab::with(LabSetup { repository, args, ..LabSetup::default() });
        let (secret, cold) = (Image::small(1, 700_000), Image::small(2, 700_000));
        lab.upstream.add_image(SECRET, "warm", &secret);
        lab.upstream.add_image(SECRET, "cold", &cold);
        lab.upstream.add_image(SHARED, "1", &Image::small(3, 1000));
        lab.upstream.set_access(Access::Accounts(rights(login)));
        Self { lab, secret, cold }
    }

    async fn ask(&self, caller: Option<&Account>, method: &str, path: &str, more: &[(&str, &str)]) -> Answer {
        let basic = caller.map(Account::basic);
        let mut headers = more.to_vec();
        headers.extend(basic.as_deref().map(|basic| ("Authorization", basic)));
        http::send(&self.lab.client, method, &self.lab.url(path), &headers, Vec::new()).await
    }

    async fn status(&self, caller: Option<&Account>, path: &str) -> u16 {
        self.ask(caller, "GET", path, &[]).await.status
    }

    /// Ann pulls the whole warm image.
    async fn warm(&self) {
        let ann = account("ann");
        for path in ["warm".to_owned(), self.secret.digest().to_string()] {
            assert_eq!(self.status(Some(&ann), &manifest(SECRET, &path)).await, 200, "{path}");
        }
        for part in &self.secret.blobs {
            let answer = self.ask(Some(&ann), "GET", &blob_of(SECRET, &part.digest), &[]).await;
            assert!(answer.is_whole() && Digest::sha256_of(&answer.body) == part.digest);
            self.lab.wait_stored(&part.digest).await;
        }
    }
}

fn manifest(name: &str, reference: &str) -> String {
    format!("/v2/lab/{name}/manifests/{reference}")
}

fn blob_of(name: &str, digest: &Digest) -> String {
    format!("/v2/lab/{name}/blobs/{digest}")
}

/// A request: method, path, further headers.
type Question = (&'static str, String, Vec<(&'static str, String)>);

/// Every way to ask for an image of a name.
fn every_question(name: &str, tag: &str, image: &Image) -> Vec<Question> {
    let (of_manifest, layer) = (image.digest(), image.blobs[1].digest);
    let plain = [
        manifest(name, tag),
        manifest(name, &of_manifest.to_string()),
        blob_of(name, &layer),
        format!("/v2/lab/{name}/tags/list"),
    ];
    let mut all = Vec::new();
    for method in ["GET", "HEAD"] {
        all.extend(plain.iter().map(|path| (method, path.clone(), Vec::new())));
        all.push((method, blob_of(name, &layer), vec![("Range", "bytes=5-9".to_owned())]));
        all.push((method, blob_of(name, &layer), vec![("If-None-Match", format!("\"{layer}\""))]));
        all.push((method, manifest(name, &of_manifest.to_string()), vec![("If-None-Match", "*".to_owned())]));
    }
    all
}

/// An answer without what differs between any two: request id, date.
fn shape(answer: &Answer) -> (u16, BTreeMap<String, String>, String) {
    let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let headers = headers.filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date")).collect();
    let body = answer.text();
    let body = match serde_json::from_str::<Value>(&body) {
        Ok(mut value) => {
            value["errors"][0]["detail"]["request_id"].take();
            value.to_string()
        }
        Err(_) => body,
    };
    (answer.status, headers, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_upstream_refuses_looks_the_same_cached_or_not_or_not_there() {
    for login in LOGINS {
        let house = House::start(login, &json!({}));
        house.warm().await;
        let (bob, wrong) = (account("bob"), Account::new("ann", "canary-guess-0b1d"));
        assert_eq!(house.status(Some(&bob), &manifest(SHARED, "1")).await, 200, "Bob has an account");
        house.lab.upstream.clear_log();
        for caller in [None, Some(&bob), Some(&wrong)] {
            let mut seen = BTreeMap::new();
            let places =
                [(SECRET, "warm", &house.secret), (SECRET, "cold", &house.cold), ("team/nil", "x", &house.cold)];
            for (name, tag, image) in places {
                for (index, (method, path, more)) in every_question(name, tag, image).into_iter().enumerate() {
                    let more: Vec<(&str, &str)> = more.iter().map(|(name, value)| (*name, value.as_str())).collect();
                    let answer = house.ask(caller, method, &path, &more).await;
                    let what = format!("{login:?} {:?} {method} {path} {more:?}", caller.map(|c| &c.username));
                    assert_eq!(answer.status, 401, "{what}: {}", answer.text());
                    assert!(answer.header("www-authenticate").starts_with("Basic realm="), "{what}");
                    assert_eq!((answer.header("cache-control"), answer.header("vary")), ("no-store", "Authorization"));
                    for told in ["age", "cache-status", "x-cache", "etag", "docker-content-digest", "content-range"] {
                        assert!(!answer.headers.contains_key(told), "{what}: {told}");
                    }
                    let shape = shape(&answer);
                    assert_eq!(seen.entry(index).or_insert_with(|| shape.clone()), &shape, "{what}");
                }
            }
        }
        let own: Vec<String> = [&bob, &wrong].map(Account::basic).into();
        let foreign = |seen: &String| seen.starts_with("Basic ") && !own.contains(seen);
        assert!(!house.lab.upstream.credentials_seen().iter().any(foreign), "only the caller's own account is shown");
        assert_eq!(house.status(Some(&account("ann")), &manifest(SECRET, "warm")).await, 200, "Ann still may");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_those_who_may_are_theirs_alone() {
    let house = House::start(Login::Bearer, &json!({}));
    house.warm().await;
    let (ann, layer) = (account("ann"), house.secret.blobs[1].digest);
    let etag = format!("\"{layer}\"");
    for (path, header, status) in [
        (manifest(SECRET, "warm"), None, 200),
        (blob_of(SECRET, &layer), None, 200),
        (blob_of(SECRET, &layer), Some(("Range", "bytes=0-9")), 206),
        (blob_of(SECRET, &layer), Some(("If-None-Match", etag.as_str())), 304),
        (format!("/v2/lab/{SECRET}/tags/list"), None, 200),
    ] {
        let answer = house.ask(Some(&ann), "GET", &path, header.as_slice()).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.header("cache-control").starts_with("private"), "{path}: {:?}", answer.headers);
        assert!(answer.headers.get_all("vary").iter().any(|value| value == "Authorization"), "{path}");
    }
    let beyond = house.ask(Some(&ann), "GET", &blob_of(SECRET, &layer), &[("Range", "bytes=9999999-")]).await;
    assert_eq!((beyond.status, beyond.header("cache-control")), (416, "no-store"));
    let missing = house.ask(Some(&ann), "GET", &manifest(SECRET, "typo"), &[]).await;
    assert_eq!(missing.status, 404, "who may list the tags hears that one is not there: {}", missing.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_lists_a_foreign_blob_opens_nothing() {
    let house = House::start(Login::Basic(403), &json!({}));
    house.warm().await;
    // Bob's own repository lists Ann's layer, which is stored, and one that is under way.
    let gate = Gate::new();
    let growing = &house.cold.blobs[1];
    house.lab.upstream.fault(Target::blob(&growing.digest).get().first(1), Fault::StallAfter(300_000, gate.clone()));
    house.lab.upstream.add_manifest(SHARED, &house.secret.manifest);
    house.lab.upstream.add_manifest(SHARED, &house.cold.manifest);
    let (ann, bob) = (account("ann"), account("bob"));
    let cold = house.lab.client.get(house.lab.url(&blob_of(SECRET, &growing.digest)));
    let under_way = cold.header("Authorization", ann.basic()).send().await.unwrap();
    assert_eq!(under_way.status().as_u16(), 200);
    for image in [&house.secret, &house.cold] {
        assert_eq!(house.status(Some(&bob), &manifest(SHARED, &image.digest().to_string())).await, 200);
        let path = blob_of(SHARED, &image.blobs[1].digest);
        for (method, header) in [("GET", None), ("GET", Some(("Range", "bytes=0-99"))), ("HEAD", None)] {
            let answer = house.ask(Some(&bob), method, &path, header.as_slice()).await;
            assert_eq!(answer.status, 404, "{method} {header:?}: {:?}", answer.headers);
        }
    }
    gate.release();
    let whole = http::collect(under_way).await;
    assert!(whole.is_whole() && Digest::sha256_of(&whole.body) == growing.digest, "Ann gets hers");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_may_share_one_transfer() {
    let house = House::start(Login::Bearer, &json!({}));
    let bytes = blob(9, 3 << 20);
    let digest = house.lab.upstream.add_blob(SHARED, bytes.clone());
    let path = blob_of(SHARED, &digest);
    let (ann, bob) = (account("ann"), account("bob"));
    let (one, other, stranger) = tokio::join!(
        house.ask(Some(&ann), "GET", &path, &[]),
        house.ask(Some(&bob), "GET", &path, &[]),
        house.ask(None, "GET", &path, &[]),
    );
    assert!([&one, &other].iter().all(|answer| answer.body == bytes), "both get all of it");
    assert_eq!(stranger.status, 401);
    assert_eq!(house.lab.upstream.bytes_sent_for(&digest), bytes.len() as u64, "upstream sent it once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_ends_with_the_next_refusal_or_the_grant() {
    let (ann, nobody) = (account("ann"), Accounts { rights: Vec::new(), ..rights(Login::Basic(401)) });
    let house = House::start(Login::Basic(401), &json!({}));
    house.warm().await;
    house.lab.upstream.set_access(Access::Accounts(nobody.clone()));
    assert_eq!(house.status(Some(&ann), &manifest(SECRET, "warm")).await, 200, "inside the grant's time");
    assert_eq!(house.status(Some(&ann), &blob_of(SECRET, &house.cold.blobs[0].digest)).await, 401);
    assert_eq!(house.status(Some(&ann), &manifest(SECRET, "warm")).await, 401, "the refusal ended the grant");

    let house = House::start(Login::Basic(401), &json!({ "grant_ttl": "0s" }));
    house.warm().await;
    house.lab.upstream.set_access(Access::Accounts(nobody));
    assert_eq!(house.status(Some(&ann), &manifest(SECRET, "warm")).await, 401, "asked each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_say_nothing_of_rights() {
    let ann = account("ann");
    let house = House::start(Login::Basic(401), &json!({}));
    house.warm().await;
    house.lab.upstream.fault(Target::blob(&house.cold.blobs[1].digest), Fault::Reply(429, Vec::new(), "".into()));
    assert_eq!(house.status(Some(&ann), &blob_of(SECRET, &house.cold.blobs[1].digest)).await, 429);
    assert_eq!(house.status(Some(&ann), &manifest(SECRET, "warm")).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_upstream_grants_stand_until_they_end_and_nobody_new_gets_in() {
    let (ann, bob) = (account("ann"), account("bob"));
    let cases =
        [(json!({}), 200), (json!({ "grant_ttl": "0s" }), 503), (json!({ "grant_ttl": "0s", "grace": "1h" }), 200)];
    for (times, status) in cases {
        let mut house = House::start(Login::Bearer, &times);
        house.warm().await;
        house.lab.upstream.stop();
        let layer = house.secret.blobs[1].digest;
        for path in [manifest(SECRET, &house.secret.digest().to_string()), blob_of(SECRET, &layer)] {
            assert_eq!(house.status(Some(&ann), &path).await, status, "{times} {path}");
            for stranger in [Some(&bob), None] {
                let answer = house.ask(stranger, "GET", &path, &[]).await;
                assert_eq!((answer.status, answer.header("cache-control")), (503, "no-store"), "{times} {path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_public_is_for_all_until_it_is_not() {
    for (times, after) in [(json!({}), 200), (json!({ "public_ttl": "0s", "grant_ttl": "0s" }), 401)] {
        let house = House::start(Login::Bearer, &times);
        let public = Accounts { public: vec![SECRET.to_owned()], ..rights(Login::Bearer) };
        house.lab.upstream.set_access(Access::Accounts(public));
        let warm = manifest(SECRET, "warm");
        assert_eq!(house.status(None, &warm).await, 200, "nobody needs an account");
        assert_eq!(house.status(Some(&account("bob")), &warm).await, 200);
        house.lab.upstream.set_access(Access::Accounts(rights(Login::Bearer)));
        house.lab.upstream.expire_tokens();
        assert_eq!(house.status(None, &warm).await, after, "{times}");
        // What must be fetched is refused, and with that the name is not public any more.
        assert_eq!(house.status(None, &manifest(SECRET, "cold")).await, 401);
        assert_eq!(house.status(None, &warm).await, 401);
        assert_eq!(house.status(Some(&account("bob")), &warm).await, 401);
        assert_eq!(house.status(Some(&account("ann")), &warm).await, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_issued_for_others_is_not_passed_on() {
    let house = House::start(Login::Bearer, &json!({}));
    house.lab.upstream.clear_log();
    let token = house.lab.transship.admin_token();
    let basic = |user: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    for shown in
        ["Bearer canary-bearer-5a".to_owned(), basic("admin", &token), basic(&token, "x"), "Basic ???".to_owned()]
    {
        let headers = [("Authorization", shown.as_str())];
        let answer = house.ask(None, "GET", &manifest(SECRET, "warm"), &headers).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(answer.header("www-authenticate").starts_with("Basic "));
    }
    assert!(house.lab.upstream.requests().is_empty(), "upstream was not asked at all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_is_not_taken_up_after_a_restart_until_somebody_may() {
    let mut house = House::start(Login::Basic(403), &json!({}));
    let (ann, bytes) = (account("ann"), blob(4, 4 << 20));
    let digest = house.lab.upstream.add_blob(SECRET, bytes.clone());
    let gate = Gate::new();
    house.lab.upstream.fault(Target::blob(&digest).get().first(1), Fault::StallAfter(2 << 20, gate.clone()));
    let asked = house.lab.client.get(house.lab.url(&blob_of(SECRET, &digest))).header("Authorization", ann.basic());
    let under_way = asked.send().await.unwrap();
    house.lab.eventually("a part is on the disk", || !house.lab.staged().is_empty()).await;
    house.lab.transship.kill();
    drop(under_way);
    gate.release();
    house.lab.upstream.clear_log();
    house.lab.transship.start_again();
    assert_eq!(house.status(None, "/v2/").await, 200);
    assert!(house.lab.upstream.requests().is_empty(), "nobody's account is on the disk");
    assert_eq!(house.status(Some(&account("bob")), &blob_of(SECRET, &digest)).await, 401);
    let answer = house.ask(Some(&ann), "GET", &blob_of(SECRET, &digest), &[]).await;
    assert!(answer.is_whole() && answer.body == bytes, "Ann's next pull completes it");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_secrets_are_shown_nowhere() {
    let house = House::start(Login::Bearer, &json!({}));
    house.warm().await;
    let (ann, bob, guess) = (account("ann"), account("bob"), Account::new("ann", "canary-guess-0b1d"));
    let mut shown = Vec::new();
    let echo = format!("no: {} {}", bob.password, guess.password);
    house.lab.upstream.fault(
        Target::kind(Kind::Tags),
        Fault::Reply(403, vec![("Content-Type".into(), "text/plain".into())], echo.into()),
    );
    for caller in [&ann, &bob, &guess] {
        for (method, path, _) in every_question(SECRET, "warm", &house.secret) {
            let answer = house.ask(Some(caller), method, &path, &[]).await;
            if answer.status >= 400 {
                shown.push(format!("{:?} {}", answer.headers, answer.text()));
            }
        }
    }
    let line = house.ask(Some(&ann), "GET", &manifest(SECRET, "warm"), &[]).await;
    let line = house.lab.request_line(line.header("x-request-id")).await;
    let principal = line["principal"].as_str().unwrap();
    assert!(principal.len() == 8 && principal.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
    shown.push(house.lab.transship.log_text());
    shown.push(house.lab.get("/metrics").await.text());
    shown.push(house.lab.api("GET", "/api/repos/lab", None).await.text());
    for name in ["transship.db", "transship.db-wal"] {
        let bytes = std::fs::read(house.lab.transship.cache_dir().join(name)).unwrap_or_default();
        shown.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    let all = shown.join("\n");
    for account in [&ann, &bob, &guess] {
        let basic = account.basic();
        for secret in [account.password.as_str(), basic.trim_start_matches("Basic ")] {
            assert!(!all.contains(secret), "a secret of {} is shown", account.username);
        }
    }
    assert!(!all.contains("fake-token-"), "a token is shown");
}
