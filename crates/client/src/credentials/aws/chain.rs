//! Which keys the environment of a process points to, in the order of AWS's own programs.
//!
//! Must not ask anybody. Invariant: half of a source is an error and never leads on to the next: an operator who meant one
//! identity must not get another.

use std::path::PathBuf;

use url::Url;

use super::{AwsIdentity, AwsKeys, ContainerAuthorization, ContainerRole, WebIdentity};
use crate::secret::Secret;

/// Where ECS hands out the roles of its tasks.
const ECS: &str = "http://169.254.170.2";

/// The first of: keys, a web identity, a container's role, the machine's role.
pub(super) fn find(variable: impl Fn(&str) -> Option<String>) -> Result<AwsIdentity, String> {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(keys) = keys(given)? {
        return Ok(AwsIdentity::Keys(keys));
    }
    if let Some(identity) = web_identity(given)? {
        return Ok(AwsIdentity::WebIdentity(identity));
    }
    if let Some(role) = container(given)? {
        return Ok(AwsIdentity::Container(role));
    }
    if given("AWS_EC2_METADATA_DISABLED").is_some_and(|word| word.eq_ignore_ascii_case("true")) {
        return Err("there is no access key: write access_key_id and secret_access_key, or set AWS_ACCESS_KEY_ID and \
                    AWS_SECRET_ACCESS_KEY; the machine's own role is ruled out by AWS_EC2_METADATA_DISABLED"
            .to_owned());
    }
    Ok(AwsIdentity::Machine { endpoint: url(given, "AWS_EC2_METADATA_SERVICE_ENDPOINT")? })
}

fn keys(given: impl Fn(&str) -> Option<String>) -> Result<Option<AwsKeys>, String> {
    match (given("AWS_ACCESS_KEY_ID"), given("AWS_SECRET_ACCESS_KEY")) {
        (Some(access_key_id), Some(secret)) => Ok(Some(AwsKeys {
            access_key_id,
            secret_access_key: Secret::new(secret),
            session_token: given("AWS_SESSION_TOKEN").map(Secret::new),
        })),
        (None, None) => Ok(None),
        (Some(_), None) => Err("AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY".to_owned()),
        (None, Some(_)) => Err("AWS_SECRET_ACCESS_KEY is set without AWS_ACCESS_KEY_ID".to_owned()),
    }
}

fn web_identity(given: impl Fn(&str) -> Option<String>) -> Result<Option<WebIdentity>, String> {
    match (given("AWS_ROLE_ARN"), given("AWS_WEB_IDENTITY_TOKEN_FILE")) {
        (Some(role_arn), Some(file)) => Ok(Some(WebIdentity {
            role_arn,
            token_file: PathBuf::from(file),
            session_name: given("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "transship".to_owned()),
            endpoint: url(&given, "AWS_ENDPOINT_URL_STS")?,
        })),
        (_, None) => Ok(None),
        (None, Some(_)) => Err("AWS_WEB_IDENTITY_TOKEN_FILE is set without AWS_ROLE_ARN".to_owned()),
    }
}

fn container(given: impl Fn(&str) -> Option<String>) -> Result<Option<ContainerRole>, String> {
    let url =
        match (given("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), url(&given, "AWS_CONTAINER_CREDENTIALS_FULL_URI")?) {
            (Some(path), _) if path.starts_with('/') => {
                // Joined as text: a path must not name another host.
                format!("{ECS}{path}")
                    .parse()
                    .map_err(|_| "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is no path".to_owned())?
            }
            (Some(_), _) => return Err("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must begin with a slash".to_owned()),
            (None, Some(url)) => url,
            (None, None) => return Ok(None),
        };
    let file = given("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(|file| ContainerAuthorization::File(file.into()));
    let value =
        || given("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(|value| ContainerAuthorization::Value(Secret::new(value)));
    Ok(Some(ContainerRole { url, authorization: file.or_else(value) }))
}

fn url(given: impl Fn(&str) -> Option<String>, name: &str) -> Result<Option<Url>, String> {
    let Some(text) = given(name) else { return Ok(None) };
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Ok(Some(url)),
        Ok(_) | Err(_) => Err(format!("{name} is no http or https URL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<AwsIdentity, String> {
        find(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "canary")];
    const IDENTITY: [(&str, &str); 2] =
        [("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/run/token")];
    const TASK: (&str, &str) = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1");

    #[test]
    fn the_first_that_is_there_counts() {
        let all = [&KEYS[..], &IDENTITY, &[TASK]].concat();
        assert!(matches!(found(&all), Ok(AwsIdentity::Keys(_))));
        assert!(
            matches!(found(&all[2..]), Ok(AwsIdentity::WebIdentity(identity)) if identity.session_name == "transship")
        );
        let Ok(AwsIdentity::Container(role)) = found(&all[4..]) else { panic!("the task's role") };
        assert_eq!(role.url.as_str(), "http://169.254.170.2/v2/credentials/1");
        assert!(matches!(found(&[]), Ok(AwsIdentity::Machine { endpoint: None })));
        let full = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials")];
        let file = [("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/run/pod")];
        let Ok(AwsIdentity::Container(role)) = found(&[full, file].concat()) else { panic!("the pod's role") };
        assert!(matches!(role.authorization, Some(ContainerAuthorization::File(_))));
    }

    #[test]
    fn half_a_source_and_nonsense_are_errors() {
        let off = ("AWS_EC2_METADATA_DISABLED", "true");
        for wrong in [
            &KEYS[..1],
            &KEYS[1..],
            &IDENTITY[1..],
            &[off],
            &[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.example/")],
            &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "file:///etc/passwd")],
        ] {
            let error = found(wrong).map(drop).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}
