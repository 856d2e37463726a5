//! Taking a promotion back.
//!
//! Must not know rows. Invariant: bytes go only when no name has them any more, as after any delete.

use metadata::{PromotionId, RevertRefused};
use oci::Tag;
use serde::{Deserialize, Serialize};

use super::{Promotion, Promotions, find};
use crate::hosted::access::{Shown, authorize_push};
use crate::hosted::error::HostedError;

/// What to do when the tag was moved after the promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMoved {
    /// Nothing.
    Refuse,
    /// Put it back all the same.
    Force,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevertedPromotion {
    /// The promotion as it is now.
    pub promotion: Promotion,
    /// Manifests that the target does not have any more.
    pub removed_manifests: u64,
    /// Blobs that it does not have any more.
    pub removed_blobs: u64,
}

impl Promotions {
    /// Takes a promotion back.
    ///
    /// # Errors
    /// `Conflict` when it is not done, or the tag moved since; `Denied` for an immutable tag.
    pub async fn revert(
        &self,
        id: &PromotionId,
        if_moved: IfMoved,
        shown: Shown,
    ) -> Result<RevertedPromotion, HostedError> {
        let metadata = &self.core.metadata;
        let row = metadata.find_promotion(id).await?.ok_or_else(|| refusal(&RevertRefused::NotThere(id.clone())))?;
        let repo = find(&self.core, &row.to.0)?;
        let pusher = authorize_push(&repo, shown)?;
        let moved = |tag: &Tag| if_moved == IfMoved::Force && *tag == row.tag;
        let immutable = |tag: &Tag| repo.spec().is_immutable(tag);
        let reverted = metadata.revert_promotion(id, pusher.as_str(), &moved, &immutable).await?;
        let reverted = reverted.map_err(|refused| refusal(&refused))?;
        crate::groups::tags_moved(&self.core, &row.to.0, &row.to.1);
        for digest in reverted.manifests.iter().chain(&reverted.blobs) {
            self.core.hosted.free(digest).await;
        }
        tracing::info!(promotion = %id, by = %pusher, "a promotion was taken back");
        Ok(RevertedPromotion {
            promotion: self.get(id).await?,
            removed_manifests: reverted.manifests.len() as u64,
            removed_blobs: reverted.blobs.len() as u64,
        })
    }
}

fn refusal(refused: &RevertRefused) -> HostedError {
    match refused {
        RevertRefused::NotThere(_) => HostedError::NotFound(refused.to_string().into()),
        RevertRefused::NotDone(_) | RevertRefused::PreviousGone { .. } => {
            HostedError::Conflict(refused.to_string().into())
        }
        RevertRefused::Moved { .. } => {
            HostedError::Conflict(format!("{refused}; to put it back all the same, ask with force").into())
        }
        RevertRefused::Immutable { .. } => {
            let advice = "promote a better version under another tag, or change immutable_tags of the repository first";
            HostedError::Denied(format!("{refused}; {advice}").into())
        }
    }
}
