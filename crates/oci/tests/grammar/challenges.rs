//! `WWW-Authenticate` (reliability case B17).

use oci::{Challenge, InvalidChallenge};
use proptest::prelude::*;

fn parse(header: &str) -> Vec<Challenge> {
    Challenge::parse_all(header).expect(header)
}

#[test]
fn what_registries_send() {
    let header =
        r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
    let challenges = parse(header);
    assert_eq!(challenges.len(), 1);
    assert_eq!(challenges[0].scheme, "bearer");
    assert_eq!(challenges[0].param("realm"), Some("https://auth.docker.io/token"));
    assert_eq!(challenges[0].param("Service"), Some("registry.docker.io"));
    assert_eq!(challenges[0].param("scope"), Some("repository:a/b:pull,push"));
    assert_eq!(challenges[0].param("error"), None);
}

#[test]
fn several_challenges_in_one_header() {
    let challenges =
        parse(r#"Negotiate, NTLM TlRM==, BEARER realm = "a, b=\"c\"" , error=x,, Basic realm="r", charset="UTF-8""#);
    let schemes: Vec<&str> = challenges.iter().map(|challenge| challenge.scheme.as_str()).collect();
    assert_eq!(schemes, ["negotiate", "ntlm", "bearer", "basic"]);
    assert_eq!(challenges[0].token68, None);
    assert_eq!(challenges[1].token68.as_deref(), Some("TlRM=="));
    assert_eq!(challenges[2].param("realm"), Some("a, b=\"c\""));
    assert_eq!(challenges[2].param("error"), Some("x"));
    assert_eq!(challenges[3].param("realm"), Some("r"));
    assert_eq!(challenges[3].param("charset"), Some("UTF-8"));
}

#[test]
fn tolerated() {
    assert_eq!(parse(""), []);
    assert_eq!(parse(" , ,"), []);
    assert_eq!(parse("Basic").len(), 1);
    assert_eq!(parse("Bearer realm=https://a.b/token,service=x")[0].param("realm"), Some("https://a.b/token"));
    assert_eq!(parse(r#"Basic realm="""#)[0].param("realm"), Some(""));
    assert_eq!(parse("Basic realm=\"é\u{1f980}\"")[0].param("realm"), Some("é\u{1f980}"));
}

#[test]
fn refused() {
    let malformed = [
        r#"Bearer realm="open"#,
        r#"Bearer realm="open\"#,
        r#"Bearer realm="a" service="b""#,
        r#"Bearer realm="a"x"#,
        "Bearer realm=,a=b",
        "realm=\"x\"",
        "=",
        "\"",
        "é",
        "Bearer \"x\"",
        "Bearer\0",
    ];
    for header in malformed {
        let result = Challenge::parse_all(header);
        assert!(matches!(result, Err(InvalidChallenge::Malformed { .. })), "{header}: {result:?}");
    }
    let twice = Challenge::parse_all(r#"Bearer realm="https://good", REALM="https://bad""#);
    assert!(matches!(twice, Err(InvalidChallenge::DuplicateParam { .. })), "{twice:?}");
}

#[test]
fn caps() {
    let long = format!("Bearer realm=\"{}\"", "x".repeat(64 * 1024));
    assert_eq!(Challenge::parse_all(&long), Err(InvalidChallenge::TooLong));
    let many = "Basic,".repeat(1000);
    assert_eq!(Challenge::parse_all(&many), Err(InvalidChallenge::TooMany));
    let params: Vec<String> = (0..33).map(|number| format!("p{number}=v")).collect();
    assert_eq!(Challenge::parse_all(&format!("Bearer {}", params.join(","))), Err(InvalidChallenge::TooMany));
    assert_eq!(parse(&format!("Bearer {}", params[..32].join(","))).len(), 1);
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

proptest! {
    #[test]
    fn values_survive_quoting(params in prop::collection::btree_map("[a-z][a-z0-9_]{0,6}", any::<String>(), 1..6)) {
        let written: Vec<String> = params.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
        let header = format!("Bearer {}, Basic realm=\"second\"", written.join(", "));
        let challenges = Challenge::parse_all(&header).unwrap();
        prop_assert_eq!(challenges.len(), 2);
        for (name, value) in &params {
            prop_assert_eq!(challenges[0].param(name), Some(value.as_str()));
        }
        prop_assert_eq!(challenges[1].param("realm"), Some("second"));
    }

    #[test]
    fn any_header_is_answered(header in any::<String>(), dense in "[Ba=,\" \\\\é]{0,40}") {
        for text in [header, dense] {
            if let Ok(challenges) = Challenge::parse_all(&text) {
                prop_assert!(challenges.iter().all(|challenge| !challenge.scheme.is_empty()));
            }
        }
    }
}
