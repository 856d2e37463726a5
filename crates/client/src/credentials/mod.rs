//! Which credential goes to an upstream, and where it comes from.
//!
//! | file | part |
//! |---|---|
//! | `store` | what was configured: named entries, each for all repositories or those below a prefix |
//! | `accounts` | the store of one upstream at work: picks, rests and rejects |
//! | `keeper` | one entry's credential: obtained once for all who wait, renewed, never twice at a time |
//! | `source` | the kinds of sources, and who obtains for each |
//! | `file`, `docker_config` | what stands in files |
//! | `program`, `helper`, `exec` | what programs of the operator's print |
//! | `ground`, `ecr`, `google`, `azure` | what cloud services hand out; `aws` has the keys that `sigv4` signs with for AWS |
//!
//! Must not know challenges or when a credential is sent. Invariant: secrets stand in `Secret` from the moment they are
//! read; a name that is shown (entry, kind) is never one.

mod accounts;
mod aws;
mod azure;
mod docker_config;
mod ecr;
mod exec;
mod file;
mod google;
mod ground;
mod helper;
mod keeper;
mod program;
mod sigv4;
mod source;
mod store;

pub(crate) use accounts::Accounts;
pub use aws::{AwsIdentity, AwsKeys, ContainerAuthorization, ContainerRole, WebIdentity};
pub use azure::{AzureIdentity, AzureLogin};
pub use ecr::EcrLogin;
pub use exec::ExecHelper;
pub use google::{GoogleIdentity, GoogleLogin};
pub(crate) use ground::Ground;
pub(crate) use keeper::Resolved;
pub use source::CredentialSource;
pub use store::{CredentialEntry, CredentialLabel, CredentialStore};
