//! What the log says of one request, and how it is written: a JSON object or one line for a person.
//!
//! Must not know where lines go. Invariants: a record is one line whatever the client sent (control characters are
//! escaped, long values cut); query values are never written, as tokens travel there.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, Uri};
use registry::{Principal, PullOutcome, Pusher};

use super::json_line::JsonLine;
use super::request_id::RequestId;
use super::subject::Subject;
use super::trace_context::TraceContext;

/// Longest user agent written, in characters.
const USER_AGENT_SHOWN: usize = 256;
/// Longest path written, in characters: every legal one fits.
const PATH_SHOWN: usize = 1024;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// One line a person can read.
    Human,
}

/// How a response ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything was handed to the connection.
    Complete,
    /// The client left first.
    ClientGone,
    /// We cut it.
    Cut(String),
}

/// Everything the log says of a request. Values are kept as they came; text is made when the line is written, away
/// from the request.
#[derive(Debug)]
pub(crate) struct RequestRecord {
    pub(crate) time: SystemTime,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) client: SocketAddr,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) request_id: RequestId,
    pub(crate) trace: TraceContext,
    pub(crate) subject: Option<Subject>,
    /// Whose rights were used, where callers have their own.
    pub(crate) principal: Option<Principal>,
    /// Who pushes, where somebody does.
    pub(crate) pusher: Option<Pusher>,
    pub(crate) outcome: Option<PullOutcome>,
    /// The message of the error body.
    pub(crate) error: Option<String>,
    /// Zero when the client left before there was one.
    pub(crate) status: u16,
    /// Until the response's head was ready.
    pub(crate) first_byte: Option<Duration>,
    /// Until the response's body had ended.
    pub(crate) latency: Duration,
    /// Body bytes handed to the connection.
    pub(crate) bytes: u64,
    pub(crate) end: End,
}

impl RequestRecord {
    /// Writes the record and a line break.
    pub(crate) fn write(&self, format: LogFormat, out: &mut Vec<u8>) -> io::Result<()> {
        match format {
            LogFormat::Json => self.write_json(out)?,
            LogFormat::Human => write!(out, "{}", Human(self))?,
        }
        out.push(b'\n');
        Ok(())
    }

    fn path(&self) -> Escaped<'_> {
        Escaped { text: self.uri.path(), most: PATH_SHOWN }
    }

    fn level(&self) -> &'static str {
        match (self.status, &self.end) {
            (500.., _) => "ERROR",
            (_, End::Cut(_)) => "WARN",
            (_, End::Complete | End::ClientGone) => "INFO",
        }
    }
}

/// Text that stays on its line: control characters escaped, cut to a length.
struct Escaped<'a> {
    text: &'a str,
    most: usize,
}

impl Escaped<'_> {
    /// Adds the text to a line; the common case, short and plain, without a copy.
    fn write(&self, line: &mut JsonLine<'_>, key: &'static str) -> io::Result<()> {
        if self.text.len() <= self.most && self.text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return line.text(key, self.text);
        }
        line.text(key, &self.to_string())
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.text.chars();
        for char in rest.by_ref().take(self.most) {
            // Quotes and backslashes stay as they are, so that a JSON reader gets the client's own text.
            if char.is_control() { write!(f, "{}", char.escape_default())? } else { f.write_char(char)? }
        }
        if rest.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

impl RequestRecord {
    fn write_json(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut line = JsonLine::begin(out);
        line.time("timestamp", self.time)?;
        line.parts("level", &[self.level()]);
        line.parts("message", &["request"]);
        line.text("method", self.method.as_str())?;
        self.path().write(&mut line, "path")?;
        line.number("status", self.status.into());
        if let Some(subject) = &self.subject {
            subject.write(&mut line)?;
        }
        if let Some(principal) = self.principal {
            line.plain("principal", principal)?;
        }
        if let Some(pusher) = self.pusher {
            line.parts("principal", &[pusher.as_str()]);
        }
        if let Some(outcome) = self.outcome {
            line.parts("cache", &[outcome.as_str()]);
        }
        line.number("bytes", self.bytes);
        line.millis("latency_ms", self.latency);
        if let Some(first_byte) = self.first_byte {
            line.millis("ttfb_ms", first_byte);
        }
        line.address("client", self.client)?;
        if let Some(agent) = &self.user_agent {
            let text = String::from_utf8_lossy(agent.as_bytes());
            Escaped { text: &text, most: USER_AGENT_SHOWN }.write(&mut line, "user_agent")?;
        }
        line.parts("request_id", &[self.request_id.as_str()]);
        line.parts("trace_id", &[self.trace.trace_id_in(&mut [0; 32])]);
        if let Some(error) = &self.error {
            line.text("error", error)?;
        }
        match &self.end {
            End::Complete => {}
            End::ClientGone => line.parts("end", &["client_gone"]),
            End::Cut(why) => {
                line.parts("end", &["cut"]);
                line.text("cut", why)?;
            }
        }
        line.end();
        Ok(())
    }
}

/// Milliseconds with microseconds behind the point.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

struct Human<'a>(&'a RequestRecord);

impl fmt::Display for Human<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        let time = humantime::format_rfc3339_millis(record.time);
        write!(f, "{time} {:>5} {} {} {}", record.level(), record.method, record.path(), record.status)?;
        if let Some(outcome) = record.outcome {
            write!(f, " {}", outcome.as_str())?;
        }
        write!(f, " {} B in {} ms", record.bytes, millis(record.latency))?;
        if let Some(subject) = &record.subject {
            write!(f, " repo_key={}", subject.repo_key)?;
            if let Some(member) = &subject.member {
                write!(f, " member={}", member.key)?;
            }
            if let Some(url) = subject.upstream_url() {
                write!(f, " upstream_url={url}")?;
            }
        }
        if let Some(pusher) = record.pusher {
            write!(f, " principal={pusher}")?;
        }
        if let Some(principal) = record.principal {
            write!(f, " principal={principal}")?;
        }
        write!(f, " client={} request_id={}", record.client, record.request_id)?;
        if let Some(error) = &record.error {
            write!(f, " error=\"{}\"", Escaped { text: error, most: PATH_SHOWN })?;
        }
        match &record.end {
            End::Complete => Ok(()),
            End::ClientGone => f.write_str(" (the client left before the end)"),
            End::Cut(why) => write!(f, " (cut: {})", Escaped { text: why, most: PATH_SHOWN }),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use http::HeaderMap;

    pub(crate) fn record(path: &str) -> RequestRecord {
        let headers = HeaderMap::new();
        RequestRecord {
            time: SystemTime::UNIX_EPOCH,
            method: Method::GET,
            uri: path.parse().unwrap(),
            client: "192.0.2.1:4711".parse().unwrap(),
            user_agent: None,
            request_id: RequestId::of(&headers),
            trace: TraceContext::of(&headers),
            subject: None,
            principal: None,
            pusher: None,
            outcome: Some(PullOutcome::Hit),
            error: None,
            status: 200,
            first_byte: Some(Duration::from_micros(1500)),
            latency: Duration::from_micros(2500),
            bytes: 42,
            end: End::Complete,
        }
    }

    fn line(record: &RequestRecord, format: LogFormat) -> String {
        let mut out = Vec::new();
        record.write(format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_json_line_carries_the_documented_fields() {
        let mut record = record("/v2/a/manifests/latest?token=hunter2");
        record.user_agent = Some(HeaderValue::from_static("docker/29"));
        let text = line(&record, LogFormat::Json);
        assert!(!text.contains("hunter2"), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (field, expected) in [
            ("timestamp", "\"1970-01-01T00:00:00.000Z\""),
            ("method", "\"GET\""),
            ("path", "\"/v2/a/manifests/latest\""),
            ("status", "200"),
            ("cache", "\"hit\""),
            ("bytes", "42"),
            ("latency_ms", "2.5"),
            ("ttfb_ms", "1.5"),
            ("client", "\"192.0.2.1:4711\""),
            ("user_agent", "\"docker/29\""),
        ] {
            assert_eq!(value[field].to_string(), expected, "{field}");
        }
        assert_eq!(value["trace_id"].as_str().unwrap().len(), 32);
        assert!(value.get("end").is_none());
    }

    #[test]
    fn hostile_text_stays_on_one_line_and_is_cut() {
        let mut record = record("/x");
        record.user_agent =
            Some(HeaderValue::from_bytes(format!("a\tb\u{9b}31m{}", "x".repeat(10_000)).as_bytes()).unwrap());
        record.error = Some("no\r\n2026 forged line \u{1b}[31m".into());
        record.end = End::Cut("a\nb".into());
        for format in [LogFormat::Json, LogFormat::Human] {
            let text = line(&record, format);
            assert_eq!(text.matches('\n').count(), 1, "{text:?}");
            assert!(text.ends_with('\n') && !text.trim_end().contains(char::is_control), "{text:?}");
            assert!(text.len() < 2000, "{} bytes", text.len());
        }
    }

    #[test]
    fn an_early_end_and_an_error_are_told() {
        let mut record = record("/x");
        record.end = End::ClientGone;
        assert!(line(&record, LogFormat::Human).contains("client left"));
        let value: serde_json::Value = serde_json::from_str(&line(&record, LogFormat::Json)).unwrap();
        assert_eq!((&value["end"], &value["level"]), (&"client_gone".into(), &"INFO".into()));
        record.status = 502;
        let value: serde_json::Value = serde_json::from_str(&line(&record, LogFormat::Json)).unwrap();
        assert_eq!(value["level"], "ERROR");
    }
}
