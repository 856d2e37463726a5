//! Which credential goes to an upstream, and where it comes from.
//!
//! | file | part |
//! |---|---|
//! | `store` | what was configured: named entries, each for all repositories or those below a prefix |
//! | `accounts` | the store of one upstream at work: picks, rests and rejects |
//! | `keeper` | one entry's credential: obtained once for all who wait, renewed, never twice at a time |
//! | `source` | the kinds of sources, and who obtains for each |
//!
//! Must not know challenges or when a credential is sent. Invariant: secrets stand in `Secret` from the moment they are
//! read; a name that is shown (entry, kind) is never one.

mod accounts;
mod file;
mod keeper;
mod source;
mod store;

pub(crate) use accounts::Accounts;
pub(crate) use keeper::Resolved;
pub use source::CredentialSource;
pub use store::{CredentialEntry, CredentialLabel, CredentialStore};
