//! The probe where the way is not a plain one, and where no blob is small: what can be seen is told, and no lie passes.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::probe::{Check, Outcome, Probe, Report};
use client::{Network, NoObserver, Proxies, ProxyServer, Reach, UpstreamConfig};
use hickory_resolver::proto::rr::RecordType;
use serde_json::json;
use testkit::image::{Manifest, blob};
use testkit::proxy::Proxy;
use testkit::upstream::{FakeUpstream, Fault, Kind, Target};

use crate::authority::{Authority, Flaw, tls_face};
use crate::name_server::{NameServer, addresses, service};
use crate::support::*;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const LARGE: usize = 9 << 20;

async fn probed(config: UpstreamConfig, image: Option<&str>) -> Report {
    let image = image.map(|image| image.parse().unwrap());
    Probe::new(config, Arc::new(NoObserver)).unwrap().run(image.as_ref(), &|_| {}).await
}

/// The name of a check in reports.
fn name_of(check: &Check) -> String {
    serde_json::to_value(check.id).unwrap().as_str().unwrap().to_owned()
}

fn outcomes(report: &Report) -> BTreeMap<String, Outcome> {
    report.checks.iter().map(|check| (name_of(check), check.outcome)).collect()
}

fn words<'r>(report: &'r Report, id: &str) -> &'r str {
    &report.checks.iter().find(|check| name_of(check) == id).unwrap().seen
}

/// An image all of whose blobs are larger than the probe fetches.
fn with_a_large_image() -> FakeUpstream {
    let upstream = FakeUpstream::start();
    let bytes = blob(7, LARGE);
    let digest = upstream.add_blob("team/app", bytes);
    let one = json!({ "mediaType": "application/octet-stream", "digest": digest.to_string(), "size": LARGE });
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": one, "layers": [one] });
    let digest = upstream.add_manifest("team/app", &Manifest::from_bytes(MANIFEST_TYPE, manifest.to_string()));
    upstream.set_tag("team/app", "1", &digest);
    upstream
}

fn at(url: &str) -> UpstreamConfig {
    UpstreamConfig { reach: Reach::Internal, ..UpstreamConfig::new(url.parse().unwrap()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_large_blobs_is_looked_at_in_parts() {
    let upstream = with_a_large_image();
    let report = probed(at(&upstream.url()), Some("team/app:1")).await;
    let found = outcomes(&report);
    for id in ["blob-head", "blob-get", "range-first", "range-open", "range-suffix", "range-unsatisfiable"] {
        assert_eq!(found[id], Outcome::Pass, "{id}: {}", words(&report, id));
    }
    assert_eq!(found["range-multi"], Outcome::Degraded, "the fake answers several ranges with the whole");
    assert!(words(&report, "blob-get").contains("the first 65536 of 9 MiB"), "{}", words(&report, "blob-get"));
    let blobs: u64 = upstream.requests().iter().filter(|r| r.kind() == Kind::Blob).map(|r| r.bytes_sent).sum();
    assert!(blobs < LARGE as u64, "it is not fetched whole: {blobs} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_about_parts_of_large_blobs_do_not_pass() {
    for (fault, id, expected) in [
        (Fault::IgnoreRange, "range-first", Outcome::Degraded),
        (Fault::LieAboutRangeStart(3), "range-first", Outcome::Fail),
        (Fault::LieAboutRangeTotal(77_777_777), "range-first", Outcome::Fail),
        (Fault::RefuseMultiRange, "range-multi", Outcome::Degraded),
    ] {
        let upstream = with_a_large_image();
        upstream.fault(Target::kind(Kind::Blob), fault.clone());
        let report = probed(at(&upstream.url()), Some("team/app:1")).await;
        assert_eq!(outcomes(&report)[id], expected, "{fault:?}: {}", words(&report, id));
    }
    // Other bytes under the same range: found by comparing parts.
    let upstream = with_a_large_image();
    upstream.fault(Target::kind(Kind::Blob).get().from_nth(2), Fault::ShiftRangeStart(5));
    let report = probed(at(&upstream.url()), Some("team/app:1")).await;
    assert_eq!(outcomes(&report)["range-first"], Outcome::Fail, "{}", words(&report, "range-first"));
}

#[tokio::test]
async fn a_proxy_is_looked_at_as_far_as_it_can_be_seen() {
    let server = Server::start(|_| Reply::ok("{}")).await;
    let authority = Authority::new();
    let (face, _) = tls_face(authority.server(&["r.example"], Flaw::None), &server.address()).await;
    let proxy = Proxy::http(&[("r.example", face)], None);
    let through = |host: &str, trusts: bool| {
        let server = ProxyServer::new(&format!("http://{host}"), None).unwrap();
        let authorities = if trusts {
            client::Authorities::from_pem(authority.pem.as_bytes()).unwrap()
        } else {
            client::Authorities::default()
        };
        let network = Network { proxies: Proxies::all(&server, Vec::new()), authorities, ..Network::default() };
        UpstreamConfig { network, ..at("https://r.example") }
    };
    let report = probed(through(&proxy.host(), true), None).await;
    let found = outcomes(&report);
    assert_eq!([found["dns"], found["tcp"], found["tls"]], [Outcome::Pass; 3], "{:?}", report.checks);
    assert!(words(&report, "dns").contains("through the proxy 127.0.0.1"), "{}", words(&report, "dns"));
    assert!(words(&report, "tcp").starts_with("to the proxy: 127.0.0.1:"), "{}", words(&report, "tcp"));
    assert!(words(&report, "tls").contains("answered 200"), "{}", words(&report, "tls"));

    let untrusted = probed(through(&proxy.host(), false), None).await;
    assert_eq!(outcomes(&untrusted)["tls"], Outcome::Fail, "{:?}", untrusted.checks);
    let nobody = probed(through("127.0.0.1:1", true), None).await;
    assert_eq!(outcomes(&nobody)["tcp"], Outcome::Fail, "{:?}", nobody.checks);
}

#[tokio::test]
async fn a_name_server_a_service_and_a_local_address_are_gone_by() {
    let server = Server::start(|_| Reply::ok("{}")).await;
    let port = server.url.port().unwrap();
    let names = NameServer::start(move |name, kind| match (name, kind) {
        ("_registry._tcp.corp.example", RecordType::SRV) => Some(vec![service(1, 1, port, "a.corp.example")]),
        ("a.corp.example" | "r.example", kind) => Some(addresses(kind, &["127.0.0.1"])),
        _ => None,
    })
    .await;
    let with = |url: &str| {
        let bind = Some("127.0.0.1".parse().unwrap());
        let network = Network { dns_server: Some(names.address), bind, ..Network::default() };
        UpstreamConfig { network, ..at(url) }
    };
    let report = probed(with(&format!("http://r.example:{port}")), None).await;
    let (dns, tcp) = (words(&report, "dns"), words(&report, "tcp"));
    assert!(
        dns.contains("r.example is 127.0.0.1 (loopback)") && dns.contains("by the name server 127.0.0.1:"),
        "{dns}"
    );
    assert!(tcp.contains(&format!("127.0.0.1:{port} from 127.0.0.1 in ")), "{tcp}");
    let report = probed(with("srv+http://_registry._tcp.corp.example"), None).await;
    let dns = words(&report, "dns");
    assert!(dns.contains("1 servers by service records: a.corp.example is 127.0.0.1"), "{dns}");
    assert_eq!(outcomes(&report)["tcp"], Outcome::Pass, "{:?}", report.checks);
    let report = probed(with("srv+http://_other._tcp.corp.example"), None).await;
    assert_eq!(outcomes(&report)["dns"], Outcome::Fail, "{:?}", report.checks);
}
