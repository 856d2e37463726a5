//! Where the login for a registry comes from: what was typed, docker's and podman's files, the own server's admin token.
//!
//! Must not know registries. Invariants: a login that was typed is the only one used; no password is ever an argument.

use std::io::Read as _;
use std::path::PathBuf;

use client::{Credential, CredentialEntry, CredentialSource, CredentialStore, Proxies, ProxyServer, Secret};

use super::args::Serving;
use super::error::TransferError;
use crate::api_client;
use crate::config::{Environment, env_vars};

/// Longest password read from standard input, in bytes.
const LONGEST_PASSWORD: u64 = 64 * 1024;

/// A login that was given for this command.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    username: String,
    password: Secret,
}

/// Where the password of a login stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PasswordIn {
    /// In the environment.
    Variable,
    /// On standard input.
    Stdin,
}

impl Login {
    /// What was typed and what the variables hold, if anything.
    pub(crate) fn given(
        username: Option<&str>,
        password: PasswordIn,
        variables: (&str, &str),
        environment: &Environment,
    ) -> Result<Option<Self>, TransferError> {
        let username = username.or_else(|| environment.get(variables.0));
        let password = match password {
            PasswordIn::Variable => environment.get(variables.1).map(Secret::new),
            PasswordIn::Stdin => Some(typed()?),
        };
        match (username, password) {
            (Some(username), Some(password)) => Ok(Some(Self { username: username.to_owned(), password })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(TransferError::usage(format!(
                "a user name without a password; give it with --password-stdin or {}",
                variables.1
            ))),
            (None, Some(_)) => {
                Err(TransferError::usage(format!("a password without a user name; give it with {}", variables.0)))
            }
        }
    }

    pub(crate) fn store(&self) -> CredentialStore {
        CredentialStore::fixed(Credential::Basic { username: self.username.clone(), password: self.password.clone() })
    }
}

fn typed() -> Result<Secret, TransferError> {
    let mut text = String::new();
    let read = std::io::stdin().take(LONGEST_PASSWORD).read_to_string(&mut text);
    read.map_err(|error| TransferError::usage(format!("cannot read the password: {error}")))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

/// For the own server: its admin token, when this user can read it; else docker's files.
pub(crate) fn of_server(serving: &Serving, environment: &Environment) -> Result<CredentialStore, TransferError> {
    let file = serving.admin_token_file.as_deref();
    match api_client::token(file, serving.config.clone(), environment.clone()) {
        Ok(token) => Ok(CredentialStore::fixed(Credential::Bearer(token))),
        Err(error) if file.is_some() => Err(TransferError::usage(format!("{error:#}"))),
        Err(_) => Ok(of_docker(environment)),
    }
}

/// What `docker login` and `podman login` left.
pub(crate) fn of_docker(environment: &Environment) -> CredentialStore {
    let folder = |name: &str| environment.get(name).map(PathBuf::from);
    let home = folder("HOME");
    let docker = folder("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
    let files = [
        folder("REGISTRY_AUTH_FILE"),
        docker.map(|folder| folder.join("config.json")),
        folder("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
        // Where podman and skopeo write without that variable.
        Some(format!("/run/containers/{}/auth.json", rustix::process::getuid().as_raw()).into()),
        home.map(|home| home.join(".config/containers/auth.json")),
    ];
    let there = files.into_iter().flatten().filter(|file| file.is_file());
    // Each tool writes its own: the first that has a login for the registry counts.
    let entries = there.map(|file| CredentialEntry {
        name: file.display().to_string().into(),
        repositories: None,
        source: CredentialSource::DockerConfig(file),
    });
    CredentialStore::new(entries.collect())
}

/// The proxies that the environment names, as other programs read them.
pub(crate) fn proxies(environment: &Environment) -> Result<Proxies, TransferError> {
    let server = |names: &[&str]| -> Result<Option<ProxyServer>, TransferError> {
        let Some((name, value)) = names.iter().find_map(|name| Some((*name, environment.get(name)?))) else {
            return Ok(None);
        };
        let bad = |what| TransferError::usage(format!("the variable {name}: the proxy {what}"));
        ProxyServer::from_variable(value).map(Some).map_err(bad)
    };
    let except = environment.get("no_proxy").or_else(|| environment.get("NO_PROXY")).unwrap_or_default();
    let except = except.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect();
    // Upper-case HTTP_PROXY is not read: a web server sets it from a request's header.
    Ok(Proxies { http: server(&["http_proxy"])?, https: server(&["https_proxy", "HTTPS_PROXY"])?, except })
}

/// The login for the (destination) registry.
pub(crate) const LOGIN: (&str, &str) = (env_vars::USERNAME, env_vars::PASSWORD);
/// The login for the registry that is copied from.
pub(crate) const SRC_LOGIN: (&str, &str) = (env_vars::SRC_USERNAME, env_vars::SRC_PASSWORD);
