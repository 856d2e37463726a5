//! The role of a container, from the agent beside it (ECS, EKS Pod Identity).
//!
//! Must not know signing. Invariant: over plain http only this machine and the agents' fixed addresses are asked, because
//! the answer is a secret and the question may carry one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use url::{Host, Url};

use super::{AwsKeys, ContainerAuthorization, ContainerRole};
use crate::credentials::file;
use crate::credentials::ground::{Ground, Question};
use crate::egress::Reach;
use crate::redact;

/// The agents of ECS and of EKS, the latter by IPv4 and IPv6.
const AGENTS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

/// Asks for the role's keys.
pub(super) async fn keys(role: &ContainerRole, ground: &Ground) -> Result<AwsKeys, String> {
    let shown = redact::url(&role.url);
    let reach = reach(&role.url).ok_or_else(|| {
        format!(
            "{shown} is neither https, nor on this machine, nor one of the agents' fixed addresses: it is not asked"
        )
    })?;
    let secret = match &role.authorization {
        None => None,
        Some(ContainerAuthorization::Value(value)) => Some(value.clone()),
        Some(ContainerAuthorization::File(path)) => Some(file::secret(path).await?),
    };
    let mut headers = HeaderMap::new();
    if let Some(secret) = &secret {
        let value = HeaderValue::from_str(secret.expose());
        let mut value = value.map_err(|_| "the container's authorization has characters no header can carry")?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let secrets = secret.into_iter().collect();
    let question = Question { method: Method::GET, url: role.url.clone(), headers, body: Bytes::new(), secrets, reach };
    let answer = ground.ask(question).await?;
    AwsKeys::of_document(&answer).map_err(|why| format!("the answer of {shown} {why}"))
}

/// How far the agent may be; none when it must not be asked at all.
fn reach(url: &Url) -> Option<Reach> {
    let address = match url.host()? {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        Host::Domain(_) => None,
    };
    let is_near = address.is_some_and(|address| address.is_loopback() || AGENTS.contains(&address));
    match url.scheme() {
        _ if is_near => Some(Reach::Internal),
        "https" => Some(Reach::PublicOnly),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_reaches_this_machine_and_the_agents_alone() {
        let reach = |url: &str| super::reach(&url.parse().unwrap());
        for near in [
            "http://127.0.0.1:51679/role",
            "http://[::1]:80/role",
            "http://169.254.170.2/v2/credentials/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
        ] {
            assert_eq!(reach(near), Some(Reach::Internal), "{near}");
        }
        assert_eq!(reach("https://agent.example/role"), Some(Reach::PublicOnly));
        for far in [
            "http://agent.example/",
            "http://localhost/",
            "http://169.254.169.254/latest",
            "http://10.0.0.1/",
            "http://[fd00:ec2::254]/",
        ] {
            assert_eq!(reach(far), None, "{far}");
        }
    }
}
