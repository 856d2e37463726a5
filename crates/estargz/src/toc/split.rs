//! JSON on its way in, taken apart into values that are whole in memory one at a time: a parser of bytes in memory is many times
//! as fast as one that asks for each byte.
//!
//! Must not know what the values mean, nor whether they are valid: whoever parses them finds out. Invariants: no value and no
//! string is in memory beyond its limit; where a value ends depends on quotes and brackets alone.

use std::io::{self, Read};

use crate::error::{Error, quoted};
use crate::limits::{MAX_TOC_STRING, MAX_TOC_VALUE};

/// Bytes asked for at a time.
const BLOCK: usize = 64 * 1024;

pub(crate) struct Splitter<R> {
    reader: R,
    buffer: Vec<u8>,
    /// What of the buffer has not been looked at.
    at: usize,
    filled: usize,
}

impl<R: Read> Splitter<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, buffer: vec![0; 2 * BLOCK], at: 0, filled: 0 }
    }

    /// The next byte that is no white space, not taken; none at the end.
    pub(crate) fn peek(&mut self) -> Result<Option<u8>, Error> {
        loop {
            while self.at < self.filled {
                let byte = self.buffer[self.at];
                if !is_space(byte) {
                    return Ok(Some(byte));
                }
                self.at += 1;
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Takes the next byte that is no white space.
    pub(crate) fn mark(&mut self) -> Result<Option<u8>, Error> {
        let found = self.peek()?;
        self.at += usize::from(found.is_some());
        Ok(found)
    }

    /// Takes the bytes of the next value. None at the end, or where something else stands.
    pub(crate) fn value(&mut self) -> Result<&[u8], Error> {
        self.peek()?;
        let (mut scan, mut len) = (Scan::default(), 0);
        loop {
            let found = scan.end(&self.buffer[self.at + len..self.filled])?;
            if let Some(end) = found {
                len += end;
                break;
            }
            len = self.filled - self.at;
            if len > MAX_TOC_VALUE {
                return Err(Error::TocLimit { what: "a value with bytes", limit: MAX_TOC_VALUE as u64 });
            }
            if !self.fill()? {
                break;
            }
        }
        self.at += len;
        Ok(&self.buffer[self.at - len..self.at])
    }

    /// Reads more behind what is there; false at the end.
    fn fill(&mut self) -> Result<bool, Error> {
        self.buffer.copy_within(self.at..self.filled, 0);
        self.filled -= self.at;
        self.at = 0;
        if self.buffer.len() - self.filled < BLOCK {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.filled..]) {
                Ok(count) => {
                    self.filled += count;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::TocMalformed { reason: quoted(&error.to_string()) }),
            }
        }
    }
}

/// Looks for the end of a value, over as many pieces as it comes in.
#[derive(Default)]
struct Scan {
    depth: usize,
    begun: bool,
    string: Option<InString>,
}

#[derive(Clone, Copy, Default)]
struct InString {
    len: usize,
    escaped: bool,
}

impl Scan {
    /// How many of these bytes still belong to the value, when it ends among them.
    fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Error> {
        let mut at = 0;
        while at < bytes.len() {
            if let Some(string) = self.string {
                at += self.in_string(string, &bytes[at..])?;
                if self.string.is_none() && self.depth == 0 {
                    return Ok(Some(at));
                }
                continue;
            }
            let outer = self.depth == 0;
            match bytes[at] {
                b'"' | b'{' | b'[' if outer && self.begun => return Ok(Some(at)),
                b'}' | b']' | b',' | b':' if outer => return Ok(Some(at)),
                byte if outer && is_space(byte) => return Ok(Some(at)),
                b'"' => self.string = Some(InString::default()),
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 1 => return Ok(Some(at + 1)),
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
            self.begun = true;
            at += 1;
        }
        Ok(None)
    }

    /// Goes on in a string; how many bytes it takes of these, its closing quote with them.
    fn in_string(&mut self, mut string: InString, bytes: &[u8]) -> Result<usize, Error> {
        let mut taken = 0;
        for byte in bytes {
            taken += 1;
            match byte {
                _ if string.escaped => string.escaped = false,
                b'"' => {
                    self.string = None;
                    return Ok(taken);
                }
                b'\\' => string.escaped = true,
                _ => {}
            }
            string.len += 1;
            if string.len > MAX_TOC_STRING {
                return Err(Error::TocLimit { what: "a string with bytes", limit: MAX_TOC_STRING as u64 });
            }
        }
        self.string = Some(string);
        Ok(taken)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Dripping<'b>(&'b [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(self.1).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    /// Values and what stands between them.
    fn parts(text: &str, drip: usize) -> Vec<String> {
        let mut splitter = Splitter::new(Dripping(text.as_bytes(), drip));
        let mut parts = Vec::new();
        while let Some(byte) = splitter.peek().unwrap() {
            let value = String::from_utf8(splitter.value().unwrap().to_vec()).unwrap();
            if value.is_empty() {
                splitter.mark().unwrap();
                parts.push((byte as char).to_string());
            } else {
                parts.push(value);
            }
        }
        parts
    }

    #[test]
    fn values_end_where_they_do_however_they_come() {
        let text = r#" {"a":"}\"]\\", "b":[1,{"c":2}]} , "x\"y" : [ ] true,-1.5e3:null]"d""e"{}[] "#;
        let expected = [
            r#"{"a":"}\"]\\", "b":[1,{"c":2}]}"#,
            ",",
            r#""x\"y""#,
            ":",
            "[ ]",
            "true",
            ",",
            "-1.5e3",
            ":",
            "null",
            "]",
            r#""d""#,
            r#""e""#,
            "{}",
            "[]",
        ];
        for drip in [1, 2, 3, 7, 1000] {
            assert_eq!(parts(text, drip), expected, "{drip} at a time");
        }
        let large = format!("[{}]", vec![r#"{"name":"a]b"}"#; 30_000].join(","));
        assert_eq!(parts(&large, 4096), [large]);
        assert_eq!(parts(r#"{"cut":"#, 3), [r#"{"cut":"#], "whoever parses it sees that it is cut");
    }

    #[test]
    fn no_string_and_no_value_is_in_memory_beyond_its_limit() {
        let limit = |text: String| Splitter::new(text.as_bytes()).value().map(<[u8]>::len);
        let string = |len: usize| format!("\"{}\"", "x".repeat(len));
        assert_eq!(limit(string(MAX_TOC_STRING)).unwrap(), MAX_TOC_STRING + 2);
        assert!(matches!(limit(string(MAX_TOC_STRING + 1)), Err(Error::TocLimit { what: "a string with bytes", .. })));
        let mut endless = Splitter::new(Read::chain(&b"["[..], io::repeat(b'1')));
        assert!(matches!(endless.value(), Err(Error::TocLimit { what: "a value with bytes", .. })));
        assert!(endless.buffer.len() <= 2 * (MAX_TOC_VALUE + 2 * BLOCK));
    }
}
