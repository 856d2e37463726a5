//! Where the keys come from that requests to AWS are signed with.
//!
//! | file | part |
//! |---|---|
//! | `keys` | the keys themselves, and those of the environment |
//! | `chain` | which source the environment of the process points to |
//! | `web_identity` | a service account's token is exchanged for the keys of a role (IRSA) |
//! | `container` | the agent beside a container hands them out (ECS, EKS) |
//! | `machine` | the metadata service of the machine does (IMDSv2) |
//!
//! Must not know what is signed. Invariants: keys of the configuration are never mixed with others; plain http is spoken
//! only with the fixed addresses of the metadata services, with this machine, and with what the operator named.

mod chain;
mod container;
mod keys;
mod machine;
mod web_identity;

use std::path::PathBuf;

use url::Url;

pub use self::keys::AwsKeys;
use super::ground::Ground;

/// Whose keys requests to AWS are signed with.
#[derive(Clone, Debug, Default)]
pub enum AwsIdentity {
    /// These.
    Keys(AwsKeys),
    /// Those that the environment of the process names: keys, a web identity, a container's role, the machine's role.
    #[default]
    Environment,
    /// A role that a web identity's token is exchanged for.
    WebIdentity(WebIdentity),
    /// The role of the container.
    Container(ContainerRole),
    /// The role of the machine.
    Machine {
        /// Scheme, host and port of the metadata service in place of its fixed address.
        endpoint: Option<Url>,
    },
}

/// A role, and the token that it is given for (`AssumeRoleWithWebIdentity`).
#[derive(Clone, Debug)]
pub struct WebIdentity {
    /// The role's ARN.
    pub role_arn: String,
    /// The file with the token; it is read at each use, because it is renewed from outside.
    pub token_file: PathBuf,
    /// What the session is called in AWS's logs.
    pub session_name: String,
    /// Where to ask in place of the region's own token service.
    pub endpoint: Option<Url>,
}

/// The service that hands out a container's role.
#[derive(Clone, Debug)]
pub struct ContainerRole {
    /// What is asked.
    pub url: Url,
    /// The file with the value of `Authorization`, or the value itself.
    pub authorization: Option<ContainerAuthorization>,
}

/// What a container shows to the service that hands out its role.
#[derive(Clone, Debug)]
pub enum ContainerAuthorization {
    /// The value.
    Value(crate::secret::Secret),
    /// A file that holds it, read at each use.
    File(PathBuf),
}

impl AwsIdentity {
    /// The keys of now. The error is a reason in words.
    pub(super) async fn keys(&self, region: &str, ground: &Ground) -> Result<AwsKeys, String> {
        let found;
        let identity = match self {
            Self::Environment => {
                found = chain::find(|name| std::env::var(name).ok())?;
                &found
            }
            Self::Keys(_) | Self::WebIdentity(_) | Self::Container(_) | Self::Machine { .. } => self,
        };
        match identity {
            Self::Keys(keys) => Ok(keys.clone()),
            Self::WebIdentity(identity) => web_identity::keys(identity, region, ground).await,
            Self::Container(role) => container::keys(role, ground).await,
            Self::Machine { endpoint } => machine::keys(endpoint.as_ref(), ground).await,
            Self::Environment => Err("the environment names itself".to_owned()),
        }
    }
}
