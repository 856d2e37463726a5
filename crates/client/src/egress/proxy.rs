//! Proxies: which one a request goes through, and the credential for it.
//!
//! Only what is configured counts: the environment is read where the configuration is, if the operator says so. Must not
//! know upstreams. Invariants: a proxy's credential is given to that proxy alone; `Debug` does not show it.

use percent_encoding::percent_decode_str;
use reqwest::NoProxy;
use url::Url;

use crate::secret::Secret;

/// A proxy.
#[derive(Clone)]
pub struct ProxyServer {
    url: Url,
    credential: Option<(String, Secret)>,
}

/// Which requests go through which proxy. The default: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http` URLs.
    pub http: Option<ProxyServer>,
    /// For `https` URLs.
    pub https: Option<ProxyServer>,
    /// Hosts asked directly: names (with all below them), addresses, networks as `10.0.0.0/8`, or `*`.
    pub except: Vec<String>,
}

impl ProxyServer {
    /// A proxy at `url`: http, https, socks5 (names resolved here) or socks5h (names resolved by the proxy).
    ///
    /// # Errors
    /// What is wrong with the URL, without repeating a password in it.
    pub fn new(url: &str, credential: Option<(String, Secret)>) -> Result<Self, String> {
        let example = "write something like http://proxy.example:3128 or socks5h://proxy.example:1080";
        let mut url = Url::parse(url).map_err(|error| format!("is not a URL ({error}); {example}"))?;
        if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
            return Err(format!("the scheme '{}' is not supported; {example}", url.scheme()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(format!("has no host; {example}"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold credentials; put them into proxy_username and proxy_password".to_owned());
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(format!("must not have a path, query or fragment; {example}"));
        }
        if url.scheme().starts_with("socks") && url.port().is_none() {
            url.set_port(Some(1080)).map_err(|()| format!("cannot have a port; {example}"))?;
        }
        Ok(Self { url, credential })
    }

    /// A proxy as environment variables have it: `http://user:password@host:port`, the scheme and login optional.
    ///
    /// # Errors
    /// What is wrong with it, without repeating a password.
    pub fn from_variable(value: &str) -> Result<Self, String> {
        let text = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        let mut url = Url::parse(&text).map_err(|error| format!("is not the URL of a proxy: {error}"))?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let credential = (!url.username().is_empty())
            .then(|| (decoded(url.username()), Secret::new(decoded(url.password().unwrap_or_default()))));
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| "is not the URL of a proxy".to_owned())?;
        Self::new(url.as_str(), credential)
    }

    /// The URL as configured, which holds no credential.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether we log in at the proxy.
    pub fn has_login(&self) -> bool {
        self.credential.is_some()
    }

    pub(super) fn host(&self) -> Option<&str> {
        self.url.host_str()
    }

    /// Whether we speak TLS with the proxy itself.
    pub(super) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    fn reqwest(&self, make: fn(Url) -> reqwest::Result<reqwest::Proxy>) -> reqwest::Result<reqwest::Proxy> {
        let proxy = make(self.url.clone())?;
        Ok(match &self.credential {
            // It goes through the userinfo of a URL, which is decoded again: a percent sign must survive that.
            Some((username, password)) => {
                proxy.basic_auth(&username.replace('%', "%25"), &password.expose().replace('%', "%25"))
            }
            None => proxy,
        })
    }
}

impl Proxies {
    /// Everything goes through `server`.
    pub fn all(server: &ProxyServer, except: Vec<String>) -> Self {
        Self { http: Some(server.clone()), https: Some(server.clone()), except }
    }

    /// The proxy for URLs of this scheme, whatever hosts are excepted.
    pub(crate) fn for_scheme(&self, scheme: &str) -> Option<&ProxyServer> {
        if scheme == "https" { self.https.as_ref() } else { self.http.as_ref() }
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = &ProxyServer> {
        self.http.iter().chain(&self.https)
    }

    pub(super) fn reqwest(&self) -> reqwest::Result<Vec<reqwest::Proxy>> {
        let except = NoProxy::from_string(&self.except.join(","));
        let http = self.http.as_ref().map(|server| server.reqwest(reqwest::Proxy::http)).transpose()?;
        let https = self.https.as_ref().map(|server| server.reqwest(reqwest::Proxy::https)).transpose()?;
        Ok([http, https].into_iter().flatten().map(|proxy| proxy.no_proxy(except.clone())).collect())
    }
}

impl PartialEq for ProxyServer {
    fn eq(&self, other: &Self) -> bool {
        let plain = |server: &Self| server.credential.as_ref().map(|(u, p)| (u.clone(), p.expose().to_owned()));
        self.url == other.url && plain(self) == plain(other)
    }
}

impl Eq for ProxyServer {}

impl std::fmt::Debug for ProxyServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ProxyServer")
            .field("url", &self.url.as_str())
            .field("credential", &self.credential.as_ref().map(|_| "[redacted]"))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_judged_without_repeating_their_secrets() {
        for good in ["http://p.example:3128", "https://p.example", "socks5://10.0.0.1", "socks5h://[::1]:1080/"] {
            ProxyServer::new(good, None).expect(good);
        }
        for bad in
            ["p.example:3128", "ftp://p.example", "http://", "http://u:canary@p.example", "http://p.example/x?canary"]
        {
            let what = ProxyServer::new(bad, None).expect_err(bad);
            assert!(!what.contains("canary"), "{what}");
        }
        let secret = ProxyServer::new("http://p.example", Some(("u".into(), Secret::new("canary")))).unwrap();
        assert!(!format!("{secret:?} {:?}", Proxies::all(&secret, Vec::new())).contains("canary"));
    }

    #[test]
    fn variables_may_carry_a_login_and_lack_a_scheme() {
        let proxy = ProxyServer::from_variable("http://ci:c%40n%25ary@p.example:3128").unwrap();
        assert_eq!(proxy.url().as_str(), "http://p.example:3128/");
        let (username, password) = proxy.credential.unwrap();
        assert_eq!((username.as_str(), password.expose()), ("ci", "c@n%ary"));
        assert_eq!(ProxyServer::from_variable("p.example:3128").unwrap().url().as_str(), "http://p.example:3128/");
        ProxyServer::from_variable("ftp://p.example").unwrap_err();
    }

    #[test]
    fn socks_has_a_port_of_its_own() {
        assert_eq!(ProxyServer::new("socks5h://p.example", None).unwrap().url().port(), Some(1080));
    }
}
