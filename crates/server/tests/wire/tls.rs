//! TLS on the wire: the certificate presented, before and after a reload, and both HTTP versions over it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use transship_server::{ServeLimits, Tls};

use crate::harness::{Held, Server, soon};

/// Certificate and key files that tests overwrite.
struct Files {
    _folder: tempfile::TempDir,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        Self { _folder: folder, certificate, key }
    }

    /// Writes a fresh pair and answers with the certificate.
    fn write(&self) -> CertificateDer<'static> {
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        write(&self.certificate, &pair.cert.pem());
        write(&self.key, &pair.signing_key.serialize_pem());
        pair.cert.der().clone()
    }
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
}

async fn connect(server: &Server, trusted: &CertificateDer<'static>, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await.expect("the certificate is trusted")
}

async fn presented(server: &Server, trusted: &CertificateDer<'static>) -> CertificateDer<'static> {
    let stream = connect(server, trusted, &[]).await;
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

#[tokio::test]
async fn a_reload_presents_the_new_certificate_and_a_bad_one_keeps_the_old() {
    let files = Files::new();
    let first = files.write();
    let tls = Tls::load(&files.certificate, &files.key).unwrap();
    let server = Server::start(Held::new(0).0, ServeLimits::default(), Some(tls.clone()));
    assert_eq!(presented(&server, &first).await, first);

    write(&files.certificate, "-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n");
    tls.reload().unwrap_err();
    assert_eq!(presented(&server, &first).await, first);

    let second = files.write();
    tls.reload().unwrap();
    assert_eq!(presented(&server, &second).await, second);
}

#[tokio::test]
async fn http_2_is_spoken_where_the_client_offers_it() {
    let files = Files::new();
    let certificate = files.write();
    let tls = Tls::load(&files.certificate, &files.key).unwrap();
    let server = Server::start(Held::new(0).0, ServeLimits::default(), Some(tls));
    let stream = connect(&server, &certificate, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(stream);
    let (mut sender, connection) = soon(hyper::client::conn::http2::handshake(TokioExecutor::new(), io)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("https://localhost/x").body(Empty::<bytes::Bytes>::new()).unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    assert_eq!(soon(response.into_body().collect()).await.unwrap().to_bytes(), "ok");

    // A drain closes it cleanly.
    drop(sender);
    soon(server.listeners.drain(Duration::from_mins(10))).await;
    soon(connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_handshake_that_never_comes_is_closed() {
    let files = Files::new();
    files.write();
    let tls = Tls::load(&files.certificate, &files.key).unwrap();
    let limits = ServeLimits { handshake: Duration::from_millis(100), ..ServeLimits::default() };
    let server = Server::start(Held::new(0).0, limits, Some(tls));
    let mut silent = server.connect().await;
    assert_eq!(silent.rest().await, "");
    let mut plain = server.connect().await;
    plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = soon(tokio::io::AsyncReadExt::read_u8(&mut plain.0)).await;
    assert_ne!(answer.ok(), Some(b'H'), "no HTTP without TLS");
    server.until_open(0).await;
}
