//! Media types and error bodies.

use oci::{ErrorBody, ErrorCode, MediaType};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn media_types_are_canonical() {
    let parsed: MediaType = " Application/VND.oci.image.index.v1+JSON ; charset=utf-8".parse().unwrap();
    assert_eq!(parsed, MediaType::OCI_IMAGE_INDEX);
    assert_eq!(parsed.as_str(), "application/vnd.oci.image.index.v1+json");
    assert_eq!(serde_json::to_value(&parsed).unwrap(), json!("application/vnd.oci.image.index.v1+json"));
    let long = format!("a/{}", "b".repeat(300));
    for text in ["", "json", "a/", "/b", "a/b/c", "a b/c", "a/b\r\nX: y", "é/b", "\"a\"/b", ";a/b", &long] {
        assert!(text.parse::<MediaType>().is_err(), "{text}");
    }
}

#[test]
fn kinds_do_not_overlap() {
    let all = [
        MediaType::OCI_IMAGE_MANIFEST,
        MediaType::OCI_IMAGE_INDEX,
        MediaType::DOCKER_MANIFEST_V2,
        MediaType::DOCKER_MANIFEST_LIST,
        MediaType::DOCKER_SCHEMA1,
        MediaType::DOCKER_SCHEMA1_SIGNED,
        MediaType::OCTET_STREAM,
    ];
    let kinds: Vec<_> = all.iter().map(|kind| (kind.is_manifest(), kind.is_index(), kind.is_schema1())).collect();
    let (manifest, index, schema1) = ((true, false, false), (false, true, false), (false, false, true));
    assert_eq!(kinds, [manifest, index, manifest, index, schema1, schema1, (false, false, false)]);
    for kind in &all {
        assert_eq!(kind.as_str().parse::<MediaType>().unwrap(), *kind);
    }
}

#[test]
fn error_bodies_are_written_as_the_spec_says() {
    let body = ErrorBody::single(ErrorCode::BlobUnknown, "blob unknown", json!({"digest": "sha256:0"}));
    let expected =
        json!({"errors": [{"code": "BLOB_UNKNOWN", "message": "blob unknown", "detail": {"digest": "sha256:0"}}]});
    assert_eq!(serde_json::to_value(&body).unwrap(), expected);
    let bare = ErrorBody::single(ErrorCode::TooManyRequests, "", Value::Null);
    assert_eq!(serde_json::to_value(&bare).unwrap(), json!({"errors": [{"code": "TOOMANYREQUESTS"}]}));
}

#[test]
fn upstreams_may_use_codes_of_their_own() {
    let body: ErrorBody = serde_json::from_str(r#"{"errors":[{"code":"QUOTA_HIT","x":1}],"y":[]}"#).unwrap();
    assert_eq!(body, ErrorBody::single(ErrorCode::Unknown, "", Value::Null));
    let body: ErrorBody =
        serde_json::from_str(r#"{"errors":[{"code":"DENIED","message":"no","detail":[1]}]}"#).unwrap();
    assert_eq!(body, ErrorBody::single(ErrorCode::Denied, "no", json!([1])));
    for text in ["<html>", "{}", r#"{"errors":{}}"#, r#"{"errors":[{"message":"m"}]}"#] {
        assert!(serde_json::from_str::<ErrorBody>(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn media_type_round_trip(text in any::<String>(), likely in "[a-zA-Z]{0,3}/[a-zA-Z0-9.+-]{0,9}(; a=b)?") {
        for text in [text, likely] {
            if let Ok(parsed) = text.parse::<MediaType>() {
                prop_assert_eq!(parsed.as_str().parse::<MediaType>().unwrap(), parsed);
            }
        }
    }
}
