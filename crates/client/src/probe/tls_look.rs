//! One TLS handshake for its own sake: version, application protocol, certificate and how long it lasts.
//!
//! The certificate is verified as for a pull; no byte of HTTP is sent. Must not know HTTP. Invariant: an untrusted
//! certificate is a failure here, never a note.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::report::{Check, CheckId, Outcome};
use super::seen::text;
use crate::error::chain;

/// A certificate that ends sooner should be looked at now.
const SOON_DAYS: i64 = 14;

const MEANING_FAIL: &str = "no pull gets through until this is put right; what is cached is served";

pub(super) async fn check(url: &Url, stream: TcpStream, patience: Duration) -> Check {
    let started = Instant::now();
    match timeout(patience, shake_hands(url, stream)).await {
        Ok(Ok(stream)) => judged(&stream, started.elapsed()),
        Ok(Err(why)) => Check::new(CheckId::Tls, Outcome::Fail, text(&why), MEANING_FAIL),
        Err(_) => {
            let seen = format!("no TLS handshake in {} s", patience.as_secs());
            Check::new(CheckId::Tls, Outcome::Fail, seen, MEANING_FAIL)
        }
    }
}

async fn shake_hands(url: &Url, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| chain(&error))
}

fn judged(stream: &TlsStream<TcpStream>, took: Duration) -> Check {
    let (_, session) = stream.get_ref();
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
        other => format!("{other:?}"),
    };
    let protocol = session.alpn_protocol().map_or("none".to_owned(), |name| String::from_utf8_lossy(name).into_owned());
    let mut seen = format!("{version}, ALPN {protocol}, {} ms", took.as_millis());
    let days = session.peer_certificates().and_then(|chain| chain.first()).and_then(|leaf| {
        let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
        let issuer = text(&certificate.issuer().to_string());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs().cast_signed());
        let days = (certificate.validity().not_after.timestamp() - now) / 86_400;
        seen = format!("{seen}; certificate of {issuer}, trusted, {days} days left");
        Some(days)
    });
    match days {
        Some(days) if days < SOON_DAYS => {
            let meaning = "the certificate ends soon; then no pull gets through";
            Check::new(CheckId::Tls, Outcome::Degraded, seen, meaning)
        }
        Some(_) | None => Check::new(CheckId::Tls, Outcome::Pass, seen, "nobody on the way can change what is cached"),
    }
}
