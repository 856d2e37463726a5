//! Properties of the parsers in `oci`: whatever is accepted means one thing only, and prints and parses as the same again.
//!
//! Compiled twice: into the fuzz targets and into the tests of `oci`, which replay the seeds. Invariant: a function
//! panics only when a property does not hold.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use oci::{
    ByteRange, Challenge, ContentRange, Digest, Link, ManifestFacts, MediaType, RangeHeader, Reference, RegistryHost,
    RepoKey, RepositoryName, ResolvedRange, Scope, Tag, limits,
};
use serde_json::Value;

/// Digests, tags, references, names, keys, hosts: all read the same text.
pub fn digest_reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let digest = kept_as_written::<Digest>(text);
    let tag = kept_as_written::<Tag>(text);
    let reference = kept_as_written::<Reference>(text);
    assert!(digest.is_none() || tag.is_none(), "both a digest and a tag");
    assert_eq!(reference.is_some(), digest.is_some() || tag.is_some());
    let name = kept_as_written::<RepositoryName>(text);
    let key = kept_as_written::<RepoKey>(text);
    assert!(key.is_none() || name.is_some(), "a key that cannot be a path segment");
    let host = canonical::<RegistryHost>(text);
    assert!(key.is_none() || host.is_none(), "both a key and a host");
    canonical::<MediaType>(text);
    if let Some(digest) = digest {
        assert_eq!(format!("{}:{}", digest.algorithm(), digest.hex()), text);
    }
}

/// A `Range` header applied to a size (the first eight bytes), and `Content-Range`.
pub fn byte_range(data: &[u8]) {
    let Some((size, header)) = data.split_first_chunk::<8>() else { return };
    let (size, Ok(header)) = (u64::from_be_bytes(*size), std::str::from_utf8(header)) else { return };
    canonical::<ContentRange>(header);
    let Ok(Some(parsed)) = RangeHeader::parse(header) else { return };
    let ranges = match parsed.resolve(size) {
        ResolvedRange::Full | ResolvedRange::Unsatisfiable => return,
        ResolvedRange::Single(range) => vec![range],
        ResolvedRange::Multiple(ranges) => {
            assert!(ranges.len() >= 2);
            ranges
        }
    };
    assert!(ranges.len() <= limits::MAX_RANGES);
    assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size), "outside the blob");
    let sent = ranges.iter().map(ByteRange::len).try_fold(0_u64, u64::checked_add);
    assert!(sent.is_some_and(|sent| sent <= size), "more than the blob");
    for range in ranges {
        let again = RangeHeader::parse(&range.header_value()).expect("our own header").expect("our own header");
        assert_eq!(again.resolve(size), ResolvedRange::Single(range));
    }
}

/// `WWW-Authenticate`, `Link` and scopes.
pub fn challenge(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    canonical::<Scope>(text);
    for link in Link::parse_all(text).unwrap_or_default() {
        if let Some(page) = Link::next_page(link.target()) {
            assert_eq!(Link::parse_all(&page.to_string()).as_deref(), Ok(&[page][..]));
        }
    }
    let challenges = Challenge::parse_all(text).unwrap_or_default();
    assert!(challenges.len() <= limits::MAX_CHALLENGES);
    for challenge in challenges {
        assert!(!challenge.scheme.is_empty() && challenge.scheme == challenge.scheme.to_ascii_lowercase());
        rewritten(&challenge);
    }
}

/// Writes a challenge down again with every value quoted: the parameters we use must survive.
fn rewritten(challenge: &Challenge) {
    let used: Vec<(&str, &str)> = ["realm", "service", "scope", "error"]
        .into_iter()
        .filter_map(|name| Some((name, challenge.param(name)?)))
        .collect();
    assert!(used.is_empty() || challenge.token68.is_none());
    let quote = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
    let params: Vec<String> = used.iter().map(|(name, value)| format!("{name}=\"{}\"", quote(value))).collect();
    let header = format!("{} {}", challenge.scheme, params.join(", "));
    if header.len() > limits::MAX_CHALLENGE_BYTES {
        return; // quoting made it longer than what is read
    }
    let again = Challenge::parse_all(&header).expect("a well-formed header");
    assert_eq!(again.len(), 1);
    assert!(used.iter().all(|(name, value)| again[0].param(name) == Some(value)));
}

/// Manifests against a reader that keeps everything: `serde_json::Value`.
pub fn manifest(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let header = match choice {
        b'm' => Some(MediaType::OCI_IMAGE_MANIFEST),
        b'i' => Some(MediaType::OCI_IMAGE_INDEX),
        b'd' => Some(MediaType::DOCKER_MANIFEST_V2),
        b'l' => Some(MediaType::DOCKER_MANIFEST_LIST),
        b's' => Some(MediaType::DOCKER_SCHEMA1_SIGNED),
        _ => None,
    };
    let facts = match ManifestFacts::parse(body, header.as_ref()) {
        Ok(facts) => facts,
        Err(error) => {
            assert!(error.to_string().len() < 2000, "an error that quotes without bound");
            return;
        }
    };
    assert!(header.is_none_or(|header| header == facts.media_type));
    assert!(facts.layers.is_empty() || facts.manifests.is_empty(), "two readings");
    let value: Value = serde_json::from_slice(body).expect("what we accept is JSON");
    let entries = |field: &str| value[field].as_array().map_or(0, Vec::len);
    assert_eq!((facts.layers.len(), facts.manifests.len()), (entries("layers"), entries("manifests")));
    let children = facts.manifests.iter().zip(value["manifests"].as_array().into_iter().flatten());
    let layers = facts.layers.iter().zip(value["layers"].as_array().into_iter().flatten());
    let single = [("config", &facts.config), ("subject", &facts.subject)];
    let single = single.into_iter().filter_map(|(field, found)| Some((found.as_ref()?, &value[field])));
    for (ours, theirs) in children.chain(layers).chain(single) {
        assert_eq!(theirs["digest"], ours.digest.to_string());
        assert_eq!(theirs["size"], ours.size);
    }
}

/// Parses; what parses prints as it was written.
fn kept_as_written<T: FromStr + Display>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    assert_eq!(value.to_string(), text);
    Some(value)
}

/// Parses; what parses prints as something that parses as the same.
fn canonical<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T>
where
    T::Err: Debug,
{
    let value: T = text.parse().ok()?;
    let again: T = value.to_string().parse().expect("canonical text parses");
    assert_eq!(again, value);
    Some(value)
}
