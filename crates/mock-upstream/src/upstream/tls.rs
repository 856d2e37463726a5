//! A certificate for loopback, signed by an authority made on the spot.
//!
//! Must not know: who trusts it. Invariant: keys live in memory only.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A server configuration and the authority that vouches for it.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) authority_pem: String,
    pub(crate) server: Arc<ServerConfig>,
}

impl Certificate {
    /// For `127.0.0.1` and `localhost`; HTTP/1.1 only.
    pub(crate) fn for_loopback() -> Self {
        let authority_key = KeyPair::generate().expect("a key can be made");
        let mut authority = CertificateParams::new(Vec::new()).expect("no names, no errors");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_pem = authority.self_signed(&authority_key).expect("a key signs its own certificate").pem();
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().expect("a key can be made");
        let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("localhost is a DNS name");
        leaf.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let leaf = leaf.signed_by(&key, &issuer).expect("the authority signs");

        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a generated key is PKCS#8");
        let mut server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("key and certificate belong together");
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { authority_pem, server: Arc::new(server) }
    }
}
