//! Channels: tags that move, but only over versions that do not (`stable` over `v*`).
//!
//! Must not know HTTP. Invariants: a channel points only to what an immutable tag of its pattern points to, whoever moves
//! it and however; one that follows never goes back by itself to a lower version than the highest there is.

use std::cmp::Ordering;
use std::sync::Arc;

use metadata::{TagCause, TagEventRow, TagFacts, TagMove, TagRefused, TagRules, Tagged};
use oci::{RepoKey, RepositoryName, Tag};
use serde::{Deserialize, Serialize};

use super::access::{Shown, authorize_push};
use super::error::HostedError;
use super::promotion::find;
use super::repository::HostedRepository;
use super::spec::HostedSpec;
use crate::core::Core;
use crate::groups;
use crate::repositories::TagPattern;
use crate::retention::version;

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its tag.
    pub tag: Tag,
    /// The tags it is over; each must be immutable.
    pub over: TagPattern,
    /// Whether it moves by itself.
    pub follow: Follow,
}

/// Whether a channel moves by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follow {
    /// It is set by hand.
    #[default]
    Never,
    /// To the highest version that is no pre-release.
    Latest,
    /// To the highest version, pre-releases included.
    LatestWithPrereleases,
}

/// A channel as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelState {
    /// The name.
    pub name: String,
    /// The channel.
    pub channel: String,
    /// The pattern of the versions it is over.
    pub over: String,
    /// `never`, `latest` or `latest with pre-releases`.
    pub follow: String,
    /// Where it points; nothing yet, otherwise.
    pub digest: Option<String>,
    /// The versions that point there too.
    pub versions: Vec<String>,
}

/// Who moves a channel that follows.
const BY_ITSELF: &str = "channel";
/// Most tags of a name that are looked at for the highest version.
const MOST_TAGS: u32 = 100_000;

impl HostedSpec {
    /// The channel with this tag.
    pub(crate) fn channel(&self, tag: &Tag) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.tag == *tag)
    }

    fn is_version(&self, channel: &Channel, tag: &Tag) -> bool {
        channel.over.matches(tag.as_str()) && self.is_immutable(tag)
    }
}

impl TagRules for HostedSpec {
    fn is_immutable(&self, tag: &Tag) -> bool {
        HostedSpec::is_immutable(self, tag)
    }

    fn is_channel(&self, tag: &Tag) -> bool {
        self.channel(tag).is_some()
    }

    fn is_version_of(&self, channel: &Tag, other: &Tag) -> bool {
        self.channel(channel).is_some_and(|channel| self.is_version(channel, other))
    }
}

impl Follow {
    /// The words in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Latest => "latest",
            Self::LatestWithPrereleases => "latest with pre-releases",
        }
    }
}

/// The handle on channels.
#[derive(Clone, Debug)]
pub struct Channels {
    core: Arc<Core>,
}

impl Channels {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Sets a channel to a version.
    ///
    /// # Errors
    /// `NotFound` when there is no such channel or version; `Denied` when the tag is no version of the channel.
    pub async fn set(
        &self,
        key: &RepoKey,
        name: &RepositoryName,
        (channel, to): (&Tag, &Tag),
        shown: Shown,
    ) -> Result<ChannelState, HostedError> {
        let repo = find(&self.core, key)?;
        let pusher = authorize_push(&repo, shown)?;
        let Some(known) = repo.spec().channel(channel) else {
            let names: Vec<&str> = repo.spec().channels.iter().map(|channel| channel.tag.as_str()).collect();
            let text = format!("'{key}' has no channel '{channel}'; its channels are: {}", names.join(", "));
            return Err(HostedError::NotFound(text.into()));
        };
        if !repo.spec().is_version(known, to) {
            let text = format!("'{channel}' is over {}, and '{to}' is no immutable tag of that form", known.over);
            return Err(HostedError::Denied(text.into()));
        }
        let metadata = &self.core.metadata;
        let row = metadata.find_hosted_tag(key, name, to).await?;
        let digest = row.ok_or_else(|| HostedError::NotFound(format!("{key}/{name}:{to} is not there").into()))?.digest;
        let seen = metadata.find_hosted_tag(key, name, channel).await?.map(|row| row.digest);
        let by = TagMove::new(pusher.as_str(), TagCause::Channel);
        let set = metadata.set_hosted_tag((key, name, channel), &digest, seen.as_ref(), by, repo.spec()).await?;
        set.map_err(|refused| refusal(&refused))?;
        groups::tags_moved(&self.core, key, name);
        // What follows a push follows this too.
        self.core.hosted.tag_moved();
        self.state(&repo, name, known).await
    }

    /// The channels of a name.
    pub async fn list(&self, key: &RepoKey, name: &RepositoryName) -> Result<Vec<ChannelState>, HostedError> {
        let repo = find(&self.core, key)?;
        let mut states = Vec::with_capacity(repo.spec().channels.len());
        for channel in &repo.spec().channels {
            states.push(self.state(&repo, name, channel).await?);
        }
        Ok(states)
    }

    async fn state(
        &self,
        repo: &HostedRepository,
        name: &RepositoryName,
        channel: &Channel,
    ) -> Result<ChannelState, HostedError> {
        let (key, metadata) = (&repo.spec().key, &self.core.metadata);
        let digest = metadata.find_hosted_tag(key, name, &channel.tag).await?.map(|row| row.digest);
        let mut versions = Vec::new();
        if let Some(digest) = digest {
            let tags = metadata.hosted_tags_of(key, name, &digest).await?;
            versions.extend(tags.into_iter().filter(|tag| repo.spec().is_version(channel, tag)));
        }
        Ok(ChannelState {
            name: name.to_string(),
            channel: channel.tag.to_string(),
            over: channel.over.to_string(),
            follow: channel.follow.as_str().to_owned(),
            digest: digest.map(|digest| digest.to_string()),
            versions: versions.iter().map(ToString::to_string).collect(),
        })
    }

    /// Moves the channels that follow what was pushed.
    pub(crate) async fn follow(&self, event: &TagEventRow) -> Result<(), HostedError> {
        let Some(repo) = self.core.map().hosted().get(event.repo.as_ref()).cloned() else { return Ok(()) };
        let following = repo.spec().channels.iter().filter(|channel| channel.follow != Follow::Never);
        for channel in following.filter(|channel| repo.spec().is_version(channel, &event.tag)) {
            // Whoever moved it since the push decided otherwise, also when the push is looked at a second time.
            let since = self.core.metadata.hosted_tag_moved_since(event, &channel.tag).await?;
            if since.is_none_or(|last| last.principal == BY_ITSELF && last.cause == TagCause::Channel) {
                self.follow_latest(&repo, &event.name, channel).await?;
            }
        }
        Ok(())
    }

    async fn follow_latest(
        &self,
        repo: &HostedRepository,
        name: &RepositoryName,
        channel: &Channel,
    ) -> Result<(), HostedError> {
        let (key, metadata) = (&repo.spec().key, &self.core.metadata);
        let tags = metadata.hosted_tag_facts_of(key, name, MOST_TAGS).await?;
        let Some(highest) =
            highest(tags.iter().filter(|facts| repo.spec().is_version(channel, &facts.tag)), channel.follow)
        else {
            return Ok(());
        };
        let seen = metadata.find_hosted_tag(key, name, &channel.tag).await?.map(|row| row.digest);
        let by = TagMove::new(BY_ITSELF, TagCause::Channel);
        let tag = (key, name, &channel.tag);
        match metadata.set_hosted_tag(tag, &highest.digest, seen.as_ref(), by, repo.spec()).await? {
            Ok(Tagged::Moved(_)) => {
                groups::tags_moved(&self.core, key, name);
                tracing::info!(repo_key = %key, %name, channel = %channel.tag, version = %highest.tag, "a channel followed");
            }
            Ok(Tagged::Already) => {}
            // Somebody else moved it, or the version went: the next push looks again.
            Err(refused) => tracing::warn!(repo_key = %key, %name, channel = %channel.tag, %refused, "a channel stays"),
        }
        Ok(())
    }
}

fn highest<'a>(tags: impl Iterator<Item = &'a TagFacts>, follow: Follow) -> Option<&'a TagFacts> {
    let versions = tags.filter_map(|facts| Some((version(facts.tag.as_str())?, facts)));
    let allowed = versions.filter(|(version, _)| match follow {
        Follow::Never => false,
        Follow::Latest => version.pre.is_empty(),
        Follow::LatestWithPrereleases => true,
    });
    let order = |a: &semver::Version, b: &semver::Version| a.cmp_precedence(b).then(Ordering::Equal);
    allowed.max_by(|(a, _), (b, _)| order(a, b)).map(|(_, facts)| facts)
}

fn refusal(refused: &TagRefused) -> HostedError {
    let text = format!("the channel is not set: {refused}");
    match refused {
        TagRefused::NotThere(_) | TagRefused::MovedMeanwhile => HostedError::Conflict(text.into()),
        TagRefused::Immutable { .. } | TagRefused::Channel { .. } => HostedError::Denied(text.into()),
    }
}
