//! What holds for this run: flags and environment, checked, in the program's own terms.
//!
//! Must not know commands. Invariant: whatever stands here is usable; wrong values were refused with the name of the flag.

use std::io::{IsTerminal, Read};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use client::{Authorities, Backoff, Credential, OwnLimits, Secret};
use url::Url;

use crate::args::Options;
use crate::config::{Login, Registries};
use crate::error::StargetError;
use oci::Platform;

/// Longest password taken from standard input, in bytes: tokens of clouds have a few thousand.
const LONGEST_PASSWORD: u64 = 64 * 1024;

/// Whether content is compared with its digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Every chunk and every file.
    Everything,
    /// Nothing: what the registry sends is taken.
    Nothing,
}

/// What is done with layers that cannot be read in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FullLayers {
    /// The command fails and names the layer.
    Refuse,
    /// They are read whole.
    Allow,
}

/// How a mirror is asked for images of other registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum MirrorForm {
    /// `<mirror>/v2/<registry>/<name>`, as Transship takes it
    Path,
    /// `<mirror>/v2/<name>`: the mirror is of one registry
    Bare,
}

/// All of it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Settings {
    /// Typed for this run.
    pub(crate) credential: Option<Credential>,
    /// Of the configuration, for the registry at hand.
    pub(crate) login: Option<Login>,
    /// What the configuration says of each registry.
    pub(crate) registries: Arc<Registries>,
    pub(crate) plain_http: bool,
    pub(crate) insecure: bool,
    pub(crate) authorities: Option<Authorities>,
    /// Asked before the registry, in this order.
    pub(crate) mirrors: Vec<Url>,
    pub(crate) mirror_form: MirrorForm,
    pub(crate) platform: Platform,
    pub(crate) max_retries: u32,
    pub(crate) backoff: Backoff,
    pub(crate) limits: OwnLimits,
    /// Requests for content at a time.
    pub(crate) concurrency: NonZeroUsize,
    pub(crate) progress: bool,
    pub(crate) stats: bool,
    pub(crate) json: bool,
    pub(crate) verify: Verify,
    pub(crate) full_layers: FullLayers,
    /// Bytes asked for at the end of a layer at first; the size of a footer makes for the fewest bytes.
    pub(crate) tail: u64,
    /// None: nothing is kept.
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) cache_size: u64,
    pub(crate) state_dir: PathBuf,
}

impl Settings {
    /// Checks what was typed.
    pub(crate) fn new(options: &Options) -> Result<Self, StargetError> {
        Ok(Self { credential: credential(options)?, ..Self::without_credential(options)? })
    }

    /// The same without a login: for the one who asks for one.
    pub(crate) fn without_credential(options: &Options) -> Result<Self, StargetError> {
        let backoff = Backoff {
            base: Duration::from_millis(options.retry_base_ms),
            max: Duration::from_millis(options.retry_max_ms),
        };
        Ok(Self {
            credential: None,
            login: None,
            registries: options.registries.clone(),
            plain_http: options.plain_http,
            insecure: options.insecure,
            authorities: options.ca.as_deref().map(authorities).transpose()?,
            mirrors: options.mirrors.iter().map(mirror).collect::<Result<_, _>>()?,
            mirror_form: options.mirror_form,
            platform: options.platform.clone().unwrap_or_else(Platform::of_this_machine),
            max_retries: options.max_retries,
            backoff,
            limits: OwnLimits {
                requests_per_second: options.requests_per_second,
                bytes_per_second: options.bytes_per_second,
                concurrent_requests: None,
            },
            concurrency: options.concurrency,
            progress: !options.no_progress && !options.json && std::io::stderr().is_terminal(),
            stats: options.stats,
            json: options.json,
            verify: if options.skip_verify { Verify::Nothing } else { Verify::Everything },
            full_layers: if options.allow_full_layers { FullLayers::Allow } else { FullLayers::Refuse },
            tail: options.tail,
            cache_dir: cache_dir(options)?,
            cache_size: options.cache_size,
            state_dir: state_dir(options)?,
        })
    }

    /// Whether the mirrors are those of this run, and not the configuration's.
    fn mirrors_are_typed(&self) -> bool {
        !self.mirrors.is_empty() && !self.registries.mirrors_are_defaults
    }

    /// These settings for a mirror. A login that was typed is for the registry; a mirror has its own in the configuration or in
    /// docker's files, or none.
    pub(crate) fn at_mirror(&self, host: &str) -> Result<Self, StargetError> {
        let mut settings = self.at(host)?;
        settings.credential = None;
        Ok(settings)
    }

    /// These settings with what the configuration says of one registry or mirror, by its `host[:port]`. What was typed wins.
    pub(crate) fn at(&self, host: &str) -> Result<Self, StargetError> {
        let mut settings = self.clone();
        let Some(entry) = self.registries.get(host) else { return Ok(settings) };
        settings.login.clone_from(&entry.login);
        settings.plain_http |= entry.plain_http;
        settings.insecure |= entry.insecure;
        if let (None, Some(file)) = (&self.authorities, &entry.ca) {
            settings.authorities = Some(authorities(file)?);
        }
        if !entry.mirrors.is_empty() && !self.mirrors_are_typed() {
            settings.mirrors.clone_from(&entry.mirrors);
            settings.mirror_form = entry.mirror_form.unwrap_or(self.mirror_form);
        }
        Ok(settings)
    }
}

fn usage(what: impl Into<String>) -> StargetError {
    StargetError::Usage(what.into())
}

/// `--credential USER:PASSWORD`, or `--credential USER` with the password on standard input.
fn credential(options: &Options) -> Result<Option<Credential>, StargetError> {
    let Some(given) = &options.credential else {
        if options.password_stdin {
            return Err(usage("--password-stdin needs --credential USER"));
        }
        return Ok(None);
    };
    let (username, password) = match (given.expose().split_once(':'), options.password_stdin) {
        (Some((username, password)), false) => (username, Secret::new(password)),
        (Some(_), true) => return Err(usage("with --password-stdin, --credential is the user name alone")),
        (None, true) => (given.expose(), password_of_stdin()?),
        (None, false) => return Err(usage("--credential is USER:PASSWORD, or USER with --password-stdin")),
    };
    if username.is_empty() || password.expose().is_empty() {
        return Err(usage("--credential needs a user name and a password"));
    }
    Ok(Some(Credential::Basic { username: username.to_owned(), password }))
}

pub(crate) fn password_of_stdin() -> Result<Secret, StargetError> {
    let mut text = String::new();
    std::io::stdin()
        .take(LONGEST_PASSWORD)
        .read_to_string(&mut text)
        .map_err(|source| StargetError::Stream { doing: "read the password from standard input", source })?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

fn authorities(file: &std::path::Path) -> Result<Authorities, StargetError> {
    let pem = std::fs::read(file).map_err(|source| StargetError::Io {
        doing: "read the certificates in",
        path: file.to_owned(),
        source,
    })?;
    Authorities::from_pem(&pem).map_err(|what| usage(format!("--ca {}: it {what}", file.display())))
}

fn mirror(url: &Url) -> Result<Url, StargetError> {
    let usable = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if usable { Ok(url.clone()) } else { Err(usage("--mirror is a plain URL, like http://127.0.0.1:5000")) }
}

fn cache_dir(options: &Options) -> Result<Option<PathBuf>, StargetError> {
    match (&options.cache_dir, options.no_cache) {
        (_, true) => Ok(None),
        (Some(dir), false) => Ok(Some(dir.clone())),
        (None, false) => Ok(Some(folders()?.cache_dir().to_owned())),
    }
}

/// The folder of the original tool, when it is there, keeps being used.
fn state_dir(options: &Options) -> Result<PathBuf, StargetError> {
    if let Some(dir) = &options.state_dir {
        return Ok(dir.clone());
    }
    let old = directories::BaseDirs::new().map(|dirs| dirs.home_dir().join(".stargz-get"));
    if let Some(old) = old.filter(|old| old.is_dir()) {
        return Ok(old.join("state"));
    }
    let folders = folders()?;
    Ok(folders.state_dir().unwrap_or_else(|| folders.data_local_dir()).to_owned())
}

fn folders() -> Result<directories::ProjectDirs, StargetError> {
    directories::ProjectDirs::from("", "", "starget")
        .ok_or_else(|| usage("there is no home directory; give --cache-dir and --state-dir"))
}
