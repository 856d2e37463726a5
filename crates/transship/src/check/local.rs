//! A check made by this process, of a registry given by its URL.
//!
//! Must not know the running server. Invariants: the password is read from standard input or the environment, and kept
//! as a secret; addresses inside are dialled when the URL itself names one that is the machine's own, or on request.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use client::probe::{ImageRef, Probe, Report};
use client::{Authorities, Credential, CredentialStore, Network, NoObserver, Reach, Secret, UpstreamConfig};
use oci::RegistryHost;
use url::{Host, Url};

use super::args::Reaching;
use super::progress::Progress;
use crate::config::{Environment, env_vars};

/// Longest password read from standard input, in bytes.
const LONGEST_PASSWORD: u64 = 64 * 1024;

/// Checks the registry at `url`.
pub(super) fn check(
    url: &str,
    image: Option<&ImageRef>,
    reaching: &Reaching,
    environment: &Environment,
    progress: &Progress,
) -> Result<Report> {
    let config = config(url, reaching, environment)?;
    let probe = Probe::new(config, Arc::new(NoObserver))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    if image.is_none() {
        progress.note("no image was named, so only what needs none is checked; add one: NAME:TAG");
    }
    Ok(runtime.block_on(probe.run(image, &|group| progress.group(group))))
}

fn config(url: &str, reaching: &Reaching, environment: &Environment) -> Result<UpstreamConfig> {
    let url = Url::parse(url)
        .with_context(|| "not a URL; write it with its scheme, like https://registry.example".to_owned())?;
    let reach = if reaching.internal || is_loopback(&url) { Reach::Internal } else { Reach::PublicOnly };
    let hosts: Result<Vec<RegistryHost>, _> = reaching.token_host.iter().map(|host| host.parse()).collect();
    Ok(UpstreamConfig {
        credentials: credential(reaching, environment)?.map_or_else(CredentialStore::anonymous, CredentialStore::fixed),
        token_hosts: hosts.context("--token-host")?,
        reach,
        network: Network { authorities: authorities(reaching.ca.as_deref())?, ..Network::default() },
        ..UpstreamConfig::new(url)
    })
}

fn authorities(file: Option<&Path>) -> Result<Authorities> {
    let Some(file) = file else { return Ok(Authorities::default()) };
    let pem = std::fs::read(file).with_context(|| format!("--ca: cannot read {}", file.display()))?;
    Authorities::from_pem(&pem).map_err(|why| anyhow!("--ca: {} {why}", file.display()))
}

fn credential(reaching: &Reaching, environment: &Environment) -> Result<Option<Credential>> {
    let username = reaching.username.as_deref().or_else(|| environment.get(env_vars::CHECK_USERNAME));
    let password = if reaching.password_stdin {
        let mut text = String::new();
        std::io::stdin().take(LONGEST_PASSWORD).read_to_string(&mut text).context("cannot read the password")?;
        Some(Secret::new(text.trim_end_matches(['\r', '\n'])))
    } else {
        environment.get(env_vars::CHECK_PASSWORD).map(Secret::new)
    };
    match (username, password) {
        (Some(username), Some(password)) => Ok(Some(Credential::Basic { username: username.to_owned(), password })),
        (None, None) => Ok(None),
        (Some(_), None) => {
            bail!("a user name without a password; give it with --password-stdin or {}", env_vars::CHECK_PASSWORD)
        }
        (None, Some(_)) => bail!("a password without a user name; give it with --username"),
    }
}

/// Whether the URL names this machine: whoever types that means it.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaching(username: Option<&str>) -> Reaching {
        Reaching {
            username: username.map(str::to_owned),
            password_stdin: false,
            token_host: Vec::new(),
            ca: None,
            internal: false,
        }
    }

    #[test]
    fn inside_is_dialled_when_the_url_is_the_machines_own_or_on_request() {
        let none = Environment::from_pairs([]);
        let reach = |url, internal| config(url, &Reaching { internal, ..reaching(None) }, &none).unwrap().reach;
        for url in ["http://127.0.0.1:5000/hub", "http://[::1]:5000", "http://localhost:5000"] {
            assert_eq!(reach(url, false), Reach::Internal, "{url}");
        }
        for url in ["http://10.0.0.1", "https://registry.example", "http://localhost.example"] {
            assert_eq!((reach(url, false), reach(url, true)), (Reach::PublicOnly, Reach::Internal), "{url}");
        }
        assert!(config("registry.example", &reaching(None), &none).unwrap_err().to_string().contains("scheme"));
    }

    #[test]
    fn a_login_is_whole_or_refused_and_does_not_print() {
        let both = Environment::from_pairs([(env_vars::CHECK_USERNAME, "u"), (env_vars::CHECK_PASSWORD, "canary")]);
        let made = config("https://r.example", &reaching(None), &both).unwrap();
        assert!(!made.credentials.is_anonymous() && !format!("{made:?}").contains("canary"));
        let password = Environment::from_pairs([(env_vars::CHECK_PASSWORD, "canary")]);
        let error = config("https://r.example", &reaching(None), &password).unwrap_err().to_string();
        assert!(error.contains("--username") && !error.contains("canary"), "{error}");
        let nothing = Environment::from_pairs([]);
        let error = config("https://r.example", &reaching(Some("u")), &nothing).unwrap_err().to_string();
        assert!(error.contains("--password-stdin"), "{error}");
    }
}
