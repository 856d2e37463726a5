//! The kinds of value a field can have: how each is checked, described and written as JSON Schema.
//!
//! Must not know which field has which kind. Invariant: a value that passes is normalised so that `raw` reads it:
//! what a flag or variable gives as text becomes the number, flag or list it stands for.

use std::net::SocketAddr;
use std::str::FromStr;

use registry::FillOnRange;
use serde_json::{Value, json};
use url::Url;

use super::document::{Node, NodeValue};
use super::size::Size;
use super::suggest::did_you_mean;
use crate::logging::LogFilter;

/// A kind of value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// One address or several: `127.0.0.1:5000`, `[::]:5000`.
    Addresses,
    /// One IP address with a port: `10.0.0.53:53`.
    Address,
    /// A text that is checked where it is used.
    Text,
    /// One text or several.
    Texts,
    /// A path of a file or folder.
    Path,
    /// A size of at least so many bytes.
    Size { min: u64 },
    /// A duration: `30s`, `5m`.
    Duration { min_secs: u64 },
    /// A whole number.
    Count { min: u64, max: u64 },
    /// True or false.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A log level, or levels by target.
    LogFilter,
    /// An http or https URL without credentials.
    Url,
    /// When a ranged request fills the whole blob.
    FillPolicy,
    /// Limits by host; its entries are checked by the registry.
    HostLimits,
    /// The map of repositories; its entries are checked by the registry.
    Repositories,
}

impl Kind {
    /// The kind in the words of the reference.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Addresses => "address or list of addresses".into(),
            Self::Address => "address with port".into(),
            Self::Text => "text".into(),
            Self::Texts => "text or list of texts".into(),
            Self::Path => "path".into(),
            Self::Size { .. } => "size".into(),
            Self::Duration { .. } => "duration".into(),
            Self::Count { min, max } => format!("number, {min} to {max}"),
            Self::Flag => "boolean".into(),
            Self::Choice(words) => words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(" or "),
            Self::LogFilter => "level or filter".into(),
            Self::Url => "URL".into(),
            Self::FillPolicy => "`none`, `background` or `after:<fraction>`".into(),
            Self::HostLimits => "map of limits by host".into(),
            Self::Repositories => "map of repositories".into(),
        }
    }

    /// The kind as JSON Schema. Texts may hold `${NAME}`, so numbers and flags may be texts too.
    pub(crate) fn schema(self) -> Value {
        let variable = json!({ "type": "string", "pattern": r"\$\{" });
        match self {
            Self::Addresses | Self::Texts => {
                json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" }, "minItems": 1 }] })
            }
            Self::Address | Self::Text | Self::Path | Self::LogFilter | Self::Url | Self::FillPolicy => {
                json!({ "type": "string", "minLength": 1 })
            }
            Self::Size { .. } => json!({ "type": ["string", "integer"], "examples": ["200GiB", "10GB"] }),
            Self::Duration { .. } => json!({ "type": "string", "examples": ["30s", "5m", "12h"] }),
            Self::Count { min, max } => {
                json!({ "anyOf": [{ "type": "integer", "minimum": min, "maximum": max }, variable] })
            }
            Self::Flag => json!({ "anyOf": [{ "type": "boolean" }, variable] }),
            Self::Choice(words) => json!({ "anyOf": [{ "enum": words }, variable] }),
            Self::HostLimits | Self::Repositories => json!({ "type": "object" }),
        }
    }

    /// Checks a value and gives it in the form `raw` reads.
    ///
    /// # Errors
    /// What is wrong and what to write.
    pub(crate) fn check(self, node: &Node) -> Result<Value, String> {
        match self {
            Self::Addresses => addresses(node),
            Self::Texts => texts(node),
            Self::HostLimits => match &node.value {
                NodeValue::Map(_) => Ok(node.to_json()),
                other => Err(format!("must be a map of limits by host, not {}", other.describe())),
            },
            Self::Repositories => match &node.value {
                NodeValue::Map(_) => Ok(node.to_json()),
                other => Err(format!("must be a map of repositories by key, not {}", other.describe())),
            },
            Self::Flag => match (&node.value, scalar(node).as_deref()) {
                (NodeValue::Bool(flag), _) => Ok(Value::Bool(*flag)),
                (NodeValue::Text(_), Ok(word @ ("true" | "false"))) => Ok(Value::Bool(word == "true")),
                (other, _) => Err(format!("must be true or false, not {}", other.describe())),
            },
            Self::Count { min, max } => match scalar(node)?.parse::<u64>() {
                Ok(number) if (min..=max).contains(&number) => Ok(number.into()),
                Ok(_) | Err(_) => Err(format!("must be a whole number from {min} to {max}")),
            },
            Self::Address
            | Self::Text
            | Self::Path
            | Self::Size { .. }
            | Self::Duration { .. }
            | Self::Choice(_)
            | Self::LogFilter
            | Self::Url
            | Self::FillPolicy => {
                let text = scalar(node)?;
                self.check_text(&text)?;
                Ok(Value::String(text))
            }
        }
    }

    fn check_text(self, text: &str) -> Result<(), String> {
        match self {
            Self::Path | Self::Text if text.is_empty() => Err("must not be empty".into()),
            Self::Address => match text.parse::<SocketAddr>() {
                Ok(_) => Ok(()),
                Err(_) => {
                    Err(format!("'{text}' is not an address with a port; write 10.0.0.53:53 or [2001:db8::53]:53"))
                }
            },
            Self::Size { min } => match Size::parse(text)? {
                Size(bytes) if bytes < min => Err(format!("must be at least {}", Size(min))),
                Size(_) => Ok(()),
            },
            Self::Duration { min_secs } => match registry::parse_duration(text)? {
                duration if duration.as_secs() < min_secs => Err(format!("must be at least {min_secs}s")),
                _ => Ok(()),
            },
            Self::Choice(words) if !words.contains(&text) => {
                let hint = did_you_mean(text, words.iter().copied()).map(|h| format!("; {h}")).unwrap_or_default();
                Err(format!("must be {}{hint}", words.join(" or ")))
            }
            Self::LogFilter => LogFilter::from_str(text).map(drop),
            Self::Url => check_url(text),
            Self::FillPolicy => FillOnRange::parse(text).map(drop),
            Self::Addresses
            | Self::Text
            | Self::Texts
            | Self::Path
            | Self::Count { .. }
            | Self::Flag
            | Self::Choice(_)
            | Self::HostLimits
            | Self::Repositories => Ok(()),
        }
    }
}

/// A scalar as text: numbers as they are written, so that `max_size: 1048576` needs no quotes.
fn scalar(node: &Node) -> Result<String, String> {
    match &node.value {
        NodeValue::Text(text) => Ok(text.clone()),
        NodeValue::Number(number) => Ok(number.to_string()),
        other @ (NodeValue::Null | NodeValue::Bool(_) | NodeValue::List(_) | NodeValue::Map(_)) => {
            Err(format!("must be a text, not {}", other.describe()))
        }
    }
}

fn addresses(node: &Node) -> Result<Value, String> {
    let items = match &node.value {
        NodeValue::List(items) if items.is_empty() => return Err("must name at least one address".into()),
        NodeValue::List(items) => items.iter().map(scalar).collect::<Result<Vec<_>, _>>()?,
        NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) | NodeValue::Text(_) | NodeValue::Map(_) => {
            vec![scalar(node)?]
        }
    };
    items.iter().try_for_each(|item| parse_address(item).map(drop))?;
    Ok(json!(items))
}

fn texts(node: &Node) -> Result<Value, String> {
    match &node.value {
        NodeValue::List(items) => Ok(json!(items.iter().map(scalar).collect::<Result<Vec<_>, _>>()?)),
        NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) | NodeValue::Text(_) | NodeValue::Map(_) => {
            Ok(json!([scalar(node)?]))
        }
    }
}

/// Reads an address to listen on.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let port = text.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok()).unwrap_or("5000");
        format!("'{text}' is not an address; write 127.0.0.1:{port} for this machine only, 0.0.0.0:{port} or [::]:{port} for all")
    })
}

fn check_url(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    match url.scheme() {
        "http" | "https" if !url.username().is_empty() || url.password().is_some() => {
            Err("must not hold credentials".into())
        }
        "http" | "https" => Ok(()),
        other => Err(format!("must start with http:// or https://, not {other}:")),
    }
}
