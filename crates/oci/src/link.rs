//! The `Link` header that pages are chained with (RFC 8288 section 3; distribution-spec "Listing Tags").
//!
//! Must not resolve or follow targets: a target may point anywhere. Invariant: a parsed target is printable ASCII without
//! angle brackets, so it can be written into a header again.

use std::fmt;

use crate::limits::{MAX_LINK_BYTES, MAX_LINKS};
use crate::tokens::{Cursor, is_token_byte};

/// One link: `<target>; rel="next"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The target: a URI reference, often relative.
    target: String,
    /// The relation types, lowercase.
    rels: Vec<String>,
}

/// Why a `Link` value is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLink {
    /// Longer than `limits::MAX_LINK_BYTES`.
    #[error("the Link header is longer than 8 KiB")]
    TooLong,
    /// More links than `limits::MAX_LINKS`.
    #[error("the Link header has more than 32 links")]
    TooMany,
    /// Not the grammar.
    #[error("the Link header is malformed at byte {at}: {reason}")]
    Malformed {
        /// Where reading stopped.
        at: usize,
        /// What was expected there.
        reason: &'static str,
    },
}

impl Link {
    /// A link to the next page. `None` when the target has other characters than a header may carry.
    pub fn next_page(target: &str) -> Option<Self> {
        let fits = !target.is_empty() && target.bytes().all(is_target_byte);
        fits.then(|| Self { target: target.to_owned(), rels: vec!["next".to_owned()] })
    }

    /// Reads all links of one header value; an empty value has none.
    pub fn parse_all(value: &str) -> Result<Vec<Self>, InvalidLink> {
        if value.len() > MAX_LINK_BYTES {
            return Err(InvalidLink::TooLong);
        }
        let mut cursor = Cursor::new(value);
        let mut links = Vec::new();
        loop {
            cursor.skip_commas();
            if cursor.is_at_end() {
                return Ok(links);
            }
            if links.len() == MAX_LINKS {
                return Err(InvalidLink::TooMany);
            }
            links.push(parse_one(&mut cursor)?);
        }
    }

    /// The target: a URI reference, to be resolved against the URL of the response it came with.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether the target is the next page.
    pub fn is_next(&self) -> bool {
        self.rels.iter().any(|rel| rel == "next")
    }
}

impl fmt::Display for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<{}>; rel=\"{}\"", self.target, self.rels.join(" "))
    }
}

fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'<' && byte != b'>'
}

fn malformed(cursor: &Cursor<'_>, reason: &'static str) -> InvalidLink {
    InvalidLink::Malformed { at: cursor.position(), reason }
}

fn parse_one(cursor: &mut Cursor<'_>) -> Result<Link, InvalidLink> {
    if !cursor.eat(b'<') {
        return Err(malformed(cursor, "expected <target>"));
    }
    let target = cursor.take_while(is_target_byte).to_owned();
    if !cursor.eat(b'>') {
        return Err(malformed(cursor, "the target is not closed or has other than printable characters"));
    }
    let mut rels = None;
    loop {
        cursor.skip_whitespace();
        match cursor.peek() {
            None | Some(b',') => return Ok(Link { target, rels: rels.unwrap_or_default() }),
            Some(b';') => {
                cursor.eat(b';');
                let (name, value) = parse_param(cursor)?;
                // Only the first `rel` counts (RFC 8288 section 3.3).
                if name == "rel" && rels.is_none() {
                    rels = Some(value.split_ascii_whitespace().map(str::to_ascii_lowercase).collect());
                }
            }
            Some(_) => return Err(malformed(cursor, "expected ';' or ','")),
        }
    }
}

/// A parameter with its value unquoted; without one the value is empty. An empty parameter (`;;`) has no name.
fn parse_param(cursor: &mut Cursor<'_>) -> Result<(String, String), InvalidLink> {
    cursor.skip_whitespace();
    let name = cursor.take_while(is_token_byte).to_ascii_lowercase();
    cursor.skip_whitespace();
    if name.is_empty() || !cursor.eat(b'=') {
        return Ok((name, String::new()));
    }
    cursor.skip_whitespace();
    if cursor.peek() == Some(b'"') {
        let value = cursor.quoted_string().ok_or_else(|| malformed(cursor, "the quoted value is not closed"))?;
        return Ok((name, value));
    }
    Ok((name, cursor.take_while(is_token_byte).to_owned()))
}
