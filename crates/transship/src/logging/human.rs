//! The log line for people: time, level, message, then `key=value` pairs.
//!
//! Must not know which fields exist. Invariant: control characters, line ends and bidirectional overrides are
//! written escaped, whoever sent them.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::escape::Escaped;

/// Formats events for people.
pub(super) struct Human;

impl<S, N> FormatEvent<S, N> for Human
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        SystemTime.format_time(&mut line)?;
        write!(line, " {:>5}", event.metadata().level())?;
        let mut message = Fields { line: &mut line, result: Ok(()), message: true };
        event.record(&mut message);
        message.result?;
        let mut fields = Fields { line: &mut line, result: Ok(()), message: false };
        event.record(&mut fields);
        fields.result?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>().filter(|fields| !fields.is_empty()) {
                write!(Escaped(&mut line), " {}", fields.fields)?;
            }
        }
        writeln!(line)
    }
}

/// Writes the message, or everything else.
struct Fields<'a, 'w> {
    line: &'a mut Writer<'w>,
    result: fmt::Result,
    message: bool,
}

impl Fields<'_, '_> {
    fn write(&mut self, field: &Field, value: &dyn fmt::Display, quoted: bool) {
        if self.result.is_err() || (field.name() == "message") != self.message {
            return;
        }
        self.result = if self.message {
            write!(Escaped(self.line), " {value}")
        } else if quoted {
            write!(self.line, " {}=\"", field.name())
                .and_then(|()| write!(Escaped(self.line), "{value}"))
                .and_then(|()| self.line.write_char('"'))
        } else {
            write!(self.line, " {}=", field.name()).and_then(|()| write!(Escaped(self.line), "{value}"))
        };
    }
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let quoted = value.is_empty() || value.contains([' ', '"', '=']);
        self.write(field, &value, quoted);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.write(field, &Chain(value), true);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, &format_args!("{value:?}"), false);
    }
}

/// An error with the causes it does not already name.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}
