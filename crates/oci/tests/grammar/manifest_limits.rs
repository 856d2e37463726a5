//! Manifests at and past the limits (reliability cases A05, A06, A08).

use oci::{ManifestError, ManifestFacts, limits};

const DESCRIPTOR: &str = r#"{"mediaType":"a/b","size":1,"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}"#;

/// An image manifest with this text added as further members.
fn image_with(members: &str) -> String {
    format!(r#"{{"schemaVersion":2,"config":{DESCRIPTOR},"layers":[]{members}}}"#)
}

fn parse(text: &str) -> Result<ManifestFacts, ManifestError> {
    ManifestFacts::parse(text.as_bytes(), None)
}

/// A valid manifest of exactly `length` bytes.
fn padded_to(length: usize) -> String {
    let frame = image_with(r#","annotations":{"pad":""}"#).len();
    image_with(&format!(r#","annotations":{{"pad":"{}"}}"#, "x".repeat(length - frame)))
}

#[test]
fn size() {
    assert!(parse(&padded_to(limits::MAX_MANIFEST_BYTES - 1)).is_ok());
    assert!(parse(&padded_to(limits::MAX_MANIFEST_BYTES)).is_ok());
    let over = limits::MAX_MANIFEST_BYTES + 1;
    assert_eq!(parse(&padded_to(over)), Err(ManifestError::TooLarge { actual: over }));
}

#[test]
fn the_conformance_suites_large_manifest() {
    let annotations: Vec<String> = (0..390).map(|n| format!(r#""key.{n}":"{}""#, "v".repeat(10_000))).collect();
    assert!(parse(&image_with(&format!(r#","annotations":{{{}}}"#, annotations.join(",")))).is_ok());
}

#[test]
fn depth() {
    // The outermost object is one level.
    let nested = |levels: usize| image_with(&format!(r#","x":{}{}"#, "[".repeat(levels), "]".repeat(levels)));
    assert!(parse(&nested(63)).is_ok());
    assert_eq!(parse(&nested(64)), Err(ManifestError::TooDeep));
    assert_eq!(parse(&nested(10_000)), Err(ManifestError::TooDeep));
    assert_eq!(parse(&"{\"a\":".repeat(500_000)), Err(ManifestError::TooDeep));
    assert!(
        parse(&image_with(&format!(r#","x":"\"{}\\""#, "[".repeat(1000)))).is_ok(),
        "brackets in a string are text"
    );
}

#[test]
fn keys() {
    let members = |count: usize| (0..count).map(|n| format!(r#","k{n}":0"#)).collect::<Vec<_>>().concat();
    assert!(parse(&image_with(&members(253))).is_ok());
    assert_eq!(parse(&image_with(&members(254))), Err(ManifestError::TooManyKeys));
    assert_eq!(parse(&image_with(&members(300_000))), Err(ManifestError::TooManyKeys));
}

#[test]
fn entries() {
    let list = |count: usize| vec![DESCRIPTOR; count].join(",");
    let layers = |count: usize| format!(r#"{{"config":{DESCRIPTOR},"layers":[{}]}}"#, list(count));
    let children = |count: usize| format!(r#"{{"manifests":[{}]}}"#, list(count));
    assert_eq!(parse(&layers(1000)).unwrap().layers.len(), 1000);
    assert_eq!(parse(&children(1000)).unwrap().manifests.len(), 1000);
    assert_eq!(parse(&layers(1001)), Err(ManifestError::TooManyEntries { field: "layers", limit: 1000 }));
    assert_eq!(parse(&children(10_000)), Err(ManifestError::TooManyEntries { field: "manifests", limit: 1000 }));
    let numbers = format!(r#"{{"manifests":[{}0]}}"#, "0,".repeat(1_000_000));
    assert!(matches!(parse(&numbers), Err(ManifestError::InvalidField { field: "manifests", .. })));
}

#[test]
fn messages_stay_short_whatever_they_quote() {
    let long = "y".repeat(1_000_000);
    for text in [
        format!(r#"{{"{long}":1,"{long}":2}}"#),
        image_with(&format!(r#","artifactType":{{"{long}":1}}"#)),
        format!(r#"{{"schemaVersion":"{long}"}}"#),
        format!(r#"{{"mediaType":"{long}"}}"#),
        format!(r#"{{"config":{},"layers":[]}}"#, DESCRIPTOR.replace("\"size\":1", &format!("\"size\":\"{long}\""))),
        format!(r#"{{"config":{},"layers":[]}}"#, DESCRIPTOR.replace("sha256", &long)),
    ] {
        let message = parse(&text).unwrap_err().to_string();
        assert!(message.len() < 400, "{} bytes", message.len());
    }
}
