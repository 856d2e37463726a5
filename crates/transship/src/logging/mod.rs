//! Logs: which events, in which form, written to standard error without holding up the one who logs.
//!
//! Traces (spans with the target prefix in [`TRACE_TARGET`]) are not logs: they are kept out here and go to
//! [`crate::otel`]. Must not know what is logged. Invariant: whatever a client or upstream sends, one event is one
//! line, and no control character reaches the terminal.

mod escape;
mod filter;
mod human;
mod writer;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use server::{AccessLog, AccessLogWriter};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, reload};

use crate::otel::Traces;
pub(crate) use filter::LogFilter;
use human::Human;
use writer::{LogWriter, WriterGuard};

/// Spans with this target prefix are traces; they exist only while traces are exported.
pub(crate) const TRACE_TARGET: &str = "transship::trace";

/// The target that request lines count under for the filter.
pub(crate) const REQUEST_TARGET: &str = "transship::request";

/// The form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One line for people.
    Human,
    /// One JSON object a line, for machines.
    Json,
}

impl LogFormat {
    /// `human` on a terminal, `json` otherwise.
    pub(crate) fn by_terminal() -> Self {
        if std::io::stderr().is_terminal() { Self::Human } else { Self::Json }
    }
}

/// The installed log: changes its filter while running, and writes what is queued when dropped.
pub(crate) struct Logging {
    filter: reload::Handle<Targets, Registry>,
    requests: Arc<AtomicBool>,
    _writer: WriterGuard,
}

impl Logging {
    /// Installs the log, and the traces if there are any, for the whole process.
    ///
    /// # Errors
    /// When a log was installed before.
    pub(crate) fn install(level: &LogFilter, format: LogFormat, traces: Option<&Traces>) -> Result<Self, TryInitError> {
        let (writer, guard) = LogWriter::start(std::io::stderr());
        let (filter, handle) = reload::Layer::new(without_traces(level));
        let subscriber = tracing_subscriber::registry().with(lines(format, writer).with_filter(filter));
        match traces {
            // The layers are only there when traces are wanted: a disabled span costs one load and a branch.
            Some(traces) => subscriber.with(traces.layer()).try_init()?,
            None => subscriber.try_init()?,
        }
        Ok(Self { filter: handle, requests: Arc::new(AtomicBool::new(level.logs_requests())), _writer: guard })
    }

    /// Changes what is logged.
    ///
    /// # Errors
    /// When the log has gone, which only happens at exit.
    pub(crate) fn set_level(&self, level: &LogFilter) -> Result<(), reload::Error> {
        self.requests.store(level.logs_requests(), Ordering::Relaxed);
        self.filter.reload(without_traces(level))
    }

    /// Starts the log of requests: one line each, to the same place, while the filter lets `info` of
    /// [`REQUEST_TARGET`] pass.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub(crate) fn access_log(&self, format: LogFormat) -> std::io::Result<(AccessLog, AccessLogWriter)> {
        let format = match format {
            LogFormat::Human => server::LogFormat::Human,
            LogFormat::Json => server::LogFormat::Json,
        };
        AccessLog::start(RequestLines { wanted: self.requests.clone(), out: std::io::stderr() }, format)
    }
}

/// Passes request lines on while they are wanted.
struct RequestLines<W> {
    wanted: Arc<AtomicBool>,
    out: W,
}

impl<W: Write> Write for RequestLines<W> {
    fn write(&mut self, lines: &[u8]) -> std::io::Result<usize> {
        if self.wanted.load(Ordering::Relaxed) {
            self.out.write_all(lines)?;
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn without_traces(level: &LogFilter) -> Targets {
    level.targets().clone().with_target(TRACE_TARGET, LevelFilter::OFF)
}

fn lines<S>(format: LogFormat, writer: LogWriter) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
    match format {
        LogFormat::Human => layer.event_format(Human).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let (writer, guard) = LogWriter::start(buffer.clone());
        let filter = without_traces(&level.parse().unwrap());
        tracing::subscriber::with_default(Registry::default().with(lines(format, writer).with_filter(filter)), log);
        drop(guard);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn hostile_text_stays_on_one_line_and_writes_no_control_character() {
        let hostile = "a\nlevel=ERROR forged \u{1b}[31mred\u{7}\r\u{85}\u{202e}";
        for format in [LogFormat::Human, LogFormat::Json] {
            let text = logged(
                format,
                "info",
                || tracing::info!(path = hostile, shown = %hostile, debug = ?hostile, "pulled {hostile}"),
            );
            assert_eq!(text.matches('\n').count(), 1, "{format:?}: {text:?}");
            let line = text.trim_end_matches('\n');
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{format:?}: {line:?}");
            assert!(line.contains("forged"), "{line}");
        }
    }

    #[test]
    fn json_is_flat_and_holds_the_fields() {
        let text = logged(
            LogFormat::Json,
            "info",
            || tracing::info!(target: "transship::access", status = 200, repo_key = "hub", "request"),
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["status"], 200);
        assert_eq!(value["repo_key"], "hub");
        assert_eq!(value["message"], "request");
        assert_eq!(value["level"], "INFO");
        assert_eq!(value["target"], "transship::access");
        assert!(value["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn request_lines_follow_the_filter_while_running() {
        let buffer = Buffer::default();
        let wanted = Arc::new(AtomicBool::new(true));
        let mut lines = RequestLines { wanted: wanted.clone(), out: buffer.clone() };
        for (level, expected) in
            [("info", true), ("warn", false), ("warn,transship::request=info", true), ("debug,transship=off", false)]
        {
            wanted.store(level.parse::<LogFilter>().unwrap().logs_requests(), Ordering::Relaxed);
            buffer.0.lock().unwrap().clear();
            lines.write_all(b"line\n").unwrap();
            assert_eq!(!buffer.0.lock().unwrap().is_empty(), expected, "{level}");
        }
    }

    #[test]
    fn levels_filter_and_traces_are_never_logs() {
        let text = logged(LogFormat::Human, "warn,noisy=off,quiet=debug", || {
            tracing::info!("left out");
            tracing::error!(target: "noisy", "left out");
            tracing::debug!(target: "quiet::inner", "kept one");
            tracing::warn!("kept two");
            tracing::error!(target: "transship::trace::fill", "left out");
        });
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains("left out"), "{text}");
    }
}
