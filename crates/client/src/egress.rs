//! The egress filter: which addresses may be dialled at all.
//!
//! Names are checked where they are resolved, and the checked addresses are the ones dialled: there is no second
//! look-up that could answer differently. Addresses written as such in a URL never reach a resolver, so every URL is
//! checked as well: the upstream's, each redirect's, each token realm's. Must not know registries. Invariant: when any
//! address of a name is refused, the name is refused.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// Which addresses an upstream, its redirects and its token server may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only addresses of the public internet.
    PublicOnly,
    /// Private and loopback addresses too, because the operator said that this upstream is internal. Link-local
    /// addresses and cloud metadata services stay out of reach for everything but the configured address itself.
    Internal,
}

/// What an address is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AddressClass {
    Public,
    /// Loopback, private, carrier-grade NAT, documentation and other special ranges.
    Private,
    /// Link-local, metadata services, unspecified, multicast: no registry answers there.
    Never,
}

/// An address that must not be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EgressRefused {
    host: String,
    address: Option<IpAddr>,
    class: &'static str,
}

impl fmt::Display for EgressRefused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) if self.host != address.to_string() => {
                write!(formatter, "{} resolves to {address}, {}", self.host, self.class)
            }
            Some(_) | None => write!(formatter, "{} is {}", self.host, self.class),
        }
    }
}

impl std::error::Error for EgressRefused {}

const PRIVATE: &str = "a private or special address; it is allowed only for an upstream marked as internal";
const NEVER: &str = "a link-local, metadata, unspecified or multicast address, which is never allowed";

/// Whether the address is anything but an ordinary one of the public internet.
pub fn is_private_address(address: IpAddr) -> bool {
    classify(address) != AddressClass::Public
}

/// The filter of one upstream.
#[derive(Clone, Debug)]
pub(crate) struct EgressFilter {
    reach: Reach,
    /// The upstream's host when it is written as an address.
    configured: Option<IpAddr>,
}

impl EgressFilter {
    pub(crate) fn new(reach: Reach, upstream: &Url) -> Self {
        Self { reach, configured: literal(upstream) }
    }

    /// Checks a URL whose host is an address. Names pass here and are checked when they are resolved.
    pub(crate) fn admit_url(&self, url: &Url) -> Result<(), EgressRefused> {
        let Some(address) = literal(url) else { return Ok(()) };
        if self.reach == Reach::Internal && self.configured == Some(address) {
            return Ok(());
        }
        self.admit(&address.to_string(), address)
    }

    fn admit(&self, host: &str, address: IpAddr) -> Result<(), EgressRefused> {
        let refused = |class| Err(EgressRefused { host: host.to_owned(), address: Some(address), class });
        match (classify(address), self.reach) {
            (AddressClass::Public, Reach::PublicOnly | Reach::Internal) | (AddressClass::Private, Reach::Internal) => {
                Ok(())
            }
            (AddressClass::Private, Reach::PublicOnly) => refused(PRIVATE),
            (AddressClass::Never, Reach::PublicOnly | Reach::Internal) => refused(NEVER),
        }
    }

    /// Checks all answers for a name; one bad one spoils the name.
    fn admit_all(&self, host: &str, answers: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, EgressRefused> {
        answers.iter().try_for_each(|answer| self.admit(host, answer.ip()))?;
        Ok(answers)
    }
}

/// The system's resolver behind the filter.
impl Resolve for EgressFilter {
    fn resolve(&self, name: Name) -> Resolving {
        let filter = self.clone();
        Box::pin(async move {
            let answers = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let admitted = filter.admit_all(name.as_str(), answers)?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// The URL parser has already turned decimal, octal, hexadecimal and shortened IPv4 forms into addresses.
fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        Host::Domain(_) => None,
    }
}

fn classify(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

/// IANA IPv4 special-purpose address registry, and the metadata services that have addresses elsewhere.
fn classify_v4(address: Ipv4Addr) -> AddressClass {
    match address.octets() {
        [0 | 224..=255, ..]
        | [169, 254, ..]
        // Metadata services of Alibaba, Oracle and Azure.
        | [100, 100, 100, 200]
        | [192, 0, 0, 192]
        | [168, 63, 129, 16] => AddressClass::Never,
        [10 | 127, ..]
        | [100, 64..=127, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => AddressClass::Private,
        _ => AddressClass::Public,
    }
}

/// IANA IPv6 special-purpose address registry. Addresses that carry an IPv4 address are what that one is.
fn classify_v6(address: Ipv6Addr) -> AddressClass {
    let words = address.segments();
    let v4_at = |at: usize| classify_v4(Ipv4Addr::from((u32::from(words[at]) << 16) | u32::from(words[at + 1])));
    match words {
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Private,
        // IPv4-mapped, the translated form of RFC 2765, and the well-known NAT64 prefix.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => v4_at(6),
        // NAT64 with a prefix of the network's own (RFC 8215): the operator's network, unless it leads to a metadata service.
        [0x64, 0xff9b, 1, ..] => match v4_at(6) {
            AddressClass::Never => AddressClass::Never,
            AddressClass::Private | AddressClass::Public => AddressClass::Private,
        },
        // 6to4 carries the IPv4 address after its prefix.
        [0x2002, ..] => v4_at(1),
        // Unspecified, and deprecated addresses that embed an IPv4 address outright.
        [0, 0, 0, 0, 0, 0, ..]
        // Teredo hides an IPv4 address of somebody's choice.
        | [0x2001, 0, ..]
        // Metadata services of AWS and Google.
        | [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254]
        | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254]
        // Multicast and link-local.
        | [0xff00..=0xffff | 0xfe80..=0xfebf, ..] => AddressClass::Never,
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => AddressClass::Private,
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Private,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> AddressClass {
        classify(text.parse().unwrap())
    }

    #[test]
    fn addresses_are_what_the_registries_say() {
        let public =
            ["1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "169.253.1.1", "223.255.255.1"];
        let public6 = ["2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1", "2a00::1"];
        for text in public.into_iter().chain(public6) {
            assert_eq!(class(text), AddressClass::Public, "{text}");
        }
        let private = ["127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"];
        let special = ["100.64.0.1", "198.18.0.1", "192.0.2.1", "203.0.113.9", "192.88.99.1", "192.0.0.8"];
        let private6 = [
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:192.168.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::808:808",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            "2001:db8::1",
            "100::1",
            "2001:20::1",
        ];
        for text in private.into_iter().chain(special).chain(private6) {
            assert_eq!(class(text), AddressClass::Private, "{text}");
        }
        let never =
            ["0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"];
        let metadata = ["100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"];
        let never6 = [
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "2001::1",
            "::7f00:1",
            "::a9fe:a9fe",
        ];
        for text in never.into_iter().chain(metadata).chain(never6) {
            assert_eq!(class(text), AddressClass::Never, "{text}");
        }
    }

    #[test]
    fn every_spelling_of_a_literal_is_checked() {
        let upstream: Url = "https://registry.example".parse().unwrap();
        let public = EgressFilter::new(Reach::PublicOnly, &upstream);
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
        let filter = EgressFilter::new(Reach::Internal, &"http://169.254.1.1:5000".parse().unwrap());
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
        let public = EgressFilter::new(Reach::PublicOnly, &"http://10.0.0.1".parse().unwrap());
        public.admit_url(&"http://10.0.0.1/".parse().unwrap()).expect_err("its own address, but private");
    }

    #[test]
    fn one_bad_answer_spoils_the_name() {
        let upstream: Url = "https://registry.example".parse().unwrap();
        let answers = |list: &[&str]| list.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect::<Vec<_>>();
        let public = EgressFilter::new(Reach::PublicOnly, &upstream);
        let mixed = answers(&["1.1.1.1", "10.0.0.1"]);
        let refused = public.admit_all("registry.example", mixed.clone()).unwrap_err();
        assert!(refused.to_string().starts_with("registry.example resolves to 10.0.0.1, a private"), "{refused}");
        assert_eq!(public.admit_all("registry.example", answers(&["1.1.1.1", "2606:4700::1"])).unwrap().len(), 2);
        let internal = EgressFilter::new(Reach::Internal, &upstream);
        assert_eq!(internal.admit_all("registry.example", mixed.clone()).unwrap(), mixed);
        internal.admit_all("registry.example", answers(&["10.0.0.1", "169.254.169.254"])).unwrap_err();
    }
}
