//! What is particular to groups, of the handle on a registry.
//!
//! Must not hold logic of its own. Invariant: content is never a group's: a request for it is a member's once it is resolved.

use futures_util::future::BoxFuture;
use oci::{Digest, RepoKey, RepositoryName};

use super::Registry;
use crate::access::Action;
use crate::error::PullError;
use crate::groups::{GroupConflicts, GroupNames, GroupRoute, Resolved, Want};
use crate::hosted::{HostedRoute, Place};
use crate::pull::ReferrersAnswer;
use crate::repositories::Route;

/// The member of a group that answers.
pub(super) enum Member {
    Proxy(Route),
    Hosted(HostedRoute),
}

impl Registry {
    /// Finds the member of a group that answers a request: a place of its own, with its own rules. Only a list that all
    /// members have a part in stays the group's.
    ///
    /// # Errors
    /// `GroupError`: nobody has it, or a member that comes first could not say.
    pub fn resolve<'a>(
        &'a self,
        route: &'a GroupRoute,
        action: &'a Action,
        want: Want,
    ) -> BoxFuture<'a, Result<Resolved, PullError>> {
        Box::pin(crate::groups::resolve(&self.core, route, action, want))
    }

    pub(super) async fn member(&self, route: &GroupRoute, action: &Action, want: Want) -> Result<Member, PullError> {
        match self.resolve(route, action, want).await?.place {
            Place::Proxy(route) => Ok(Member::Proxy(route)),
            Place::Hosted(route) => Ok(Member::Hosted(route)),
            // Only lists are a group's own.
            Place::Group(_) => Err(PullError::Storage("a group cannot answer for itself".into())),
        }
    }

    /// The member of a group that takes pushes of this name.
    ///
    /// # Errors
    /// `GroupError`: the group takes no pushes, or the name is another member's.
    pub async fn push_route(&self, route: &GroupRoute) -> Result<HostedRoute, PullError> {
        crate::groups::push_route(&self.core, route).await
    }

    /// Tags that members of a group are known to have at different digests; `None` when there is no such group.
    pub async fn group_conflicts(&self, key: &RepoKey) -> Result<Option<GroupConflicts>, PullError> {
        let group = self.core.map().groups().get(key.as_ref()).cloned();
        match group {
            Some(group) => crate::groups::list_conflicts(&self.core, &group).await.map(Some),
            None => Ok(None),
        }
    }

    /// The names of a group and who keeps each, behind `last`; `None` when there is no such group.
    pub async fn group_names(
        &self,
        key: &RepoKey,
        n: Option<u32>,
        last: Option<&str>,
    ) -> Result<Option<GroupNames>, PullError> {
        let group = self.core.map().groups().get(key.as_ref()).cloned();
        match group {
            Some(group) => crate::groups::list_names(&self.core, &group, n, last).await.map(Some),
            None => Ok(None),
        }
    }

    /// Takes a name of a group from whoever keeps it: whether anybody did; `None` when there is no such group.
    pub async fn release_group_name(&self, key: &RepoKey, name: &RepositoryName) -> Result<Option<bool>, PullError> {
        let group = self.core.map().groups().get(key.as_ref()).cloned();
        match group {
            Some(group) => crate::groups::release_name(&self.core, &group, name).await.map(Some),
            None => Ok(None),
        }
    }

    /// Lists the manifests that name `subject`, over all members of a group that may be asked.
    pub async fn group_referrers(&self, route: &GroupRoute, subject: &Digest) -> Result<ReferrersAnswer, PullError> {
        crate::groups::list_referrers(&self.core, route, subject).await
    }
}
