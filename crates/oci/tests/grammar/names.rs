//! Repository names, tags, references, repo keys and hosts (reliability cases A01, A02, A03).

use oci::{Reference, RegistryHost, RepoKey, RepositoryName, Tag};
use proptest::prelude::*;

/// The spec's grammar said another way: letters and digits at both ends of a segment, and between two runs of them a
/// separator out of a short list.
fn is_name_by_model(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator =
        |run: &str| matches!(run, "." | "_" | "__") || (!run.is_empty() && run.chars().all(|c| c == '-'));
    let is_segment = |segment: &str| {
        segment.starts_with(is_word)
            && segment.ends_with(is_word)
            && segment.split(is_word).filter(|run| !run.is_empty()).all(is_separator)
    };
    text.len() <= 255 && text.split('/').all(is_segment)
}

proptest! {
    #[test]
    fn names_agree_with_the_model(text in "[a-c0-1A._/é-]{0,9}") {
        prop_assert_eq!(text.parse::<RepositoryName>().is_ok(), is_name_by_model(&text), "{}", text);
    }

    #[test]
    fn names_of_the_grammar_are_kept_as_written(
        text in r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,3}(/[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,3}){0,3}",
    ) {
        let name: RepositoryName = text.parse().unwrap();
        prop_assert_eq!(name.as_str(), &text);
        prop_assert_eq!(name.segments().collect::<Vec<_>>().join("/"), text.clone());
        let json = serde_json::to_string(&name).unwrap();
        prop_assert_eq!(serde_json::from_str::<RepositoryName>(&json).unwrap(), name);
    }

    #[test]
    fn tags_of_the_grammar_are_kept_as_written(text in r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}") {
        let tag: Tag = text.parse().unwrap();
        prop_assert_eq!(tag.as_str(), &text);
        prop_assert_eq!(text.parse::<Reference>().unwrap(), Reference::Tag(tag));
    }

    #[test]
    fn nothing_is_both_a_key_and_a_host(text in "(localhost|[a-z0-9._:\\[\\]-]{0,8})") {
        prop_assert!(text.parse::<RepoKey>().is_err() || text.parse::<RegistryHost>().is_err(), "{}", text);
    }

    #[test]
    fn a_key_is_a_name_of_one_segment(text in "[a-z0-9_-]{1,10}") {
        if let Ok(key) = text.parse::<RepoKey>() {
            let name: RepositoryName = key.as_str().parse().unwrap();
            prop_assert_eq!(name.segments().count(), 1);
        }
    }

    #[test]
    fn hosts_are_canonical(text in r"([A-Za-z0-9-]{1,4}(\.[A-Za-z0-9-]{1,4}){0,2}|\[[0-9a-fA-F:]{2,9}\])(:[0-9]{1,6})?") {
        if let Ok(host) = text.parse::<RegistryHost>() {
            let again: RegistryHost = host.as_str().parse().unwrap();
            prop_assert_eq!(&again, &host);
            prop_assert_eq!(host.as_str(), host.as_str().to_lowercase());
            let rebuilt = host.port().map_or(host.name().to_owned(), |port| format!("{}:{port}", host.name()));
            prop_assert_eq!(rebuilt, host.as_str());
        }
    }

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        // Whatever parses is printed as it was read; a host may change case only.
        if let Ok(name) = text.parse::<RepositoryName>() { prop_assert_eq!(name.as_str(), &text); }
        if let Ok(tag) = text.parse::<Tag>() { prop_assert_eq!(tag.as_str(), &text); }
        if let Ok(key) = text.parse::<RepoKey>() { prop_assert_eq!(key.as_str(), &text); }
        if let Ok(reference) = text.parse::<Reference>() { prop_assert_eq!(reference.to_string(), text.clone()); }
        if let Ok(host) = text.parse::<RegistryHost>() { prop_assert!(host.as_str().is_ascii()); }
    }
}

#[test]
fn names_that_are_not() {
    let long = "a/".repeat(128);
    let refused = [
        "",
        "/",
        "a//b",
        "a/../b",
        "A/b",
        "a/.b",
        "a/b/",
        "/a",
        "_catalog",
        ".",
        "..",
        "a..b",
        "a___b",
        "a._b",
        "a-",
        "-a",
        "a_-b",
        "%2e%2e%2f",
        "a%2fb",
        "%252e",
        "a\0b",
        "a\\b",
        "a;v=1",
        "a b",
        "a\n",
        "аpp",
        "ａ",
        "ı",
        "a:b",
        "a@b",
        &long,
    ];
    for text in refused {
        let error = text.parse::<RepositoryName>().expect_err(text).to_string();
        assert!(error.starts_with("invalid repository name"), "{error}");
        assert!(error.len() < 400 && !error.chars().any(char::is_control), "{error}");
    }
}

#[test]
fn name_length_limit() {
    assert!("a".repeat(255).parse::<RepositoryName>().is_ok());
    assert!("a".repeat(256).parse::<RepositoryName>().is_err());
    for text in ["a", "library/debian", "a--b/c__d/e.f/0", "kubernetes-sigs/x----y"] {
        assert_eq!(text.parse::<RepositoryName>().unwrap().as_str(), text);
    }
}

#[test]
fn tags_that_are_not() {
    let long = "t".repeat(129);
    for text in ["", ".hidden", "-flag", "a:b", "a/b", "..", "é", "a b", "a\0", "a%20", "a+b", &long] {
        assert!(text.parse::<Tag>().is_err(), "{text}");
    }
    for text in ["_", "latest", "1.27-alpine", "A_b.C-d", "a..b", &long[..128]] {
        assert!(text.parse::<Tag>().is_ok(), "{text}");
    }
}

#[test]
fn tags_sort_by_bytes() {
    let mut tags: Vec<Tag> = ["b", "a", "B", "_", "10", "9"].map(|text| text.parse().unwrap()).into();
    tags.sort();
    assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["10", "9", "B", "_", "a", "b"]);
}

#[test]
fn references_are_one_thing_only() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let reference: Reference = digest.parse().unwrap();
    assert_eq!((reference.digest().map(ToString::to_string), reference.tag()), (Some(digest), None));
    let reference: Reference = "v1".parse().unwrap();
    assert_eq!((reference.digest(), reference.tag().map(Tag::as_str)), (None, Some("v1")));
    for text in ["sha256:", "sha256:baddigest", "sha256:../..", ":", "a:b", "", "a/b"] {
        assert!(text.parse::<Reference>().is_err(), "{text}");
    }
}

#[test]
fn repo_keys() {
    for text in ["dockerhub", "a", "docker-hub", "my_repo_2", &"k".repeat(64)] {
        assert_eq!(text.parse::<RepoKey>().unwrap().as_str(), text);
    }
    let refused = [
        "",
        "v2",
        "api",
        "token",
        "ui",
        "metrics",
        "healthz",
        "readyz",
        "_catalog",
        "localhost",
        "ghcr.io",
        "a:1",
        "A",
        "a b",
        "-a",
        "a-",
        "a--b",
        "a_-b",
        "a/b",
        "é",
        "..",
        &"k".repeat(65),
    ];
    for text in refused {
        assert!(text.parse::<RepoKey>().is_err(), "{text}");
    }
}

#[test]
fn hosts() {
    let accepted = [
        ("ghcr.io", "ghcr.io", None),
        ("GHCR.io", "ghcr.io", None),
        ("localhost", "localhost", None),
        ("LOCALHOST:80", "localhost:80", Some(80)),
        ("registry:5000", "registry:5000", Some(5000)),
        ("127.0.0.1:5001", "127.0.0.1:5001", Some(5001)),
        ("[::1]:5000", "[::1]:5000", Some(5000)),
        ("[0:0:0:0:0:0:0:1]", "[::1]", None),
        ("a.b:65535", "a.b:65535", Some(65535)),
    ];
    for (text, canonical, port) in accepted {
        let host: RegistryHost = text.parse().unwrap();
        assert_eq!((host.as_str(), host.port()), (canonical, port));
    }
    let label = format!("{}.io", "a".repeat(64));
    let refused = [
        "",
        "ghcr",
        "a.",
        ".a",
        "a..b",
        "a.b:",
        "a.b:0",
        "a.b:080",
        "a.b:65536",
        "a.b:-1",
        "a.b:+1",
        "a.b:5a",
        "a.b:1:2",
        "::1",
        "[::1",
        "::1]",
        "[::1]x",
        "[fe80::1%25eth0]",
        "[]",
        "user@a.b",
        "a.b/c",
        "a b.c",
        "a_b.c",
        "-a.b",
        "é.io",
        "a.b\r\n",
        &label,
    ];
    for text in refused {
        assert!(text.parse::<RegistryHost>().is_err(), "{text}");
    }
}
