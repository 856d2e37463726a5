//! `starget config login` and `logout`.
//!
//! Must not know how a login is spoken. Invariants: a password is typed unseen or read from standard input, never from the
//! command line; it is stored only after the registry took it; nothing shows it.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

use client::{ClientError, Credential, Secret};
use serde_json::Value;

use super::{document, keep, text, usage};
use crate::args::Options;
use crate::config::{self, Place, SealingKey, SecretKind, registry_host, registry_key, secret_place};
use crate::error::StargetError;
use crate::output::note;
use crate::registry::Registry;
use crate::settings::{Settings, password_of_stdin};
use crate::traffic::Traffic;

/// What is typed after `starget config login`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  starget config login ghcr.io\n  starget config login ghcr.io -u me --password-stdin < token.txt\n\nEnds with 4 when the registry refuses the login; then nothing is stored."
)]
pub(crate) struct LoginArgs {
    /// The registry: ghcr.io, 127.0.0.1:5000
    registry: String,
    /// The user name; asked for when it is not given
    #[arg(short, long, value_name = "USER", conflicts_with_all = ["token", "identity_token"])]
    username: Option<String>,
    /// Store a token that the registry itself takes, instead of a password
    #[arg(long, conflicts_with = "identity_token")]
    token: bool,
    /// Store an identity (refresh) token, instead of a password
    #[arg(long)]
    identity_token: bool,
}

/// Asks, tries, stores.
pub(super) fn run(place: &Place, options: &Options, args: &LoginArgs) -> Result<(), StargetError> {
    let host = registry_host(&args.registry).map_err(usage)?;
    if options.credential.is_some() {
        return Err(usage("a login that is stored is not taken from --credential or STARGET_CREDENTIAL; use -u USER"));
    }
    let kind = match (args.token, args.identity_token) {
        (true, _) => SecretKind::Token,
        (_, true) => SecretKind::IdentityToken,
        (false, false) => SecretKind::Password(username(args, options)?),
    };
    let secret = secret(&kind, &host, options)?;
    let credential = match &kind {
        SecretKind::Password(username) => Credential::Basic { username: username.clone(), password: secret.clone() },
        SecretKind::Token => Credential::Bearer(secret.clone()),
        SecretKind::IdentityToken => Credential::IdentityToken(secret.clone()),
    };
    attempt(options, &host, credential)?;
    store(place, &host, &kind, &secret)?;
    note(&format!("logged in at {host}; the login is stored in {}", place.file().display()));
    Ok(())
}

fn username(args: &LoginArgs, options: &Options) -> Result<String, StargetError> {
    if let Some(username) = &args.username {
        return Ok(username.clone());
    }
    if options.password_stdin || !std::io::stdin().is_terminal() {
        return Err(usage("the user name is missing; give it with -u USER"));
    }
    let failed = |source| StargetError::Stream { doing: "ask for the user name", source };
    let mut error = std::io::stderr();
    write!(error, "User name: ").and_then(|()| error.flush()).map_err(failed)?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(failed)?;
    match line.trim() {
        "" => Err(usage("a login needs a user name")),
        name => Ok(name.to_owned()),
    }
}

fn secret(kind: &SecretKind, host: &str, options: &Options) -> Result<Secret, StargetError> {
    let noun = if matches!(kind, SecretKind::Password(_)) { "password" } else { "token" };
    let secret = if options.password_stdin {
        password_of_stdin()?
    } else if std::io::stdin().is_terminal() {
        let asked = rpassword::prompt_password(format!("The {noun} for {host} (not shown): "));
        Secret::new(asked.map_err(|source| StargetError::Stream { doing: "ask for the password", source })?)
    } else {
        return Err(usage(format!("this is no terminal to ask for the {noun} at; pipe it in, with --password-stdin")));
    };
    if secret.expose().is_empty() { Err(usage(format!("the {noun} is empty"))) } else { Ok(secret) }
}

/// Has the registry itself, not a mirror of it, say whether it takes the login.
fn attempt(options: &Options, host: &str, credential: Credential) -> Result<(), StargetError> {
    let mut settings = Settings::without_credential(options)?;
    settings.credential = Some(credential);
    let host = host.parse().map_err(|error: oci::InvalidRegistryHost| usage(error.to_string()))?;
    let traffic = Arc::new(Traffic::new(options.debug));
    let places = Registry::own_places(&settings, &host, &traffic)?;
    let runtime = crate::commands::runtime()?;
    let last = places.len().saturating_sub(1);
    for (at, place) in places.iter().enumerate() {
        let failed = |source: ClientError| StargetError::Registry {
            doing: format!("log in at {}", place.label()),
            source: Box::new(source),
        };
        match runtime.block_on(place.client().ping()).map_err(failed) {
            Err(error) if at < last && place.may_be_passed_over(&error) => {}
            outcome => return outcome,
        }
    }
    Err(usage(format!("there is no place to log in for {host}")))
}

fn store(place: &Place, host: &str, kind: &SecretKind, secret: &Secret) -> Result<(), StargetError> {
    let key = SealingKey::load_or_make(&place.key_file())?;
    let sealed = key.seal(&secret_place(host, kind.field()), secret);
    let mut fields = vec![("type", kind.as_str().to_owned())];
    if let SecretKind::Password(username) = kind {
        fields.push(("username", username.clone()));
    }
    fields.push((kind.field(), sealed));
    let text = text(place)?;
    let registry = registry_key(&document(place, &text)?, host);
    let auth = ["registries", &registry, "auth"];
    let mut changed = config::remove(&text, &auth).map_err(usage)?;
    for (field, value) in fields {
        let path = [auth.as_slice(), &[field]].concat();
        changed = config::set(&changed, &path, &Value::from(value)).map_err(usage)?;
    }
    keep(place, &changed)
}

/// Takes the login out of the file, and the registry with it when nothing else is said of it.
pub(super) fn forget(place: &Place, registry: &str) -> Result<(), StargetError> {
    let host = registry_host(registry).map_err(usage)?;
    let text = text(place)?;
    let document = document(place, &text)?;
    let key = registry_key(&document, &host);
    let written = document.to_json();
    let entry = &written["registries"][&key];
    if entry["auth"].is_null() {
        return Err(StargetError::NotSet { field: format!("registries.{host}.auth") });
    }
    let is_all = entry.as_object().is_some_and(|fields| fields.len() == 1);
    let path = ["registries", &key, "auth"];
    let changed = config::remove(&text, if is_all { &path[..2] } else { &path }).map_err(usage)?;
    config::publish(place.file(), &changed)?;
    note(&format!("the login for {host} is forgotten"));
    Ok(())
}
