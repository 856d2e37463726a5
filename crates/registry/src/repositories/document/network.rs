//! `network`: how an upstream is reached: proxy, certificates, local address, HTTP version, patience.
//!
//! Must not know connections. Invariants: files are read here and only for the operator's own file; no message holds what
//! is in them, nor a password.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use client::{
    Authorities, ClientIdentity, Connections, HttpVersion, IdentityProblem, Proxies, ProxyServer, Secret, Verification,
};

use serde_json::Value;

use super::reader::Reader;
use crate::repositories::network::NetworkSpec;
use crate::repositories::spec::parse_duration;

/// Largest file of certificates; the bundle of all public authorities has a quarter of that.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

impl Reader<'_> {
    pub(super) fn network(&mut self) -> NetworkSpec {
        let said = self.section("network", |network| {
            let (identity, mut files) = network.identity();
            let authorities = network.authorities(&mut files);
            let skip = network.flag("skip_tls_verify").unwrap_or(false);
            let spec = NetworkSpec {
                proxies: network.proxies(),
                authorities,
                identity,
                verification: if skip { Verification::Skipped } else { Verification::Full },
                bind: network.parsed("bind", parse_bind),
                http: network.parsed("http", parse_http),
                connections: network.connections(),
                connect_timeout: network.parsed("connect_timeout", parse_wait),
                first_byte_timeout: network.parsed("first_byte_timeout", parse_wait),
                idle_timeout: network.parsed("idle_timeout", parse_wait),
                files,
            };
            let tls_proxy = spec.proxies.iter().flat_map(|p| &p.https).any(|server| server.url().scheme() == "https");
            if spec.identity.is_some() && tls_proxy {
                let message = "cannot be used through an https:// proxy, because the proxy could ask for it too; use \
                               an http:// or socks5h:// proxy";
                network.problem("client_cert", message);
            }
            spec
        });
        said.unwrap_or_default()
    }

    fn proxies(&mut self) -> Option<Proxies> {
        let login = self.proxy_login();
        let except = self.list("no_proxy", |host| Ok(host.to_owned()));
        let Some(proxy) = self.text("proxy") else {
            let lonely = ["proxy_username", "proxy_password", "no_proxy"];
            for name in lonely.into_iter().filter(|name| !self.is_absent(name)).collect::<Vec<_>>() {
                self.problem(name, "means nothing without network.proxy beside it");
            }
            return None;
        };
        if proxy == "direct" {
            return Some(Proxies::default());
        }
        match ProxyServer::new(&proxy, login) {
            Ok(server) => Some(Proxies::all(&server, except)),
            Err(message) => {
                self.problem("proxy", format!("{message}, or direct"));
                None
            }
        }
    }

    fn connections(&mut self) -> Connections {
        let number = match self.value("connections") {
            Value::Null => return Connections::default(),
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let read = number.and_then(|number| u8::try_from(number).ok()).and_then(Connections::new);
        if read.is_none() {
            self.problem("connections", format!("must be a whole number from 1 to {}", Connections::MOST));
        }
        read.unwrap_or_default()
    }

    fn proxy_login(&mut self) -> Option<(String, Secret)> {
        match (self.text("proxy_username"), self.text("proxy_password")) {
            (Some(username), Some(password)) => Some((username, Secret::new(password))),
            (None, None) => None,
            (Some(_), None) => {
                self.problem("proxy_password", "required when proxy_username is given");
                None
            }
            (None, Some(_)) => {
                self.problem("proxy_username", "required when proxy_password is given");
                None
            }
        }
    }

    fn authorities(&mut self, files: &mut Vec<std::path::PathBuf>) -> Authorities {
        let Some(path) = self.file("ca") else { return Authorities::default() };
        let read = read_pem(&path)
            .and_then(|pem| Authorities::from_pem(&pem).map_err(|what| format!("{} {what}", path.display())));
        files.push(path);
        read.map_err(|message| self.problem("ca", message)).unwrap_or_default()
    }

    fn identity(&mut self) -> (Option<ClientIdentity>, Vec<std::path::PathBuf>) {
        let (certificate, key) = match (self.file("client_cert"), self.file("client_key")) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => return (None, Vec::new()),
            (Some(certificate), None) => {
                self.problem("client_key", "required when client_cert is given");
                return (None, vec![certificate]);
            }
            (None, Some(key)) => {
                self.problem("client_cert", "required when client_key is given");
                return (None, vec![key]);
            }
        };
        let (chain, secret) = (read_pem(&certificate), read_pem(&key));
        let identity = match (chain, secret) {
            (Ok(chain), Ok(secret)) => match ClientIdentity::from_pem(&chain, &secret) {
                Ok(identity) => Some(identity),
                Err(IdentityProblem::Certificate(what)) => {
                    self.problem("client_cert", format!("{} {what}", certificate.display()));
                    None
                }
                Err(IdentityProblem::Key(what)) => {
                    self.problem("client_key", format!("{} {what}", key.display()));
                    None
                }
            },
            (chain, secret) => {
                for (name, message) in [("client_cert", chain.err()), ("client_key", secret.err())] {
                    if let Some(message) = message {
                        self.problem(name, message);
                    }
                }
                None
            }
        };
        (identity, vec![certificate, key])
    }
}

fn read_pem(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error| format!("cannot read {}: {error}", path.display());
    if std::fs::metadata(path).map_err(cannot)?.len() > MAX_PEM_BYTES {
        return Err(format!("{} is larger than 1 MiB: is it a file of certificates?", path.display()));
    }
    std::fs::read(path).map_err(cannot)
}

fn parse_bind(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("'{text}' is not an address of this machine; write 192.0.2.7 or 2001:db8::7"))
}

fn parse_http(text: &str) -> Result<HttpVersion, String> {
    match text {
        "auto" => Ok(HttpVersion::Auto),
        "http1" => Ok(HttpVersion::Http1Only),
        other => Err(format!("'{other}' is not a choice of HTTP versions; write auto or http1")),
    }
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    parse_duration(text).and_then(|wait| match wait {
        wait if wait < Duration::from_secs(1) => Err(format!("'{text}' is too short; write 1s or more")),
        wait => Ok(wait),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::repositories::document::{FieldProblem, Provenance};
    use crate::repositories::{RepositorySpec, network::NetworkSpec};

    fn read(network: &Value, provenance: Provenance) -> Result<NetworkSpec, Vec<FieldProblem>> {
        let document = json!({ "upstream": "https://r.example", "network": network });
        RepositorySpec::from_document("r".parse().unwrap(), &document, provenance).map(|spec| spec.upstream.network)
    }

    #[test]
    fn everything_is_read() {
        let network = json!({
            "proxy": "socks5h://proxy.example", "proxy_username": "ci", "proxy_password": "canary",
            "no_proxy": ["corp.example", "10.0.0.0/8"], "skip_tls_verify": true, "bind": "127.0.0.1", "http": "http1",
            "connect_timeout": "3s", "first_byte_timeout": "4s", "idle_timeout": "5s",
        });
        let spec = read(&network, Provenance::Api).unwrap();
        let proxies = spec.proxies.clone().unwrap();
        assert_eq!(proxies.https.unwrap().url().as_str(), "socks5h://proxy.example:1080");
        assert_eq!(proxies.except, ["corp.example", "10.0.0.0/8"]);
        assert_eq!(spec.verification, client::Verification::Skipped);
        assert_eq!(spec.idle_timeout.unwrap().as_secs(), 5);
        assert!(!format!("{spec:?}").contains("canary"));
        assert_eq!(
            read(&json!({ "proxy": "direct" }), Provenance::Api).unwrap().proxies,
            Some(client::Proxies::default())
        );
        assert_eq!(read(&json!({}), Provenance::Api).unwrap(), NetworkSpec::default());
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let network = json!({
            "proxy": "http://u:canary@proxy.example", "proxy_username": "ci", "bind": "eth0", "http": "http3",
            "connect_timeout": "0s", "client_cert": "/nowhere/cert.pem", "skip_tls_verify": "yes", "cert": "x",
        });
        let problems = read(&network, Provenance::File).unwrap_err();
        let mut paths: Vec<_> = problems.iter().map(|p| p.path.as_str()).collect();
        paths.sort_unstable();
        let expected = ["bind", "cert", "client_key", "connect_timeout", "http", "proxy", "proxy_password"];
        assert_eq!(paths[..7], expected.map(|name| format!("network.{name}")));
        assert_eq!(paths[7..], ["network.skip_tls_verify"]);
        assert!(!format!("{problems:?}").contains("canary"));
    }

    #[test]
    fn files_are_for_the_operators_file_alone() {
        for name in ["ca", "client_cert", "client_key"] {
            let problems = read(&json!({ name: "/etc/passwd" }), Provenance::Api).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].path, format!("network.{name}"));
            assert!(problems[0].message.contains("only in the configuration file"), "{problems:?}");
        }
        let problems = read(&json!({ "ca": "/nowhere/ca.pem" }), Provenance::File).unwrap_err();
        assert!(problems[0].message.contains("/nowhere/ca.pem"), "{problems:?}");
    }

    #[test]
    fn services_are_upstreams() {
        let read = |upstream: &str| {
            let document = json!({ "upstream": upstream });
            RepositorySpec::from_document("r".parse().unwrap(), &document, Provenance::Api)
        };
        read("srv+https://_registry._tcp.corp.example/hub").unwrap();
        for bad in ["srv+https://registry.corp.example", "srv+https://_r._tcp.corp.example:5000", "srv+ftp://_r._tcp.x"]
        {
            read(bad).expect_err(bad);
        }
    }
}
