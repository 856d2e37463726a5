//! Logins, mirrors and TLS.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use testkit::stargz::TarEntry;
use testkit::upstream::{Access, Account, BearerRules, FakeUpstream, Fault, Kind, Target};

use crate::support::*;

fn layers() -> Vec<testkit::stargz::Built> {
    vec![estargz(&[TarEntry::file("a", "a\n")])]
}

fn account() -> Account {
    Account { username: "ci".into(), password: "canary-s3cr3t".into() }
}

#[test]
fn logins_come_from_flags_the_environment_standard_input_and_dockers_file() {
    let (served, starget) = (Served::new(layers()), Starget::new());
    served.upstream.set_access(Access::Basic(account()));
    let image = served.image();
    starget.run(&["cat", &image, "a"]).fails(4, &["login"]);
    starget.run(&["cat", "--credential", "ci:wrong", &image, "a"]).fails(4, &["login"]);
    let ran = starget.run(&["cat", "--debug", "--credential", "ci:canary-s3cr3t", &image, "a"]).ok();
    assert_eq!(ran.stdout(), "a\n");
    assert!(!ran.stderr().contains("canary") && !ran.stderr().contains("Y2k6"), "{}", ran.stderr());
    let env = starget.command(&["cat", &image, "a"]).env("STARGET_CREDENTIAL", "ci:canary-s3cr3t").output().unwrap();
    Ran(env).ok();

    let mut command = starget.command(&["cat", "--credential", "ci", "--password-stdin", &image, "a"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"canary-s3cr3t\n").unwrap();
    Ran(child.wait_with_output().unwrap()).ok();
    starget.run(&["cat", "--password-stdin", &image, "a"]).fails(2, &["--credential"]);
    starget.run(&["cat", "--credential", "ci", &image, "a"]).fails(2, &["USER:PASSWORD"]);

    fs::create_dir(starget.path(".docker")).unwrap();
    let config =
        serde_json::json!({"auths": {served.upstream.host(): {"username": "ci", "password": "canary-s3cr3t"}}});
    fs::write(starget.path(".docker/config.json"), config.to_string()).unwrap();
    starget.run(&["cat", &image, "a"]).ok();
}

#[test]
fn token_servers_are_asked_once_for_a_run() {
    let (served, starget) = (Served::new(layers()), Starget::new());
    served.upstream.set_access(Access::Bearer(BearerRules { account: Some(account()), ..BearerRules::default() }));
    starget.run(&["cat", "--credential", "ci:canary-s3cr3t", &served.image(), "a"]).ok();
    assert_eq!(served.requests(Kind::Token).len(), 1);
    served.upstream.clear_log();
    starget.run(&["cat", &served.image(), "a"]).fails(4, &[]);
}

#[test]
fn a_mirror_is_asked_first_and_passed_over_when_it_cannot() {
    let (served, starget) = (Served::new(layers()), Starget::new());
    let mirror = FakeUpstream::start();
    let (url, image) = (mirror.url(), served.image());
    mirror.add_image(REPOSITORY, "1", &image_of());
    let words = ["cat", "--no-cache", "--mirror", &url, "--mirror-form", "bare", &image, "a"];
    assert_eq!(starget.run(&words).ok().stdout(), "a\n");
    assert!(served.upstream.requests().is_empty(), "the mirror has it all");
    mirror.fault(Target::kind(Kind::Manifest), Fault::status(503));
    let ran = starget.run(&["cat", "--no-cache", "--max-retries", "0", "--mirror", &url, &image, "a"]).ok();
    assert!(ran.stderr().contains("asking the next place"), "{}", ran.stderr());
    assert!(!served.upstream.requests().is_empty());
}

#[test]
fn a_typed_login_is_for_the_registry_and_not_for_mirrors() {
    let (served, starget) = (Served::new(layers()), Starget::new());
    served.upstream.set_access(Access::Basic(account()));
    let (mirror, image) = (FakeUpstream::start(), served.image());
    mirror.set_access(Access::Basic(account()));
    mirror.add_image(REPOSITORY, "1", &image_of());
    let url = mirror.url();
    let words = ["cat", "--no-cache", "--credential", "ci:canary-s3cr3t", "--mirror", &url, "--mirror-form", "bare"];
    let ran = starget.run(&[&words[..], &[&image, "a"]].concat()).ok();
    assert!(ran.stderr().contains("asking the next place"), "{}", ran.stderr());
    assert!(!mirror.requests().is_empty() && mirror.credentials_seen().is_empty(), "{:?}", mirror.credentials_seen());
    // A mirror's own login is sent there.
    fs::create_dir(starget.path(".docker")).unwrap();
    let login = serde_json::json!({"username": "ci", "password": "canary-s3cr3t"});
    let config = serde_json::json!({"auths": {mirror.host(): login}});
    fs::write(starget.path(".docker/config.json"), config.to_string()).unwrap();
    served.upstream.clear_log();
    starget.run(&[&words[..], &[&image, "a"]].concat()).ok();
    assert!(served.upstream.requests().is_empty(), "the mirror has it all");
}

fn image_of() -> testkit::image::Image {
    image(&layers())
}

#[test]
fn tls_is_checked_unless_told_otherwise() {
    let upstream = FakeUpstream::start_tls();
    upstream.add_image(REPOSITORY, "1", &image(&layers()));
    let (name, starget) = (format!("{}/{REPOSITORY}:1", upstream.host()), Starget::new());
    let without =
        |words: &[&str]| starget.run(&[&["cat", "--max-retries", "0"], words, &[name.as_str(), "a"]].concat());
    without(&[]).fails(8, &["certificate"]);
    without(&["--insecure"]).ok();
    without(&["--plain-http"]).fails(8, &[]);
    fs::write(starget.path("ca.pem"), upstream.ca_pem().unwrap()).unwrap();
    without(&["--ca", "ca.pem"]).ok();
    fs::write(starget.path("bad.pem"), "no certificate").unwrap();
    without(&["--ca", "bad.pem"]).fails(2, &["bad.pem"]);
}
