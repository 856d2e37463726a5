//! What an upstream was seen to want for a scope, and how that is read from its challenge.
//!
//! Must not know credentials or who is asked. Invariants: a challenge that cannot be read is an error, because guessing
//! what it wants is not safe; what is remembered is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::WWW_AUTHENTICATE;
use oci::Challenge;

use super::Call;
use crate::answer::Answer;
use crate::error::ClientError;

/// Most scopes remembered; beyond, all are forgotten and cost one 401 each again.
const MAX_REMEMBERED: usize = 4096;

/// Most scopes taken from one challenge.
pub(crate) const MAX_SCOPES: usize = 8;

/// What a scope was seen to need.
#[derive(Clone, Debug)]
pub(super) enum Scheme {
    /// The configured credential, sent to the upstream itself.
    Configured,
    /// A token from the realm.
    Bearer(Arc<TokenSource>),
}

/// Where a scope's tokens come from. The realm is judged anew for each credential that would go there.
#[derive(Debug)]
pub(super) struct TokenSource {
    pub(super) realm: String,
    pub(super) service: Option<String>,
    /// Sorted.
    pub(super) scopes: Vec<String>,
}

impl TokenSource {
    /// What a Bearer challenge asks for; for what the call needs when it names no scope.
    pub(super) fn read(
        answer: &Answer,
        challenge: &Challenge,
        call: &Call,
        realm: String,
    ) -> Result<Self, ClientError> {
        let asked = challenge.param("scope").filter(|scope| !scope.trim().is_empty());
        let mut scopes: Vec<String> = match asked {
            Some(scopes) => scopes.split_ascii_whitespace().map(str::to_owned).collect(),
            None => call.scope.iter().cloned().collect(),
        };
        scopes.extend(call.insists.iter().cloned());
        if scopes.len() > MAX_SCOPES + call.insists.len() {
            return Err(answer.protocol("a Bearer challenge with more than 8 scopes"));
        }
        scopes.sort();
        scopes.dedup();
        Ok(Self { realm, service: challenge.param("service").map(str::to_owned), scopes })
    }
}

/// The schemes of all scopes that were asked for.
#[derive(Default)]
pub(super) struct Schemes {
    by_scope: Mutex<HashMap<Option<String>, Scheme>>,
}

impl Schemes {
    pub(super) fn recall(&self, scope: Option<&str>) -> Option<Scheme> {
        self.lock().get(&scope.map(str::to_owned)).cloned()
    }

    pub(super) fn remember(&self, call: &Call, scheme: Scheme) {
        let mut schemes = self.lock();
        if schemes.len() >= MAX_REMEMBERED {
            schemes.clear();
        }
        schemes.insert(call.memory(), scheme);
    }

    pub(super) fn forget(&self, call: &Call) {
        self.lock().remove(&call.memory());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<String>, Scheme>> {
        self.by_scope.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All challenges of the answer. A header that cannot be read is an error.
pub(crate) fn challenges(answer: &Answer) -> Result<Vec<Challenge>, ClientError> {
    let mut all = Vec::new();
    for value in answer.headers.get_all(WWW_AUTHENTICATE) {
        let text = value.to_str().map_err(|_| answer.protocol("a WWW-Authenticate header that is not text"))?;
        all.extend(Challenge::parse_all(text).map_err(|error| answer.protocol(error.to_string()))?);
    }
    Ok(all)
}
