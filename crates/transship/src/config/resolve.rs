//! The configuration resolved: sources layered, defaults filled in, everything typed and checked.
//!
//! Precedence: flags, then environment, then file, then defaults. Must not open the cache or the network; it reads
//! the files the configuration names. Invariant: a `Config` is good, or every problem of all sources is reported.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::{Secret, Timeouts};
use registry::{
    Backoff, Builtins, ConfiguredRepository, EntranceLogin, GcSettings, HeaderTrace, Hedging, Untagged,
    UpstreamDefaults,
};
use serde_json::{Map, Value};
use url::Url;

use super::check::{check, lay_over};
use super::document::{MAX_FILE_BYTES, Node, parse_yaml};
use super::env_vars::{self, Environment};
use super::env_vars::{ADMIN_TOKEN, SECRETS_KEY};
use super::host_limits;
use super::interpolate::interpolate;
use super::problem::{Origin, Problem, Problems};
use super::proxies;
use super::raw::{Hedge, RawAdmin, RawConfig, RawGc, RawSecrets, RawTls, RawUpstream, V2Login};
use super::repositories;
use super::size::Size;
use super::workflows;
use crate::logging::{LogFilter, LogFormat};
use crate::sealing_keys::KeySource;

/// Shortest admin token that is accepted from outside.
const MIN_TOKEN_CHARS: usize = 16;

/// A value given on the command line for a configuration field.
#[derive(Clone)]
pub(crate) struct FlagValue {
    /// The field it sets.
    pub(crate) field: &'static str,
    /// The flag as typed: `--max-size`.
    pub(crate) flag: &'static str,
    /// Its values; several only for lists.
    pub(crate) values: Vec<String>,
}

/// Where a configuration comes from. Kept, so that a reload reads the same places again.
#[derive(Clone)]
pub(crate) struct Sources {
    /// The file, if one was named.
    pub(crate) file: Option<PathBuf>,
    /// Flags.
    pub(crate) flags: Vec<FlagValue>,
    /// Environment variables as they were at start.
    pub(crate) environment: Environment,
}

/// Everything the program was told, checked.
pub(crate) struct Config {
    /// Main listeners.
    pub(crate) listen: Vec<SocketAddr>,
    /// Where clients reach us, if that is not plain from their requests.
    pub(crate) public_url: Option<Url>,
    /// Data folder.
    pub(crate) cache_dir: PathBuf,
    /// Budget; none means the default for the file system.
    pub(crate) max_size: Option<Size>,
    /// Whether the well-known registries are there.
    pub(crate) builtin_upstreams: bool,
    /// When `/v2/` asks for a login at addresses that repositories share.
    pub(crate) v2_login: EntranceLogin,
    /// Repositories of the file.
    pub(crate) repositories: Vec<ConfiguredRepository>,
    /// Certificate and key.
    pub(crate) tls: Option<TlsFiles>,
    /// What is logged.
    pub(crate) log_level: LogFilter,
    /// In which form; none means by whether standard error is a terminal.
    pub(crate) log_format: Option<LogFormat>,
    /// Where traces go.
    pub(crate) otlp_endpoint: Option<Url>,
    /// Where the admin token is.
    pub(crate) admin_token: AdminToken,
    /// Where the keys for stored credentials are.
    pub(crate) sealing_keys: KeySource,
    /// Behaviour towards upstreams.
    pub(crate) upstream: UpstreamDefaults,
    /// Longest graceful stop.
    pub(crate) shutdown_timeout: Duration,
    /// Most client connections at one time.
    pub(crate) max_connections: usize,
    /// How garbage of hosted repositories is collected.
    pub(crate) gc: GcSettings,
}

/// Files of the server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// Chain, PEM.
    pub(crate) cert: PathBuf,
    /// Private key, PEM.
    pub(crate) key: PathBuf,
}

/// Where the admin token comes from.
#[derive(Clone, Debug)]
pub(crate) enum AdminToken {
    /// Given in the environment.
    Given(Secret),
    /// In a file an operator keeps.
    File(PathBuf),
    /// In the cache directory, made at first start.
    OwnFile,
}

impl AdminToken {
    /// Whether both say the same place. A token given in the environment does not change while running.
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Given(_), Self::Given(_)) | (Self::OwnFile, Self::OwnFile) => true,
            (Self::File(one), Self::File(two)) => one == two,
            (Self::Given(_) | Self::File(_) | Self::OwnFile, _) => false,
        }
    }
}

impl Sources {
    /// Reads, layers and checks everything.
    ///
    /// # Errors
    /// Every problem found in any source.
    pub(crate) fn load(&self) -> Result<Config, Problems> {
        let mut problems = Vec::new();
        let document = self.document(&mut problems);
        let mut merged = check(&document, &mut problems);
        for overlay in self.overlays() {
            lay_over(&mut merged, check(&overlay, &mut problems));
        }
        let config = self.resolve(&document, merged, &mut problems);
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(Problems::new(self.file.clone(), problems)),
        }
    }

    /// The file as a tree with its variables replaced; an empty one when there is no file or it cannot be read.
    fn document(&self, problems: &mut Vec<Problem>) -> Node {
        let empty = Node::list(Origin::Whole, []);
        let nothing = Node { value: super::document::NodeValue::Null, ..empty };
        let Some(file) = &self.file else { return nothing };
        let parsed = read_bounded(file)
            .map_err(|message| Problem::new(Origin::Whole, "", message))
            .and_then(|text| parse_yaml(&text));
        match parsed {
            Ok(mut document) => {
                interpolate(&mut document, "", &self.environment, problems);
                workflows::place(&mut document, problems);
                document
            }
            Err(problem) => {
                problems.push(problem);
                nothing
            }
        }
    }

    /// The environment's values, then the flags': later ones win.
    fn overlays(&self) -> Vec<Node> {
        let from_environment = env_vars::ALL.iter().filter_map(|variable| {
            let (field, value) = (variable.field?, self.environment.get(variable.name)?);
            Some(overlay(field, Origin::Env(variable.name), value.split(',').map(str::trim)))
        });
        let from_flags =
            self.flags.iter().map(|f| overlay(f.field, Origin::Flag(f.flag), f.values.iter().map(String::as_str)));
        from_environment.chain(from_flags).collect()
    }

    fn resolve(&self, document: &Node, merged: Map<String, Value>, problems: &mut Vec<Problem>) -> Option<Config> {
        let raw: RawConfig = serde_json::from_value(Value::Object(merged))
            .map_err(|error| problems.push(Problem::new(Origin::Whole, "", error.to_string())))
            .ok()?;
        let listen = raw.listen.unwrap_or_else(|| vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 5000))]);
        let repositories = repositories::read(document, raw.cache.fill_on_range.as_deref(), problems);
        repositories::check_claims(&repositories, &listen, document, problems);
        repositories::check_workflows(&repositories, document, problems);
        let builtins = match raw.builtin_upstreams {
            Some(false) => Builtins::Excluded,
            Some(true) | None => Builtins::Included,
        };
        repositories::check_references(&repositories, builtins, document, problems);
        let cache_dir = raw.cache_dir.or_else(default_cache_dir);
        if cache_dir.is_none() {
            let message =
                "there is no home directory to keep the cache in; give --cache-dir, TRANSSHIP_CACHE_DIR or cache_dir";
            problems.push(Problem::new(Origin::Whole, "cache_dir", message));
        }
        Some(Config {
            tls: tls(raw.tls, document, problems),
            admin_token: self.admin_token(raw.admin, problems),
            sealing_keys: self.sealing_keys(raw.secrets),
            cache_dir: std::path::absolute(cache_dir?).ok()?,
            listen,
            public_url: raw.public_url,
            max_size: raw.cache.max_size,
            builtin_upstreams: raw.builtin_upstreams.unwrap_or(true),
            v2_login: match raw.v2_login {
                Some(V2Login::Always) => EntranceLogin::Always,
                Some(V2Login::Never) => EntranceLogin::Never,
                Some(V2Login::Auto) | None => EntranceLogin::Auto,
            },
            repositories,
            log_level: raw.log.level.unwrap_or_default(),
            log_format: raw.log.format,
            otlp_endpoint: raw.tracing.otlp_endpoint,
            upstream: UpstreamDefaults {
                header_trace: if raw.log.trace_upstream.unwrap_or(false) { HeaderTrace::On } else { HeaderTrace::Off },
                proxies: proxies::resolve(&raw.upstream, &self.environment, document, problems),
                ..upstream(&raw.upstream, document, problems)
            },
            shutdown_timeout: raw.shutdown_timeout.map_or(Duration::from_secs(30), |s| s.0),
            max_connections: raw.limits.max_connections.unwrap_or(10_000),
            gc: gc(&raw.gc),
        })
    }

    fn sealing_keys(&self, raw: RawSecrets) -> KeySource {
        match (self.environment.get(SECRETS_KEY), raw.key_file) {
            (Some(keys), _) => KeySource::Given(Secret::new(keys)),
            (None, Some(file)) => KeySource::File(file),
            (None, None) => KeySource::OwnFile,
        }
    }

    fn admin_token(&self, raw: RawAdmin, problems: &mut Vec<Problem>) -> AdminToken {
        match (self.environment.get(ADMIN_TOKEN), raw.token_file) {
            (Some(token), _) => {
                if token.chars().count() < MIN_TOKEN_CHARS {
                    let message = format!("must have at least {MIN_TOKEN_CHARS} characters");
                    problems.push(Problem::new(Origin::Env(ADMIN_TOKEN), "", message));
                }
                AdminToken::Given(Secret::new(token))
            }
            (None, Some(file)) => AdminToken::File(file),
            (None, None) => AdminToken::OwnFile,
        }
    }
}

fn overlay<'a>(field: &'static str, origin: Origin, values: impl Iterator<Item = &'a str>) -> Node {
    let mut values: Vec<Node> = values.map(|value| Node::text(origin, value)).collect();
    let leaf = if values.len() == 1 { values.remove(0) } else { Node::list(origin, values) };
    Node::at_path(field, leaf)
}

fn read_bounded(file: &Path) -> Result<String, String> {
    let size = std::fs::metadata(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?.len();
    if size > MAX_FILE_BYTES {
        return Err(format!("{} is larger than {}", file.display(), Size(MAX_FILE_BYTES)));
    }
    std::fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()))
}

fn default_cache_dir() -> Option<PathBuf> {
    directories::BaseDirs::new().map(|dirs| dirs.data_dir().join("transship"))
}

fn tls(raw: RawTls, document: &Node, problems: &mut Vec<Problem>) -> Option<TlsFiles> {
    for (path, file) in [("tls.cert", &raw.cert), ("tls.key", &raw.key)] {
        if let Some(error) = file.as_ref().and_then(|file| std::fs::File::open(file).err()) {
            problems.push(Problem::new(document.origin_of(path), path, format!("cannot be read: {error}")));
        }
    }
    match (raw.cert, raw.key) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
        (None, None) => None,
        (Some(_), None) => {
            problems.push(Problem::new(document.origin_of("tls.cert"), "tls.key", "required when tls.cert is given"));
            None
        }
        (None, Some(_)) => {
            problems.push(Problem::new(document.origin_of("tls.key"), "tls.cert", "required when tls.key is given"));
            None
        }
    }
}

fn upstream(raw: &RawUpstream, document: &Node, problems: &mut Vec<Problem>) -> UpstreamDefaults {
    let default = Timeouts::default();
    let timeouts = Timeouts {
        connect: raw.connect_timeout.map_or(default.connect, |s| s.0),
        first_byte: raw.first_byte_timeout.map_or(default.first_byte, |s| s.0),
        idle: raw.idle_timeout.map_or(default.idle, |s| s.0),
    };
    UpstreamDefaults {
        timeouts,
        max_attempts: raw.max_attempts.unwrap_or(3),
        dns_server: raw.dns_server,
        backoff: backoff(raw, document, problems),
        host_limits: host_limits::read(document, problems),
        hedging: match raw.hedge {
            Some(Hedge::Auto) => Hedging::Auto,
            Some(Hedge::Off) | None => Hedging::Off,
        },
        ..UpstreamDefaults::default()
    }
}

fn gc(raw: &RawGc) -> GcSettings {
    let default = GcSettings::default();
    let interval = match raw.interval {
        Some(span) if span.0.is_zero() => None,
        Some(span) => Some(span.0),
        None => default.interval,
    };
    GcSettings {
        interval,
        grace: raw.grace.map_or(default.grace, |s| s.0),
        lease: raw.lease.map_or(default.lease, |s| s.0),
        untagged: if raw.delete_untagged.unwrap_or(false) { Untagged::Delete } else { Untagged::Keep },
    }
}

fn backoff(raw: &RawUpstream, document: &Node, problems: &mut Vec<Problem>) -> Backoff {
    let default = Backoff::default();
    let base = raw.retry_base.map_or(default.base, |s| s.0);
    // A longer base alone is a wish for longer pauses.
    let max = raw.retry_max.map_or(default.max.max(base), |s| s.0);
    if max < base {
        let message = format!("must not be shorter than upstream.retry_base, {base:?}");
        problems.push(Problem::new(document.origin_of("upstream.retry_max"), "upstream.retry_max", message));
    }
    Backoff { base, max }
}
