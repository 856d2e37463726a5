//! The query of a request that pushes: `digest`, `digest-algorithm`, `mount`, `from` and `tag` (distribution-spec
//! "Pushing a blob monolithically", "Mounting a blob from another repository", "Pushing Manifests").
//!
//! Other parameters are ignored. Must not know endpoints. Invariant: a parameter that matters is well formed, and stands
//! once where it may only stand once.

use http::StatusCode;
use oci::{Digest, DigestAlgorithm, ErrorCode, Tag};

use crate::query::{InvalidQuery, decode, once};
use crate::respond::Failure;

/// Most tags for one manifest. The spec asks for at least 10.
const MOST_TAGS: usize = 100;
/// Longest name to mount from, in bytes: a host, a key and a name fit.
const LONGEST_FROM: usize = 600;

/// The parameters we know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PushQuery {
    pub(crate) digest: Option<Digest>,
    pub(crate) algorithm: Option<DigestAlgorithm>,
    pub(crate) mount: Option<Digest>,
    /// The name to mount from, as written.
    pub(crate) from: Option<String>,
    pub(crate) tags: Vec<Tag>,
}

/// Reads the raw query, without its `?`.
pub(crate) fn parse(raw: Option<&str>) -> Result<PushQuery, Failure> {
    let mut query = PushQuery::default();
    for pair in raw.unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "digest" => once("digest", &mut query.digest, digest("digest", value)?)?,
            "mount" => once("mount", &mut query.mount, digest("mount", value)?)?,
            "digest-algorithm" => {
                let algorithm = decode("digest-algorithm", value)?.parse();
                let algorithm = algorithm.map_err(|error: oci::InvalidDigest| bad(ErrorCode::DigestInvalid, &error))?;
                once("digest-algorithm", &mut query.algorithm, algorithm)?;
            }
            "from" => {
                let from = decode("from", value)?;
                if from.len() > LONGEST_FROM {
                    return Err(bad(ErrorCode::NameInvalid, &"query parameter 'from' is too long"));
                }
                once("from", &mut query.from, from.into_owned())?;
            }
            "tag" => {
                let tag: Tag = decode("tag", value)?
                    .parse()
                    .map_err(|error: oci::InvalidTag| bad(ErrorCode::TagInvalid, &error))?;
                if query.tags.len() == MOST_TAGS {
                    let message = format!("more than {MOST_TAGS} tags for one manifest");
                    return Err(Failure::new(StatusCode::URI_TOO_LONG, ErrorCode::Unsupported, message));
                }
                if !query.tags.contains(&tag) {
                    query.tags.push(tag);
                }
            }
            _ => {}
        }
    }
    Ok(query)
}

fn digest(name: &'static str, value: &str) -> Result<Digest, Failure> {
    let text = decode(name, value)?;
    text.parse().map_err(|error: oci::InvalidDigest| bad(ErrorCode::DigestInvalid, &error))
}

fn bad(code: ErrorCode, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, code, why.to_string())
}

// Kept beside its use: a repeated or badly encoded parameter is the same mistake in every query.
const _: fn(InvalidQuery) -> Failure = Failure::from;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_read_and_others_ignored() {
        assert_eq!(parse(None).unwrap(), PushQuery::default());
        let digest = Digest::sha256_of(b"");
        let encoded = digest.to_string().replace(':', "%3A");
        let query = parse(Some(&format!("x=1&digest={encoded}&mount={digest}&from=a%2Fb&digest-algorithm=sha512")));
        let query = query.unwrap();
        assert_eq!((query.digest, query.mount), (Some(digest), Some(digest)));
        assert_eq!((query.from.as_deref(), query.algorithm), (Some("a/b"), Some(DigestAlgorithm::Sha512)));
        let tags = parse(Some("tag=a&tag=b&tag=a")).unwrap().tags;
        assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn malformed_values_are_refused() {
        for raw in [
            "digest=",
            "digest=sha256:x",
            "digest=md5:d41d8cd98f00b204e9800998ecf8427e",
            "mount=x",
            "digest-algorithm=md5",
            "tag=",
            "tag=.x",
            "tag=a%2Fb",
            "from=%zz",
            "from=a&from=b",
        ] {
            assert!(parse(Some(raw)).is_err(), "{raw}");
        }
        let digest = Digest::sha256_of(b"");
        assert!(parse(Some(&format!("digest={digest}&digest={digest}"))).is_err());
        let many = (0..=MOST_TAGS).map(|n| format!("tag=t{n}")).collect::<Vec<_>>().join("&");
        assert!(parse(Some(&many)).is_err());
        assert!(parse(Some(&format!("from={}", "a".repeat(LONGEST_FROM + 1)))).is_err());
    }
}
