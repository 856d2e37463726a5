//! What goes to standard output: lines for people, JSON for programs, and names that cannot steer the terminal.
//!
//! Must not know what is written. Invariant: text from an image or a registry passes `plain` before it reaches a
//! terminal; in pipes, with `-0` and in JSON names are exact.

use std::borrow::Cow;
use std::io::{BufWriter, IsTerminal, StdoutLock, Write};
use std::time::Duration;

use crate::error::StargetError;
use crate::traffic::Sums;

/// Standard output, buffered.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    terminal: bool,
}

impl Output {
    /// Takes standard output for a command's result.
    pub(crate) fn open() -> Self {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        Self { out: BufWriter::with_capacity(1 << 16, stdout.lock()), terminal }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), StargetError> {
        let text = if self.terminal { plain(text) } else { Cow::Borrowed(text) };
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes a value as JSON, one line.
    pub(crate) fn json(&mut self, value: &impl serde::Serialize) -> Result<(), StargetError> {
        serde_json::to_writer(&mut self.out, value).map_err(|error| broken(error.into()))?;
        self.bytes(b"\n")
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), StargetError> {
        self.out.write_all(bytes).map_err(broken)
    }

    /// For those who write piece by piece.
    pub(crate) fn raw(&mut self) -> &mut impl Write {
        &mut self.out
    }

    /// Hands everything on.
    pub(crate) fn finish(mut self) -> Result<(), StargetError> {
        self.out.flush().map_err(broken)
    }
}

fn broken(source: std::io::Error) -> StargetError {
    StargetError::Stream { doing: "write to standard output", source }
}

/// The text without characters that steer a terminal: control characters and changes of direction become escapes.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() });
    Cow::Owned(escaped.collect())
}

fn steers(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A number of bytes for people: `1.5 MiB`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// What a run took, in one line.
pub(crate) fn stats(sums: &Sums, whole: u64, took: Duration) -> String {
    let Sums { requests, manifest_requests, blob_requests, other_requests, retries, bytes, .. } = sums;
    format!(
        "{requests} requests ({manifest_requests} manifests, {blob_requests} layers, {other_requests} other, \
         {retries} retries), {bytes} bytes ({}) of an image of {whole} bytes ({}), {:.2} s",
        human_bytes(*bytes),
        human_bytes(whole),
        took.as_secs_f64()
    )
}

/// Says something on standard error, apart from results.
pub(crate) fn note(text: &str) {
    // What is said besides the result is not worth failing for.
    let _ = writeln!(std::io::stderr(), "{}", plain(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_the_terminal() {
        assert_eq!(plain("usr/bin/ls"), "usr/bin/ls");
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\nc\\u{202e}d");
    }

    #[test]
    fn bytes_are_rounded_to_one_digit() {
        let cases = [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (464_934_449, "443.4 MiB")];
        for (bytes, text) in cases {
            assert_eq!(human_bytes(bytes), text);
        }
        assert_eq!(human_bytes(u64::MAX), "16384.0 PiB");
    }
}
