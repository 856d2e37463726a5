//! Amazon's registries: an access key is exchanged for a login that lives twelve hours.
//!
//! Must not know challenges. Invariant: nothing is asked for an upstream whose host is not one of Amazon's, unless the
//! operator named the endpoint.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::aws::AwsIdentity;
use super::ground::{Ground, Question};
use super::sigv4::{Signed, headers};
use super::source::{Lasts, Obtained};
use crate::basic::Credential;
use crate::egress::Reach;
use crate::json_object;
use crate::secret::Secret;

/// The host of ECR Public, whose one endpoint for logins is in us-east-1.
const PUBLIC_HOST: &str = "public.ecr.aws";

/// A login that says no end is used this long.
const DEFAULT_LIFETIME: Duration = Duration::from_hours(1);

/// How to get a login for ECR.
#[derive(Clone, Debug, Default)]
pub struct EcrLogin {
    /// Whose keys the request is signed with.
    pub identity: AwsIdentity,
    /// The region; without it, that of the upstream's host name, or `AWS_REGION`.
    pub region: Option<String>,
    /// Where to ask instead of Amazon's own endpoint; without it, `AWS_ENDPOINT_URL_ECR`.
    pub endpoint: Option<Url>,
}

/// Which service, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Service {
    name: &'static str,
    target: &'static str,
    region: String,
    endpoint: String,
    reach: Reach,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    authorization_data: OneOrMany,
}

/// ECR answers with a list of one, ECR Public with the object itself.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Login),
    Many(Vec<Login>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Login {
    authorization_token: String,
    expires_at: Option<f64>,
}

/// Asks for a login.
pub(super) async fn obtain(login: &EcrLogin, ground: &Ground) -> Result<Obtained, String> {
    let variable = |name: &str| std::env::var(name).ok();
    let service = service(login, ground.host(), variable)?;
    let keys = login.identity.keys(&service.region, ground).await?;
    let url: Url = service.endpoint.parse().map_err(|error| format!("the endpoint is no URL: {error}"))?;
    let asked_at = (Instant::now(), SystemTime::now());
    let time = humantime::format_rfc3339_seconds(asked_at.1).to_string().replace(['-', ':'], "");
    let body = Bytes::from_static(b"{}");
    let Service { name, target, region, reach, .. } = &service;
    let headers = headers(&Signed { url: &url, service: name, region, target, body: &body, time: &time }, &keys)?;
    let secrets: Vec<Secret> = [keys.secret_access_key].into_iter().chain(keys.session_token).collect();
    let question = Question { method: Method::POST, url, headers, body, secrets, reach: *reach };
    let answer = ground.ask(question).await?;
    read(&answer, asked_at).map_err(|why| format!("the answer of {} {why}", service.endpoint))
}

fn read(answer: &[u8], (asked_at, asked_when): (Instant, SystemTime)) -> Result<Obtained, String> {
    let answer: Answer = json_object::parse(answer).map_err(|why| format!("cannot be read: {why}"))?;
    let login = match answer.authorization_data {
        OneOrMany::One(login) => Some(login),
        OneOrMany::Many(logins) => logins.into_iter().next(),
    };
    let login = login.ok_or("holds no login")?;
    let pair = STANDARD.decode(&login.authorization_token).ok().and_then(|pair| String::from_utf8(pair).ok());
    let (username, password) = pair
        .as_deref()
        .and_then(|pair| pair.split_once(':'))
        .ok_or("holds a login that is not base64 of user:password")?;
    let credential = Credential::Basic { username: username.to_owned(), password: Secret::new(password) };
    let ends = login.expires_at.and_then(|at| Duration::try_from_secs_f64(at).ok());
    let lifetime = ends.map_or(DEFAULT_LIFETIME, |ends| {
        (SystemTime::UNIX_EPOCH + ends).duration_since(asked_when).unwrap_or_default()
    });
    Ok(Obtained { credential: Some(credential), lasts: Lasts::from(asked_at, lifetime) })
}

/// Where the login for this upstream comes from.
fn service(login: &EcrLogin, host: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Service, String> {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    let endpoint = login.endpoint.as_ref().map(Url::to_string).or_else(|| given("AWS_ENDPOINT_URL_ECR"));
    let reach = if endpoint.is_some() { Reach::Internal } else { Reach::PublicOnly };
    if host == PUBLIC_HOST {
        let endpoint = endpoint.unwrap_or_else(|| "https://api.ecr-public.us-east-1.amazonaws.com/".to_owned());
        let target = "SpencerFrontendService.GetAuthorizationToken";
        return Ok(Service { name: "ecr-public", target, region: "us-east-1".into(), endpoint, reach });
    }
    let own = place(host);
    if own.is_none() && login.endpoint.is_none() {
        return Err(format!(
            "{host} is not a host of ECR (<account>.dkr.ecr.<region>.amazonaws.com or public.ecr.aws), so no login is \
             asked for; if it fronts one, write the endpoint to ask"
        ));
    }
    let (host_region, suffix) = own.unwrap_or_default();
    let region = login.region.clone().or_else(|| Some(host_region).filter(|region| !region.is_empty()));
    let region = region.or_else(|| given("AWS_REGION")).or_else(|| given("AWS_DEFAULT_REGION"));
    let region = region.ok_or("there is no region: write one, or set AWS_REGION")?;
    if !is_region(&region) {
        return Err(format!("{region} is no region: it becomes a part of host names"));
    }
    let endpoint = endpoint.unwrap_or_else(|| format!("https://api.ecr.{region}.{suffix}/"));
    let target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
    Ok(Service { name: "ecr", target, region, endpoint, reach })
}

/// Region, and domain of the endpoints, of a host of ECR; none for any other.
fn place(host: &str) -> Option<(String, &'static str)> {
    let labels: Vec<&str> = host.split('.').collect();
    let (account, region, domain) = match labels.as_slice() {
        [account, "dkr", "ecr" | "ecr-fips", region, "amazonaws", "com"]
        | [account, "dkr-ecr" | "dkr-ecr-fips", region, "on", "aws"] => (account, region, "amazonaws.com"),
        [account, "dkr", "ecr", region, "amazonaws", "com", "cn"] => (account, region, "amazonaws.com.cn"),
        _ => return None,
    };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    (is_account && is_region(region)).then(|| ((*region).to_owned(), domain))
}

fn is_region(region: &str) -> bool {
    region.contains('-') && region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_amazons_own_hosts_are_asked_for() {
        let none = |_: &str| None;
        let login = EcrLogin::default();
        let endpoint = |host: &str| service(&login, host, none).map(|service| (service.endpoint, service.reach));
        for (host, expected) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "https://api.ecr.eu-west-1.amazonaws.com/"),
            ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "https://api.ecr.us-gov-west-1.amazonaws.com/"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "https://api.ecr.cn-north-1.amazonaws.com.cn/"),
            ("123456789012.dkr-ecr.eu-west-1.on.aws", "https://api.ecr.eu-west-1.amazonaws.com/"),
            ("public.ecr.aws", "https://api.ecr-public.us-east-1.amazonaws.com/"),
        ] {
            assert_eq!(endpoint(host).unwrap(), (expected.to_owned(), Reach::PublicOnly));
        }
        for host in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
            "x.123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "12345.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.evil.amazonaws.com",
            "public.ecr.aws.evil.example",
            "evilpublic.ecr.aws",
            "r.example",
        ] {
            endpoint(host).expect_err(host);
            let from_env = |name: &str| (name == "AWS_ENDPOINT_URL_ECR").then(|| "https://e.example/".to_owned());
            service(&login, host, from_env).expect_err("the environment names no upstream");
        }
        let named = EcrLogin { endpoint: Some("http://127.0.0.1:1/".parse().unwrap()), ..EcrLogin::default() };
        service(&named, "r.example", none).expect_err("no region");
        let odd = |name: &str| (name == "AWS_REGION").then(|| "evil.example/#-".to_owned());
        service(&named, "r.example", odd).expect_err("no region");
        let region = |name: &str| (name == "AWS_REGION").then(|| "eu-west-1".to_owned());
        assert_eq!(service(&named, "r.example", region).unwrap().endpoint, "http://127.0.0.1:1/");
    }

    #[test]
    fn both_shapes_of_answers_are_read() {
        let when = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let now = Instant::now();
        for answer in [
            r#"{"authorizationData":[{"authorizationToken":"QVdTOnB3","expiresAt":44200.5,"proxyEndpoint":"x"}]}"#,
            r#"{"authorizationData":{"authorizationToken":"QVdTOnB3","expiresAt":44200.5}}"#,
        ] {
            let obtained = read(answer.as_bytes(), (now, when)).unwrap();
            assert!(
                matches!(obtained.credential, Some(Credential::Basic { username, password }) if username == "AWS" && password.expose() == "pw")
            );
            assert!(matches!(obtained.lasts, Lasts::Until { expires_at, .. } if (expires_at - now).as_secs() == 43200));
        }
        for answer in
            ["{}", r#"{"authorizationData":[]}"#, r#"{"authorizationData":[{"authorizationToken":"canary!"}]}"#]
        {
            let error = read(answer.as_bytes(), (now, when)).unwrap_err();
            assert!(!error.contains("canary"));
        }
    }
}
