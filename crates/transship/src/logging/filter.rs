//! What is logged: a level, or levels by target.
//!
//! Must not know the log's form. Invariants: a misspelt level is refused (a filter that silently matches nothing would
//! be found out in the night it is needed); a bare level is for our own code, and libraries say warnings and errors
//! only unless they are named: at `debug` and `trace` HTTP libraries print headers, and so credentials.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use super::REQUEST_TARGET;

/// All our targets begin with it.
const OURS: &str = "transship";
/// What libraries may say without being named.
const LIBRARIES: LevelFilter = LevelFilter::WARN;

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
        Self { text: "info".into(), targets: with_level(Targets::new(), LevelFilter::INFO) }
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim);
        let mut targets = Targets::new();
        for word in parts.clone().filter(|part| !part.contains('=')) {
            targets = with_level(targets, level(word)?);
        }
        // Named targets last: they win over a bare level wherever it stands.
        for (target, word) in parts.filter_map(|part| part.split_once('=')) {
            if target.trim().is_empty() {
                return Err(format!("'={word}' has no target before '='"));
            }
            targets = targets.with_target(target.trim(), level(word)?);
        }
        Ok(Self { text: text.to_owned(), targets })
    }
}

/// Sets the level of our own targets; that of libraries follows up to a bound.
fn with_level(targets: Targets, level: LevelFilter) -> Targets {
    targets.with_default(level.min(LIBRARIES)).with_target(OURS, level)
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
    fn libraries_stay_quiet_unless_named() {
        let enabled = |filter: &str, target: &str, level| {
            filter.parse::<LogFilter>().unwrap().targets().would_enable(target, &level)
        };
        assert!(enabled("debug", "transship_client::transport", Level::DEBUG));
        assert!(!enabled("trace", "hyper::proto", Level::INFO));
        assert!(enabled("trace", "hyper::proto", Level::WARN));
        assert!(!enabled("error", "hyper::proto", Level::WARN));
        assert!(enabled("info,hyper=debug", "hyper::proto", Level::DEBUG));
        assert!(enabled("transship_client=debug,warn", "transship_client", Level::DEBUG), "order does not matter");
        assert!(!enabled("transship=off,debug", "transship_server", Level::ERROR));
        assert!(!enabled("transship_client=debug,warn", "transship_server", Level::INFO));
    }

    #[test]
    fn slips_are_refused() {
        for text in ["", "inof", "info,", "debug,transship=loud", "=debug", "info;debug", "3"] {
            assert!(text.parse::<LogFilter>().is_err(), "{text}");
        }
    }
}
