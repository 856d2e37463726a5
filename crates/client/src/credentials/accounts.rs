//! The credentials of one upstream at work.
//!
//! Must not know challenges or tokens. Invariants: a repository gets credentials of entries that fit it only; among those
//! with the same prefix the load goes round, and one that rests or was just rejected goes last.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::ground::Ground;
use super::keeper::{Keeper, Resolved};
use super::store::CredentialStore;
use crate::endpoint::Endpoint;
use crate::error::ClientError;
use crate::secret::Secret;

/// Most credentials kept for one upstream; entries of docker's `config.json` with a path count each.
const MAX_KEPT: usize = 1024;

/// An entry of the store and, where it has several credentials for one upstream, which of them.
type Slot = (usize, String);

/// The store of one upstream, with what was obtained so far.
pub(crate) struct Accounts {
    store: CredentialStore,
    keepers: Mutex<HashMap<Slot, Arc<Keeper>>>,
    turn: AtomicUsize,
    ground: Arc<Ground>,
    upstream: Arc<str>,
    /// What the upstream's URL puts before every name.
    name_prefix: String,
}

impl Accounts {
    pub(crate) fn new(store: CredentialStore, endpoint: &Endpoint, ground: Ground) -> Self {
        let (upstream, name_prefix) = (endpoint.label().clone(), endpoint.name_prefix().to_owned());
        Self::with(store, Arc::new(ground), upstream, name_prefix)
    }

    /// Other credentials for the same upstream; nothing is shared.
    pub(crate) fn with_store(&self, store: CredentialStore) -> Self {
        Self::with(store, self.ground.clone(), self.upstream.clone(), self.name_prefix.clone())
    }

    fn with(store: CredentialStore, ground: Arc<Ground>, upstream: Arc<str>, name_prefix: String) -> Self {
        Self { store, keepers: Mutex::default(), turn: AtomicUsize::new(0), ground, upstream, name_prefix }
    }

    /// What was configured.
    pub(crate) fn store(&self) -> &CredentialStore {
        &self.store
    }

    /// The credential for what a scope names, `repository:<name>:<actions>`, or for `/v2/`; none when there is none for it. An entry that has nothing for this upstream
    /// makes way for the next; one that fails does not, unless another account shares its load: a private image must not
    /// turn into a missing one because a helper is broken.
    pub(crate) async fn pick(&self, scope: Option<&str>) -> Result<Option<Arc<Resolved>>, ClientError> {
        let name = scope.map(full_name);
        let repository = name.map(|name| name.strip_prefix(self.name_prefix.as_str()).unwrap_or(name));
        for group in self.store.groups(repository) {
            let mut failure = None;
            for at in self.in_turn(group) {
                match self.obtain(at, name).await {
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
        if let Some(keeper) = self.keeper_of(refused) {
            keeper.reject(refused);
        }
        let next = self.pick(scope).await?;
        Ok(next.filter(|next| !next.is_same_as(refused)))
    }

    /// Lets an account rest that has used up its share.
    pub(crate) fn rest(&self, tired: &Resolved, until: Instant) {
        if let Some(keeper) = self.keeper_of(tired) {
            keeper.rest(until);
        }
    }

    /// Every secret in use, so that none comes back in somebody's words.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let kept = self.lock().values().filter_map(|keeper| keeper.kept()).collect::<Vec<_>>();
        kept.iter().flat_map(|kept| kept.credential.secrets()).collect()
    }

    /// A group in the order of asking: from the next one on, those that rest at the end.
    fn in_turn(&self, mut group: Vec<usize>) -> Vec<usize> {
        if group.len() > 1 {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % group.len();
            group.rotate_left(first);
            let (now, keepers) = (Instant::now(), self.lock());
            let rests = |at: usize| keepers.iter().any(|((of, _), keeper)| *of == at && keeper.is_resting(now));
            group.sort_by_cached_key(|at| rests(*at));
        }
        group
    }

    async fn obtain(&self, at: usize, name: Option<&str>) -> Result<Option<Arc<Resolved>>, ClientError> {
        let entry = &self.store.entries()[at];
        let failed = |what: String| ClientError::CredentialUnavailable {
            upstream: self.upstream.clone(),
            name: entry.name.clone(),
            what,
        };
        let place = entry.source.place(&self.ground, name).await.map_err(failed)?;
        let (source, ground, name) = (entry.source.clone(), self.ground.clone(), name.map(str::to_owned));
        let obtain = async move { source.obtain(&ground, name.as_deref()).await };
        let keeper = self.keeper((at, place));
        keeper.get(entry.name.clone(), obtain).await.map_err(|reason| failed(reason.to_string()))
    }

    fn keeper(&self, slot: Slot) -> Arc<Keeper> {
        let mut keepers = self.lock();
        if keepers.len() >= MAX_KEPT && !keepers.contains_key(&slot) {
            keepers.clear();
        }
        keepers.entry(slot).or_default().clone()
    }

    fn keeper_of(&self, resolved: &Resolved) -> Option<Arc<Keeper>> {
        let keeps = |keeper: &Arc<Keeper>| keeper.kept().is_some_and(|kept| kept.is_same_as(resolved));
        self.lock().values().find(|keeper| keeps(keeper)).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Slot, Arc<Keeper>>> {
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name in `repository:<name>:<actions>`.
fn full_name(scope: &str) -> &str {
    let name = scope.strip_prefix("repository:").unwrap_or(scope);
    name.rsplit_once(':').map_or(name, |(name, _)| name)
}
