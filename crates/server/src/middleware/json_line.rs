//! One JSON object on one line, written straight into a buffer: a line a request is the largest cost of our own on the
//! hit path, and most of its values are known to need no escaping.
//!
//! Must not know what a line says. Invariant: whatever text comes in, the line is valid JSON; text that is not plain
//! goes through the JSON library.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

/// A JSON object being written.
pub(crate) struct JsonLine<'a> {
    out: &'a mut Vec<u8>,
    next: u8,
}

impl<'a> JsonLine<'a> {
    /// Begins an object at the end of `out`.
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        Self { out, next: b'{' }
    }

    fn key(&mut self, key: &'static str) {
        self.out.extend_from_slice(&[self.next, b'"']);
        self.next = b',';
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Adds a text, escaped where it must be.
    pub(crate) fn text(&mut self, key: &'static str, value: &str) -> io::Result<()> {
        self.key(key);
        if value.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            return Ok(serde_json::to_writer(&mut *self.out, value)?);
        }
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'"');
        Ok(())
    }

    /// Adds something that prints as plain text: no quotes, backslashes or control characters.
    pub(crate) fn plain(&mut self, key: &'static str, value: impl Display) -> io::Result<()> {
        self.key(key);
        write!(self.out, "\"{value}\"")
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, key: &'static str, value: u64) -> io::Result<()> {
        self.key(key);
        write!(self.out, "{value}")
    }

    /// Adds a duration in milliseconds, with microseconds behind the point.
    pub(crate) fn millis(&mut self, key: &'static str, value: Duration) -> io::Result<()> {
        self.key(key);
        write!(self.out, "{}.{:03}", value.as_millis(), value.subsec_micros() % 1000)
    }

    /// Ends the object.
    pub(crate) fn end(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_gives_valid_json() {
        for hostile in ["", "plain", "a\"b", "back\\slash", "new\nline", "\u{1b}[31m", "ünïcode", "\u{7f}\0"] {
            let mut out = Vec::new();
            let mut line = JsonLine::begin(&mut out);
            line.text("a", hostile).unwrap();
            line.number("b", u64::MAX).unwrap();
            line.millis("c", Duration::from_micros(1_002_030)).unwrap();
            line.plain("d", 7).unwrap();
            line.end();
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value["a"], hostile);
            assert_eq!((&value["b"], &value["c"], &value["d"]), (&u64::MAX.into(), &1002.03.into(), &"7".into()));
        }
    }
}
