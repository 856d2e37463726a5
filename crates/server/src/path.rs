//! Paths under `/v2/`: from raw text to the endpoint asked for (distribution-spec "Endpoints").
//!
//! A repository name may hold the endpoints' own words (`a/blobs/b`), so paths are read from the right. The raw,
//! still percent-encoded text is inspected first: whatever could mean one thing to a proxy in front of us and another
//! to us is refused before anything is looked up. Must not know what is configured. Invariants: pure and total; text is
//! percent-decoded at most once; a name in a [`V2Path`] is a well-formed repository name, bare or behind a registry
//! host.

use std::borrow::Cow;

use oci::{Digest, ErrorCode, InvalidDigest, InvalidReference, InvalidRepositoryName, InvalidTag, InvalidUploadId};
use oci::{Reference, RegistryHost, RepositoryName, Tag, UploadId};

/// An endpoint below `/v2/`, with its parameters checked. `name` is what stands before the endpoint's own words: repo
/// key, upstream host and repository name are told apart by routing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum V2Path<'a> {
    /// `/v2/`: is this a registry, and may I talk to it.
    Base,
    /// `/v2/_catalog`, a legacy extension.
    Catalog,
    /// `/v2/<name>/manifests/<reference>`.
    Manifest {
        /// The name as written.
        name: Cow<'a, str>,
        /// The tag or digest.
        reference: Reference,
    },
    /// `/v2/<name>/manifests/<tag>@<time>`: what a tag pointed to.
    ManifestAt {
        /// The name as written.
        name: Cow<'a, str>,
        /// The tag.
        tag: Tag,
        /// When: RFC 3339, of which only the alphabet was checked.
        at: Cow<'a, str>,
    },
    /// `/v2/<name>/blobs/<digest>`.
    Blob {
        /// The name as written.
        name: Cow<'a, str>,
        /// The blob.
        digest: Digest,
    },
    /// `/v2/<name>/tags/list`.
    Tags {
        /// The name as written.
        name: Cow<'a, str>,
    },
    /// `/v2/<name>/referrers/<digest>`.
    Referrers {
        /// The name as written.
        name: Cow<'a, str>,
        /// The subject.
        digest: Digest,
    },
    /// `/v2/<name>/blobs/uploads/`: where uploads begin.
    Uploads {
        /// The name as written.
        name: Cow<'a, str>,
    },
    /// `/v2/<name>/blobs/uploads/<session>`: an upload under way.
    Upload {
        /// The name as written.
        name: Cow<'a, str>,
        /// The session.
        session: UploadId,
    },
}

/// Why a path is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// It holds something that no legal path needs and that others may read differently.
    #[error("invalid path: {0}")]
    Ambiguous(&'static str),
    /// The part before the endpoint is not a repository name.
    #[error(transparent)]
    Name(#[from] InvalidRepositoryName),
    /// The reference is not a tag.
    #[error(transparent)]
    Tag(#[from] InvalidTag),
    /// The reference is not a digest.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// The session of an upload is none that was ever given out.
    #[error(transparent)]
    Session(#[from] InvalidUploadId),
    /// It has none of the endpoints' words where they belong.
    #[error(
        "no such endpoint; the registry answers under /v2/<name>/manifests, /v2/<name>/blobs and /v2/<name>/tags/list"
    )]
    NoEndpoint,
}

impl InvalidPath {
    /// The spec's code for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Ambiguous(_) | Self::Name(_) => ErrorCode::NameInvalid,
            Self::Tag(_) => ErrorCode::TagInvalid,
            Self::Digest(_) => ErrorCode::DigestInvalid,
            Self::Session(_) => ErrorCode::BlobUploadUnknown,
            Self::NoEndpoint => ErrorCode::Unsupported,
        }
    }
}

impl From<InvalidReference> for InvalidPath {
    fn from(error: InvalidReference) -> Self {
        match error {
            InvalidReference::Digest(error) => Self::Digest(error),
            InvalidReference::Tag(error) => Self::Tag(error),
        }
    }
}

/// Reads the raw path that follows `/v2/`, as it came over the wire and without the query.
pub fn parse(raw: &str) -> Result<V2Path<'_>, InvalidPath> {
    match inspect(raw)? {
        Spelling::Plain => parse_plain(raw),
        Spelling::Encoded => parse_plain(&decode(raw)).map(V2Path::into_owned),
    }
}

/// Name and tag of a path that looks like a manifest by tag, neither of them checked: good for looking something up under
/// names that were checked before.
pub(crate) fn manifest_by_tag(raw: &str) -> Option<(&str, &str)> {
    let (head, tag) = raw.rsplit_once('/')?;
    Some((before(head, "manifests")?, tag))
}

/// How a harmless path is written.
enum Spelling {
    Plain,
    Encoded,
}

fn inspect(raw: &str) -> Result<Spelling, InvalidPath> {
    let bytes = raw.as_bytes();
    let mut spelling = Spelling::Plain;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'%' => {
                let decoded = encoded_at(bytes, at).ok_or(InvalidPath::Ambiguous("'%' without two hex digits"))?;
                if !may_be_encoded(decoded) {
                    return Err(InvalidPath::Ambiguous(
                        "only letters, digits, ':', '-' and '_' may be percent-encoded, and only once",
                    ));
                }
                spelling = Spelling::Encoded;
            }
            b'\\' => return Err(InvalidPath::Ambiguous("it holds a backslash")),
            b';' => return Err(InvalidPath::Ambiguous("it holds a ';'")),
            b'/' if bytes.get(at + 1) == Some(&b'/') => return Err(InvalidPath::Ambiguous("it holds '//'")),
            0..=0x20 | 0x7f.. => return Err(InvalidPath::Ambiguous("it holds a byte that is not printable ASCII")),
            _ => {}
        }
    }
    if raw.starts_with('/') {
        return Err(InvalidPath::Ambiguous("it holds '//'"));
    }
    if raw.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(InvalidPath::Ambiguous("it holds a '.' or '..' segment"));
    }
    Ok(spelling)
}

fn may_be_encoded(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_')
}

fn encoded_at(bytes: &[u8], percent: usize) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (high, low) = (bytes.get(percent + 1).and_then(digit)?, bytes.get(percent + 2).and_then(digit)?);
    u8::try_from(high * 16 + low).ok()
}

/// Decodes a path that `inspect` found harmless.
fn decode(raw: &str) -> String {
    let bytes = raw.as_bytes();
    let mut decoded = String::with_capacity(raw.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let encoded = (*byte == b'%').then(|| encoded_at(bytes, at)).flatten();
        decoded.push(char::from(encoded.unwrap_or(*byte)));
        at += if encoded.is_some() { "%3A".len() } else { 1 };
    }
    decoded
}

fn parse_plain(path: &str) -> Result<V2Path<'_>, InvalidPath> {
    match path {
        "" => return Ok(V2Path::Base),
        "_catalog" => return Ok(V2Path::Catalog),
        _ => {}
    }
    if let Some(name) = before(path, "tags/list") {
        return Ok(V2Path::Tags { name: checked(name)? });
    }
    if let Some(name) = before(path, "blobs/uploads/").or_else(|| before(path, "blobs/uploads")) {
        return Ok(V2Path::Uploads { name: checked(name)? });
    }
    let Some((head, last)) = path.rsplit_once('/') else { return Err(InvalidPath::NoEndpoint) };
    if let Some(name) = before(head, "manifests") {
        let name = checked(name)?;
        return match last.split_once('@').filter(|(_, at)| may_be_time(at)) {
            Some((tag, at)) => Ok(V2Path::ManifestAt { name, tag: tag.parse()?, at: Cow::Borrowed(at) }),
            None => Ok(V2Path::Manifest { name, reference: last.parse()? }),
        };
    }
    if let Some(name) = before(head, "blobs/uploads") {
        let name = checked(name)?;
        return Ok(V2Path::Upload { name, session: last.parse()? });
    }
    if let Some(name) = before(head, "blobs") {
        let name = checked(name)?;
        return Ok(V2Path::Blob { name, digest: last.parse()? });
    }
    if let Some(name) = before(head, "referrers") {
        let name = checked(name)?;
        return Ok(V2Path::Referrers { name, digest: last.parse()? });
    }
    if last.is_empty() { Err(InvalidPath::Ambiguous("it ends with '/'")) } else { Err(InvalidPath::NoEndpoint) }
}

/// Whether this is written with what times are written with, beginning with a year. Anything else behind an '@' is part of a
/// tag that is none.
fn may_be_time(text: &str) -> bool {
    const LONGEST: usize = 40;
    let written = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'T' | b'Z' | b't' | b'z');
    text.len() <= LONGEST && text.as_bytes().first().is_some_and(u8::is_ascii_digit) && text.bytes().all(written)
}

/// What stands before the endpoint's words; empty when they are all there is.
fn before<'a>(path: &'a str, words: &str) -> Option<&'a str> {
    let head = path.strip_suffix(words)?;
    if head.is_empty() { Some(head) } else { head.strip_suffix('/') }
}

/// Accepts a repository name, also with a registry host before it (`ghcr.io/org/app`, `localhost:5000/app`).
fn checked(name: &str) -> Result<Cow<'_, str>, InvalidPath> {
    let Err(error) = name.parse::<RepositoryName>() else { return Ok(Cow::Borrowed(name)) };
    let behind_host = name
        .split_once('/')
        .is_some_and(|(first, rest)| first.parse::<RegistryHost>().is_ok() && rest.parse::<RepositoryName>().is_ok());
    if behind_host { Ok(Cow::Borrowed(name)) } else { Err(error.into()) }
}

impl V2Path<'_> {
    fn into_owned(self) -> V2Path<'static> {
        let own = |name: Cow<'_, str>| Cow::Owned(name.into_owned());
        match self {
            Self::Base => V2Path::Base,
            Self::Catalog => V2Path::Catalog,
            Self::Manifest { name, reference } => V2Path::Manifest { name: own(name), reference },
            Self::ManifestAt { name, tag, at } => V2Path::ManifestAt { name: own(name), tag, at: own(at) },
            Self::Blob { name, digest } => V2Path::Blob { name: own(name), digest },
            Self::Tags { name } => V2Path::Tags { name: own(name) },
            Self::Referrers { name, digest } => V2Path::Referrers { name: own(name), digest },
            Self::Uploads { name } => V2Path::Uploads { name: own(name) },
            Self::Upload { name, session } => V2Path::Upload { name: own(name), session },
        }
    }
}

#[cfg(test)]
mod refused;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    const ID: &str = "0b8e7c1a-0123-4567-89ab-cdef01234567";

    fn digest() -> String {
        format!("sha256:{HEX}")
    }

    #[test]
    fn every_endpoint_is_read_from_the_right() {
        let digest = digest();
        let parsed: Digest = digest.parse().unwrap();
        let manifest = |name: &'static str, reference: &str| V2Path::Manifest {
            name: name.into(),
            reference: reference.parse().unwrap(),
        };
        let cases = [
            (String::new(), V2Path::Base),
            ("_catalog".into(), V2Path::Catalog),
            ("debian/manifests/latest".into(), manifest("debian", "latest")),
            ("a/b/c/manifests/v1.2_x-y".into(), manifest("a/b/c", "v1.2_x-y")),
            (format!("a/manifests/{digest}"), manifest("a", &digest)),
            ("ghcr.io/org/app/manifests/1".into(), manifest("ghcr.io/org/app", "1")),
            ("localhost:5000/x/manifests/1".into(), manifest("localhost:5000/x", "1")),
            ("manifests/manifests/manifests".into(), manifest("manifests", "manifests")),
            ("a/blobs/b/manifests/tags".into(), manifest("a/blobs/b", "tags")),
            ("a/tags/list/manifests/x".into(), manifest("a/tags/list", "x")),
            (format!("a/blobs/{digest}"), V2Path::Blob { name: "a".into(), digest: parsed }),
            (format!("blobs/uploads/blobs/{digest}"), V2Path::Blob { name: "blobs/uploads".into(), digest: parsed }),
            ("a/tags/list".into(), V2Path::Tags { name: "a".into() }),
            ("tags/list/tags/list".into(), V2Path::Tags { name: "tags/list".into() }),
            ("a/manifests/tags/list".into(), V2Path::Tags { name: "a/manifests".into() }),
            (format!("a/referrers/{digest}"), V2Path::Referrers { name: "a".into(), digest: parsed }),
            ("a/blobs/uploads".into(), V2Path::Uploads { name: "a".into() }),
            ("a/blobs/uploads/".into(), V2Path::Uploads { name: "a".into() }),
            (format!("a/blobs/uploads/{ID}"), V2Path::Upload { name: "a".into(), session: ID.parse().unwrap() }),
        ];
        for (raw, expected) in cases {
            assert_eq!(parse(&raw), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn the_short_reading_of_a_manifest_path_agrees_with_the_long_one() {
        let refused = refused::cases().into_iter().map(|(raw, _)| raw);
        let raws = ["a/b/manifests/v1", "manifests/manifests/manifests", "manifests/x", "a/manifests/tags/list"];
        for raw in refused.chain(raws.map(str::to_owned)) {
            let Some((name, tag)) = manifest_by_tag(&raw) else { continue };
            let (Ok(checked), Ok(reference)) = (checked(name), tag.parse::<oci::Tag>()) else { continue };
            let expected = V2Path::Manifest { name: checked, reference: reference.into() };
            assert_eq!(parse(&raw), Ok(expected), "{raw}");
        }
        assert_eq!(manifest_by_tag("a/b/manifests/v1"), Some(("a/b", "v1")));
    }

    #[test]
    fn a_colon_may_be_encoded_and_is_decoded_once() {
        let expected: Digest = digest().parse().unwrap();
        for raw in [format!("a/blobs/sha256%3A{HEX}"), format!("%61/bl%6Fbs/sha256%3a{HEX}")] {
            assert_eq!(parse(&raw), Ok(V2Path::Blob { name: "a".into(), digest: expected }), "{raw}");
        }
        assert!(
            matches!(parse("localhost%3A5000/x/tags/list"), Ok(V2Path::Tags { name }) if name == "localhost:5000/x")
        );
    }

    #[test]
    fn malformed_paths_are_refused_with_the_code_that_fits() {
        let cases = refused::cases();
        assert!(cases.len() > 100, "{}", cases.len());
        for (raw, expected) in cases {
            match parse(&raw) {
                Err(error) => assert_eq!(error.code(), expected, "{raw:?}: {error}"),
                Ok(parsed) => panic!("{raw:?} was read as {parsed:?}"),
            }
        }
    }

    #[test]
    fn what_is_refused_is_quoted_without_control_characters() {
        for (raw, _) in refused::cases() {
            let message = parse(&raw).unwrap_err().to_string();
            assert!(!message.contains(char::is_control), "{message:?}");
            assert!(message.len() < 500, "{} bytes", message.len());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered_and_names_stay_harmless(raw in "[a-z0-9./%:_;A-F-]{0,40}(/manifests/|/blobs/|/tags/list)?[a-z0-9:.%]{0,12}") {
            if let Ok(V2Path::Manifest { name, .. } | V2Path::Blob { name, .. } | V2Path::Tags { name }) = parse(&raw) {
                prop_assert!(!name.contains('%') && !name.contains("//") && !name.contains(';'));
                prop_assert!(name.split('/').all(|segment| !segment.is_empty() && segment != ".." && segment != "."));
            }
        }
    }
}
