//! The registry at an address, ready to be asked.
//!
//! Must not know images. Invariants: plain HTTP is spoken with loopback addresses and where it was asked for; the admin token
//! goes to the own server alone, a typed login to the registry it was typed for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use client::{
    Authorities, ClientError, Climate, Network, NoObserver, Reach, RegistryClient, Timeouts, UpstreamConfig,
    Verification, profiles,
};
use oci::RegistryHost;
use url::Url;

use super::address::Place;
use super::args::{Reaching, Serving};
use super::credentials::{self, Login};
use super::error::TransferError;
use crate::config::{Environment, env_vars};

/// Where a server listens when it is told nothing.
const DEFAULT_SERVER: &str = "http://127.0.0.1:5000";

/// How the registries of one command are reached.
pub(crate) struct Connector<'a> {
    pub(crate) reaching: &'a Reaching,
    pub(crate) serving: &'a Serving,
    pub(crate) environment: &'a Environment,
    pub(crate) login: Option<Login>,
    pub(crate) attempts: u32,
}

impl Connector<'_> {
    /// The registry at `place`.
    pub(crate) async fn connect(&self, place: &Place) -> Result<RegistryClient, TransferError> {
        match place {
            Place::Server => self.server(),
            Place::Registry(host) => self.registry(host).await,
        }
    }

    fn server(&self) -> Result<RegistryClient, TransferError> {
        let given = self.serving.server.as_deref().or_else(|| self.environment.get(env_vars::SERVER));
        let given = given.unwrap_or(DEFAULT_SERVER);
        let url = Url::parse(given).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| {
            TransferError::usage(format!("--server {given} is no address; write it like https://registry.example"))
        })?;
        let store = match &self.login {
            Some(login) => login.store(),
            None => credentials::of_server(self.serving, self.environment)?,
        };
        self.client(url, store)
    }

    async fn registry(&self, host: &RegistryHost) -> Result<RegistryClient, TransferError> {
        let known = profiles::of_host(host.as_ref());
        let address = match known.url {
            Some(url) if known.aliases.iter().any(|alias| *alias == host.as_ref()) => url.to_owned(),
            Some(_) | None => format!("https://{host}"),
        };
        let store = || match &self.login {
            Some(login) => login.store(),
            None => credentials::of_docker(self.environment),
        };
        let plain = format!("http://{host}");
        if self.reaching.plain_http {
            return self.client(read(&plain)?, store());
        }
        if is_loopback(host) && !self.reaching.insecure && self.reaching.ca.is_none() {
            // A short look: an outage is for what is done then.
            let guess = self.client_with(self.attempts.saturating_add(1).min(3), read(&plain)?, store())?;
            // A server that speaks TLS answers plain HTTP with 400, or not at all.
            match guess.ping().await {
                Err(ClientError::Interrupted { .. } | ClientError::Protocol { .. }) => {}
                Err(error) if error.upstream_status() == Some(400) => {}
                Ok(()) | Err(_) => return self.client(read(&plain)?, store()),
            }
        }
        self.client(read(&address)?, store())
    }

    fn client(&self, url: Url, credentials: client::CredentialStore) -> Result<RegistryClient, TransferError> {
        self.client_with(self.attempts.saturating_add(1), url, credentials)
    }

    fn client_with(
        &self,
        attempts: u32,
        url: Url,
        credentials: client::CredentialStore,
    ) -> Result<RegistryClient, TransferError> {
        let authorities = match &self.reaching.ca {
            None => Authorities::default(),
            Some(file) => {
                let wrong =
                    |why: &dyn std::fmt::Display| TransferError::usage(format!("--ca {}: {why}", file.display()));
                let pem = std::fs::read(file).map_err(|error| wrong(&error))?;
                Authorities::from_pem(&pem).map_err(|why| wrong(&why))?
            }
        };
        let config = UpstreamConfig {
            credentials,
            // Whoever types a command may ask any address that this machine reaches.
            reach: Reach::Internal,
            network: Network {
                authorities,
                verification: if self.reaching.insecure { Verification::Skipped } else { Verification::Full },
                proxies: credentials::proxies(self.environment)?,
                ..Network::default()
            },
            // The end of an upload may take a registry a while: it copies or hashes what it got.
            timeouts: Timeouts {
                first_byte: Duration::from_mins(2),
                idle: Duration::from_mins(1),
                ..Timeouts::default()
            },
            max_attempts: attempts,
            // How often is said by whoever typed the command, and nobody else asks from here.
            climate: Climate::of_one_command(),
            ..UpstreamConfig::new(url)
        };
        Ok(RegistryClient::new(config, Arc::new(NoObserver))?)
    }
}

fn read(text: &str) -> Result<Url, TransferError> {
    Url::parse(text).map_err(|error| TransferError::usage(format!("{text} is no address: {error}")))
}

fn is_loopback(host: &RegistryHost) -> bool {
    let name = host.name().trim_matches(['[', ']']);
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
