//! From a request to a group to the same request at one member.
//!
//! Must not know HTTP. Invariants: content comes from a member's own verbs, so it is served by that member's rules and
//! under its links; the next member is asked only when one has said itself that it does not have the thing, and, where
//! names are kept, not the name either; what a member could not say ends the search.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use oci::{Digest, Reference};

use super::error::{GroupError, Sought};
use super::lookup::Unclear;
use super::repository::{GroupRoute, Member};
use super::rules::{Choice, ChosenBy};
use super::spec::NameKeeping;
use super::walk::{Said, Walked, walk};
use super::{conflicts, lookup, recheck};
use crate::access::Action;
use crate::core::Core;
use crate::error::PullError;
use crate::hosted::Place;

/// What a client wants of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// To hear whether it is there.
    Stat,
    /// To have it.
    Content,
}

/// Why a member answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnsweredBy {
    /// The name is pinned to it.
    Pin,
    /// The name is routed to it alone, or it is the only member.
    OnlyOne,
    /// It keeps the name.
    Keeper,
    /// It was found to have the name, and keeps it from now on.
    Found,
    /// It is the first that has the thing.
    First,
    /// It takes the pushes, and the question is one that comes before a push.
    PushTo,
    /// All that may be asked do, together.
    All,
}

impl AnsweredBy {
    /// Why the only one answers that may.
    pub(super) fn by_rule(choice: &Choice) -> Self {
        match choice.by {
            ChosenBy::Pin(_) => Self::Pin,
            ChosenBy::Routes | ChosenBy::Order => Self::OnlyOne,
        }
    }

    /// The word in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::OnlyOne => "only_one",
            Self::Keeper => "keeper",
            Self::Found => "found",
            Self::First => "first",
            Self::PushTo => "push_to",
            Self::All => "all",
        }
    }
}

/// Where a request to a group went.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The member, as a place of its own; the group for a list of all its members.
    pub place: Place,
    /// Why.
    pub by: AnsweredBy,
}

/// Finds the member that answers.
pub(crate) async fn resolve(
    core: &Arc<Core>,
    route: &GroupRoute,
    action: &Action,
    want: Want,
) -> Result<Resolved, PullError> {
    let choice = route.repo.choose(&route.name);
    let search = Search { core, route, action, want };
    let resolved = match (&choice.members[..], route.repo.spec().names) {
        ([only], _) => search.at(*only, AnsweredBy::by_rule(&choice))?,
        ([], _) => return search.nobody(&choice),
        (_, NameKeeping::Kept) => search.kept(&choice).await?,
        (_, NameKeeping::Merged) => search.merged(&choice).await?,
    };
    if let Action::Manifest(Reference::Tag(tag)) = action {
        conflicts::notice(core, route, tag, &choice.members);
    }
    core.groups.metrics.group_resolved(route.repo.key(), resolved.by);
    Ok(resolved)
}

struct Search<'a> {
    core: &'a Arc<Core>,
    route: &'a GroupRoute,
    action: &'a Action,
    want: Want,
}

impl Search<'_> {
    fn at(&self, index: usize, by: AnsweredBy) -> Result<Resolved, PullError> {
        Ok(Resolved { place: self.route.at(index)?, by })
    }

    /// Who keeps the name; if nobody does yet, who turns out to have it.
    async fn kept(&self, choice: &Choice) -> Result<Resolved, PullError> {
        if let Some((index, kept)) = self.core.groups.keeper(self.route, &choice.members).await? {
            recheck::when_due(self.core, self.route, &choice.members, index, &kept);
            return self.at(index, AnsweredBy::Keeper);
        }
        if let Some(index) = self.before_a_push(choice) {
            return self.at(index, AnsweredBy::PushTo);
        }
        let last = choice.members.last().copied();
        let walked = walk(&choice.members, |index| {
            // Behind the last nobody is let in by mistake.
            let unclear = if last == Some(index) { Unclear::ConcernsNobody } else { Unclear::MeansNo };
            self.ask_for_name(index, unclear)
        });
        match walked.await {
            Walked::Found(index, place) => {
                // A blob is no image: nobody keeps a name for one.
                if !matches!(self.action, Action::Blob(_)) {
                    self.core.groups.keep(self.route, index).await;
                }
                Ok(Resolved { place, by: AnsweredBy::Found })
            }
            Walked::Kept(index) => {
                self.core.groups.keep(self.route, index).await;
                self.at(index, AnsweredBy::Found)
            }
            Walked::Stopped(index, error) => Err(self.stopped(index, error)),
            Walked::Nobody => self.nobody(choice),
        }
    }

    /// The first who has the thing, whoever has the name.
    async fn merged(&self, choice: &Choice) -> Result<Resolved, PullError> {
        let digest = match self.action {
            Action::Manifest(Reference::Digest(digest)) | Action::Blob(digest) => Some(digest),
            Action::Manifest(Reference::Tag(_)) => None,
            Action::Tags | Action::Referrers(_) => {
                return Ok(Resolved { place: Place::Group(self.route.clone()), by: AnsweredBy::All });
            }
        };
        if let Some(index) = self.before_a_push(choice) {
            return self.at(index, AnsweredBy::PushTo);
        }
        if let Some(index) = self.knows(choice, digest).await? {
            return self.at(index, AnsweredBy::First);
        }
        let walked = walk(&choice.members, |index| self.ask_for_thing(index));
        match walked.await {
            Walked::Found(_, place) => Ok(Resolved { place, by: AnsweredBy::First }),
            Walked::Kept(index) => self.at(index, AnsweredBy::First),
            Walked::Stopped(index, error) => Err(self.stopped(index, error)),
            Walked::Nobody => self.nobody(choice),
        }
    }

    /// Asks a member for the thing, and if it does not have it, for the name.
    fn ask_for_name(&self, index: usize, unclear: Unclear) -> BoxFuture<'_, Said<Place, PullError>> {
        match &self.route.repo.members()[index] {
            Member::Hosted(repo) => {
                Box::pin(lookup::of_hosted_name(self.core, self.route.at_hosted(repo), self.action))
            }
            Member::Proxy(repo) => lookup::of_name(self.core, self.route.at_proxy(repo), self.action, unclear),
            Member::Unusable(_) => Box::pin(async move { self.unusable(index) }),
        }
    }

    /// Asks a member for the thing.
    fn ask_for_thing(&self, index: usize) -> BoxFuture<'_, Said<Place, PullError>> {
        match &self.route.repo.members()[index] {
            Member::Hosted(repo) => Box::pin(lookup::of_hosted(self.core, self.route.at_hosted(repo), self.action)),
            Member::Proxy(repo) => lookup::of_thing(self.core, self.route.at_proxy(repo), self.action),
            Member::Unusable(_) => Box::pin(async move { self.unusable(index) }),
        }
    }

    /// Clients ask whether a blob is there before they push it, and push only what is not: the answer is of the member
    /// that takes the push, or a manifest would come that lacks what lies elsewhere.
    fn before_a_push(&self, choice: &Choice) -> Option<usize> {
        let index = self.route.repo.spec().push_to.filter(|index| choice.members.contains(index))?;
        (matches!(self.action, Action::Blob(_)) && self.want == Want::Stat).then_some(index)
    }

    /// The first member that is known here to have a digest: its bytes are the same everywhere.
    async fn knows(&self, choice: &Choice, digest: Option<&Digest>) -> Result<Option<usize>, PullError> {
        let Some(digest) = digest else { return Ok(None) };
        for index in &choice.members {
            if lookup::is_known(self.core, self.route, *index, digest).await? {
                return Ok(Some(*index));
            }
        }
        Ok(None)
    }

    fn unusable<T>(&self, index: usize) -> Said<T, PullError> {
        match self.route.at(index) {
            Err(error) => Said::Failed(error.into()),
            Ok(_) => Said::Absent,
        }
    }

    fn stopped(&self, index: usize, error: PullError) -> PullError {
        if matches!(&error, PullError::Group(_)) {
            return error;
        }
        let (group, member) = (self.route.repo.key().clone(), self.route.member(index));
        GroupError::MemberFailed { group, member, error: Box::new(error) }.into()
    }

    fn nobody(&self, choice: &Choice) -> Result<Resolved, PullError> {
        let name = &self.route.name;
        let (sought, what) = match self.action {
            Action::Manifest(reference) => (Sought::Manifest, format!("manifest {name}:{reference}")),
            Action::Blob(digest) => (Sought::Blob, format!("blob {digest} of {name}")),
            Action::Tags => (Sought::Name, format!("'{name}'")),
            // A list of referrers is empty where there is nothing; it is never an error.
            Action::Referrers(_) => {
                return Ok(Resolved { place: Place::Group(self.route.clone()), by: AnsweredBy::All });
            }
        };
        let asked: Vec<&str> = choice.members.iter().map(|index| self.route.repo.member_key(*index).as_str()).collect();
        let asked = if asked.is_empty() {
            "its rules (routes) let none be asked for such names".to_owned()
        } else {
            format!("{} do not have it", asked.join(", "))
        };
        let group = self.route.repo.key().clone();
        Err(GroupError::NobodyHas { group, sought, what: what.into(), asked: asked.into() }.into())
    }
}
