//! The lexical pieces HTTP header fields share (RFC 9110 section 5.6): tokens, quoted strings, optional whitespace.
//!
//! Must not know any one header. Invariant: the cursor stands on a character boundary and only moves forward, except
//! back to a mark taken before.

/// A character of a token (RFC 9110 section 5.6.2).
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether the text is one token.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Reads a header value from the left.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Steps over `byte` (ASCII) if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes the longest run of ASCII bytes that `wanted` accepts; it may be empty.
    pub(crate) fn take_while(&mut self, wanted: fn(u8) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|byte| byte.is_ascii() && wanted(*byte)).count();
        self.at += length;
        &rest[..length]
    }

    pub(crate) fn skip_whitespace(&mut self) {
        self.take_while(is_whitespace);
    }

    /// Empty list elements are allowed wherever a list is (RFC 9110 section 5.6.1.2).
    pub(crate) fn skip_commas(&mut self) {
        self.take_while(|byte| byte == b',' || is_whitespace(byte));
    }

    /// A quoted string, unescaped; `None` when the quote is not closed. The opening quote must be next.
    pub(crate) fn quoted_string(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut characters = self.text[self.at..].char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += offset + 1;
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                other => value.push(other),
            }
        }
        None
    }
}

fn is_whitespace(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
