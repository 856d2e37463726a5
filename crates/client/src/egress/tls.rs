//! TLS towards upstreams: whose certificates are accepted, and what we show.
//!
//! The system's authorities are loaded once for the process. Must not know URLs. Invariants: the check is left out only
//! where that was asked for, and never for a proxy; signatures of the handshake are verified even then.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;

use super::identity::{ClientIdentity, IdentityProblem};
use super::network::{Authorities, Network, Verification};
use crate::config::HttpVersion;

/// What TLS connections of one client accept and show.
pub(super) struct TlsRules<'a> {
    pub(super) authorities: &'a Authorities,
    pub(super) identity: Option<&'a ClientIdentity>,
    pub(super) verification: Verification,
    /// Proxies that we speak TLS with, and what is accepted of them.
    pub(super) proxies: Vec<String>,
    pub(super) proxy_authorities: &'a Authorities,
}

/// TLS as it is spoken with the upstream itself, no proxy between.
pub(crate) fn towards_upstream(network: &Network, http: HttpVersion) -> Result<ClientConfig, String> {
    let rules = TlsRules {
        authorities: &network.authorities,
        identity: network.identity.as_ref(),
        verification: network.verification,
        proxies: Vec::new(),
        proxy_authorities: &Authorities::default(),
    };
    client_config(&rules, http)
}

pub(super) fn client_config(rules: &TlsRules<'_>, http: HttpVersion) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier(rules, &provider)?);
    let mut config = match rules.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = identity.certified(&provider).map_err(|problem| match problem {
                IdentityProblem::Certificate(what) => format!("the client certificate {what}"),
                IdentityProblem::Key(what) => format!("the client key {what}"),
            })?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
    };
    config.alpn_protocols = match http {
        HttpVersion::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpVersion::Http1Only => vec![b"http/1.1".to_vec()],
    };
    Ok(config)
}

fn verifier(rules: &TlsRules<'_>, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let target: Arc<dyn ServerCertVerifier> = match rules.verification {
        Verification::Full => accepting(rules.authorities, provider)?,
        Verification::Skipped => Arc::new(Unverified(provider.clone())),
    };
    if rules.proxies.is_empty() {
        return Ok(target);
    }
    let names = rules.proxies.iter().filter_map(|host| ServerName::try_from(host.clone()).ok()).collect();
    Ok(Arc::new(ByName { names, proxy: accepting(rules.proxy_authorities, provider)?, target }))
}

/// The system's authorities and these.
fn accepting(extra: &Authorities, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    if extra.is_empty() {
        return Ok(system(provider)?);
    }
    let verifier = Verifier::new_with_extra_roots(extra.certificates(), provider.clone());
    Ok(Arc::new(verifier.map_err(|error| format!("the authorities cannot be used: {error}"))?))
}

fn system(provider: &Arc<CryptoProvider>) -> Result<Arc<Verifier>, String> {
    static SYSTEM: Mutex<Option<Arc<Verifier>>> = Mutex::new(None);
    let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(verifier) = &*system {
        return Ok(verifier.clone());
    }
    let verifier = Verifier::new(provider.clone())
        .map_err(|error| format!("the system's certificate authorities cannot be loaded: {error}"))?;
    Ok(system.insert(Arc::new(verifier)).clone())
}

/// A proxy's certificate is checked as any, whatever holds for the upstream behind it.
#[derive(Debug)]
struct ByName {
    names: Vec<ServerName<'static>>,
    proxy: Arc<dyn ServerCertVerifier>,
    target: Arc<dyn ServerCertVerifier>,
}

impl ServerCertVerifier for ByName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judge = if self.names.contains(&server_name.to_owned()) { &self.proxy } else { &self.target };
        judge.verify_server_cert(end_entity, intermediates, server_name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.target.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.target.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.target.supported_verify_schemes()
    }
}

/// Accepts any certificate whose key the server has.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
