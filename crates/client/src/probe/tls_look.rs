//! One TLS handshake for its own sake: version, application protocol, certificate and how long it lasts.
//!
//! The certificate is verified as for a pull, by the same rules; no byte of HTTP is sent. Must not know HTTP. Invariant: a
//! certificate that a pull would refuse is a failure here, never a note.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ProtocolVersion;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::report::{Check, CheckId, Outcome};
use super::seen::text;
use crate::config::UpstreamConfig;
use crate::egress::{Verification, towards_upstream};
use crate::error::chain;

/// A certificate that ends sooner should be looked at now.
const SOON_DAYS: i64 = 14;

const MEANING_FAIL: &str = "no pull gets through until this is put right; what is cached is served";

pub(super) async fn check(config: &UpstreamConfig, url: &Url, stream: TcpStream) -> Check {
    let (started, patience) = (Instant::now(), config.timeouts.connect);
    match timeout(patience, shake_hands(config, url, stream)).await {
        Ok(Ok(stream)) => judged(&stream, started.elapsed(), config.network.verification),
        Ok(Err(why)) => Check::new(CheckId::Tls, Outcome::Fail, text(&why), MEANING_FAIL),
        Err(_) => {
            let seen = format!("no TLS handshake in {} s", patience.as_secs());
            Check::new(CheckId::Tls, Outcome::Fail, seen, MEANING_FAIL)
        }
    }
}

async fn shake_hands(config: &UpstreamConfig, url: &Url, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
    let tls = towards_upstream(&config.network, config.http)?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    TlsConnector::from(Arc::new(tls)).connect(name, stream).await.map_err(|error| chain(&error))
}

fn judged(stream: &TlsStream<TcpStream>, took: Duration, verification: Verification) -> Check {
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
        let trust = match verification {
            Verification::Full => "trusted",
            Verification::Skipped => "not verified",
        };
        seen = format!("{seen}; certificate of {issuer}, {trust}, {days} days left");
        Some(days)
    });
    if verification == Verification::Skipped {
        let meaning = "whoever is on the way can read the login and change what is cached by tag";
        return Check::new(CheckId::Tls, Outcome::Degraded, seen, meaning);
    }
    match days {
        Some(days) if days < SOON_DAYS => {
            let meaning = "the certificate ends soon; then no pull gets through";
            Check::new(CheckId::Tls, Outcome::Degraded, seen, meaning)
        }
        Some(_) | None => Check::new(CheckId::Tls, Outcome::Pass, seen, "nobody on the way can change what is cached"),
    }
}
