//! What is logged: a level, or levels by target.
//!
//! Must not know the log's form. Invariant: a misspelt level is refused; a filter that silently matches nothing
//! would be found out in the night it is needed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use super::REQUEST_TARGET;

const LEVELS: &str = "error, warn, info, debug, trace or off";

/// A checked filter: `info`, or `info,transship_client=debug`.
#[derive(Clone, PartialEq)]
pub(crate) struct LogFilter {
    text: String,
    targets: Targets,
}

impl LogFilter {
    /// The filter in the subscriber's terms.
    pub(crate) fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Whether the line of each request is wanted.
    pub(crate) fn logs_requests(&self) -> bool {
        self.targets.would_enable(REQUEST_TARGET, &Level::INFO)
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self { text: "info".into(), targets: Targets::new().with_default(LevelFilter::INFO) }
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut targets = Targets::new();
        for part in text.split(',').map(str::trim) {
            targets = match part.split_once('=') {
                Some((target, _)) if target.trim().is_empty() => {
                    return Err(format!("'{part}' has no target before '='"));
                }
                Some((target, word)) => targets.with_target(target.trim(), level(word)?),
                None => targets.with_default(level(part)?),
            };
        }
        Ok(Self { text: text.to_owned(), targets })
    }
}

fn level(word: &str) -> Result<LevelFilter, String> {
    match word.trim().to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" | "warning" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        other => Err(format!(
            "'{other}' is not a log level; write {LEVELS}, or levels by target like info,transship_client=debug"
        )),
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets_are_read() {
        for text in ["info", "WARN", "off", "info,transship_client=debug", "warn, transship_server = trace"] {
            assert!(text.parse::<LogFilter>().is_ok(), "{text}");
        }
    }

    #[test]
    fn slips_are_refused() {
        for text in ["", "inof", "info,", "debug,transship=loud", "=debug", "info;debug", "3"] {
            assert!(text.parse::<LogFilter>().is_err(), "{text}");
        }
    }
}
