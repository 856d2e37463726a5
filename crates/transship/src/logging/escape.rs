//! Keeps what clients and upstreams send from steering the terminal or forging lines.
//!
//! Control characters end lines and move cursors; bidirectional overrides turn the text around. Must not know what
//! is logged. Invariant: none of them leaves this program raw, in either form of log.

use std::fmt::{self, Write};

/// Escapes unsafe characters of what is written to it, as `\n` or `\u{85}`.
pub(super) struct Escaped<'a, W: Write>(pub(super) &'a mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_unsafe) {
            let (safe, from) = rest.split_at(at);
            self.0.write_str(safe)?;
            let mut characters = from.chars();
            for escaped in characters.next().into_iter().flat_map(char::escape_default) {
                self.0.write_char(escaped)?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Adds a finished line to `batch`. JSON leaves characters from U+0080 on as they are; the unsafe ones among them
/// become `\u0085`, which is valid where they can stand: inside a string.
pub(super) fn push_line(batch: &mut Vec<u8>, line: &[u8]) {
    // All unsafe characters beyond ASCII begin with one of these two bytes.
    if !line.iter().any(|byte| matches!(byte, 0xc2 | 0xe2)) {
        return batch.extend_from_slice(line);
    }
    for character in String::from_utf8_lossy(line).chars() {
        if !character.is_ascii() && is_unsafe(character) {
            batch.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
        } else {
            batch.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

fn is_unsafe(c: char) -> bool {
    let direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || direction
}
