//! The egress filter: which hosts and addresses may be asked at all.
//!
//! Names are checked where they are resolved, and the checked addresses are the ones dialled: there is no second
//! look-up that could answer differently. Addresses written as such in a URL never reach a resolver, so every URL is
//! checked as well: the upstream's, each redirect's, each token realm's. Behind a proxy names are resolved by the proxy;
//! what can be told from the name alone is refused here. Must not know registries. Invariant: when any address of a name
//! is refused, the name is refused.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use url::{Host, Url};

use super::address::{AddressClass, classify};

/// Which addresses an upstream, its redirects and its token server may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only addresses of the public internet.
    PublicOnly,
    /// Private and loopback addresses too, because the operator said that this upstream is internal. Link-local
    /// addresses and cloud metadata services stay out of reach for everything but the configured address itself.
    Internal,
}

/// An address that must not be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EgressRefused {
    host: String,
    address: Option<IpAddr>,
    why: &'static str,
}

impl fmt::Display for EgressRefused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) if self.host != address.to_string() => {
                write!(formatter, "{} resolves to {address}, {}", self.host, self.why)
            }
            Some(_) | None => write!(formatter, "{} is {}", self.host, self.why),
        }
    }
}

impl std::error::Error for EgressRefused {}

const PRIVATE: &str = "a private or special address; it is allowed only for an upstream marked as internal";
const NEVER: &str = "a link-local, metadata, unspecified or multicast address, which is never allowed";

const LOCAL_NAME: &str =
    "a name of this machine or of a private network; it is allowed only for an upstream marked as internal";
const METADATA_NAME: &str = "the name of a cloud metadata service, which is never allowed";
const PROXY_NAME: &str = "the proxy itself; it is an upstream only when that is marked as internal";

/// The filter of one upstream.
#[derive(Clone, Debug)]
pub(crate) struct EgressFilter {
    reach: Reach,
    /// The upstream's host when it is written as an address.
    configured: Option<IpAddr>,
    /// The proxies' hosts when they are names: what the operator wrote may be private, for connections to the proxy only.
    proxies: Vec<String>,
}

impl EgressFilter {
    pub(crate) fn new(reach: Reach, upstream: &Url, proxies: Vec<String>) -> Self {
        Self { reach, configured: literal(upstream), proxies }
    }

    /// Checks the host of a URL as far as it can be told without resolving it. Where names are resolved here they are
    /// checked again then, with their addresses.
    pub(crate) fn admit_url(&self, url: &Url) -> Result<(), EgressRefused> {
        match url.host() {
            Some(Host::Domain(name)) => self.admit_name(name),
            Some(Host::Ipv4(address)) => self.admit_literal(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.admit_literal(IpAddr::V6(address)),
            None => Ok(()),
        }
    }

    fn admit_literal(&self, address: IpAddr) -> Result<(), EgressRefused> {
        if self.reach == Reach::Internal && self.configured == Some(address) {
            return Ok(());
        }
        self.admit(&address.to_string(), address)
    }

    fn admit_name(&self, name: &str) -> Result<(), EgressRefused> {
        let refused = |why| Err(EgressRefused { host: name.to_owned(), address: None, why });
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if METADATA_NAMES.contains(&name.as_str()) {
            return refused(METADATA_NAME);
        }
        // Without a proxy names are resolved here, and checked then.
        if self.reach == Reach::Internal || self.proxies.is_empty() {
            return Ok(());
        }
        if self.proxies.contains(&name) {
            return refused(PROXY_NAME);
        }
        // Without a dot it means something inside the proxy's network only.
        if !name.contains('.') || is_local_name(&name) {
            return refused(LOCAL_NAME);
        }
        Ok(())
    }

    fn admit(&self, host: &str, address: IpAddr) -> Result<(), EgressRefused> {
        let refused = |why| Err(EgressRefused { host: host.to_owned(), address: Some(address), why });
        match (classify(address), self.reach) {
            (AddressClass::Public, Reach::PublicOnly | Reach::Internal) | (AddressClass::Private, Reach::Internal) => {
                Ok(())
            }
            (AddressClass::Private, Reach::PublicOnly) => refused(PRIVATE),
            (AddressClass::Never, Reach::PublicOnly | Reach::Internal) => refused(NEVER),
        }
    }

    /// Checks all answers for a name; one bad one spoils the name. A proxy's own addresses are as the operator has them.
    pub(super) fn admit_all(&self, host: &str, answers: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, EgressRefused> {
        if !self.proxies.iter().any(|proxy| proxy.eq_ignore_ascii_case(host)) {
            answers.iter().try_for_each(|answer| self.admit(host, answer.ip()))?;
        }
        Ok(answers)
    }
}

/// Names under which clouds serve credentials to the machines in them.
const METADATA_NAMES: [&str; 4] =
    ["metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];

/// Names that mean this machine or the network around it (RFC 6761, RFC 6762, RFC 8375, and `.internal`).
fn is_local_name(name: &str) -> bool {
    ["localhost", "local", "localdomain", "internal", "home.arpa"]
        .iter()
        .any(|local| name.strip_suffix(local).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// The URL parser has already turned decimal, octal, hexadecimal and shortened IPv4 forms into addresses.
fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_literal_is_checked() {
        let upstream: Url = "https://registry.example".parse().unwrap();
        let public = EgressFilter::new(Reach::PublicOnly, &upstream, Vec::new());
        let hosts = [
            "127.0.0.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "127.0.0.1.",
            "0",
            "0.0.0.0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]",
            "169.254.169.254",
            "2852039166",
            "10.1",
            "[fe80::1]",
        ];
        for host in hosts {
            let url: Url = format!("http://{host}/x").parse().unwrap();
            let refused = public.admit_url(&url).expect_err(host);
            assert!(refused.to_string().contains("allowed"), "{refused}");
        }
        public.admit_url(&"http://1.1.1.1/".parse().unwrap()).unwrap();
        public.admit_url(&"http://name.example/".parse().unwrap()).unwrap();
    }

    #[test]
    fn internal_reaches_private_addresses_but_no_metadata_except_its_own() {
        let filter = EgressFilter::new(Reach::Internal, &"http://169.254.1.1:5000".parse().unwrap(), Vec::new());
        for ok in
            ["http://127.0.0.1:1/", "http://10.0.0.1/", "http://169.254.1.1:5000/", "http://[::1]/", "http://8.8.8.8/"]
        {
            filter.admit_url(&ok.parse().unwrap()).expect(ok);
        }
        for bad in [
            "http://169.254.169.254/",
            "http://[fd00:ec2::254]/",
            "http://0.0.0.0/",
            "http://[::ffff:169.254.169.254]/",
        ] {
            filter.admit_url(&bad.parse().unwrap()).expect_err(bad);
        }
        let public = EgressFilter::new(Reach::PublicOnly, &"http://10.0.0.1".parse().unwrap(), Vec::new());
        public.admit_url(&"http://10.0.0.1/".parse().unwrap()).expect_err("its own address, but private");
    }

    #[test]
    fn one_bad_answer_spoils_the_name() {
        let upstream: Url = "https://registry.example".parse().unwrap();
        let answers = |list: &[&str]| list.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect::<Vec<_>>();
        let public = EgressFilter::new(Reach::PublicOnly, &upstream, Vec::new());
        let mixed = answers(&["1.1.1.1", "10.0.0.1"]);
        let refused = public.admit_all("registry.example", mixed.clone()).unwrap_err();
        assert!(refused.to_string().starts_with("registry.example resolves to 10.0.0.1, a private"), "{refused}");
        assert_eq!(public.admit_all("registry.example", answers(&["1.1.1.1", "2606:4700::1"])).unwrap().len(), 2);
        let internal = EgressFilter::new(Reach::Internal, &upstream, Vec::new());
        assert_eq!(internal.admit_all("registry.example", mixed.clone()).unwrap(), mixed);
        internal.admit_all("registry.example", answers(&["10.0.0.1", "169.254.169.254"])).unwrap_err();
    }

    #[test]
    fn behind_a_proxy_names_that_say_where_they_are_are_refused() {
        let upstream: Url = "https://registry.example".parse().unwrap();
        let filter = |reach| EgressFilter::new(reach, &upstream, vec!["proxy.corp.example".into()]);
        let (public, internal) = (filter(Reach::PublicOnly), filter(Reach::Internal));
        for name in ["localhost", "LOCALHOST.", "a.localhost", "printer.local", "db.corp.internal", "nas.home.arpa"] {
            let url: Url = format!("http://{name}/x").parse().unwrap();
            public.admit_url(&url).expect_err(name);
            internal.admit_url(&url).expect(name);
        }
        public.admit_url(&"http://notlocalhost.example/".parse().unwrap()).unwrap();
        public.admit_url(&"http://internal.example/".parse().unwrap()).unwrap();
    }

    #[test]
    fn metadata_names_are_refused_with_and_without_a_proxy() {
        let upstream: Url = "https://registry.example".parse().unwrap();
        for proxies in [vec![], vec!["proxy.corp.example".to_owned()]] {
            for reach in [Reach::PublicOnly, Reach::Internal] {
                let filter = EgressFilter::new(reach, &upstream, proxies.clone());
                for name in ["metadata.google.internal", "Metadata.Google.Internal.", "instance-data"] {
                    filter.admit_url(&format!("http://{name}/x").parse().unwrap()).expect_err(name);
                }
            }
        }
    }

    #[test]
    fn a_proxy_is_dialled_as_written_and_is_no_target() {
        let upstream: Url = "https://registry.example".parse().unwrap();
        let public = EgressFilter::new(Reach::PublicOnly, &upstream, vec!["proxy.corp.example".into()]);
        let private = vec![SocketAddr::from(([10, 0, 0, 1], 0))];
        public.admit_all("proxy.corp.example", private.clone()).unwrap();
        public.admit_all("other.corp.example", private).unwrap_err();
        for target in ["http://proxy.corp.example:3128/", "http://intranet/", "http://10.0.0.1/"] {
            public.admit_url(&target.parse().unwrap()).expect_err(target);
        }
        public.admit_url(&"https://cdn.example/".parse().unwrap()).unwrap();
    }
}
