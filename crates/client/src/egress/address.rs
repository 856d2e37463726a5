//! What an address is to us: public, private, or never to be dialled.
//!
//! Must not know upstreams or names. Invariant: an address that carries another one inside is what that one is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressClass {
    Public,
    /// Loopback, private, carrier-grade NAT, documentation and other special ranges.
    Private,
    /// Link-local, metadata services, unspecified, multicast: no registry answers there.
    Never,
}

/// Whether the address is anything but an ordinary one of the public internet.
pub fn is_private_address(address: IpAddr) -> bool {
    classify(address) != AddressClass::Public
}

pub(super) fn classify(address: IpAddr) -> AddressClass {
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
}
