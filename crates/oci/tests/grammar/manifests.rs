//! What is read from manifests, and which documents are refused for having two readings (reliability cases A06, A07).

use oci::{Descriptor, Digest, ManifestError, ManifestFacts, MediaType};
use proptest::prelude::*;
use serde_json::{Value, json};

fn digest(of: &str) -> Digest {
    Digest::sha256_of(of.as_bytes())
}

fn descriptor(kind: &str, of: &str) -> Value {
    json!({"mediaType": kind, "digest": digest(of).to_string(), "size": of.len()})
}

fn image() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_IMAGE_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", "config"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", "one"), descriptor("a/b", "two")],
    })
}

fn index() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_IMAGE_INDEX,
        "manifests": [descriptor(MediaType::OCI_IMAGE_MANIFEST.as_str(), "child")],
    })
}

/// `document` with one field set.
fn with(mut document: Value, field: &str, value: Value) -> Value {
    document[field] = value;
    document
}

fn without(mut document: Value, field: &str) -> Value {
    document.as_object_mut().expect("manifests are objects").remove(field);
    document
}

fn parse(document: &Value) -> Result<ManifestFacts, ManifestError> {
    ManifestFacts::parse(document.to_string().as_bytes(), None)
}

fn parse_text(text: &str) -> Result<ManifestFacts, ManifestError> {
    ManifestFacts::parse(text.as_bytes(), None)
}

#[test]
fn an_image_manifest() {
    let document = with(with(image(), "subject", descriptor("a/b", "subject")), "artifactType", json!("x/y"));
    let facts = parse(&document).unwrap();
    assert_eq!(facts.media_type, MediaType::OCI_IMAGE_MANIFEST);
    assert_eq!(facts.blobs().map(|blob| blob.digest).collect::<Vec<_>>(), ["config", "one", "two"].map(digest));
    assert_eq!(facts.layers[1], Descriptor { media_type: "a/b".parse().unwrap(), digest: digest("two"), size: 3 });
    assert_eq!(facts.subject.map(|subject| subject.digest), Some(digest("subject")));
    assert_eq!(facts.artifact_type.as_deref(), Some("x/y"));
    assert!(facts.manifests.is_empty());
}

#[test]
fn an_index() {
    let facts = parse(&index()).unwrap();
    assert_eq!(facts.manifests.iter().map(|child| child.digest).collect::<Vec<_>>(), [digest("child")]);
    assert_eq!(facts.blobs().count(), 0);
    assert!(parse(&with(index(), "manifests", json!([]))).unwrap().manifests.is_empty());
}

#[test]
fn fields_nobody_asked_for_are_ignored() {
    let mut document = image();
    document["layers"][0]["annotations"] = json!({"a": "b"});
    document["layers"][0]["urls"] = json!(["https://foreign.example/x"]);
    document["org.example.custom"] = json!({"deep": [[[]]]});
    document["annotations"] = json!({"mediaType": "text/plain"});
    assert_eq!(parse(&document).unwrap(), parse(&image()).unwrap());
}

#[test]
fn what_go_writes_for_nothing() {
    let facts = parse(&with(with(image(), "layers", Value::Null), "subject", Value::Null)).unwrap();
    assert_eq!((facts.layers.len(), facts.subject), (0, None));
    assert!(parse(&with(image(), "layers", json!([]))).is_ok());
    assert!(parse(&without(image(), "layers")).is_ok());
}

#[test]
fn media_type_comes_from_body_then_header_then_shape() {
    let docker = MediaType::DOCKER_MANIFEST_V2;
    let bare = without(image(), "mediaType");
    let of = |document: &Value, header: Option<&str>| {
        let header = header.map(|header| header.parse::<MediaType>().unwrap());
        ManifestFacts::parse(document.to_string().as_bytes(), header.as_ref()).map(|facts| facts.media_type)
    };
    assert_eq!(of(&bare, None), Ok(MediaType::OCI_IMAGE_MANIFEST));
    assert_eq!(of(&bare, Some("text/plain")), Ok(MediaType::OCI_IMAGE_MANIFEST));
    assert_eq!(of(&bare, Some(docker.as_str())), Ok(docker.clone()));
    assert_eq!(of(&without(index(), "mediaType"), None), Ok(MediaType::OCI_IMAGE_INDEX));
    assert_eq!(of(&image(), Some("application/json; charset=utf-8")), Ok(MediaType::OCI_IMAGE_MANIFEST));
    assert_eq!(
        of(&image(), Some(docker.as_str())),
        Err(ManifestError::MediaTypeMismatch { body: MediaType::OCI_IMAGE_MANIFEST, header: docker })
    );
    let other = json!({"mediaType": "application/vnd.example.thing.v1+json"});
    assert_eq!(of(&other, None).unwrap().as_str(), "application/vnd.example.thing.v1+json");
}

#[test]
fn documents_that_say_nothing() {
    for document in
        [json!({}), json!({"login": "please"}), json!({"errors": [{"code": "DENIED"}]}), json!({"config": {}})]
    {
        assert_eq!(parse(&document), Err(ManifestError::UnknownKind), "{document}");
    }
    assert_eq!(parse(&with(image(), "mediaType", json!("text/html"))), Err(ManifestError::UnknownKind));
    let errors = json!({"errors": []}).to_string();
    let answer = ManifestFacts::parse(errors.as_bytes(), Some(&MediaType::OCI_IMAGE_MANIFEST));
    assert!(matches!(answer, Err(ManifestError::MissingField { field: "config", .. })), "{answer:?}");
}

#[test]
fn schema1_is_told_apart() {
    let unsigned = json!({"schemaVersion": 1, "name": "a", "fsLayers": [], "history": [], "signatures": []});
    assert_eq!(parse(&unsigned), Err(ManifestError::Schema1));
    assert_eq!(parse(&with(image(), "fsLayers", json!([]))), Err(ManifestError::Schema1));
    assert_eq!(parse(&with(image(), "mediaType", json!(MediaType::DOCKER_SCHEMA1))), Err(ManifestError::Schema1));
    let signed = ManifestFacts::parse(b"{}", Some(&MediaType::DOCKER_SCHEMA1_SIGNED));
    assert_eq!(signed, Err(ManifestError::Schema1));
}

#[test]
fn two_readings() {
    let both = with(image(), "manifests", json!([]));
    assert_eq!(parse(&both), Err(ManifestError::BothLayersAndManifests));
    assert_eq!(parse(&with(image(), "manifests", Value::Null)), Err(ManifestError::BothLayersAndManifests));
    let list = with(without(image(), "layers"), "manifests", json!([]));
    assert!(matches!(parse(&list), Err(ManifestError::UnexpectedField { field: "manifests", .. })));
    assert!(matches!(
        parse(&with(index(), "config", json!({}))),
        Err(ManifestError::UnexpectedField { field: "config", .. })
    ));
}

#[test]
fn keys_that_repeat() {
    let text = image().to_string();
    for (key, shown) in [("layers", "layers"), ("custom", "custom"), (r"\u006cayers", "layers")] {
        let doubled = format!(r#"{{"{shown}":[],"{key}":[],{}"#, &without(image(), "layers").to_string()[1..]);
        assert_eq!(parse_text(&doubled), Err(ManifestError::DuplicateKey { key: shown.to_owned() }), "{doubled}");
    }
    for (key, field) in [("Layers", "layers"), ("MEDIATYPE", "mediaType"), ("layer\u{17f}", "layers")] {
        let confusing = format!(r#"{{"{key}":[],{}"#, &text[1..]);
        assert_eq!(parse_text(&confusing), Err(ManifestError::AmbiguousKey { field }), "{confusing}");
    }
}

#[test]
fn keys_that_repeat_where_nobody_reads() {
    for within in [r#"{"os":"linux","os":"windows"}"#, r#"[1,{"a":{"x":null,"\u0078":1.5}}]"#] {
        let key = if within.contains("os") { "os" } else { "x" };
        let text = image().to_string();
        let outermost = format!(r#"{{"annotations":{within},{}"#, &text[1..]);
        assert_eq!(parse_text(&outermost), Err(ManifestError::DuplicateKey { key: key.to_owned() }), "{within}");
        let text = index().to_string().replace(r#""size":"#, &format!(r#""platform":{within},"size":"#));
        let answer = parse_text(&text);
        assert!(matches!(answer, Err(ManifestError::InvalidField { field: "manifests", .. })), "{within}: {answer:?}");
    }
    let fine = r#"{"os":"linux","variant":{"os":["os",true,-1,18446744073709551615,1e3,null,"os"]}}"#;
    let text = index().to_string().replace(r#""size":"#, &format!(r#""platform":{fine},"size":"#));
    assert!(text.contains("variant") && parse_text(&text).is_ok(), "the same key of different objects");
}

#[test]
fn what_a_manifest_must_have_is_not_null() {
    let answer = parse(&with(image(), "config", Value::Null));
    assert!(matches!(answer, Err(ManifestError::MissingField { field: "config", .. })), "{answer:?}");
    let answer = parse(&with(without(image(), "mediaType"), "config", Value::Null));
    assert!(matches!(answer, Err(ManifestError::MissingField { field: "config", .. })), "{answer:?}");
    let empty = parse(&with(index(), "manifests", Value::Null)).unwrap();
    assert_eq!(empty.manifests, [], "so some writers say that a list is empty");
}

#[test]
fn descriptors_that_are_not() {
    let good = descriptor("a/b", "x").to_string();
    let size = format!("\"size\":{}", 1);
    assert!(good.contains(&size));
    let bad = [
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "\"text\"".to_owned(),
        good.replace(&size, "\"size\":-1"),
        good.replace(&size, "\"size\":1.0"),
        good.replace(&size, "\"size\":1e3"),
        good.replace(&size, "\"size\":\"1\""),
        good.replace(&size, "\"size\":null"),
        good.replace(&size, "\"size\":9007199254740993"),
        good.replace(&size, "\"size\":9223372036854775808"),
        good.replace(&size, "\"size\":18446744073709551616"),
        good.replace(&size, &format!("{size},{size}")),
        good.replace(&size, &format!("{size},\"Size\":2")),
        good.replace(&size, "\"sise\":1"),
        good.replace("sha256:", "sha256:../"),
        good.replace("sha256:", "md5:"),
        good.replace("\"a/b\"", "\"\""),
    ];
    for entry in bad {
        let text = format!(r#"{{"schemaVersion":2,"config":{good},"layers":[{entry}]}}"#);
        let answer = parse_text(&text);
        assert!(matches!(answer, Err(ManifestError::InvalidField { field: "layers", .. })), "{entry}: {answer:?}");
    }
    let largest = good.replace(&size, "\"size\":9007199254740992");
    assert!(parse_text(&format!(r#"{{"config":{good},"layers":[{largest}]}}"#)).is_ok());
}

#[test]
fn fields_of_the_wrong_kind() {
    for (field, value) in [
        ("schemaVersion", json!(3)),
        ("schemaVersion", json!("2")),
        ("mediaType", json!(["a/b"])),
        ("mediaType", json!("nonsense")),
        ("artifactType", json!({})),
        ("layers", json!({})),
        ("config", json!([])),
        ("subject", json!("x")),
    ] {
        let answer = parse(&with(image(), field, value));
        let is_named = matches!(&answer, Err(ManifestError::InvalidField { field: named, .. }) if *named == field);
        assert!(is_named, "{field}: {answer:?}");
    }
}

#[test]
fn what_is_not_one_json_object() {
    for text in ["", " ", "null", "[]", "\"{}\"", "<html></html>", "\u{feff}{}", "1"] {
        assert_eq!(parse_text(text), Err(ManifestError::NotAnObject), "{text}");
    }
    let image = image().to_string();
    for text in [
        format!("{image}x"),
        format!("{image}{{}}"),
        image[..image.len() - 1].to_owned(),
        "{,}".into(),
        "{'a':1}".into(),
    ] {
        assert!(matches!(parse_text(&text), Err(ManifestError::NotJson { .. })), "{text}");
    }
    assert!(parse_text(&format!("\r\n\t {image} \n")).is_ok());
    let latin1 = ManifestFacts::parse(b"{\"a\":\"\xe9\"}", None);
    assert!(matches!(latin1, Err(ManifestError::NotJson { .. })), "{latin1:?}");
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in any::<Vec<u8>>()) {
        prop_assert!(ManifestFacts::parse(&bytes, None).is_err());
    }

    #[test]
    fn facts_are_those_written(layers in prop::collection::vec(("[a-z]{1,8}/[a-z.+]{1,12}", any::<u64>(), 0..1_u64 << 53), 0..20)) {
        let written: Vec<Descriptor> = layers
            .into_iter()
            .map(|(kind, seed, size)| Descriptor { media_type: kind.parse().unwrap(), digest: digest(&seed.to_string()), size })
            .collect();
        let facts = parse(&with(image(), "layers", serde_json::to_value(&written).unwrap())).unwrap();
        prop_assert_eq!(facts.layers, written);
    }

    #[test]
    fn a_damaged_manifest_is_answered(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = image().to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        // Whatever is still understood has the shape of an image manifest.
        if let Ok(facts) = ManifestFacts::parse(&bytes, None) {
            prop_assert!(facts.manifests.is_empty() && facts.layers.len() <= 2);
        }
    }
}
