//! The configuration as a whole: many wrong fields at once, precedence, files it names, generated documents.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::fields::FIELDS;
use super::problem::Problems;
use super::raw::RawConfig;
use super::*;

struct Case {
    folder: TempDir,
    flags: Vec<FlagValue>,
    environment: Environment,
}

impl Case {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), flags: Vec::new(), environment: Environment::from_pairs([]) }
    }

    fn env<const N: usize>(mut self, pairs: [(&str, &str); N]) -> Self {
        self.environment = Environment::from_pairs(pairs);
        self
    }

    fn flag(mut self, field: &'static str, flag: &'static str, values: &[&str]) -> Self {
        self.flags.push(FlagValue { field, flag, values: values.iter().map(|v| (*v).to_owned()).collect() });
        self
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, yaml: &str) -> Result<Config, Problems> {
        let file = Some(self.write("transship.yaml", yaml));
        Sources { file, flags: self.flags.clone(), environment: self.environment.clone() }.load()
    }

    fn good(&self, yaml: &str) -> Config {
        self.load(yaml).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn bad(&self, yaml: &str) -> Vec<String> {
        let problems = self.load(yaml).err().expect("a configuration with problems");
        problems.iter().map(ToString::to_string).collect()
    }
}

fn assert_starts(found: &[String], expected: &[&str]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "found    {found}\nexpected {expected}");
    }
}

fn proxy(config: &Config, at: usize) -> &registry::RepositorySpec {
    match &config.repositories[at] {
        registry::ConfiguredRepository::Proxy(spec) => spec,
        registry::ConfiguredRepository::Hosted(_) | registry::ConfiguredRepository::Group(_) => panic!("another kind"),
    }
}

const MUCH_IS_WRONG: &str = r#"listen: ["127.0.0.1:5000", "localhost:80"]
cache_dri: /var/lib/transship
cache:
  max_sise: 1GiB
  max_size: 5G
  fill_on_range: sometimes
builtin_upstreams: maybe
repos:
  dockerhub:
    upstream: https://registry-1.docker.io
    tag_tll: 5m
    tag_ttl: five minutes
  "my.host":
    upstream: https://ghcr.io
  lab:
    upstream: ftp://lab.example.com
    immutable_tags: [3]
    auth: { username: ci, pasword: x }
  planned: { kind: group }
tls: { cert: /nonexistent/tls.crt }
log: { level: inof, format: xml }
tracing: { otlp_endpoint: "collector:4318" }
upstream:
  connect_timeout: 0s
  max_attempts: 99
shutdown_timeout: [30s]
limits: 5
"#;

#[test]
fn every_wrong_field_is_reported_at_once_with_its_line() {
    let found = Case::new().bad(MUCH_IS_WRONG);
    assert_starts(
        &found,
        &[
            "line 1: listen: 'localhost:80' is not an address; write 127.0.0.1:80",
            "line 2: cache_dri: unknown field (did you mean 'cache_dir'?)",
            "line 4: cache.max_sise: unknown field (did you mean 'max_size'?)",
            "line 5: cache.max_size: '5G' is ambiguous; write 5GiB (1024) or 5GB (1000)",
            "line 6: cache.fill_on_range: 'sometimes' is not a fill policy",
            "line 7: builtin_upstreams: must be true or false",
            "line 11: repos.dockerhub.tag_tll: unknown field",
            "line 12: repos.dockerhub.tag_ttl: 'five minutes' is not a duration",
            "line 13: repos.my.host: ",
            "line 16: repos.lab.upstream: scheme 'ftp' is not supported",
            "line 17: repos.lab.immutable_tags[0]: must be a string",
            "line 18: repos.lab.auth.password: required",
            "line 18: repos.lab.auth.pasword: unknown field",
            "line 19: repos.planned.members: required",
            "line 20: tls.cert: cannot be read",
            "line 20: tls.key: required when tls.cert is given",
            "line 21: log.format: must be human or json",
            "line 21: log.level: 'inof' is not a log level",
            "line 22: tracing.otlp_endpoint: must start with http:// or https://",
            "line 24: upstream.connect_timeout: must be at least 1s",
            "line 25: upstream.max_attempts: must be a whole number from 1 to 10",
            "line 26: shutdown_timeout: must be a text, not a list",
            "line 27: limits: must be a map with max_connections, not a number",
        ],
    );
    assert!(found[6].ends_with("(did you mean 'tag_ttl'?)"), "{}", found[6]);
    assert!(found[12].ends_with("(did you mean 'password'?)"), "{}", found[12]);
}

#[test]
fn nothing_given_gives_the_documented_defaults() {
    let config = Case::new().flag("cache_dir", "--cache-dir", &["/c"]).good("");
    assert_eq!(config.listen, ["127.0.0.1:5000".parse().unwrap()]);
    assert_eq!(config.max_size, None);
    assert!(config.builtin_upstreams && config.repositories.is_empty() && config.tls.is_none());
    assert!(config.otlp_endpoint.is_none() && config.log_format.is_none());
    assert!(matches!(config.admin_token, AdminToken::OwnFile));
    let said = |path: &str| FIELDS.iter().find(|f| f.path == path).unwrap().default.trim_matches('`');
    let duration = |path: &str| registry::parse_duration(said(path)).unwrap();
    assert_eq!(config.upstream.timeouts.connect, duration("upstream.connect_timeout"));
    assert_eq!(config.upstream.timeouts.first_byte, duration("upstream.first_byte_timeout"));
    assert_eq!(config.upstream.timeouts.idle, duration("upstream.idle_timeout"));
    assert_eq!(config.upstream.max_attempts.to_string(), said("upstream.max_attempts"));
    assert_eq!(config.shutdown_timeout, duration("shutdown_timeout"));
    assert_eq!(config.max_connections.to_string(), said("limits.max_connections"));
    assert_eq!(config.log_level.to_string(), said("log.level"));
}

#[test]
fn flags_win_over_environment_over_file() {
    let yaml = "listen: 127.0.0.1:1\ncache_dir: /file\ncache: { max_size: 1GiB, fill_on_range: none }\nlog: { level: error, format: human }\n";
    let config = Case::new()
        .env([
            ("TRANSSHIP_LISTEN", "127.0.0.1:2, [::1]:2"),
            ("TRANSSHIP_CACHE_DIR", "/env"),
            ("TRANSSHIP_LOG_LEVEL", "warn"),
            ("TRANSSHIP_LOG_FORMAT", ""),
        ])
        .flag("cache_dir", "--cache-dir", &["/flag"])
        .flag("listen", "--listen", &["127.0.0.1:3"])
        .good(yaml);
    assert_eq!(config.listen, ["127.0.0.1:3".parse().unwrap()]);
    assert_eq!(config.cache_dir, PathBuf::from("/flag"));
    assert_eq!(config.log_level.to_string(), "warn");
    assert_eq!(config.log_format, Some(crate::logging::LogFormat::Human), "an empty variable counts as unset");
    assert_eq!(config.max_size, Some(Size(1 << 30)), "what is not overridden stays");

    let config = Case::new().env([("TRANSSHIP_LISTEN", "127.0.0.1:2, [::1]:2")]).good(yaml);
    assert_eq!(config.listen, ["127.0.0.1:2".parse().unwrap(), "[::1]:2".parse().unwrap()]);
}

#[test]
fn problems_of_every_source_name_that_source() {
    let found = Case::new()
        .env([("TRANSSHIP_LISTEN", "nowhere"), ("TRANSSHIP_ADMIN_TOKEN", "short")])
        .flag("cache.max_size", "--max-size", &["big"])
        .bad("listen: elsewhere\n");
    assert_starts(
        &found,
        &[
            "line 1: listen: 'elsewhere' is not an address",
            "TRANSSHIP_ADMIN_TOKEN: must have at least 16 characters",
            "TRANSSHIP_LISTEN: listen: 'nowhere' is not an address",
            "--max-size: cache.max_size: 'big' is not a size",
        ],
    );
}

#[test]
fn variables_are_replaced_and_their_values_are_never_shown() {
    let case = Case::new().env([
        ("CORP_PASSWORD", "hunter2"),
        ("BAD_URL", "https://u:hunter2@h"),
        ("SIZE", "hunter2"),
        ("N", "7"),
    ]);
    let config = case.good(
        "upstream: { max_attempts: '${N}' }\nrepos:\n  corp:\n    upstream: https://${HOST:-r.example.com}\n    auth: { username: ci, password: \"${CORP_PASSWORD}\" }\n",
    );
    assert_eq!(config.upstream.max_attempts, 7);
    assert_eq!(proxy(&config, 0).upstream.url.as_str(), "https://r.example.com/");
    assert_eq!(proxy(&config, 0).document["auth"]["password"], "hunter2");

    let found = case.bad("cache: { max_size: '${SIZE}' }\nrepos:\n  a: { upstream: '${BAD_URL}' }\n  b: { upstream: 'https://${UNSET}' }\n");
    assert_starts(
        &found,
        &[
            "line 1: cache.max_size: '${SIZE}' is not a size",
            "line 3: repos.a.upstream: must not hold credentials",
            "line 4: repos.b.upstream: the environment variable UNSET is not set",
        ],
    );
    assert!(!found.concat().contains("hunter2"), "{found:?}");
}

#[test]
fn a_password_file_stays_one_and_its_problems_are_reported() {
    let case = Case::new();
    let file = case.write("password", "s3cret\n");
    let repo = |auth: &str| format!("repos:\n  corp:\n    upstream: https://r.example.com\n    auth: {auth}\n");
    let config = case.good(&repo(&format!("{{ username: ci, password_file: {} }}", file.display())));
    assert!(!proxy(&config, 0).document.to_string().contains("s3cret"), "it is read at use");

    let found = case.bad(&repo(&format!("{{ username: ci, password: x, password_file: {} }}", file.display())));
    assert_starts(&found, &["line 4: repos.corp.auth.password_file: give password or password_file, not both"]);
    let found = case.bad(&repo("{ username: ci, password_file: /nonexistent/password }"));
    assert_starts(&found, &["line 4: repos.corp.auth.password_file: cannot read /nonexistent/password"]);
}

#[test]
fn limits_of_hosts_are_read_with_their_lines() {
    let config = Case::new().good(
        "upstream:\n  limits:\n    docker.io: { requests_per_second: 5, bytes_per_second: 1MiB }\n    r.example:8443: { concurrent_requests: 2 }\n",
    );
    let at = |url: &str| config.upstream.host_limits.limits(&url.parse().unwrap()).unwrap();
    assert_eq!(at("https://registry-1.docker.io").requests_per_second.unwrap().get(), 5);
    assert_eq!(at("https://r.example:8443").concurrent_requests.unwrap().get(), 2);
    let found = Case::new().bad(
        "upstream:\n  limits:\n    'not a host': {}\n    r.example:\n      requests_per_second: 0\n      pace: 1\n    q.example: 5\n",
    );
    assert_starts(
        &found,
        &[
            "line 3: upstream.limits.not a host: invalid registry host",
            "line 5: upstream.limits.r.example.requests_per_second: must be a whole number from 1",
            "line 6: upstream.limits.r.example.pace: unknown field",
            "line 7: upstream.limits.q.example: must be an object with requests_per_second",
        ],
    );
    assert_starts(&Case::new().bad("upstream: { limits: 5 }\n"), &["line 1: upstream.limits: must be a map of limits"]);
}

#[test]
fn host_names_and_ports_have_one_owner() {
    let found = Case::new().bad(
        "listen: 127.0.0.1:5000\nrepos:\n  a: { upstream: https://a.example.com, hosts: [m.example], listen: 127.0.0.1:5001 }\n  b: { upstream: https://b.example.com, hosts: [n.example, m.example], listen: [127.0.0.1:5001, 127.0.0.1:5000] }\n",
    );
    assert_starts(
        &found,
        &[
            "line 4: repos.b.hosts[1]: 'm.example' is claimed by a too",
            "line 4: repos.b.listen[0]: port 5001 is claimed by a too",
            "line 4: repos.b.listen[1]: port 5000 is one the server listens on for all repositories",
        ],
    );
}

#[test]
fn the_fill_policy_of_the_cache_is_the_default_of_the_files_repositories() {
    let config = Case::new().good(
        "cache: { fill_on_range: none }\nrepos:\n  a: { upstream: https://a.example.com }\n  b: { upstream: https://b.example.com, fill_on_range: background }\n",
    );
    let policies: Vec<String> = (0..2).map(|at| proxy(&config, at).fill_on_range.to_string()).collect();
    assert_eq!(policies, ["none", "background"]);
}

#[test]
fn a_hosted_repository_stands_beside_others() {
    let config = Case::new().good(
        "cache: { fill_on_range: none }\npublic_url: https://r.example.com\nrepos:\n  releases: { kind: hosted, immutable_tags: ['v*'] }\n  a: { upstream: https://a.example.com }\n",
    );
    assert_eq!(config.public_url.unwrap().as_str(), "https://r.example.com/");
    assert!(
        matches!(&config.repositories[0], registry::ConfiguredRepository::Hosted(spec) if spec.key.as_str() == "releases")
    );
    assert_starts(
        &Case::new().bad("repos:\n  r: { kind: hosted, upstream: https://a.example.com, psh: x }\n"),
        &[
            "line 2: repos.r.psh: unknown field; known are key, kind, members",
            "line 2: repos.r.upstream: a hosted repository has no",
        ],
    );
}

#[test]
fn a_missing_file_broken_yaml_and_the_wrong_shape_are_one_clear_problem() {
    let sources = Sources {
        file: Some("/nonexistent/t.yaml".into()),
        flags: Vec::new(),
        environment: Environment::from_pairs([]),
    };
    let problems = sources.load().err().unwrap().to_string();
    assert!(problems.contains("cannot read /nonexistent/t.yaml"), "{problems}");
    assert_starts(&Case::new().bad("listen: [\n"), &["line "]);
    assert_starts(&Case::new().bad("- a\n- b\n"), &["line 1: must be a map of fields, not a list"]);
    assert_starts(&Case::new().bad("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n"), &["line 2: is not valid YAML"]);
}

#[test]
fn every_fields_example_passes_the_checker_and_the_types() {
    let case = Case::new();
    // These come in pairs, or name files that must be there.
    let alone =
        |path: &str| !["tls.", "upstream.proxy_", "upstream.no_proxy"].iter().any(|start| path.starts_with(start));
    for field in FIELDS.iter().filter(|f| alone(f.path)) {
        let (sections, leaf) = field.path.rsplit_once('.').map_or(("", field.path), |(section, leaf)| (section, leaf));
        let yaml = if sections.is_empty() {
            format!("{leaf}: {}\n", field.example)
        } else {
            format!("{sections}:\n  {leaf}: {}\n", field.example)
        };
        case.good(&yaml);
    }
    let every_path: serde_json::Value = FIELDS.iter().fold(serde_json::json!({}), |mut all, field| {
        match field.path.split_once('.') {
            Some((section, leaf)) => all[section][leaf] = serde_json::Value::Null,
            None => {
                all[field.path] = if field.path == "repos" { serde_json::json!({}) } else { serde_json::Value::Null }
            }
        }
        all
    });
    serde_json::from_value::<RawConfig>(every_path).map(drop).expect("the types know every field of the table");
}

#[test]
fn the_reference_in_the_repository_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let written = fs::read_to_string(path).expect("docs/configuration.md");
    assert!(
        written == reference(),
        "docs/configuration.md is out of date: run `transship config reference > docs/configuration.md`"
    );
}

#[test]
fn the_example_in_the_repository_is_good() {
    let yaml = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/transship.yaml")).unwrap();
    let config = Case::new().env([("CORP_PASSWORD", "x")]).good(&yaml);
    assert!(config.repositories.len() >= 3);
    assert!(config.shutdown_timeout >= Duration::from_secs(1));
}

#[test]
fn pauses_and_hedging_are_read_and_checked() {
    let case = Case::new().flag("cache_dir", "--cache-dir", &["/c"]);
    let upstream = case.good("upstream: { retry_base: 50ms, retry_max: 3s, hedge: auto }").upstream;
    assert_eq!((upstream.backoff.base.as_millis(), upstream.backoff.max.as_secs()), (50, 3));
    assert_eq!(upstream.hedging, registry::Hedging::Auto);
    assert_eq!(case.good("upstream: { hedge: off }").upstream.hedging, registry::Hedging::Off);
    assert_eq!(case.good("upstream: { retry_base: 9s }").upstream.backoff.max.as_secs(), 9);
    let found = case.bad("upstream:\n  retry_base: 5s\n  retry_max: 1s\n  hedge: always\n");
    let expected = [
        "line 3: upstream.retry_max: must not be shorter than upstream.retry_base, 5s",
        "line 4: upstream.hedge: must be off or auto",
    ];
    assert_starts(&found, &expected);
}

#[test]
fn a_group_has_members_that_are_there() {
    let good = "repos:\n  rel: { kind: hosted }\n  all: { kind: group, members: [rel, dockerhub], push_to: rel, pin: { 'team/*': rel }, routes: { dockerhub: ['library/*'] } }";
    let config = Case::new().flag("cache_dir", "--cache-dir", &["/c"]).good(good);
    assert!(config.repositories.iter().any(|spec| matches!(spec, registry::ConfiguredRepository::Group(_))));
    let bad = "builtin_upstreams: false\nrepos:\n  rel: { kind: hosted, tag_ttl: 5m }\n  all:\n    kind: group\n    members: [rel, dockerhub]\n    pin: { Team: rel }\n  more:\n    kind: group\n    members:\n      - rel\n      - dockerhub";
    let found = Case::new().bad(bad);
    assert_starts(
        &found,
        &[
            "line 3: repos.rel.tag_ttl: a hosted repository has no 'tag_ttl'",
            "line 7: repos.all.pin.Team: 'T' cannot be in a name",
            "line 12: repos.more.members[1]: there is no repository 'dockerhub'",
        ],
    );
}
