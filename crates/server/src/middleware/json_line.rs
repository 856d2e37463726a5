//! One JSON object on one line, written straight into a buffer: a line a request is the largest cost of our own on the
//! hit path, and most of its values are known to need no escaping.
//!
//! Must not know what a line says. Invariant: whatever text comes in, the line is valid JSON; text that is not plain
//! goes through the JSON library.

use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::time::{Duration, SystemTime};

/// `2026-01-31T12:00:00.`: a point in time down to the second, without its thousandths.
const SECOND_BYTES: usize = 20;

thread_local! {
    /// The last second written by this thread, since the epoch, and its text.
    static SECOND: Cell<(u64, [u8; SECOND_BYTES])> = const { Cell::new((u64::MAX, [0; SECOND_BYTES])) };
}

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
        // Without a way out of the loop it is done many bytes at once.
        if value.bytes().filter(|byte| matches!(byte, 0..b' ' | b'"' | b'\\')).count() > 0 {
            return Ok(serde_json::to_writer(&mut *self.out, value)?);
        }
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'"');
        Ok(())
    }

    /// Adds plain text (no quotes, backslashes or control characters), given in parts.
    pub(crate) fn parts(&mut self, key: &'static str, parts: &[&str]) {
        self.key(key);
        self.out.push(b'"');
        for part in parts {
            self.out.extend_from_slice(part.as_bytes());
        }
        self.out.push(b'"');
    }

    /// Adds a text, escaped where it must be, with plain text in parts behind it.
    pub(crate) fn text_with(&mut self, key: &'static str, value: &str, parts: &[&str]) -> io::Result<()> {
        self.text(key, value)?;
        // The closing quote comes after the rest.
        self.out.pop();
        for part in parts {
            self.out.extend_from_slice(part.as_bytes());
        }
        self.out.push(b'"');
        Ok(())
    }

    /// Adds a point in time (RFC 3339) with thousandths of a second.
    pub(crate) fn time(&mut self, key: &'static str, time: SystemTime) -> io::Result<()> {
        let Ok(since) = time.duration_since(SystemTime::UNIX_EPOCH) else {
            // A clock set before 1970; written another way rather than not at all.
            return self.text(key, &format!("{time:?}"));
        };
        let (second, text) = SECOND.get();
        let text = if second == since.as_secs() { text } else { begun_second(since)? };
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(&text);
        self.thousandths(since.subsec_millis());
        self.out.extend_from_slice(b"Z\"");
        Ok(())
    }

    /// Adds an address with its port.
    pub(crate) fn address(&mut self, key: &'static str, address: SocketAddr) -> io::Result<()> {
        let SocketAddr::V4(address) = address else { return self.plain(key, address) };
        self.key(key);
        self.out.push(b'"');
        self.octets(address);
        self.out.push(b'"');
        Ok(())
    }

    fn octets(&mut self, address: SocketAddrV4) {
        let mut digits = itoa::Buffer::new();
        for (octet, end) in address.ip().octets().into_iter().zip(*b"...:") {
            self.out.extend_from_slice(digits.format(octet).as_bytes());
            self.out.push(end);
        }
        self.out.extend_from_slice(digits.format(address.port()).as_bytes());
    }

    fn thousandths(&mut self, number: u32) {
        let digit = |value: u32| b'0' + (value % 10) as u8;
        self.out.extend_from_slice(&[digit(number / 100), digit(number / 10), digit(number)]);
    }

    /// Adds something that prints as plain text: no quotes, backslashes or control characters.
    pub(crate) fn plain(&mut self, key: &'static str, value: impl Display) -> io::Result<()> {
        self.key(key);
        write!(self.out, "\"{value}\"")
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, key: &'static str, value: u64) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// Adds a duration in milliseconds, with microseconds behind the point.
    pub(crate) fn millis(&mut self, key: &'static str, value: Duration) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(value.as_millis()).as_bytes());
        self.out.push(b'.');
        self.thousandths(value.subsec_micros() % 1000);
    }

    /// Ends the object.
    pub(crate) fn end(self) {
        self.out.push(b'}');
    }
}

/// The text of the second that `since` lies in, remembered for the next line.
fn begun_second(since: Duration) -> io::Result<[u8; SECOND_BYTES]> {
    let second = since.as_secs();
    let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    let mut text = [0; SECOND_BYTES];
    write!(&mut text[..], "{}", humantime::format_rfc3339_seconds(whole)).and_then(|()| {
        // Where the point goes, the library puts its `Z`.
        text[SECOND_BYTES - 1] = b'.';
        SECOND.set((second, text));
        Ok(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_addresses_read_as_their_libraries_write_them() {
        let mut written = Vec::new();
        let mut expected = Vec::new();
        for (millis, address) in [
            (0, "192.0.2.1:4711"),
            (1_800_000_000_007, "0.0.0.0:0"),
            (1_800_000_000_999, "255.255.255.255:65535"),
            (1_800_000_001_000, "[2001:db8::1]:443"),
            (1_700_000_000_123, "[::ffff:192.0.2.1]:80"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            let address: SocketAddr = address.parse().unwrap();
            let mut out = Vec::new();
            let mut line = JsonLine::begin(&mut out);
            line.time("t", time).unwrap();
            line.address("a", address).unwrap();
            line.end();
            written.push(String::from_utf8(out).unwrap());
            expected.push(format!("{{\"t\":\"{}\",\"a\":\"{address}\"}}", humantime::format_rfc3339_millis(time)));
        }
        assert_eq!(written, expected);
    }

    #[test]
    fn any_text_gives_valid_json() {
        for hostile in ["", "plain", "a\"b", "back\\slash", "new\nline", "\u{1b}[31m", "ünïcode", "\u{7f}\0"] {
            let mut out = Vec::new();
            let mut line = JsonLine::begin(&mut out);
            line.text("a", hostile).unwrap();
            line.number("b", u64::MAX);
            line.millis("c", Duration::from_micros(1_002_030));
            line.plain("d", 7).unwrap();
            line.end();
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value["a"], hostile);
            assert_eq!((&value["b"], &value["c"], &value["d"]), (&u64::MAX.into(), &1002.03.into(), &"7".into()));
        }
    }
}
