//! The role of the machine, from its metadata service (version 2: a session token first).
//!
//! Must not know signing. Invariants: the old version, which answers whoever can make this process send a GET, is never
//! asked; of the service only the three paths below are.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use super::AwsKeys;
use crate::credentials::ground::{Ground, Question};
use crate::egress::Reach;
use crate::secret::Secret;

/// The service's fixed address, which reaches no further than the machine's own link.
const SERVICE: &str = "http://169.254.169.254/";

/// How long the session may last, in seconds: for the questions that follow at once.
const SESSION_SECONDS: HeaderValue = HeaderValue::from_static("60");
const SESSION_TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const SESSION: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");

const SESSION_PATH: &str = "/latest/api/token";
const ROLES_PATH: &str = "/latest/meta-data/iam/security-credentials/";

/// Longest name of a role (IAM).
const MAX_ROLE: usize = 64;

/// Asks for the keys of the machine's role.
pub(super) async fn keys(endpoint: Option<&Url>, ground: &Ground) -> Result<AwsKeys, String> {
    let service = match endpoint {
        Some(endpoint) => endpoint.clone(),
        None => SERVICE.parse().map_err(|error| format!("the metadata service's address: {error}"))?,
    };
    let at = |path: &str| {
        let mut url = service.clone();
        url.set_path(path);
        url.set_query(None);
        url
    };
    let ask = |method, path: &str, header: (HeaderName, HeaderValue), secrets: &[Secret]| {
        let headers = HeaderMap::from_iter([header]);
        let (url, secrets) = (at(path), secrets.to_vec());
        ground.ask(Question { method, url, headers, body: Bytes::new(), secrets, reach: Reach::Internal })
    };
    let session = ask(Method::PUT, SESSION_PATH, (SESSION_TTL, SESSION_SECONDS), &[]).await?;
    let session = text(&session).ok_or("the machine's metadata service gave no session token")?;
    let mut shown = HeaderValue::from_str(session).map_err(|_| "the machine's session token fits no header")?;
    shown.set_sensitive(true);
    let secrets = [Secret::new(session)];
    let roles = ask(Method::GET, ROLES_PATH, (SESSION, shown.clone()), &secrets).await?;
    let role = text(&roles).and_then(|roles| roles.lines().next()).filter(|role| is_role(role));
    let role = role.ok_or("the machine has no role: give it an instance profile")?;
    let answer = ask(Method::GET, &format!("{ROLES_PATH}{role}"), (SESSION, shown), &secrets).await?;
    AwsKeys::of_document(&answer).map_err(|why| format!("the metadata service's document of role {role} {why}"))
}

fn text(answer: &[u8]) -> Option<&str> {
    std::str::from_utf8(answer).ok().map(str::trim).filter(|text| !text.is_empty())
}

/// Whether this can be a role's name (IAM: letters, digits and `+=,.@_-`): it becomes a part of a path.
fn is_role(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    !name.is_empty() && name.len() <= MAX_ROLE && name.bytes().all(fits) && !matches!(name, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::is_role;

    #[test]
    fn a_role_cannot_lead_elsewhere() {
        assert!(is_role("ecr-puller") && is_role("a+b=c,d.e@f_g"));
        for wrong in ["", "..", ".", "a/b", "a?b", "a b", "<html>", &"a".repeat(65)] {
            assert!(!is_role(wrong), "{wrong}");
        }
    }
}
