//! The configuration as written: optional fields, no defaults, nothing looked up.
//!
//! Filled from JSON that `check` has already passed; unknown fields are refused here too. Must not know defaults.
//! Has no `Debug`: the repositories hold passwords.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use url::Url;

use super::size::Size;
use crate::logging::{LogFilter, LogFormat};

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawConfig {
    pub(crate) listen: Option<Vec<SocketAddr>>,
    pub(crate) public_url: Option<Url>,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) cache: RawCache,
    pub(crate) builtin_upstreams: Option<bool>,
    pub(crate) v2_login: Option<V2Login>,
    pub(crate) repos: Map<String, Value>,
    pub(crate) tls: RawTls,
    pub(crate) log: RawLog,
    pub(crate) tracing: RawTracing,
    pub(crate) admin: RawAdmin,
    pub(crate) secrets: RawSecrets,
    pub(crate) upstream: RawUpstream,
    pub(crate) shutdown_timeout: Option<Span>,
    pub(crate) limits: RawLimits,
    pub(crate) gc: RawGc,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawCache {
    pub(crate) max_size: Option<Size>,
    pub(crate) fill_on_range: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawTls {
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawLog {
    pub(crate) level: Option<LogFilter>,
    pub(crate) format: Option<LogFormat>,
    pub(crate) trace_upstream: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawTracing {
    pub(crate) otlp_endpoint: Option<Url>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawAdmin {
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawSecrets {
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawUpstream {
    pub(crate) connect_timeout: Option<Span>,
    pub(crate) first_byte_timeout: Option<Span>,
    pub(crate) idle_timeout: Option<Span>,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) retry_base: Option<Span>,
    pub(crate) retry_max: Option<Span>,
    pub(crate) hedge: Option<Hedge>,
    /// Read with its line numbers by `host_limits`.
    pub(crate) limits: Option<Map<String, Value>>,
    pub(crate) proxy: Option<String>,
    pub(crate) proxy_username: Option<String>,
    pub(crate) proxy_password: Option<String>,
    pub(crate) no_proxy: Option<Vec<String>>,
    pub(crate) dns_server: Option<SocketAddr>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawLimits {
    pub(crate) max_connections: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawGc {
    pub(crate) interval: Option<Span>,
    pub(crate) grace: Option<Span>,
    pub(crate) lease: Option<Span>,
    pub(crate) delete_untagged: Option<bool>,
}

/// When `/v2/` asks for a login.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum V2Login {
    Auto,
    Always,
    Never,
}

/// Whether slow questions are put a second time.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Hedge {
    Off,
    Auto,
}

/// A duration as people write it.
#[derive(Clone, Copy)]
pub(crate) struct Span(pub(crate) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        registry::parse_duration(&String::deserialize(deserializer)?).map(Self).map_err(serde::de::Error::custom)
    }
}
