//! The configuration as a whole: many wrong fields at once, precedence, what is used for whom, generated documents.

use std::ffi::OsString;
use std::path::Path;

use clap::CommandFactory;

use super::defaults::{NAMES as DEFAULT_NAMES, argument as default_argument};
use super::*;
use crate::args::Args;
use crate::command_line;
use crate::settings::Settings;

const MUCH_IS_WRONG: &str = r"concurrency: 8
default: {}
defaults:
  concurrencey: 8
  concurrency: 0
  max_retries: many
  mirror_form: pth
  no_progress: yes please
  insecure: true
  skip_verify: true
  platform: linux
  mirrors: ['http://a.example', 'ftp://b.example']
registries:
  'not a host': {}
  ghcr.io:
    inscure: true
    plain_http: 1
    auth: { type: basik }
  lab.example:
    plain_http: true
    ca: /there/is/none.pem
    auth: { type: basic, username: me, password: canary }
  a.example:
    auth: { type: basic, token_file: x }
  b.example:
    auth: { username: me }
  docker.io: {}
  index.docker.io: {}
";

#[test]
fn everything_wrong_is_said_at_once_with_line_and_hint() {
    let problems = Config::parse(MUCH_IS_WRONG, Path::new("config.yaml")).unwrap_err();
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        "line 1: concurrency: unknown field (it belongs under `defaults`: defaults.concurrency)",
        "line 2: default: unknown field (did you mean 'defaults'?)",
        "line 4: defaults.concurrencey: unknown field (did you mean 'concurrency'?)",
        "line 5: defaults.concurrency: '0' is not usable: ",
        "line 6: defaults.max_retries: 'many' is not usable: ",
        "line 7: defaults.mirror_form: must be path or bare, not 'pth'",
        "line 8: defaults.no_progress: must be true or false, not a text",
        "line 9: defaults.insecure: unknown field (it belongs to one registry: registries.<host>.insecure)",
        "line 10: defaults.skip_verify: unknown field (verification is switched off with --skip-verify, each time)",
        "line 11: defaults.platform: 'linux' is not usable: ",
        "line 12: defaults.mirrors: must be a plain URL",
        "line 14: registries.not a host: 'not a host' is not a registry: ",
        "line 16: registries.ghcr.io.inscure: unknown field (did you mean 'insecure'?)",
        "line 17: registries.ghcr.io.plain_http: must be true or false, not a number",
        "line 18: registries.ghcr.io.auth.type: must be basic or token or identity_token or helper or none; did you mean 'basic'?",
        "line 20: registries.lab.example.plain_http: plain HTTP has no certificate",
        "line 21: registries.lab.example.ca: /there/is/none.pem cannot be read",
        "line 22: registries.lab.example.auth.password: is not a sealed secret; write it with `starget config login <host>`",
        "line 24: registries.a.example.auth.token_file: has no meaning with type basic",
        "line 26: registries.b.example.auth.type: required",
        "line 28: registries.index.docker.io: docker.io is there under another of its names",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "found    {found}\nexpected {expected}");
        assert!(!found.contains("canary"), "{found}");
    }
}

fn settings(yaml: &str, words: &[&str]) -> Settings {
    let config = Config::parse(yaml, Path::new("config.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
    let words: Vec<OsString> = ["starget", "info", "alpine"].iter().chain(words).map(OsString::from).collect();
    let args = command_line::with(config, |command| command.try_get_matches_from(words)).unwrap();
    Settings::new(&args.options).unwrap()
}

#[test]
fn flags_win_over_the_file_and_the_file_over_what_is_built_in() {
    let yaml =
        "defaults: { concurrency: 8, stats: true, mirrors: [http://m.example], platform: linux/s390x, max_retries: }";
    let of_file = settings(yaml, &[]);
    assert_eq!((of_file.concurrency.get(), of_file.stats, of_file.max_retries), (8, true, 3));
    assert_eq!(
        (of_file.mirrors[0].as_str(), of_file.platform.to_string().as_str()),
        ("http://m.example/", "linux/s390x")
    );
    let typed = settings(yaml, &["--concurrency", "2", "--mirror", "http://n.example"]);
    assert_eq!((typed.concurrency.get(), typed.mirrors[0].as_str()), (2, "http://n.example/"));
    assert_eq!(settings("", &[]).concurrency.get(), 4);
}

#[test]
fn what_is_known_of_one_registry_is_for_that_one_only() {
    let yaml = "
defaults: { mirrors: [http://all.example] }
registries:
  ghcr.io: { insecure: true, mirrors: [http://m.example:5000], mirror_form: bare, auth: { type: token, token_file: t } }
  m.example:5000: { plain_http: true, auth: { type: none } }
";
    let settings = self::settings(yaml, &[]);
    let ghcr = settings.at("ghcr.io").unwrap();
    assert_eq!((ghcr.mirrors[0].as_str(), ghcr.insecure), ("http://m.example:5000/", true));
    assert_eq!(ghcr.login.unwrap().describe(), "token_file");
    let mirror = settings.at("m.example:5000").unwrap();
    assert_eq!((mirror.login.unwrap().describe().as_str(), mirror.plain_http, mirror.insecure), ("none", true, false));
    let other = settings.at("quay.io").unwrap();
    assert_eq!(
        (other.mirrors[0].as_str(), other.insecure, other.login.is_none()),
        ("http://all.example/", false, true)
    );
    let typed = self::settings(yaml, &["--mirror", "http://typed.example"]).at("ghcr.io").unwrap();
    assert_eq!(typed.mirrors[0].as_str(), "http://typed.example/", "what was typed wins");
}

#[test]
fn every_default_is_a_flag_of_that_name() {
    let command = Args::command();
    for name in DEFAULT_NAMES {
        assert!(command.get_arguments().any(|argument| argument.get_id() == name), "{name}");
        let argument = default_argument(&command, name);
        let long = argument.get_long().unwrap().replace('-', "_");
        assert!(long == name || format!("{long}s") == name, "{name} is the flag --{long}");
    }
}

#[test]
fn the_example_of_the_reference_is_good() {
    let yaml = reference::EXAMPLE.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let config = Config::parse(yaml, Path::new("config.yaml")).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.registries.hosts().collect::<Vec<_>>(), ["ghcr.io", "lab.example:5000", "registry.corp.example"]);
}

#[test]
fn the_reference_in_the_documentation_is_the_one_that_is_made() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/starget-configuration.md");
    let written = std::fs::read_to_string(page).unwrap();
    assert_eq!(written, reference(), "run `starget config reference > docs/starget-configuration.md`");
}
