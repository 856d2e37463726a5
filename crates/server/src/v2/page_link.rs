//! The link to the next page of a list (RFC 8288): back to the address the client used, `ns` and filter included.
//!
//! Must not know what is listed. Invariant: where a page ends is upstream's word and may be anything; it cannot break out
//! of the link.

use std::fmt::{self, Write as _};

use oci::limits::MAX_TAG_PAGE;

use crate::query::V2Query;

/// The `Link` to the next page (RFC 8288).
pub(crate) fn page_link(raw_path: &str, query: &V2Query, next: &str) -> String {
    let page = query.n.unwrap_or(u32::try_from(MAX_TAG_PAGE).unwrap_or(u32::MAX));
    let mut link = format!("<{raw_path}?n={page}&last={}", InQuery(next));
    if let Some(ns) = &query.ns {
        // Writing to a string cannot fail.
        let _ = write!(link, "&ns={}", InQuery(ns.as_str()));
    }
    if let Some(artifact_type) = &query.artifact_type {
        let _ = write!(link, "&artifactType={}", InQuery(artifact_type));
    }
    link.push_str(">; rel=\"next\"");
    link
}

/// Text as a value in a query: everything percent-encoded that could end the value, the query or the link. Where a
/// page ends is upstream's word, so it may be anything.
struct InQuery<'a>(&'a str);

impl fmt::Display for InQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                    f.write_char(char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query;

    #[test]
    fn the_link_leads_back_to_the_address_the_client_used() {
        for (raw_query, expected) in [
            (None, "</v2/a/b/tags/list?n=1000&last=v1.2>; rel=\"next\""),
            (Some("n=5&last=v1"), "</v2/a/b/tags/list?n=5&last=v1.2>; rel=\"next\""),
            (Some("n=5000"), "</v2/a/b/tags/list?n=1000&last=v1.2>; rel=\"next\""),
            (Some("ns=localhost%3A5000&n=5"), "</v2/a/b/tags/list?n=5&last=v1.2&ns=localhost:5000>; rel=\"next\""),
            (Some("ns=[::1]:5000&n=5"), "</v2/a/b/tags/list?n=5&last=v1.2&ns=%5B::1%5D:5000>; rel=\"next\""),
        ] {
            assert_eq!(page_link("/v2/a/b/tags/list", &query::parse(raw_query).unwrap(), "v1.2"), expected);
        }
    }

    #[test]
    fn upstreams_mark_cannot_break_out_of_the_link_and_comes_back_whole() {
        let mark = "x>; rel=\"evil\"\r\n&n=1 é%";
        let text = page_link("/v2/a/tags/list", &V2Query::default(), mark);
        assert_eq!(
            text,
            "</v2/a/tags/list?n=1000&last=x%3E%3B%20rel%3D%22evil%22%0D%0A%26n%3D1%20%C3%A9%25>; rel=\"next\""
        );
        let mark = "b2Zmc2V0PTEwMA==/+";
        let text = page_link("/v2/a/tags/list", &V2Query::default(), mark);
        let raw_query = text.split_once('?').unwrap().1.split_once('>').unwrap().0;
        assert_eq!(query::parse(Some(raw_query)).unwrap().last.unwrap(), mark);
    }
}
