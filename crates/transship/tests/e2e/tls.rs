//! TLS: certificate and key from files, HTTP/2 by ALPN, a new certificate without a restart.
//!
//! Must not know: the TLS library behind the server. Invariant: clients trust exactly one certificate each.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rcgen::generate_simple_self_signed;
use reqwest::{Certificate, Client, Version, redirect};
use serde_json::json;
use testkit::image::Image;
use testkit::transship_process::{TransshipProcess, TransshipSetup};
use testkit::upstream::FakeUpstream;

use crate::http;
use crate::lab::{LabSetup, NAME, PROGRAM, config};

/// A program that speaks TLS, and where its files are.
struct Secure {
    upstream: FakeUpstream,
    transship: TransshipProcess,
    folder: tempfile::TempDir,
}

impl Secure {
    fn cert(&self) -> PathBuf {
        self.folder.path().join("tls.crt")
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.transship.host())
    }
}

/// Makes a certificate for loopback, writes it with its key, and gives it as clients trust it.
fn write_certificate(folder: &Path) -> Certificate {
    let made = generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    // The key first: whoever reads between the two sees a pair that does not fit, and keeps the old one.
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
}

fn trusting(certificate: &Certificate) -> reqwest::ClientBuilder {
    let client = Client::builder().no_proxy().redirect(redirect::Policy::none());
    client.tls_certs_only([certificate.clone()])
}

/// Waits until a client that trusts only this certificate is answered. Each try makes a new connection.
async fn wait_trusted(secure: &Secure, certificate: &Certificate) {
    let started = Instant::now();
    loop {
        let tried = trusting(certificate).build().unwrap().get(secure.url("/readyz")).send().await;
        match tried {
            Ok(answer) if answer.status() == 200 => return,
            Ok(_) | Err(_) => {}
        }
        assert!(started.elapsed() < Duration::from_mins(1), "{tried:?}\n{}", secure.transship.log_text());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn start() -> (Secure, Certificate) {
    let folder = tempfile::tempdir().unwrap();
    let certificate = write_certificate(folder.path());
    let upstream = FakeUpstream::start();
    let tls = json!({ "tls": { "cert": folder.path().join("tls.crt"), "key": folder.path().join("tls.key") } });
    let config = config(&upstream.url(), &LabSetup { config: tls, ..LabSetup::default() });
    let setup = TransshipSetup { config: Some(config.to_string()), ..TransshipSetup::default() };
    let transship = TransshipProcess::start_unready(PROGRAM, setup);
    let secure = Secure { upstream, transship, folder };
    wait_trusted(&secure, &certificate).await;
    (secure, certificate)
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_agreed_on_and_http_1_is_spoken_to_who_wants_it() {
    let (secure, certificate) = start().await;
    let image = Image::small(1, 3_000_000);
    secure.upstream.add_image(NAME, "1", &image);
    let layer = &image.blobs[1];
    for (client, version) in [
        (trusting(&certificate).build().unwrap(), Version::HTTP_2),
        (trusting(&certificate).http1_only().build().unwrap(), Version::HTTP_11),
    ] {
        let manifest =
            http::send(&client, "GET", &secure.url(&format!("/v2/lab/{NAME}/manifests/1")), &[], Vec::new()).await;
        assert_eq!((manifest.status, manifest.version), (200, version));
        assert_eq!(manifest.body, image.manifest.bytes);
        let blob = secure.url(&format!("/v2/lab/{NAME}/blobs/{}", layer.digest));
        let whole = http::send(&client, "GET", &blob, &[], Vec::new()).await;
        assert!(whole.version == version && whole.is_whole() && whole.body == layer.bytes);
        let part = http::send(&client, "GET", &blob, &[("Range", "bytes=-51")], Vec::new()).await;
        assert_eq!((part.status, part.body == layer.bytes[layer.bytes.len() - 51..]), (206, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_share_one_http_2_connection() {
    let (secure, certificate) = start().await;
    let client = trusting(&certificate).build().unwrap();
    let blobs: Vec<_> = (0..30).map(|seed| testkit::image::blob(seed, 1_000_000)).collect();
    let pulls = blobs.iter().map(|bytes| {
        let digest = secure.upstream.add_blob(NAME, bytes.clone());
        let (client, url) = (client.clone(), secure.url(&format!("/v2/lab/{NAME}/blobs/{digest}")));
        async move { http::compare(client.get(url).send().await.unwrap(), bytes).await }
    });
    for pulled in futures_util::future::join_all(pulls).await {
        assert_eq!(pulled, (1_000_000, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_byte_cuts_an_http_2_stream_too() {
    use testkit::upstream::{Fault, Target};
    let (secure, certificate) = start().await;
    let client = trusting(&certificate).build().unwrap();
    let bytes = testkit::image::blob(1, 3_000_000);
    let digest = secure.upstream.add_blob(NAME, bytes.clone());
    secure.upstream.fault(Target::blob(&digest), Fault::FlipByte(2_999_999));
    let url = secure.url(&format!("/v2/lab/{NAME}/blobs/{digest}"));
    let answer = http::send(&client, "GET", &url, &[], Vec::new()).await;
    assert_eq!((answer.status, answer.version, answer.is_whole()), (200, Version::HTTP_2, false));
    assert!(answer.body.len() < bytes.len());
    let alive = http::send(&client, "GET", &secure.url("/healthz"), &[], Vec::new()).await;
    assert_eq!(alive.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_certificate_is_taken_and_a_broken_one_is_not() {
    let (secure, first) = start().await;
    let open = trusting(&first).build().unwrap();
    assert_eq!(open.get(secure.url("/healthz")).send().await.unwrap().status(), 200);
    let second = write_certificate(secure.folder.path());
    wait_trusted(&secure, &second).await;
    let old = trusting(&first).build().unwrap().get(secure.url("/healthz")).send().await;
    assert!(old.is_err(), "new connections get the new certificate only");
    assert_eq!(open.get(secure.url("/healthz")).send().await.unwrap().status(), 200, "open connections go on");

    fs::write(secure.cert(), "no certificate").unwrap();
    let refused = || secure.transship.log_text().contains("the old one stays in use");
    assert!(crate::lab::comes_true(refused).await, "{}", secure.transship.log_text());
    wait_trusted(&secure, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_on_a_tls_port_is_not_answered_and_harms_nobody() {
    let (secure, certificate) = start().await;
    let request = b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = http::raw(&secure.transship.host(), request, |_| false).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1 200"));
    wait_trusted(&secure, &certificate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_with_a_certificate_of_its_own_authority_is_trusted_when_the_authority_is_named() {
    let upstream = FakeUpstream::start_tls();
    let image = Image::small(1, 100_000);
    upstream.add_image(NAME, "1", &image);
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    fs::write(&authority, upstream.ca_pem().unwrap()).unwrap();
    for (env, trusted) in [(vec![("SSL_CERT_FILE".to_owned(), authority.display().to_string())], true), (vec![], false)]
    {
        let config = Some(config(&upstream.url(), &LabSetup::default()).to_string());
        let transship = TransshipProcess::start(PROGRAM, TransshipSetup { env, config, ..TransshipSetup::default() });
        let url = format!("{}/v2/lab/{NAME}/manifests/1", transship.url());
        let answer = http::send(&http::client(), "GET", &url, &[], Vec::new()).await;
        if trusted {
            assert_eq!((answer.status, answer.body == image.manifest.bytes), (200, true), "{}", answer.text());
        } else {
            assert_eq!(answer.status, 502, "{}", answer.text());
            assert!(answer.error_messages().to_lowercase().contains("certificate"), "{}", answer.text());
        }
    }
}
