//! Putting a hosted tag back to what it pointed to.
//!
//! Must not know rows. Invariants: a rollback is a move like any other, and recorded: one can be rolled back too; an
//! immutable tag does not move.

use std::time::SystemTime;

use metadata::{TagCause, TagMove, TagRefused, Tagged};
use oci::{Digest, RepoKey, RepositoryName, Tag};
use serde::{Deserialize, Serialize};

use super::{TagsOverTime, pointed_to};
use crate::groups;
use crate::hosted::{HostedError, Shown, authorize_push, find_hosted};
use crate::repositories::AnyRepository;

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollback {
    /// To this manifest.
    To(Digest),
    /// To what the tag pointed to then.
    At(SystemTime),
    /// So many moves back.
    Steps(u32),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// The image.
    pub image: String,
    /// Where the tag pointed; `None`: it was deleted.
    pub from: Option<String>,
    /// Where it points.
    pub to: String,
    /// Whether anything changed.
    pub changed: bool,
}

/// Most moves looked at.
const MOST_STEPS: u32 = 999;

impl TagsOverTime {
    /// Puts a tag back.
    ///
    /// # Errors
    /// `Denied` for an immutable tag; `Conflict` when it moved meanwhile, or what it pointed to is gone.
    pub async fn rollback(
        &self,
        key: &RepoKey,
        name: &RepositoryName,
        tag: &Tag,
        rollback: Rollback,
        shown: Shown,
    ) -> Result<RolledBack, HostedError> {
        let repo = find_hosted(&self.core, key)?;
        let pusher = authorize_push(&repo, shown)?;
        let metadata = &self.core.metadata;
        let seen = metadata.find_hosted_tag(key, name, tag).await?.map(|row| row.digest);
        let digest = match rollback {
            Rollback::To(digest) => digest,
            Rollback::At(at) => {
                let repo = AnyRepository::Hosted(repo.clone());
                let moment = self.moment(&repo, key, name.clone(), tag, at).await?;
                pointed_to(moment.as_ref(), tag, at)?
            }
            Rollback::Steps(steps) => self.back(key, name, tag, (seen, steps)).await?,
        };
        let by = TagMove::new(pusher.as_str(), TagCause::Rollback);
        let moved = metadata.set_hosted_tag((key, name, tag), &digest, seen.as_ref(), by, repo.spec()).await?;
        let image = format!("{key}/{name}:{tag}");
        let (from, changed) = match moved {
            Ok(Tagged::Moved(from)) => (from, true),
            Ok(Tagged::Already) => (Some(digest), false),
            Err(refused @ (TagRefused::NotThere(_) | TagRefused::MovedMeanwhile)) => {
                return Err(HostedError::Conflict(format!("{image} is not rolled back: {refused}").into()));
            }
            Err(refused @ (TagRefused::Immutable { .. } | TagRefused::Channel { .. })) => {
                return Err(HostedError::Denied(format!("not rolled back: {refused}").into()));
            }
        };
        if changed {
            groups::tags_moved(&self.core, key, name);
            // What follows a push follows this too.
            self.core.hosted.tag_moved();
            tracing::info!(image, to = %digest, by = %pusher, "a tag was rolled back");
        }
        Ok(RolledBack { image, from: from.map(|digest| digest.to_string()), to: digest.to_string(), changed })
    }

    /// What the tag pointed to so many moves ago. Where it was gone does not count: nobody rolls back to nothing.
    async fn back(
        &self,
        key: &RepoKey,
        name: &RepositoryName,
        tag: &Tag,
        (now, steps): (Option<Digest>, u32),
    ) -> Result<Digest, HostedError> {
        if !(1..=MOST_STEPS).contains(&steps) {
            return Err(HostedError::Invalid(format!("steps: must be from 1 to {MOST_STEPS}").into()));
        }
        let events = self.core.metadata.hosted_tag_history(key, name, tag, MOST_STEPS + 1).await?;
        let mut pointed: Vec<Digest> = events.into_iter().filter_map(|event| event.digest).collect();
        pointed.dedup();
        let skipped = usize::from(now.is_some() && pointed.first() == now.as_ref());
        let wanted = skipped + steps as usize - 1;
        pointed.get(wanted).copied().ok_or_else(|| {
            let known = pointed.len().saturating_sub(skipped);
            HostedError::NotFound(format!("{key}/{name}:{tag} has {known} former places, not {steps}").into())
        })
    }
}
