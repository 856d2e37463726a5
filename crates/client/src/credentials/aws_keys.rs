//! The access keys that AWS requests are signed with.
//!
//! Must not know what is signed. Invariant: keys of the configuration go before those of the environment, and are never
//! mixed with them.

use crate::secret::Secret;

/// An access key; temporary ones come with a session token.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    /// The public part.
    pub access_key_id: String,
    /// The secret part.
    pub secret_access_key: Secret,
    /// Of a temporary key.
    pub session_token: Option<Secret>,
}

impl AwsKeys {
    /// Those of the environment: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
    pub(super) fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        match (given("AWS_ACCESS_KEY_ID"), given("AWS_SECRET_ACCESS_KEY")) {
            (Some(access_key_id), Some(secret)) => Ok(Self {
                access_key_id,
                secret_access_key: Secret::new(secret),
                session_token: given("AWS_SESSION_TOKEN").map(Secret::new),
            }),
            _ => {
                Err("there is no access key: write access_key_id and secret_access_key, or set AWS_ACCESS_KEY_ID and \
                      AWS_SECRET_ACCESS_KEY"
                    .to_owned())
            }
        }
    }
}
