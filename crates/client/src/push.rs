//! The pushing side: blobs, manifests, and the tag that lists referrers where a registry has no API for them.
//!
//! Must not know where content comes from. Invariants: every call asks for a token that may push, so that one token does for
//! all; nothing that is sent follows a redirect to another origin.

mod blob;
mod manifest;
mod referrers_tag;
mod session;
mod source;

use http::Method;
use oci::RepositoryName;
use url::Url;

pub use self::blob::{BlobPushed, UploadRule};
pub use self::manifest::SubjectListed;
pub use self::source::{BlobSource, BlobStream, UploadError};
use crate::exchange::ExchangeKind;
use crate::handshake::Call;
use crate::registry_client::{RegistryClient, call};

impl RegistryClient {
    /// A call under a token that may push to `name`.
    fn push_call(&self, method: Method, url: Url, kind: ExchangeKind, name: &RepositoryName) -> Call {
        let scope = self.endpoint().scope(name, "pull,push");
        let mut call = call(method, url, kind, Some(scope.clone()));
        call.insists.push(scope);
        call
    }
}
