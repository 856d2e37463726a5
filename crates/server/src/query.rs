//! The query of a `/v2` request: `ns`, `n`, `last` and `artifactType` (distribution-spec "Listing tags", "Listing
//! Referrers", "Registry proxying").
//!
//! Other parameters are ignored, as clients and proxies add their own. Must not know endpoints. Invariant: a parameter
//! that matters appears at most once and is well formed, so no two readers can take different values from it.

use std::borrow::Cow;

use oci::limits::{MAX_MEDIA_TYPE_LEN, MAX_TAG_PAGE};
use oci::{ErrorCode, InvalidRegistryHost, RegistryHost};

/// Longest `last` taken, in bytes. Upstreams may use other things than tags as page marks.
const LONGEST_LAST: usize = 512;

/// The parameters we know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct V2Query {
    /// The registry the client wants behind us.
    pub ns: Option<RegistryHost>,
    /// Most tags wanted, cut to what one page may hold.
    pub n: Option<u32>,
    /// Where the list goes on: the tag before, or whatever mark upstream gave for it. Never empty, no control
    /// characters.
    pub last: Option<String>,
    /// The kind of referrers wanted. No control characters.
    pub artifact_type: Option<String>,
}

/// Why a query is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuery {
    /// A parameter stands twice.
    #[error("query parameter '{0}' stands more than once")]
    Repeated(&'static str),
    /// A value is not percent-encoded UTF-8.
    #[error("query parameter '{0}' is not percent-encoded UTF-8")]
    Encoding(&'static str),
    /// `ns` is not a host.
    #[error("query parameter 'ns': {0}")]
    Namespace(InvalidRegistryHost),
    /// `n` is not a number.
    #[error("query parameter 'n' must be a number from 0 on; at most 1000 tags are listed at once")]
    Count,
    /// `artifactType` is no media type.
    #[error("query parameter 'artifactType' must be a media type, at most 255 characters")]
    ArtifactType,
    /// `last` is no mark that a page could have ended with.
    #[error("query parameter 'last' must be a tag, at most 512 bytes without control characters")]
    Last,
}

impl InvalidQuery {
    /// The spec's code for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Repeated(_) | Self::Encoding(_) | Self::Count | Self::ArtifactType => ErrorCode::Unsupported,
            Self::Namespace(_) => ErrorCode::NameInvalid,
            Self::Last => ErrorCode::TagInvalid,
        }
    }
}

/// Reads the raw query, without its `?`.
pub fn parse(raw: Option<&str>) -> Result<V2Query, InvalidQuery> {
    let mut query = V2Query::default();
    let Some(raw) = raw else { return Ok(query) };
    for pair in raw.split('&') {
        // An empty mark is the beginning of the list.
        if pair == "last=" {
            continue;
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "ns" => {
                let host = decode("ns", value)?.parse().map_err(InvalidQuery::Namespace)?;
                once("ns", &mut query.ns, host)?;
            }
            "n" => once("n", &mut query.n, count(&decode("n", value)?)?)?,
            "last" => once("last", &mut query.last, mark(&decode("last", value)?)?)?,
            "artifactType" => once("artifactType", &mut query.artifact_type, kind(&decode("artifactType", value)?)?)?,
            _ => {}
        }
    }
    Ok(query)
}

pub(crate) fn once<T>(name: &'static str, slot: &mut Option<T>, value: T) -> Result<(), InvalidQuery> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(InvalidQuery::Repeated(name)),
    }
}

fn count(text: &str) -> Result<u32, InvalidQuery> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidQuery::Count);
    }
    let wanted: u64 = text.parse().map_err(|_| InvalidQuery::Count)?;
    // The bound is far below u32::MAX.
    Ok(u32::try_from(wanted.min(MAX_TAG_PAGE as u64)).unwrap_or(u32::MAX))
}

fn kind(text: &str) -> Result<String, InvalidQuery> {
    let fits = !text.is_empty() && text.len() <= MAX_MEDIA_TYPE_LEN && !text.contains(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(InvalidQuery::ArtifactType) }
}

fn mark(text: &str) -> Result<String, InvalidQuery> {
    if text.is_empty() || text.len() > LONGEST_LAST || text.contains(char::is_control) {
        return Err(InvalidQuery::Last);
    }
    Ok(text.to_owned())
}

pub(crate) fn decode<'a>(name: &'static str, value: &'a str) -> Result<Cow<'a, str>, InvalidQuery> {
    if !value.contains('%') {
        return Ok(Cow::Borrowed(value));
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (high, low) = (rest.next().and_then(digit), rest.next().and_then(digit));
        let (Some(high), Some(low)) = (high, low) else { return Err(InvalidQuery::Encoding(name)) };
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| InvalidQuery::Encoding(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_read_and_others_ignored() {
        assert_eq!(parse(None), Ok(V2Query::default()));
        assert_eq!(parse(Some("")), Ok(V2Query::default()));
        let query = parse(Some("x=1&ns=localhost%3A5000&n=10&last=v1.2&ns2=a&digest")).unwrap();
        assert_eq!(query.ns.unwrap().as_ref(), "localhost:5000");
        assert_eq!(query.n, Some(10));
        assert_eq!(query.last.unwrap(), "v1.2");
        assert_eq!(parse(Some("last=a%2Fb%3D%3D")).unwrap().last.unwrap(), "a/b==");
        assert_eq!(parse(Some("last=")).unwrap().last, None);
    }

    #[test]
    fn a_page_is_bounded_whatever_is_asked() {
        for (raw, expected) in
            [("n=0", 0), ("n=1000", 1000), ("n=1001", 1000), ("n=1000000000000000000", 1000), ("n=007", 7)]
        {
            assert_eq!(parse(Some(raw)).unwrap().n, Some(expected), "{raw}");
        }
    }

    #[test]
    fn a_mark_is_bounded() {
        assert!(parse(Some(&format!("last={}", "x".repeat(512)))).is_ok());
        assert_eq!(parse(Some(&format!("last={}", "x".repeat(513)))), Err(InvalidQuery::Last));
    }

    #[test]
    fn malformed_values_are_refused_with_the_code_that_fits() {
        for (raw, expected) in [
            ("n=-1", ErrorCode::Unsupported),
            ("n=abc", ErrorCode::Unsupported),
            ("n=", ErrorCode::Unsupported),
            ("n", ErrorCode::Unsupported),
            ("n=+1", ErrorCode::Unsupported),
            ("n=1.5", ErrorCode::Unsupported),
            ("n=0x10", ErrorCode::Unsupported),
            ("n=99999999999999999999", ErrorCode::Unsupported),
            ("n=1&n=2", ErrorCode::Unsupported),
            ("n=%", ErrorCode::Unsupported),
            ("n=%zz", ErrorCode::Unsupported),
            ("last", ErrorCode::TagInvalid),
            ("last=a%00", ErrorCode::TagInvalid),
            ("last=a%0d%0ab", ErrorCode::TagInvalid),
            ("last=%ff", ErrorCode::Unsupported),
            ("last=a&last=b", ErrorCode::Unsupported),
            ("ns=", ErrorCode::NameInvalid),
            ("ns=a b", ErrorCode::NameInvalid),
            ("ns=docker", ErrorCode::NameInvalid),
            ("ns=http://x.io", ErrorCode::NameInvalid),
            ("ns=x.io/a", ErrorCode::NameInvalid),
            ("ns=user@x.io", ErrorCode::NameInvalid),
            ("ns=x.io%00", ErrorCode::NameInvalid),
            ("ns=a.io&ns=b.io", ErrorCode::Unsupported),
            ("ns=a.io&ns=a.io", ErrorCode::Unsupported),
        ] {
            match parse(Some(raw)) {
                Err(error) => assert_eq!(error.code(), expected, "{raw}: {error}"),
                Ok(query) => panic!("{raw} was read as {query:?}"),
            }
        }
    }
}
