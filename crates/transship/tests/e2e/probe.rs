//! `transship check`: its table is right about real registries, real proxies, and fakes that ignore or lie.
//!
//! Must not know: how a check is made. Invariant: each test says what every check it is about must come to, and that
//! nothing else fails.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};
use testkit::image::Image;
use testkit::nginx_peer::{Keeping, NginxPeer};
use testkit::registry_peer::RegistryPeer;
use testkit::upstream::{Access, Account, DigestHeader, FakeUpstream, Fault, Kind, Target};

use crate::lab::{Lab, NAME, PROGRAM};

/// What a run of the command left.
struct Checked {
    code: Option<i32>,
    report: Value,
    stdout: String,
    stderr: String,
}

impl Checked {
    /// The outcome of every check.
    fn outcomes(&self) -> BTreeMap<&str, &str> {
        let checks = self.report["checks"].as_array().unwrap_or_else(|| panic!("{}{}", self.stdout, self.stderr));
        checks.iter().map(|check| (check["id"].as_str().unwrap(), check["outcome"].as_str().unwrap())).collect()
    }

    /// The checks of this outcome, in the order of their names.
    fn of(&self, outcome: &str) -> Vec<&str> {
        self.outcomes().into_iter().filter(|(_, found)| *found == outcome).map(|(id, _)| id).collect()
    }

    fn answers(&self) -> [&str; 3] {
        ["caching", "lazy", "cdn"].map(|question| self.report["verdict"][question]["answer"].as_str().unwrap())
    }

    /// What was seen and what it means.
    fn words(&self, id: &str) -> String {
        let checks = self.report["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["id"] == id).unwrap();
        format!("{} | {}", check["seen"].as_str().unwrap(), check["meaning"].as_str().unwrap())
    }
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Checked {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    command.env_clear().env("HOME", home.path()).args(arguments).envs(environment.iter().copied());
    let output = command.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let report = serde_json::from_str(&stdout).unwrap_or(Value::Null);
    Checked { code: output.status.code(), report, stdout, stderr }
}

/// Checks the image `<NAME>:1` below `url`.
fn check(url: &str) -> Checked {
    run(&["check", "--json", url, &format!("{NAME}:1")], &[])
}

fn fake() -> FakeUpstream {
    let upstream = FakeUpstream::start();
    upstream.add_image(NAME, "1", &Image::small(1, 100_000));
    upstream
}

/// What Debian's docker-registry does less well than it could.
const DEGRADED_IN_DISTRIBUTION: [&str; 5] = ["cache-digest", "cache-tag", "referrers", "tags-paging", "vary"];
/// What does not apply to an open registry over plain http that limits nobody.
const SKIPPED: [&str; 4] = ["http2", "retry-after", "tls", "token"];

#[tokio::test(flavor = "multi_thread")]
async fn docker_registry_alone_and_behind_nginx() {
    let registry = RegistryPeer::start_plain();
    for tag in ["1", "2"] {
        registry.push(NAME, tag, &Image::small(1, 100_000));
    }
    let nginx = NginxPeer::before(&registry.url(), Keeping::Nothing);
    for url in [registry.url(), nginx.url()] {
        let checked = check(&url);
        assert_eq!(checked.of("fail"), Vec::<&str>::new(), "{}", checked.stdout);
        assert_eq!(checked.of("degraded"), DEGRADED_IN_DISTRIBUTION, "{}", checked.stdout);
        assert_eq!(checked.of("skipped"), SKIPPED, "{}", checked.stdout);
        assert_eq!((checked.answers(), checked.code), (["yes", "yes", "partly"], Some(0)));
        assert!(checked.words("range-first").contains("Content-Range bytes 0-9/"), "{}", checked.stdout);
        let strict = run(&["check", "--strict", &url, &format!("{NAME}:1")], &[]);
        assert_eq!(strict.code, Some(1), "{}", strict.stdout);
        assert!(
            strict.stdout.contains("\ndegraded  referrers") && !strict.stdout.contains('\x1b'),
            "{}",
            strict.stdout
        );
        assert!(strict.stderr.contains("checking ranges") && !strict.stdout.contains("checking"), "{}", strict.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_registry_with_a_login_is_checked_with_it_and_without() {
    let account = Account::new("user", "canary-password");
    let setup = testkit::registry_peer::RegistrySetup { account: Some(account), ..Default::default() };
    let registry = RegistryPeer::start_with(&setup);
    registry.push(NAME, "1", &Image::small(1, 100_000));
    let without = check(&registry.url());
    assert_eq!((without.outcomes()["challenge"], without.code), ("fail", Some(1)), "{}", without.stdout);
    assert_eq!(without.answers()[0], "no");
    let arguments = ["check", "--json", &registry.url(), &format!("{NAME}:1"), "--username", "user"];
    let with = run(&arguments, &[("TRANSSHIP_CHECK_PASSWORD", "canary-password")]);
    assert_eq!((with.of("fail"), with.code), (Vec::new(), Some(0)), "{}{}", with.stdout, with.stderr);
    assert!(!format!("{}{}", with.stdout, with.stderr).contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_ignores_ranges_works_but_not_lazily() {
    let upstream = fake();
    upstream.fault(Target::kind(Kind::Blob), Fault::IgnoreRange);
    let checked = check(&upstream.url());
    assert_eq!(checked.of("fail"), Vec::<&str>::new(), "{}", checked.stdout);
    for id in ["range-first", "range-open", "range-suffix", "range-multi", "range-unsatisfiable"] {
        assert_eq!(checked.outcomes()[id], "degraded", "{id}: {}", checked.words(id));
    }
    assert_eq!((checked.answers()[1], checked.code), ("no", Some(0)));
    assert_ne!(checked.answers()[0], "no");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_lie_is_found_and_named() {
    let other = format!("sha256:{}", "0".repeat(64));
    let wrong_digest = || Fault::ContentDigest(DigestHeader::Says(other.clone()));
    let header = |name: &str, value: &str| Fault::AddHeader(name.to_owned(), value.to_owned());
    let manifest = Target::kind(Kind::Manifest);
    let blob = Target::kind(Kind::Blob);
    let whole_as_part = Fault::Reply(206, vec![("Content-Range".into(), "bytes 0-9/100".into())], vec![7; 100].into());
    for (target, faults, id) in [
        (blob.clone(), vec![Fault::LieAboutRangeStart(1)], "range-first"),
        (blob.clone(), vec![Fault::LieAboutRangeTotal(9)], "range-open"),
        (blob.clone(), vec![Fault::ShiftRangeStart(3)], "range-open"),
        (blob.clone(), vec![Fault::IgnoreRange, Fault::ContentRangeOn200], "range-first"),
        (blob.clone(), vec![header("Content-Encoding", "gzip")], "blob-get"),
        (blob.clone().get(), vec![Fault::UnderstateLength(9)], "blob-get"),
        (blob.clone().get(), vec![Fault::FlipByte(5)], "blob-get"),
        (blob.clone().head(), vec![Fault::OverstateLength(9)], "blob-head"),
        (blob.clone(), vec![wrong_digest()], "blob-get"),
        (blob.clone().get().from_nth(3), vec![whole_as_part], "range-first"),
        (manifest.clone().get(), vec![wrong_digest()], "manifest-get"),
        (manifest.clone().head(), vec![wrong_digest()], "manifest-agreement"),
        (manifest.clone().head(), vec![Fault::OverstateLength(9)], "manifest-agreement"),
        (manifest.clone().get(), vec![Fault::FlipByte(20)], "manifest-get"),
        (Target::any(), vec![Fault::RemoveHeader("ETag".to_owned()), header("ETag", "\"all-the-same\"")], "etag"),
        (
            manifest.clone(),
            vec![Fault::RemoveHeader("ETag".to_owned()), header("ETag", &format!("\"{other}\""))],
            "etag",
        ),
        (manifest.clone(), vec![header("Cache-Control", "public, max-age=31536000, immutable")], "cache-tag"),
        (manifest.clone(), vec![header("Age", "old")], "date"),
    ] {
        let upstream = fake();
        let told = format!("{target:?} {faults:?}");
        for fault in faults {
            upstream.fault(target.clone(), fault);
        }
        let checked = check(&upstream.url());
        assert_eq!(checked.outcomes()[id], "fail", "{told}: {}\n{}", checked.words(id), checked.stdout);
        assert_eq!(checked.code, Some(1), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_of_what_nobody_has_is_found() {
    let upstream = fake();
    // By the time conditions are asked, manifests are 304 whatever the condition says.
    upstream.fault(Target::manifest("1").get().from_nth(2), Fault::Reply(304, Vec::new(), Vec::new().into()));
    let checked = check(&upstream.url());
    assert_eq!(checked.outcomes()["if-none-match"], "fail", "{}", checked.words("if-none-match"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rate_limits_and_calls_to_wait_are_read() {
    let upstream = fake();
    let told = |name: &str, value: &str| Fault::AddHeader(name.to_owned(), value.to_owned());
    upstream.fault(Target::kind(Kind::Manifest), told("RateLimit-Limit", "100;w=21600"));
    upstream.fault(Target::kind(Kind::Manifest), told("RateLimit-Remaining", "5;w=21600"));
    let wait = vec![("Retry-After".to_owned(), "7".to_owned())];
    upstream.fault(Target::kind(Kind::Tags), Fault::Reply(429, wait, Vec::new().into()));
    let checked = check(&upstream.url());
    assert_eq!(checked.outcomes()["rate-limit"], "degraded", "{}", checked.words("rate-limit"));
    assert_eq!(checked.outcomes()["retry-after"], "pass", "{}", checked.words("retry-after"));
    assert!(checked.words("retry-after").contains("429 with 7"), "{}", checked.words("retry-after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn transship_itself_is_clean_alone_and_behind_a_caching_nginx() {
    let registry = RegistryPeer::start_plain();
    for tag in ["1", "2", "3"] {
        registry.push(NAME, tag, &Image::small(1, 3_000_000));
    }
    let lab = Lab::start();
    let document = json!({ "key": "real", "kind": "proxy", "upstream": registry.url(), "internal": true });
    assert_eq!(lab.api("POST", "/api/repos", Some(document)).await.status, 201);
    let nginx = NginxPeer::before(&lab.transship.url(), Keeping::Answers);
    // Cold, warm, and both again through nginx: first it keeps the answers, then it gives them.
    for url in [&lab.transship.url(), &lab.transship.url(), &nginx.url(), &nginx.url()] {
        let checked = check(&format!("{url}/real"));
        assert_eq!(checked.of("fail"), Vec::<&str>::new(), "{}", checked.stdout);
        let degraded: Vec<_> = checked.of("degraded").into_iter().filter(|id| *id != "referrers").collect();
        assert_eq!(degraded, Vec::<&str>::new(), "{}", checked.stdout);
        assert_eq!(checked.of("skipped"), SKIPPED, "{}", checked.stdout);
        assert_eq!((checked.answers(), checked.code), (["yes", "yes", "yes"], Some(0)));
    }
    let log = nginx.access_log();
    assert!(log.contains(" 206 HIT") && log.contains(" 304 HIT"), "{log}");
    assert!(!log.contains(" 500 ") && !log.contains(" 502 "), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_checks_its_upstreams_with_their_credentials_and_tells_no_secret() {
    let lab = Lab::with_repository(json!({ "auth": { "username": "user", "password": "canary-password" } }));
    lab.upstream.set_access(Access::Basic(Account::new("user", "canary-password")));
    lab.upstream.add_image(NAME, "1", &Image::small(1, 100_000));
    let token = lab.transship.cache_dir().join("admin.token").display().to_string();
    let server = lab.transship.url();
    let at = |arguments: &[&str]| {
        let fixed = ["upstream", "check", "--json", "--server", &server, "--admin-token-file", &token];
        run(&[&fixed[..], arguments].concat(), &[])
    };

    let imageless = at(&["lab"]);
    assert_eq!(imageless.outcomes()["base"], "pass", "{}{}", imageless.stdout, imageless.stderr);
    assert_eq!(imageless.outcomes()["manifest-get"], "skipped", "nothing is known here yet");
    assert_eq!(lab.get(&Lab::manifest_path("1")).await.status, 200);
    let chosen = at(&["lab"]);
    assert_eq!(chosen.report["image"], format!("{NAME}:1"), "{}", chosen.stdout);
    // The scripted upstream looks at no `If-Range`.
    assert_eq!((chosen.of("fail"), chosen.code), (vec!["if-range"], Some(1)), "{}", chosen.stdout);

    let named = json!({ "image": format!("{NAME}:1") });
    let asked = lab.api("POST", "/api/repos/lab/check", Some(named)).await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    let log = lab.transship.log_text();
    let all = [&imageless.stdout, &chosen.stdout, &chosen.stderr, &asked.text(), &log].map(String::as_str).concat();
    assert!(!all.contains("canary") && !all.contains("Basic dXNlc"), "a secret is told");

    for (arguments, words) in [
        (&["nowhere"][..], "no repository 'nowhere'"),
        (&["lab", "NOT//A NAME"], "NAME:TAG"),
        (&["no key"], "neither the key of a repository nor a URL"),
    ] {
        let refused = at(arguments);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(words) && refused.stdout.is_empty(), "{}", refused.stderr);
    }
    let stranger = lab.client.post(format!("{server}/api/repos/lab/check")).send().await.unwrap();
    assert_eq!(stranger.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_or_trusted_says_so_and_the_rest_is_skipped() {
    let mut gone = fake();
    gone.stop();
    let checked = check(&gone.url());
    assert_eq!((checked.of("fail"), checked.code), (vec!["tcp"], Some(1)), "{}", checked.stdout);
    assert_eq!(checked.outcomes()["manifest-get"], "skipped");

    let strange = FakeUpstream::start_tls();
    let checked = check(&strange.url());
    assert_eq!((checked.of("fail"), checked.code), (vec!["tls"], Some(1)), "{}", checked.stdout);
    assert!(checked.words("tls").to_lowercase().contains("certificate"), "{}", checked.words("tls"));
    assert_eq!(strange.requests().len(), 0, "nothing is asked of who is not trusted");
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    std::fs::write(&authority, strange.ca_pem().unwrap()).unwrap();
    let trusted = run(&["check", "--json", &strange.url(), "--ca", &authority.display().to_string()], &[]);
    assert_eq!((trusted.outcomes()["tls"], trusted.code), ("pass", Some(0)), "{}{}", trusted.stdout, trusted.stderr);
    assert!(trusted.words("tls").contains("days left"), "{}", trusted.words("tls"));

    let inside = run(&["check", "--json", "http://10.255.255.1:9", "a/b:1"], &[]);
    assert_eq!(inside.code, Some(2), "{}{}", inside.stdout, inside.stderr);
    assert!(inside.stderr.contains("internal"), "{}", inside.stderr);
}
