//! How an upstream's URL names its servers: itself, or by a DNS service name (`srv+https://_registry._tcp.corp.example`).
//!
//! Must not know DNS. Invariant: what comes out is an http or https URL.

use url::{Host, Url};

/// Where the servers of an upstream are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Discovery {
    /// At the host of the URL.
    Host,
    /// At the targets of the service records of this name.
    Service {
        /// The name to look up: `_registry._tcp.corp.example`.
        name: String,
        /// The part of it that targets must be in: `corp.example`.
        domain: String,
    },
}

/// The URL without `srv+`: what requests are made with in place of the configured URL.
///
/// # Errors
/// Why the URL cannot be an upstream's, and what to write.
pub fn plain_url(configured: &Url) -> Result<Url, String> {
    read(configured).map(|(url, _)| url)
}

pub(crate) fn read(configured: &Url) -> Result<(Url, Discovery), String> {
    let Some(rest) = configured.as_str().strip_prefix("srv+") else {
        return match configured.scheme() {
            "http" | "https" => Ok((configured.clone(), Discovery::Host)),
            other => Err(format!("the scheme '{other}' is not supported; write http, https, srv+http or srv+https")),
        };
    };
    let example = "write something like srv+https://_registry._tcp.corp.example";
    let url = Url::parse(rest).map_err(|error| format!("is not a URL behind srv+ ({error}); {example}"))?;
    let name = match (url.scheme(), url.host()) {
        ("http" | "https", Some(Host::Domain(name))) => name.trim_end_matches('.').to_owned(),
        ("http" | "https", _) => return Err(format!("needs the name of a service, not an address; {example}")),
        (other, _) => return Err(format!("the scheme 'srv+{other}' is not supported; {example}")),
    };
    if configured.port().is_some() {
        return Err(format!("must not have a port: the service records say it; {example}"));
    }
    let mut labels = name.splitn(3, '.');
    match (labels.next(), labels.next(), labels.next()) {
        (Some(service), Some(protocol), Some(domain))
            if service.starts_with('_') && protocol.starts_with('_') && !domain.is_empty() =>
        {
            let domain = domain.to_owned();
            Ok((url, Discovery::Service { name, domain }))
        }
        _ => Err(format!("'{name}' is not the name of a service; {example}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_urls_become_plain_ones() {
        let (url, discovery) = read(&"srv+https://_registry._tcp.Corp.example/hub".parse().unwrap()).unwrap();
        assert_eq!(url.as_str(), "https://_registry._tcp.corp.example/hub");
        let name = "_registry._tcp.corp.example".to_owned();
        assert_eq!(discovery, Discovery::Service { name, domain: "corp.example".to_owned() });
        let (url, discovery) = read(&"http://r.example:5000/".parse().unwrap()).unwrap();
        assert_eq!((url.as_str(), discovery), ("http://r.example:5000/", Discovery::Host));
    }

    #[test]
    fn what_names_no_service_is_refused() {
        for bad in [
            "srv+https://registry.corp.example",
            "srv+https://_registry.corp.example",
            "srv+https://_registry._tcp",
            "srv+https://_registry._tcp.corp.example:5000",
            "srv+https://10.0.0.1",
            "srv+ftp://_registry._tcp.corp.example",
            "ftp://r.example",
        ] {
            read(&bad.parse().unwrap()).expect_err(bad);
        }
    }
}
