//! The role of a Kubernetes service account: its token is exchanged at AWS's token service (`AssumeRoleWithWebIdentity`).
//!
//! Must not know signing. Invariants: the token goes to the token service of the region, or where the operator says, over
//! https unless they say otherwise; the answer is read for three fields and nothing of it is quoted.

use http::header::ACCEPT;
use http::{HeaderValue, Method};
use url::Url;

use super::{AwsKeys, WebIdentity};
use crate::credentials::file;
use crate::credentials::ground::{Ground, Question};
use crate::egress::Reach;
use crate::form;

/// Asks for the role's keys.
pub(super) async fn keys(identity: &WebIdentity, region: &str, ground: &Ground) -> Result<AwsKeys, String> {
    let (url, reach) = service(identity, region)?;
    let token = file::secret(&identity.token_file).await?;
    let body = form::encode([
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", "2011-06-15"),
        ("RoleArn", identity.role_arn.as_str()),
        ("RoleSessionName", identity.session_name.as_str()),
        ("WebIdentityToken", token.expose()),
    ]);
    let mut headers = form::headers();
    headers.insert(ACCEPT, HeaderValue::from_static("application/xml"));
    let question = Question { method: Method::POST, url, headers, body, secrets: vec![token], reach };
    let answer = ground.ask(question).await?;
    let answer = std::str::from_utf8(&answer).map_err(|_| "the token service's answer is not text".to_owned())?;
    let part = |name: &str| element(answer, name).map(str::to_owned);
    AwsKeys::temporary(part("AccessKeyId"), part("SecretAccessKey"), part("SessionToken"))
        .ok_or_else(|| "the token service's answer holds no whole set of temporary keys".to_owned())
}

/// The token service of the region (whose name was checked), which stands in China under another domain.
fn service(identity: &WebIdentity, region: &str) -> Result<(Url, Reach), String> {
    if let Some(endpoint) = &identity.endpoint {
        return Ok((endpoint.clone(), Reach::Internal));
    }
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let url = format!("https://sts.{region}.{domain}/").parse();
    url.map(|url| (url, Reach::PublicOnly)).map_err(|error| format!("no token service for region {region}: {error}"))
}

/// The text of the one element of this name. Keys are base64 and have nothing to be escaped: what has is no key.
fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (text, after) = rest.split_once(&format!("</{name}>"))?;
    let is_plain = !text.contains(['<', '>', '&']) && !text.is_empty();
    (is_plain && !after.contains(&format!("<{name}>"))).then(|| text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_service_is_the_regions() {
        let identity = WebIdentity {
            role_arn: String::new(),
            token_file: "/t".into(),
            session_name: String::new(),
            endpoint: None,
        };
        let at = |region: &str| service(&identity, region).map(|(url, reach)| (url.to_string(), reach)).unwrap();
        assert_eq!(at("eu-west-1"), ("https://sts.eu-west-1.amazonaws.com/".to_owned(), Reach::PublicOnly));
        assert_eq!(at("cn-north-1").0, "https://sts.cn-north-1.amazonaws.com.cn/");
    }

    #[test]
    fn only_plain_and_single_elements_are_read() {
        assert_eq!(element("<a><K>x+/=</K></a>", "K"), Some("x+/="));
        for wrong in ["<K></K>", "<K>a&amp;b</K>", "<K>a<b/></K>", "<K>a</K><K>b</K>", "<K>a", "none"] {
            assert_eq!(element(wrong, "K"), None, "{wrong}");
        }
    }
}
