//! Google's registries: a service account's key, or the machine's own account, is exchanged for an access token.
//!
//! Must not know challenges. Invariants: nothing is asked for an upstream whose host is not one of Google's, unless the
//! operator named the endpoint; the metadata service is asked only when it was configured.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::file;
use super::ground::{Ground, Question};
use super::source::{Lasts, Obtained};
use crate::basic::Credential;
use crate::egress::Reach;
use crate::secret::Secret;
use crate::{form, json_object};

/// The user name that goes with an access token.
const TOKEN_USER: &str = "oauth2accesstoken";

/// What the token may be used for. Artifact Registry takes no narrower one for pulls.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The metadata service of a Google machine.
const METADATA: &str = "http://169.254.169.254/";

/// Where keys are exchanged.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// How to get an access token for Google's registries.
#[derive(Clone, Debug)]
pub struct GoogleLogin {
    /// Whose.
    pub identity: GoogleIdentity,
    /// Where to ask instead of Google's own endpoint (or metadata service).
    pub endpoint: Option<Url>,
}

/// Whose access token.
#[derive(Clone, Debug)]
pub enum GoogleIdentity {
    /// That of the service account with this key (the JSON document that Google gives out).
    Key(Secret),
    /// The same in a file.
    KeyFile(PathBuf),
    /// A token that somebody else got.
    AccessToken(Secret),
    /// That of the machine's own account.
    Metadata,
}

/// The fields of a key file that count.
#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "these are the names in the file")]
struct Key {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<f64>,
}

/// Asks for a token.
pub(super) async fn obtain(login: &GoogleLogin, ground: &Ground) -> Result<Obtained, String> {
    let host = ground.host();
    if !is_google(host) && login.endpoint.is_none() {
        return Err(format!(
            "{host} is not a registry of Google's (gcr.io, *.gcr.io, *.pkg.dev), so no token is asked for; if it fronts \
             one, write the endpoint to ask"
        ));
    }
    let asked_at = Instant::now();
    let question = match &login.identity {
        GoogleIdentity::AccessToken(token) => {
            let credential = basic(token.clone());
            return Ok(Obtained { credential: Some(credential), lasts: Lasts::Always });
        }
        GoogleIdentity::Metadata => metadata(login)?,
        GoogleIdentity::Key(key) => exchange(login, key)?,
        GoogleIdentity::KeyFile(path) => {
            let key = Secret::new(file::text(path).await?);
            exchange(login, &key).map_err(|why| format!("{}: {why}", path.display()))?
        }
    };
    let answer = ground.ask(question).await?;
    let answer: Answer = json_object::parse(&answer).map_err(|why| format!("Google's answer cannot be read: {why}"))?;
    if answer.access_token.is_empty() {
        return Err("Google's answer holds an empty token".to_owned());
    }
    let lifetime = answer.expires_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let lasts = Lasts::from(asked_at, lifetime.unwrap_or(Duration::from_mins(5)));
    Ok(Obtained { credential: Some(basic(Secret::new(answer.access_token))), lasts })
}

fn is_google(host: &str) -> bool {
    host == "gcr.io" || host.ends_with(".gcr.io") || host.ends_with(".pkg.dev")
}

fn basic(token: Secret) -> Credential {
    Credential::Basic { username: TOKEN_USER.to_owned(), password: token }
}

fn metadata(login: &GoogleLogin) -> Result<Question, String> {
    let base = login.endpoint.clone().map_or_else(|| METADATA.parse(), Ok);
    let url = base
        .and_then(|base: Url| base.join("/computeMetadata/v1/instance/service-accounts/default/token"))
        .map_err(|error| format!("the endpoint is no URL: {error}"))?;
    let flavor = (HeaderName::from_static("metadata-flavor"), HeaderValue::from_static("Google"));
    let headers = HeaderMap::from_iter([flavor]);
    // The one address of this kind that is ever asked, and for this purpose alone.
    let reach = Reach::Internal;
    Ok(Question { method: Method::GET, url, headers, body: Bytes::new(), secrets: Vec::new(), reach })
}

/// The signed claim that is exchanged for a token (RFC 7523).
fn exchange(login: &GoogleLogin, key: &Secret) -> Result<Question, String> {
    let key: Key = json_object::parse(key.expose().as_bytes())
        .map_err(|why| format!("the service account's key cannot be read: {why}"))?;
    let reach = if login.endpoint.is_some() { Reach::Internal } else { Reach::PublicOnly };
    let url = login.endpoint.as_ref().map_or(TOKEN_URI, Url::as_str);
    let claim = claim(&key, url, SystemTime::now())?;
    let body =
        form::encode([("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", claim.as_str())]);
    let url = url.parse().map_err(|error| format!("the endpoint is no URL: {error}"))?;
    Ok(Question { method: Method::POST, url, headers: form::headers(), body, secrets: vec![Secret::new(claim)], reach })
}

fn claim(key: &Key, audience: &str, now: SystemTime) -> Result<String, String> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut header = serde_json::json!({"alg": "RS256", "typ": "JWT"});
    if let Some(id) = &key.private_key_id {
        header["kid"] = id.as_str().into();
    }
    let claims = serde_json::json!({
        "iss": key.client_email, "scope": SCOPE, "aud": audience, "iat": now, "exp": now + 3600,
    });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let pem = PrivatePkcs8KeyDer::from_pem_slice(key.private_key.as_bytes())
        .map_err(|_| "its private_key is not PEM of the form PKCS #8")?;
    let pair = RsaKeyPair::from_pkcs8(pem.secret_pkcs8_der()).map_err(|_| "its private_key is no usable RSA key")?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| "its private_key cannot sign")?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_googles_own_hosts() {
        for host in ["gcr.io", "eu.gcr.io", "europe-docker.pkg.dev"] {
            assert!(is_google(host), "{host}");
        }
        for host in ["evilgcr.io", "gcr.io.evil.example", "pkg.dev.evil.example", "evilpkg.dev", "docker.io"] {
            assert!(!is_google(host), "{host}");
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused_unquoted() {
        let key = |text: &str| Key { client_email: "a@b".into(), private_key: text.into(), private_key_id: None };
        for text in ["", "canary", "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n"] {
            let error = claim(&key(text), "https://t.example", SystemTime::now()).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
