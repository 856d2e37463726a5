//! A client certificate with its key.
//!
//! Must not know who asks for it. Invariants: the key fits the certificate, and is never shown.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// What we show to a server that asks who we are (mutual TLS). Cheap to clone.
#[derive(Clone)]
pub struct ClientIdentity(Arc<Parts>);

struct Parts {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl ClientIdentity {
    /// Reads the certificate chain, our own certificate first, and its private key.
    ///
    /// # Errors
    /// Which of the two is wrong, and how.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityProblem> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| IdentityProblem::Certificate(format!("is not PEM: {error}")))?;
        if chain.is_empty() {
            let what = "holds no certificate; expected PEM blocks 'BEGIN CERTIFICATE', our own first";
            return Err(IdentityProblem::Certificate(what.to_owned()));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| IdentityProblem::Key("holds no private key in PEM (PKCS#8, PKCS#1 or SEC1)".to_owned()))?;
        let identity = Self(Arc::new(Parts { chain, key }));
        identity.certified(&rustls::crypto::aws_lc_rs::default_provider())?;
        Ok(identity)
    }

    pub(super) fn certified(&self, provider: &CryptoProvider) -> Result<CertifiedKey, IdentityProblem> {
        CertifiedKey::from_der(self.0.chain.clone(), self.0.key.clone_key(), provider)
            .map_err(|error| IdentityProblem::Key(format!("cannot be used with the certificate: {error}")))
    }
}

/// Why a client certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityProblem {
    /// The certificate chain.
    Certificate(String),
    /// The key, by itself or with this certificate.
    Key(String),
}

impl PartialEq for ClientIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.0.chain == other.0.chain && self.0.key.secret_der() == other.0.key.secret_der()
    }
}

impl Eq for ClientIdentity {}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ClientIdentity([redacted])")
    }
}
