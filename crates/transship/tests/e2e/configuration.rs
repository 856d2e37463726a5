//! Starts that must not succeed, and starts that must: flags, environment, files.
//!
//! Must not know: how values are read. Invariant: exit codes and messages are those of the real process.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};
use std::time::Duration;

use testkit::transship_process::{TransshipProcess, TransshipSetup};
use testkit::{plain_http, port};

use crate::lab::PROGRAM;

/// Runs the program to its end with nothing of this process's environment.
fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(PROGRAM).args(args).env_clear().envs(env.iter().copied()).output().unwrap()
}

fn code(setup: TransshipSetup) -> (Option<i32>, String) {
    let mut process = TransshipProcess::start_unready(PROGRAM, setup);
    let ended = process.wait_end(Duration::from_mins(1)).expect("a wrong start ends");
    assert_eq!(ended.signal(), None);
    (ended.code(), process.log_text())
}

#[test]
fn every_mistake_of_every_source_is_told_at_once() {
    let config = "\
listen: not an address
cache: { max_size: plenty, maxsize: 1GiB }
colour: blue
tls: { cert: /nowhere/tls.crt }
repos:
  UPPER: { upstream: https://registry.example }
  lab: { upstream: nonsense, tag_ttl: soon }
  inside: { upstream: http://10.0.0.1 }
  open: { upstream: https://registry.example, auth: { username: ci } }
";
    let setup = TransshipSetup {
        args: ["--shutdown-timeout", "whenever"].map(str::to_owned).to_vec(),
        env: vec![("TRANSSHIP_LOG_FORMAT".to_owned(), "pretty".to_owned())],
        config: Some(config.to_owned()),
        cache_dir: None,
    };
    let (code, log) = code(setup);
    assert_eq!(code, Some(2), "{log}");
    for (place, field) in [
        ("line 2", "cache.max_size"),
        ("line 2", "cache.maxsize"),
        ("line 3", "colour"),
        ("line 4", "tls.cert"),
        ("line 4", "tls.key"),
        ("line 6", "repos.UPPER"),
        ("line 7", "repos.lab.upstream"),
        ("line 7", "repos.lab.tag_ttl"),
        ("line 8", "repos.inside.upstream"),
        ("line 9", "repos.open.auth.password"),
        ("--shutdown-timeout", "shutdown_timeout"),
        ("TRANSSHIP_LOG_FORMAT", "log.format"),
    ] {
        let told = log.lines().any(|line| line.trim_start().starts_with(&format!("{place}: {field}: ")));
        assert!(told, "{place}: {field} is not told in\n{log}");
    }
    assert!(log.contains("max_size") && log.contains("did you mean"), "a hint for what is nearly right:\n{log}");
}

#[test]
fn a_file_that_is_missing_or_no_yaml_ends_it_with_2() {
    let file = tempfile::tempdir().unwrap().path().join("missing.yaml");
    let missing = run(&["serve", "--config", file.to_str().unwrap()], &[]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("missing.yaml"));
    let (code, log) = code(TransshipSetup { config: Some("repos: [\n".to_owned()), ..TransshipSetup::default() });
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("YAML"), "{log}");
    let unknown = run(&["serve", "--colour", "blue"], &[]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn check_says_the_same_without_starting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("transship.yaml");
    let check = || run(&["config", "check", file.to_str().unwrap()], &[("HOME", folder.path().to_str().unwrap())]);
    fs::write(&file, "repos: { lab: { upstream: nonsense } }\nsize: 1\n").unwrap();
    let wrong = check();
    let text = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(wrong.status.code(), Some(2), "{text}");
    assert!(text.contains("repos.lab.upstream") && text.contains("size"), "{text}");
    fs::write(&file, "repos: { lab: { upstream: https://registry.example } }\n").unwrap();
    let good = check();
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stderr));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn a_port_in_use_and_a_folder_in_use_are_named() {
    let first = TransshipProcess::start(PROGRAM, TransshipSetup::default());
    let setup = TransshipSetup { args: vec!["--listen".into(), first.host()], ..TransshipSetup::default() };
    let (ended, log) = code(setup);
    assert_eq!(ended, Some(1), "{log}");
    assert!(log.contains("is in use") && log.contains("--listen"), "{log}");
    let setup = TransshipSetup { cache_dir: Some(first.cache_dir()), ..TransshipSetup::default() };
    let (ended, log) = code(setup);
    assert_eq!(ended, Some(1), "{log}");
    assert!(log.contains("another process") || log.contains("in use"), "{log}");
    assert_eq!(plain_http::get(&first.host(), "/healthz").unwrap().status, 200, "the first goes on");
}

#[test]
fn flags_win_over_environment_and_environment_over_file() {
    let ports = [port::free_port(), port::free_port()];
    let [by_env, by_file] = ports.map(|port| format!("127.0.0.1:{port}"));
    let setup = TransshipSetup {
        env: vec![("TRANSSHIP_LISTEN".into(), by_env.clone()), ("TRANSSHIP_CACHE_MAX_SIZE".into(), "7MiB".into())],
        config: Some(format!("listen: '{by_file}'\ncache: {{ max_size: 9MiB }}\n")),
        ..TransshipSetup::default()
    };
    let process = TransshipProcess::start(PROGRAM, setup);
    for not_taken in [by_env, by_file] {
        assert!(plain_http::get(&not_taken, "/healthz").is_none(), "{not_taken}");
    }
    let metrics = plain_http::get(&process.host(), "/metrics").unwrap().text();
    assert_eq!(crate::lab::metric_in(&metrics, "transship_cache_max_size_bytes"), Some(f64::from(7 << 20)));
}

#[test]
fn without_any_configuration_it_serves_the_well_known_registries_and_says_how() {
    let process = TransshipProcess::start(PROGRAM, TransshipSetup::default());
    let banner = process.log_text();
    assert!(banner.contains(&process.url()), "{banner}");
    assert!(banner.contains(process.cache_dir().to_str().unwrap()), "{banner}");
    assert!(banner.contains(&format!("docker pull {}/dockerhub/library/alpine", process.host())), "{banner}");
    let authorization = format!("Bearer {}", process.admin_token());
    let headers = [("Authorization", authorization.as_str())];
    let listed = plain_http::send(&process.host(), "GET", "/api/repos", &headers, &[]).unwrap().text();
    for key in ["dockerhub", "ghcr", "quay", "gcr", "mcr", "k8s"] {
        assert!(listed.contains(&format!("\"key\":\"{key}\"")), "{key} is not in {listed}");
    }
    assert!(!banner.contains(&process.admin_token()), "the token's place is told, not the token");
}

#[test]
fn the_admin_token_can_be_given() {
    let token = "a-token-of-the-operator";
    let setup =
        TransshipSetup { env: vec![("TRANSSHIP_ADMIN_TOKEN".into(), token.into())], ..TransshipSetup::default() };
    let process = TransshipProcess::start(PROGRAM, setup);
    let authorization = format!("Bearer {token}");
    let answer =
        plain_http::send(&process.host(), "GET", "/api/repos", &[("Authorization", &authorization)], &[]).unwrap();
    assert_eq!(answer.status, 200);
    assert!(!process.cache_dir().join("admin.token").exists());
    assert!(!process.log_text().contains(token));
}
