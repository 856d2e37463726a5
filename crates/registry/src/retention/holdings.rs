//! What holds a tag whatever the rules of retention say.
//!
//! Must not know rules. Invariant: the version that a channel stands on stays, or whoever pulls the channel would get
//! something that has no name of its own any more.

use std::collections::HashMap;

use metadata::{TagFacts, TagRules as _};
use oci::{Digest, Tag};

use crate::hosted::HostedSpec;

/// What holds a tag besides rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    /// It is immutable.
    Immutable,
    /// It is a channel.
    Channel,
    /// It is a version, and this channel stands on it.
    StoodOnBy(Tag),
}

impl Holding {
    /// Whether a rule may say that the tag goes all the same.
    pub(super) fn can_be_lifted(&self) -> bool {
        match self {
            Self::Immutable | Self::Channel => true,
            Self::StoodOnBy(_) => false,
        }
    }

    /// Why the tag stays.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Immutable => "it is immutable".to_owned(),
            Self::Channel => "it is a channel".to_owned(),
            Self::StoodOnBy(channel) => format!("the channel '{channel}' points to it"),
        }
    }
}

/// What a repository holds of the tags of one name.
pub(super) struct Holdings<'a> {
    spec: &'a HostedSpec,
    /// The channels, by what they point to.
    channels: HashMap<Digest, Vec<&'a Tag>>,
}

impl<'a> Holdings<'a> {
    /// Looks at all tags of a name.
    pub(super) fn new(spec: &'a HostedSpec, of_name: &'a [TagFacts]) -> Self {
        let mut channels: HashMap<Digest, Vec<&Tag>> = HashMap::new();
        for facts in of_name.iter().filter(|facts| spec.channel(&facts.tag).is_some()) {
            channels.entry(facts.digest).or_default().push(&facts.tag);
        }
        Self { spec, channels }
    }

    /// What holds one of them.
    pub(super) fn of(&self, facts: &TagFacts) -> Option<Holding> {
        if self.spec.channel(&facts.tag).is_some() {
            return Some(Holding::Channel);
        }
        let mut pointing = self.channels.get(&facts.digest).into_iter().flatten();
        if let Some(channel) = pointing.find(|channel| self.spec.is_version_of(channel, &facts.tag)) {
            return Some(Holding::StoodOnBy((**channel).clone()));
        }
        self.spec.is_immutable(&facts.tag).then_some(Holding::Immutable)
    }
}
