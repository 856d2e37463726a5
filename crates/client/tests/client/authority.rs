//! Certificates made on the spot, and a TLS face for a plain server.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// An authority of its own.
pub(crate) struct Authority {
    pub(crate) pem: String,
    root: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    Expired,
    OtherName,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        Self { pem: root.pem(), root: root.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// Certificate and key in PEM, for loopback addresses and these names.
    pub(crate) fn issue(&self, names: &[&str], flaw: Flaw) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        if flaw == Flaw::OtherName {
            params = CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
        } else {
            params.subject_alt_names.push(SanType::IpAddress("127.0.0.1".parse().unwrap()));
        }
        if flaw == Flaw::Expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        (leaf.pem(), key.serialize_pem())
    }

    pub(crate) fn server(&self, names: &[&str], flaw: Flaw) -> ServerConfig {
        let (certificate, key) = self.issue(names, flaw);
        server_config(&certificate, &key, None)
    }

    /// A server that wants a certificate of `clients`, and goes on without one.
    pub(crate) fn server_asking(&self, names: &[&str], clients: &Self) -> ServerConfig {
        let (certificate, key) = self.issue(names, Flaw::None);
        server_config(&certificate, &key, Some(clients))
    }
}

fn server_config(certificate: &str, key: &str, clients: Option<&Authority>) -> ServerConfig {
    use rustls_pki_types::pem::PemObject as _;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.root.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
}

/// How many handshakes came through, and whether each showed a certificate.
pub(crate) type Shown = Arc<std::sync::Mutex<Vec<bool>>>;

/// Puts TLS before the plain server at `behind`. Gives the address of the TLS face.
pub(crate) async fn tls_face(config: ServerConfig, behind: &str) -> (SocketAddr, Shown) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (acceptor, behind, shown) = (TlsAcceptor::from(Arc::new(config)), behind.to_owned(), Shown::default());
    let log = shown.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (acceptor, behind, log) = (acceptor.clone(), behind.clone(), log.clone());
            tokio::spawn(async move {
                let Ok(mut tls) = acceptor.accept(socket).await else { return };
                log.lock().unwrap().push(tls.get_ref().1.peer_certificates().is_some());
                let mut plain = TcpStream::connect(behind).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut tls, &mut plain).await);
            });
        }
    });
    (address, shown)
}
