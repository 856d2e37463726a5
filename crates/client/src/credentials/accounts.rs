//! The credentials of one upstream at work.
//!
//! Must not know challenges or tokens. Invariants: a repository gets credentials of entries that fit it only; among those
//! with the same prefix the load goes round, and one that rests or was just rejected goes last.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::keeper::{Keeper, Resolved};
use super::store::CredentialStore;
use crate::endpoint::Endpoint;
use crate::error::ClientError;
use crate::secret::Secret;

/// The store of one upstream, with what was obtained so far.
pub(crate) struct Accounts {
    store: CredentialStore,
    keepers: Vec<Arc<Keeper>>,
    turn: AtomicUsize,
    upstream: Arc<str>,
    /// What the upstream's URL puts before every name.
    name_prefix: String,
}

impl Accounts {
    pub(crate) fn new(store: CredentialStore, endpoint: &Endpoint) -> Self {
        let keepers = store.entries().iter().map(|_| Arc::default()).collect();
        let (upstream, name_prefix) = (endpoint.label().clone(), endpoint.name_prefix().to_owned());
        Self { store, keepers, turn: AtomicUsize::new(0), upstream, name_prefix }
    }

    /// Other credentials for the same upstream; nothing is shared.
    pub(crate) fn with_store(&self, store: CredentialStore) -> Self {
        let keepers = store.entries().iter().map(|_| Arc::default()).collect();
        let (upstream, name_prefix) = (self.upstream.clone(), self.name_prefix.clone());
        Self { store, keepers, turn: AtomicUsize::new(0), upstream, name_prefix }
    }

    /// What was configured.
    pub(crate) fn store(&self) -> &CredentialStore {
        &self.store
    }

    /// The credential for what a scope names, `repository:<name>:<actions>`, or for `/v2/`; none when there is none for it. An entry that has nothing for this upstream
    /// makes way for the next; one that fails does not, unless another account shares its load: a private image must not
    /// turn into a missing one because a helper is broken.
    pub(crate) async fn pick(&self, scope: Option<&str>) -> Result<Option<Arc<Resolved>>, ClientError> {
        for group in self.store.groups(scope.map(|scope| self.repository(scope))) {
            let mut failure = None;
            for at in self.in_turn(group) {
                match self.obtain(at).await {
                    Ok(Some(resolved)) => return Ok(Some(resolved)),
                    Ok(None) => {}
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
        Ok(None)
    }

    /// After the upstream refused this one: another account, or the same with new content; none when there is nothing new.
    pub(crate) async fn another(
        &self,
        scope: Option<&str>,
        refused: &Resolved,
    ) -> Result<Option<Arc<Resolved>>, ClientError> {
        if let Some(keeper) = self.keeper(refused) {
            keeper.reject(refused);
        }
        let next = self.pick(scope).await?;
        Ok(next.filter(|next| !next.is_same_as(refused)))
    }

    /// Lets an account rest that has used up its share.
    pub(crate) fn rest(&self, tired: &Resolved, until: Instant) {
        if let Some(keeper) = self.keeper(tired) {
            keeper.rest(until);
        }
    }

    /// Every secret in use, so that none comes back in somebody's words.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        self.keepers.iter().filter_map(|keeper| keeper.kept()).map(|kept| kept.credential.secret().clone()).collect()
    }

    /// The name below the upstream's URL that a scope is about.
    fn repository<'s>(&self, scope: &'s str) -> &'s str {
        let name = scope.strip_prefix("repository:").unwrap_or(scope);
        let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
        name.strip_prefix(self.name_prefix.as_str()).unwrap_or(name)
    }

    /// A group in the order of asking: from the next one on, those that rest at the end.
    fn in_turn(&self, mut group: Vec<usize>) -> Vec<usize> {
        if group.len() > 1 {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % group.len();
            group.rotate_left(first);
            let now = Instant::now();
            group.sort_by_key(|at| self.keepers[*at].is_resting(now));
        }
        group
    }

    async fn obtain(&self, at: usize) -> Result<Option<Arc<Resolved>>, ClientError> {
        let (entry, keeper) = (&self.store.entries()[at], self.keepers[at].clone());
        let source = entry.source.clone();
        keeper.get(entry.name.clone(), async move { source.obtain().await }).await.map_err(|reason| {
            ClientError::CredentialUnavailable {
                upstream: self.upstream.clone(),
                name: entry.name.clone(),
                what: reason.to_string(),
            }
        })
    }

    fn keeper(&self, resolved: &Resolved) -> Option<&Keeper> {
        let at = self.store.entries().iter().position(|entry| entry.name == resolved.name)?;
        Some(&self.keepers[at])
    }
}
