//! The credentials of one upstream at work.
//!
//! Must not know challenges or tokens. Invariants: a repository gets credentials of entries that fit it only; among those
//! with the same
//! prefix the one with the most left goes first, equals in turn, and one that rests or was just rejected last.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::ground::Ground;
use super::keeper::{Keeper, Resolved};
use super::source::CredentialSource;
use super::store::CredentialStore;
use crate::basic::CredentialId;
use crate::endpoint::Endpoint;
use crate::error::ClientError;
use crate::secret::Secret;
use crate::weather::{Cost, HostWeather, Standing};

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
    /// Where the host's word on each account's limit stands.
    host: Arc<HostWeather>,
    upstream: Arc<str>,
    /// What the upstream's URL puts before every name.
    name_prefix: String,
}

impl Accounts {
    pub(crate) fn new(store: CredentialStore, endpoint: &Endpoint, ground: Ground, host: Arc<HostWeather>) -> Self {
        Self {
            keepers: Mutex::new(at_hand(&store)),
            store,
            turn: AtomicUsize::new(0),
            ground: Arc::new(ground),
            host,
            upstream: endpoint.label().clone(),
            name_prefix: endpoint.name_prefix().to_owned(),
        }
    }

    /// Other credentials for the same upstream; nothing is shared.
    pub(crate) fn with_store(&self, store: CredentialStore) -> Self {
        Self {
            keepers: Mutex::new(at_hand(&store)),
            store,
            turn: AtomicUsize::new(0),
            ground: self.ground.clone(),
            host: self.host.clone(),
            upstream: self.upstream.clone(),
            name_prefix: self.name_prefix.clone(),
        }
    }

    /// What was configured.
    pub(crate) fn store(&self) -> &CredentialStore {
        &self.store
    }

    /// The credential for what a scope names, `repository:<name>:<actions>`, or for `/v2/`; none when there is none for
    /// it. What it costs is taken off what the chosen one has left. An entry that has nothing for this upstream makes way for the next; one that fails does not, unless another account shares its load: a private image must not
    /// turn into a missing one because a helper is broken.
    pub(crate) async fn pick(&self, scope: Option<&str>, cost: Cost) -> Result<Option<Arc<Resolved>>, ClientError> {
        let name = scope.map(full_name);
        for group in self.store.groups(self.repository(name)) {
            let mut failure = None;
            for at in self.in_turn(group) {
                match self.obtain(at, name).await {
                    Ok(Some(resolved)) => {
                        if cost == Cost::Pull
                            && let Some(keeper) = self.keeper_of(&resolved)
                        {
                            keeper.choose(&self.host);
                        }
                        return Ok(Some(resolved));
                    }
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
        let next = self.pick(scope, Cost::Free).await?;
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

    /// Whose rate limit a call for `scope` would use, as far as credentials are at hand; nothing is obtained.
    pub(crate) fn likely(&self, scope: Option<&str>) -> CredentialId {
        for group in self.store.groups(self.repository(scope.map(full_name))) {
            let order = self.by_standing(group);
            let keepers = self.lock();
            let kept = |at: usize| keepers.iter().filter(move |((of, _), _)| *of == at).find_map(|(_, k)| k.kept());
            if let Some(kept) = order.into_iter().find_map(kept) {
                return kept.id;
            }
        }
        CredentialId::Anonymous
    }

    /// The part of a name that the store knows it by.
    fn repository<'a>(&self, name: Option<&'a str>) -> Option<&'a str> {
        name.map(|name| name.strip_prefix(self.name_prefix.as_str()).unwrap_or(name))
    }

    /// A group in the order of asking: equals take turns.
    fn in_turn(&self, mut group: Vec<usize>) -> Vec<usize> {
        if group.len() < 2 {
            return group;
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % group.len();
        group.rotate_left(first);
        self.by_standing(group)
    }

    /// Of whom nothing is said goes first, so that it is found out, or because it is not limited; then who has most
    /// left; then who rests.
    fn by_standing(&self, mut group: Vec<usize>) -> Vec<usize> {
        if group.len() < 2 {
            return group;
        }
        let now = Instant::now();
        let keepers: Vec<(usize, Arc<Keeper>)> = self.lock().iter().map(|((at, _), k)| (*at, k.clone())).collect();
        group.sort_by_cached_key(|at| {
            let of_it = keepers.iter().filter(|(of, _)| of == at);
            let standings: Vec<Standing> = of_it.map(|(_, keeper)| keeper.standing(&self.host, now)).collect();
            let rests = standings.iter().any(|standing| standing.rests);
            let remaining = standings.iter().filter_map(|standing| standing.left).map(|left| left.remaining).min();
            (rests, remaining.map(Reverse))
        });
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

/// What is written in the configuration itself need not be obtained: so its standing is known from the start.
fn at_hand(store: &CredentialStore) -> HashMap<Slot, Arc<Keeper>> {
    let fixed = store.entries().iter().enumerate().filter_map(|(at, entry)| match &entry.source {
        CredentialSource::Fixed(credential) => {
            Some(((at, String::new()), Arc::new(Keeper::fixed(entry.name.clone(), credential.clone()))))
        }
        _ => None,
    });
    fixed.take(MAX_KEPT).collect()
}

/// The name in `repository:<name>:<actions>`.
fn full_name(scope: &str) -> &str {
    let name = scope.strip_prefix("repository:").unwrap_or(scope);
    name.rsplit_once(':').map_or(name, |(name, _)| name)
}
