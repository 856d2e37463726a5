//! Tags over time: what one pointed to, who moved it, and putting it back.
//!
//! Must not know HTTP. Invariants: of a hosted tag, every move is known with its author; of a cached one, what the upstream
//! was seen to say; a time that has passed always resolves to the same digest, or to none.

mod rollback;
mod view;

use std::sync::Arc;
use std::time::SystemTime;

use metadata::{HostedTagEvent, TagEvent};
use oci::{Digest, RepoKey, RepositoryName, Tag};

pub use self::rollback::{Rollback, RolledBack};
pub use self::view::{ResolvedTag, TagHistory, TagMoved};
use crate::core::Core;
use crate::hosted::{HostedError, Place, show_time};
use crate::repositories::AnyRepository;

/// Moves told at once.
const MOST_MOVES: u32 = 1000;

/// The handle on tags over time.
#[derive(Clone, Debug)]
pub struct TagsOverTime {
    core: Arc<Core>,
}

/// What a tag pointed to since some moment; nothing when it was deleted, or gone at the upstream.
struct Moment {
    digest: Option<Digest>,
    since: SystemTime,
}

impl TagsOverTime {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The moves of a tag, newest first.
    pub async fn history(
        &self,
        key: &RepoKey,
        name: RepositoryName,
        tag: &Tag,
        limit: u32,
    ) -> Result<TagHistory, HostedError> {
        let limit = limit.clamp(1, MOST_MOVES);
        let (repo, metadata) = (self.find(key)?, &self.core.metadata);
        let moves = match &repo {
            AnyRepository::Hosted(_) => {
                let events = metadata.hosted_tag_history(key, &name, tag, limit + 1).await?;
                view::of_hosted(&events, limit)
            }
            AnyRepository::Proxy(repo) => {
                let name = repo.canonical_name(name.clone());
                view::of_proxy(&metadata.tag_history(key, &name, tag, limit + 1).await?, limit)
            }
            AnyRepository::Group(_) => return Err(of_a_group(key.as_ref())),
        };
        if moves.is_empty() {
            return Err(HostedError::NotFound(format!("nothing is known of {key}/{name}:{tag}").into()));
        }
        Ok(TagHistory { repository: key.to_string(), name: name.to_string(), tag: tag.to_string(), moves })
    }

    /// What a tag pointed to at a time.
    pub async fn resolve(
        &self,
        key: &RepoKey,
        name: RepositoryName,
        tag: &Tag,
        at: SystemTime,
    ) -> Result<ResolvedTag, HostedError> {
        let repo = self.find(key)?;
        let image = format!("{key}/{name}");
        let moment = self.moment(&repo, key, name, tag, at).await?;
        let digest = pointed_to(moment.as_ref(), tag, at)?;
        let since = moment.map(|moment| show_time(moment.since)).unwrap_or_default();
        Ok(ResolvedTag { reference: format!("{image}@{digest}"), digest: digest.to_string(), since })
    }

    /// The same for a pull: the digest to serve in place of `tag@time`.
    pub async fn at(&self, place: &Place, tag: &Tag, at: SystemTime) -> Result<Digest, HostedError> {
        let (repo, key) = match place {
            Place::Hosted(route) => (AnyRepository::Hosted(route.repo.clone()), route.repo.spec().key.clone()),
            Place::Proxy(route) => (AnyRepository::Proxy(route.repo.clone()), route.repo.spec().key.clone()),
            // A pull has found its member before it comes here.
            Place::Group(route) => return Err(of_a_group(route.repo.key())),
        };
        let moment = self.moment(&repo, &key, place.name().clone(), tag, at).await?;
        let digest = pointed_to(moment.as_ref(), tag, at)?;
        if matches!(repo, AnyRepository::Hosted(_))
            && self.core.metadata.find_hosted_manifest(&key, place.name(), &digest).await?.is_none()
        {
            let then = show_time(at);
            let text = format!("tag '{tag}' pointed to {digest} at {then}, which was deleted since");
            return Err(HostedError::NotThen(text.into()));
        }
        Ok(digest)
    }

    async fn moment(
        &self,
        repo: &AnyRepository,
        key: &RepoKey,
        name: RepositoryName,
        tag: &Tag,
        at: SystemTime,
    ) -> Result<Option<Moment>, HostedError> {
        if at > SystemTime::now() {
            return Err(HostedError::Invalid(format!("{} has not come yet", show_time(at)).into()));
        }
        let metadata = &self.core.metadata;
        Ok(match repo {
            AnyRepository::Hosted(_) => {
                let event = metadata.hosted_tag_at(key, &name, tag, at).await?;
                event.map(|HostedTagEvent { digest, happened_at, .. }| Moment { digest, since: happened_at })
            }
            AnyRepository::Proxy(repo) => {
                let event = metadata.tag_at(key, &repo.canonical_name(name), tag, at).await?;
                event.map(|TagEvent { digest, observed_at, .. }| Moment { digest, since: observed_at })
            }
            AnyRepository::Group(_) => return Err(of_a_group(key.as_ref())),
        })
    }

    fn find(&self, key: &RepoKey) -> Result<AnyRepository, HostedError> {
        let repo = self.core.map().any(key.as_ref());
        repo.ok_or_else(|| HostedError::NotFound(format!("there is no repository '{key}'").into()))
    }
}

/// A group has no tags of its own.
fn of_a_group(key: &str) -> HostedError {
    HostedError::NotFound(
        format!("'{key}' is a group; ask at the member that keeps the name (transship group names {key})").into(),
    )
}

fn pointed_to(moment: Option<&Moment>, tag: &Tag, at: SystemTime) -> Result<Digest, HostedError> {
    let then = show_time(at);
    let text = match moment {
        Some(Moment { digest: Some(digest), .. }) => return Ok(*digest),
        Some(Moment { digest: None, since }) => {
            format!("tag '{tag}' was not there at {then}: it was gone since {}", show_time(*since))
        }
        None => format!("nothing is known of tag '{tag}' at {then}; ask for its history to see from when on it is"),
    };
    Err(HostedError::NotThen(text.into()))
}
