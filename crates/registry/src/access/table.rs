//! What is remembered of callers of one repository: grants, refusals, public names, logins, clients.
//!
//! Must not ask upstream. Invariants: every map is bounded and every entry ends; losing an entry only costs a question;
//! a refusal by upstream takes the grant at once. It lives and dies with the repository as configured: a change of the
//! configuration forgets all of it.

use std::sync::Arc;
use std::time::Instant;

use client::RegistryClient;
use moka::sync::Cache;
use oci::RepositoryName;

use super::caller::{CallerCredential, Fingerprints, Principal};
use super::probe::{AccessFlight, Action};
use super::rules::{PassthroughRules, REFUSED_FOR};
use crate::error::PullError;
use crate::pull::SingleFlight;

/// Grants and refusals kept.
const ENTRIES: u64 = 20_000;
/// Names known to be public.
const PUBLIC_NAMES: u64 = 10_000;
/// Callers with a client of their own: connections are shared, tokens are not.
const CLIENTS: u64 = 1_000;
/// After so long without a pull a caller's client goes, and the secret in it.
const CLIENT_IDLE: std::time::Duration = std::time::Duration::from_mins(10);

/// What a grant is for. Upstreams give the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Right {
    /// Manifests and blobs.
    Pull,
    /// The list of tags.
    List,
}

type GrantKey = (Principal, RepositoryName, Right);

/// Why a caller may go on without a question.
pub(super) enum Standing {
    Public,
    Granted,
}

/// The memory.
pub(crate) struct Access {
    pub(super) rules: PassthroughRules,
    pub(super) flights: Arc<SingleFlight<AccessFlight>>,
    fingerprints: Fingerprints,
    /// Until when each stands. Kept for the time of grace beyond that.
    grants: Cache<GrantKey, Instant>,
    refusals: Cache<(Principal, RepositoryName, Action), PullError>,
    public: Cache<RepositoryName, ()>,
    logins: Cache<Principal, ()>,
    clients: Cache<Principal, RegistryClient>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Access {
    pub(crate) fn new(rules: PassthroughRules, upstream: &str) -> Result<Self, String> {
        let kept = rules.grant_ttl.saturating_add(rules.grace);
        Ok(Self {
            rules,
            flights: Arc::default(),
            fingerprints: Fingerprints::new(upstream)?,
            grants: Cache::builder().max_capacity(ENTRIES).time_to_live(kept).build(),
            refusals: Cache::builder().max_capacity(ENTRIES).time_to_live(REFUSED_FOR).build(),
            public: Cache::builder().max_capacity(PUBLIC_NAMES).time_to_live(rules.public_ttl).build(),
            logins: Cache::builder().max_capacity(ENTRIES).time_to_live(rules.grant_ttl).build(),
            clients: Cache::builder().max_capacity(CLIENTS).time_to_idle(CLIENT_IDLE).build(),
        })
    }

    pub(crate) fn principal(&self, caller: Option<&CallerCredential>) -> Principal {
        self.fingerprints.principal(caller)
    }

    /// The caller's own client: `base` with the caller's credential and tokens, or with none.
    pub(super) fn client(
        &self,
        principal: Principal,
        caller: Option<&CallerCredential>,
        base: &RegistryClient,
    ) -> RegistryClient {
        self.clients.get_with(principal, || base.with_credential(caller.map(CallerCredential::to_client)))
    }

    pub(super) fn standing(&self, principal: Principal, name: &RepositoryName, right: Right) -> Option<Standing> {
        if right == Right::Pull && self.public.contains_key(name) {
            return Some(Standing::Public);
        }
        let until = self.grants.get(&(principal, name.clone(), right))?;
        (Instant::now() < until).then_some(Standing::Granted)
    }

    /// Whether a grant has ended only so recently that it may stand in for an upstream that cannot be asked.
    pub(super) fn is_in_grace(&self, principal: Principal, name: &RepositoryName, right: Right) -> bool {
        let until = self.grants.get(&(principal, name.clone(), right));
        until.is_some_and(|until| Instant::now() < until + self.rules.grace)
    }

    /// Notes that upstream let the caller in. A token's end is the grant's end too.
    pub(super) fn grant(&self, principal: Principal, name: &RepositoryName, right: Right, token_ends: Option<Instant>) {
        let until = Instant::now() + self.rules.grant_ttl;
        let until = token_ends.map_or(until, |token_ends| token_ends.min(until));
        self.grants.insert((principal, name.clone(), right), until);
        if principal == Principal::Anonymous && right == Right::Pull {
            self.public.insert(name.clone(), ());
        }
    }

    pub(super) fn refusal(&self, principal: Principal, name: &RepositoryName, action: &Action) -> Option<PullError> {
        self.refusals.get(&(principal, name.clone(), action.clone()))
    }

    pub(super) fn remember_refusal(
        &self,
        principal: Principal,
        name: &RepositoryName,
        action: &Action,
        why: &PullError,
    ) {
        self.refusals.insert((principal, name.clone(), action.clone()), why.clone());
    }

    /// Takes back what the caller was granted under a name, and with it that the name is public.
    pub(super) fn withdraw(&self, principal: Principal, name: &RepositoryName) {
        for right in [Right::Pull, Right::List] {
            self.grants.invalidate(&(principal, name.clone(), right));
        }
        self.public.invalidate(name);
        self.logins.invalidate(&principal);
    }

    pub(super) fn is_logged_in(&self, principal: Principal) -> bool {
        self.logins.contains_key(&principal)
    }

    pub(super) fn log_in(&self, principal: Principal) {
        self.logins.insert(principal, ());
    }
}
