//! AWS Signature Version 4 for a POST with a JSON body, as the registry services want it.
//!
//! Must not know the services. Invariant: the secret key never leaves this file but as a signature.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::aws::AwsKeys;

/// What is signed.
pub(super) struct Signed<'a> {
    pub(super) url: &'a Url,
    pub(super) service: &'a str,
    pub(super) region: &'a str,
    pub(super) target: &'static str,
    pub(super) body: &'a [u8],
    /// `YYYYMMDDTHHMMSSZ`.
    pub(super) time: &'a str,
}

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// The headers of the request, its `Authorization` among them.
pub(super) fn headers(request: &Signed<'_>, keys: &AwsKeys) -> Result<HeaderMap, String> {
    let host = request.url.host_str().unwrap_or_default();
    let host = request.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut signed = vec![("content-type", CONTENT_TYPE), ("host", host.as_str()), ("x-amz-date", request.time)];
    if let Some(token) = &keys.session_token {
        signed.push(("x-amz-security-token", token.expose()));
    }
    signed.push(("x-amz-target", request.target));
    let authorization = authorization(request, keys, &signed);
    let mut headers = HeaderMap::new();
    for (name, value) in signed.into_iter().filter(|(name, _)| *name != "host") {
        headers.insert(HeaderName::from_static(name), sensitive(value)?);
    }
    headers.insert(http::header::AUTHORIZATION, sensitive(&authorization)?);
    Ok(headers)
}

fn authorization(request: &Signed<'_>, keys: &AwsKeys, signed: &[(&'static str, &str)]) -> String {
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines = signed.iter().fold(String::new(), |lines, (name, value)| lines + name + ":" + value.trim() + "\n");
    let path = request.url.path();
    let canonical =
        format!("POST\n{path}\n\n{lines}\n{names}\n{}", hex::encode(digest(&SHA256, request.body).as_ref()));
    let day = request.time.get(..8).unwrap_or_default();
    let scope = format!("{day}/{}/{}/aws4_request", request.region, request.service);
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        request.time,
        hex::encode(digest(&SHA256, canonical.as_bytes()).as_ref())
    );
    let mut key = format!("AWS4{}", keys.secret_access_key.expose()).into_bytes();
    for part in [day, request.region, request.service, "aws4_request", &to_sign] {
        key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    let (id, signature) = (&keys.access_key_id, hex::encode(&key));
    format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
}

fn sensitive(value: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::from_str(value).map_err(|_| "an AWS key or token has characters no header can carry")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    /// The chain of keys of the published example (AWS documentation, "derive a signing key"): a known input, a known key.
    #[test]
    fn the_signing_key_is_that_of_the_published_example() {
        let mut key = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec();
        for part in ["20150830", "us-east-1", "iam", "aws4_request"] {
            key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
        }
        assert_eq!(hex::encode(&key), "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9");
    }

    #[test]
    fn everything_that_matters_is_signed() {
        let keys = AwsKeys {
            access_key_id: "AKID".into(),
            secret_access_key: Secret::new("canary"),
            session_token: Some(Secret::new("session")),
        };
        let url: Url = "https://api.ecr.eu-west-1.amazonaws.com/".parse().unwrap();
        let sign = |body: &'static [u8], region| {
            let (service, target, time) = ("ecr", "T.GetAuthorizationToken", "20260102T030405Z");
            let request = Signed { url: &url, service, region, target, body, time };
            headers(&request, &keys).unwrap()
        };
        let one = sign(b"{}", "eu-west-1");
        let text = one["authorization"].to_str().unwrap();
        let signed = "Credential=AKID/20260102/eu-west-1/ecr/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=";
        assert!(text.contains(signed), "{text}");
        assert!(one["authorization"].is_sensitive() && one["x-amz-security-token"].is_sensitive());
        assert!(!format!("{one:?}").contains("canary"));
        assert_ne!(one["authorization"], sign(b"{ }", "eu-west-1")["authorization"]);
        assert_ne!(one["authorization"], sign(b"{}", "eu-west-2")["authorization"]);
    }
}
