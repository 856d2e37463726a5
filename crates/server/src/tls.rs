//! TLS: the certificate we present, and how it is replaced while running.
//!
//! Must not know HTTP beyond its ALPN names. Invariant: the resolver always holds a certificate whose key fits; a
//! reload that fails for whatever reason leaves the old one in use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Why a certificate could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file cannot be read or is not PEM.
    #[error("cannot read certificates from {}: {source}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The certificate file holds no certificate.
    #[error("no certificate in {}; expected PEM blocks 'BEGIN CERTIFICATE', the server's own first", .0.display())]
    NoCertificate(PathBuf),
    /// The key file cannot be read, is not PEM or holds no key.
    #[error("cannot read the private key from {}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The key does not fit the certificate, or its kind is not supported.
    #[error("the key in {} cannot be used with the certificate in {}: {source}", key.display(), certificate.display())]
    Unusable {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be configured: {0}")]
    Setup(rustls::Error),
}

/// Our side of TLS. Cheap to clone; clones share the certificate.
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The certificate in use.
#[derive(Debug)]
struct Current {
    key: ArcSwap<CertifiedKey>,
    provider: Arc<CryptoProvider>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.load_full())
    }
}

impl Tls {
    /// Loads the certificate chain and its private key, both PEM.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
        let provider = Arc::new(default_provider());
        let first = read(&files, &provider)?;
        let current = Arc::new(Current { key: ArcSwap::from_pointee(first), provider: provider.clone() });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { files: Arc::new(files), current, config: Arc::new(config) })
    }

    /// Reads the files again. Connections accepted from now on get the new certificate; on error nothing changes.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = read(&self.files, &self.current.provider)?;
        self.current.key.store(Arc::new(fresh));
        Ok(())
    }

    /// The files to watch for changes: certificate, key.
    pub fn files(&self) -> [&Path; 2] {
        [&self.files.certificate, &self.files.key]
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

fn read(files: &Files, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Certificate { path: files.certificate.clone(), source })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(files.certificate.clone()));
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::Key { path: files.key.clone(), source })?;
    CertifiedKey::from_der(chain, key, provider).map_err(|source| TlsError::Unusable {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey as Generated, generate_simple_self_signed};

    fn write(folder: &Path, name: &str) -> (PathBuf, PathBuf, Vec<u8>) {
        let Generated { cert, signing_key } = generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        std::fs::write(&certificate, cert.pem()).unwrap();
        std::fs::write(&key, signing_key.serialize_pem()).unwrap();
        (certificate, key, cert.der().to_vec())
    }

    fn presented(tls: &Tls) -> Vec<u8> {
        tls.current.key.load().cert[0].to_vec()
    }

    #[test]
    fn a_good_pair_replaces_the_certificate_and_a_bad_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key, first) = write(folder.path(), "one.example");
        let tls = Tls::load(&certificate, &key).unwrap();
        assert_eq!(presented(&tls), first);

        let (_, _, second) = write(folder.path(), "two.example");
        tls.reload().unwrap();
        assert_eq!(presented(&tls), second);

        for (file, text) in [(&certificate, "not pem"), (&certificate, ""), (&key, "-----BEGIN PRIVATE KEY-----\nxx")] {
            let kept = std::fs::read(file).unwrap();
            std::fs::write(file, text).unwrap();
            tls.reload().unwrap_err();
            assert_eq!(presented(&tls), second, "after {text:?}");
            std::fs::write(file, kept).unwrap();
        }
        std::fs::remove_file(&key).unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::Key { .. })));
        assert_eq!(presented(&tls), second);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key, _) = write(folder.path(), "one.example");
        let foreign = generate_simple_self_signed(vec!["other.example".to_owned()]).unwrap();
        std::fs::write(&key, foreign.signing_key.serialize_pem()).unwrap();
        assert!(matches!(Tls::load(&certificate, &key), Err(TlsError::Unusable { .. })));
    }
}
