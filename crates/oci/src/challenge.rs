//! Challenges: what `WWW-Authenticate` asks for (RFC 9110 section 11.6.1).
//!
//! Must not know credentials or which realm to trust. Invariant: a parsed challenge has every parameter once, names in
//! lowercase, values unquoted; reading is linear in a capped length.

use crate::limits::{MAX_CHALLENGE_BYTES, MAX_CHALLENGE_PARAMS, MAX_CHALLENGES};
use crate::tokens::{Cursor, is_token_byte};

/// One challenge: `Bearer realm="https://auth.example/token",service="…"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme, lowercase: `bearer`, `basic`.
    pub scheme: String,
    /// The single unnamed value some schemes have instead of parameters (`Negotiate …`).
    pub token68: Option<String>,
    params: Vec<(String, String)>,
}

/// Why a `WWW-Authenticate` value is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChallenge {
    /// Longer than `limits::MAX_CHALLENGE_BYTES`.
    #[error("the WWW-Authenticate header is longer than 8 KiB")]
    TooLong,
    /// More challenges or parameters than the limits allow.
    #[error("the WWW-Authenticate header has too many challenges or parameters")]
    TooMany,
    /// A parameter occurs twice in one challenge: readers would not agree on which counts.
    #[error("the WWW-Authenticate header has a parameter twice, at byte {at}")]
    DuplicateParam {
        /// Where the second one ends.
        at: usize,
    },
    /// Not the grammar.
    #[error("the WWW-Authenticate header is malformed at byte {at}: {reason}")]
    Malformed {
        /// Where reading stopped.
        at: usize,
        /// What was expected there.
        reason: &'static str,
    },
}

impl Challenge {
    /// Reads all challenges of one header value; an empty value has none. Several header lines are read one by one.
    pub fn parse_all(value: &str) -> Result<Vec<Self>, InvalidChallenge> {
        if value.len() > MAX_CHALLENGE_BYTES {
            return Err(InvalidChallenge::TooLong);
        }
        let mut cursor = Cursor::new(value);
        let mut challenges = Vec::new();
        loop {
            cursor.skip_commas();
            if cursor.is_at_end() {
                return Ok(challenges);
            }
            if challenges.len() == MAX_CHALLENGES {
                return Err(InvalidChallenge::TooMany);
            }
            challenges.push(parse_one(&mut cursor)?);
        }
    }

    /// The value of a parameter; its name in any letter case.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

fn malformed(cursor: &Cursor<'_>, reason: &'static str) -> InvalidChallenge {
    InvalidChallenge::Malformed { at: cursor.position(), reason }
}

fn parse_one(cursor: &mut Cursor<'_>) -> Result<Challenge, InvalidChallenge> {
    let scheme = cursor.take_while(is_token_byte).to_ascii_lowercase();
    if scheme.is_empty() {
        return Err(malformed(cursor, "expected an authentication scheme"));
    }
    match cursor.peek() {
        None | Some(b',' | b' ' | b'\t') => {}
        Some(_) => return Err(malformed(cursor, "expected a space after the scheme")),
    }
    cursor.skip_whitespace();
    let token68 = take_token68(cursor);
    let params = if token68.is_some() { Vec::new() } else { parse_params(cursor)? };
    Ok(Challenge { scheme, token68, params })
}

/// A token68 stands alone: what follows it is the end or the next challenge.
fn take_token68(cursor: &mut Cursor<'_>) -> Option<String> {
    let mut ahead = *cursor;
    let body = ahead.take_while(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
    let padding = ahead.take_while(|byte| byte == b'=');
    ahead.skip_whitespace();
    if body.is_empty() || !(ahead.is_at_end() || ahead.peek() == Some(b',')) {
        return None;
    }
    *cursor = ahead;
    Some(format!("{body}{padding}"))
}

/// Reads parameters up to the end or to the scheme of the next challenge: a word that no `=` follows.
fn parse_params(cursor: &mut Cursor<'_>) -> Result<Vec<(String, String)>, InvalidChallenge> {
    let mut params: Vec<(String, String)> = Vec::new();
    loop {
        cursor.skip_commas();
        let mut ahead = *cursor;
        let name = ahead.take_while(is_token_byte).to_ascii_lowercase();
        ahead.skip_whitespace();
        if name.is_empty() || !ahead.eat(b'=') {
            return Ok(params);
        }
        *cursor = ahead;
        cursor.skip_whitespace();
        let value = parse_value(cursor)?;
        if params.len() == MAX_CHALLENGE_PARAMS {
            return Err(InvalidChallenge::TooMany);
        }
        if params.iter().any(|(key, _)| *key == name) {
            return Err(InvalidChallenge::DuplicateParam { at: cursor.position() });
        }
        params.push((name, value));
        cursor.skip_whitespace();
        if !(cursor.is_at_end() || cursor.peek() == Some(b',')) {
            return Err(malformed(cursor, "expected a comma after the parameter"));
        }
    }
}

/// A quoted string, or a bare word. Bare words may hold more than the grammar's tokens: some registries leave the
/// quotes off a realm's URL.
fn parse_value(cursor: &mut Cursor<'_>) -> Result<String, InvalidChallenge> {
    if cursor.peek() == Some(b'"') {
        return cursor.quoted_string().ok_or_else(|| malformed(cursor, "the quoted value is not closed"));
    }
    let word = cursor.take_while(|byte| byte.is_ascii_graphic() && byte != b',' && byte != b'"');
    if word.is_empty() {
        return Err(malformed(cursor, "expected a value"));
    }
    Ok(word.to_owned())
}
