//! Where logins and proxies come from when a person runs a program: flags, docker's and podman's files, the environment.
//!
//! Must not know registries. Invariants: a credential that was typed is the only one used; nothing is read here, `client`
//! reads files and asks helpers when a registry wants a login.

use std::path::PathBuf;

use client::{CredentialEntry, CredentialSource, CredentialStore, Proxies, ProxyServer};

use crate::error::StargetError;
use crate::settings::Settings;

/// The credentials of this run.
pub(super) fn store(settings: &Settings) -> Result<CredentialStore, StargetError> {
    if let Some(credential) = &settings.credential {
        return Ok(CredentialStore::fixed(credential.clone()));
    }
    if let Some(login) = &settings.login {
        tracing::info!(login = %login.describe(), "the configuration has a login");
        return login.store(settings.registries.key_file());
    }
    let entries = config_files().into_iter().filter(|file| file.is_file()).map(|file| CredentialEntry {
        name: file.display().to_string().into(),
        repositories: None,
        source: CredentialSource::DockerConfig(file),
    });
    // Entries of one prefix share the load in `client`; the first file that is there is the one people mean.
    Ok(CredentialStore::new(entries.take(1).collect()))
}

fn config_files() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
    let docker = variable("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
    [
        variable("REGISTRY_AUTH_FILE"),
        docker.map(|dir| dir.join("config.json")),
        variable("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
        home.map(|home| home.join(".config/containers/auth.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The proxies that the environment names, as other programs read them.
pub(super) fn proxies() -> Result<Proxies, StargetError> {
    let variable = |names: [&str; 2]| {
        names.into_iter().find_map(|name| std::env::var(name).ok()).filter(|value| !value.is_empty())
    };
    let server = |names: [&str; 2]| -> Result<Option<ProxyServer>, StargetError> {
        let Some(value) = variable(names) else { return Ok(None) };
        let bad = |what| StargetError::Usage(format!("the variable {}: the proxy {what}", names[0]));
        ProxyServer::from_variable(&value).map(Some).map_err(bad)
    };
    let except = variable(["no_proxy", "NO_PROXY"]).unwrap_or_default();
    let except = except.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect();
    // Upper-case HTTP_PROXY is not read: a web server sets it from a request's header.
    Ok(Proxies { http: server(["http_proxy", "http_proxy"])?, https: server(["https_proxy", "HTTPS_PROXY"])?, except })
}
