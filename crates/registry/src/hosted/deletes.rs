//! Taking back what was pushed. Gone at once for everybody; bytes that no name has any more go too.
//!
//! Must not know HTTP. Invariant: what an immutable tag leads to stays (`metadata::DeleteRefused`).

use oci::{Digest, Reference};

use super::Hosted;
use super::access::Pusher;
use super::error::{HostedError, delete_refused};
use super::repository::HostedRoute;
use super::spec::Immutability;

impl Hosted {
    /// Deletes a tag, or a manifest with all its tags.
    pub(crate) async fn delete_manifest(
        &self,
        route: &HostedRoute,
        pusher: Pusher,
        reference: &Reference,
    ) -> Result<(), HostedError> {
        refuse_if_whole(route)?;
        let immutable = |tag: &oci::Tag| route.repo.spec().is_immutable(tag);
        let unknown = || HostedError::ManifestUnknown(format!("{}:{reference}", route.name).into());
        let refused = |refused| delete_refused(&refused, unknown());
        match reference {
            Reference::Tag(tag) => {
                let delete = || self.metadata.delete_hosted_tag(route.place(), tag, pusher.as_str(), &immutable);
                self.with_reserve(delete).await?.map_err(refused)
            }
            Reference::Digest(digest) => {
                let delete =
                    || self.metadata.delete_hosted_manifest(route.place(), digest, pusher.as_str(), &immutable);
                self.with_reserve(delete).await?.map_err(refused)?;
                self.free(digest).await;
                Ok(())
            }
        }
    }

    /// Takes a blob away from a name.
    pub(crate) async fn delete_blob(&self, route: &HostedRoute, digest: &Digest) -> Result<(), HostedError> {
        refuse_if_whole(route)?;
        let immutable = |tag: &oci::Tag| route.repo.spec().is_immutable(tag);
        let delete = || self.metadata.delete_hosted_blob(route.place(), digest, &immutable);
        let deleted = self.with_reserve(delete).await?;
        deleted.map_err(|refused| delete_refused(&refused, HostedError::BlobUnknown(Box::new(*digest))))?;
        self.free(digest).await;
        Ok(())
    }

    /// Removes bytes that nobody has any more. What fails is done at the next start: the delete itself stands.
    pub(super) async fn free(&self, digest: &Digest) {
        if let Err(error) = self.with_reserve(|| self.drop_unneeded(digest)).await {
            tracing::warn!(%digest, %error, "the bytes of a deleted blob are left to the next garbage collection");
        }
    }
}

/// Of a repository that is immutable as a whole, nothing goes, tagged or not.
fn refuse_if_whole(route: &HostedRoute) -> Result<(), HostedError> {
    match route.repo.spec().immutability {
        Immutability::OfTags => Ok(()),
        Immutability::Whole => {
            Err(HostedError::Denied(format!("not deleted: the repository '{}' is immutable", route.repo.key()).into()))
        }
    }
}
