//! The TLS upstream: trusted by who knows its authority, by nobody else.

use std::sync::Arc;

use mock_upstream::upstream::FakeUpstream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

async fn connect(upstream: &FakeUpstream, authority: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).expect("it is PEM")).expect("it is a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(upstream.host()).await?;
    let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

#[tokio::test]
async fn its_authority_vouches_for_it() {
    let upstream = FakeUpstream::start_tls();
    let mut stream = connect(&upstream, upstream.ca_pem().expect("TLS has an authority")).await.expect("it is trusted");
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it closes properly");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("{}"), "{answer}");
    assert!(upstream.url().starts_with("https://127.0.0.1:"));
}

#[tokio::test]
async fn another_authority_does_not() {
    let (upstream, other) = (FakeUpstream::start_tls(), FakeUpstream::start_tls());
    let refused = connect(&upstream, other.ca_pem().expect("TLS has an authority")).await;
    // rustls reports a certificate it refuses as invalid data.
    assert_eq!(refused.expect_err("it is not trusted").kind(), std::io::ErrorKind::InvalidData);
    assert_eq!(upstream.requests().len(), 0);
}
