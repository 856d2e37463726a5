//! Tokens in memory: one request to the token server however many calls need the token.
//!
//! Must not know how a token is got. Invariants: at most one fetch for each key at a time; a call that waited for a fetch
//! shares its outcome, good or bad; memory is bounded.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::basic::CredentialId;
use crate::error::ClientError;
use crate::secret::Secret;

/// Most tokens kept; beyond, all are forgotten and fetched again as they are needed.
const MAX_TOKENS: usize = 4096;

/// How long a refusal (401 or 403) of the token server is taken for its answer to the next call too.
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenKey {
    /// The realm's URL.
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    /// Sorted.
    pub(crate) scopes: Vec<String>,
    pub(crate) credential: CredentialId,
}

/// A token and its times.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: Secret,
    /// From then on a new one is fetched.
    pub(crate) refresh_at: Instant,
    /// From then on it is worthless.
    pub(crate) expires_at: Instant,
}

impl Token {
    /// A token asked for at `asked_at` that lives `lifetime`: refreshed after 80 % of it.
    pub(crate) fn new(text: Secret, asked_at: Instant, lifetime: Duration) -> Self {
        Self { text, refresh_at: asked_at + lifetime * 4 / 5, expires_at: asked_at + lifetime }
    }
}

/// All tokens of one upstream.
#[derive(Default)]
pub(crate) struct TokenCache {
    slots: Mutex<HashMap<TokenKey, Arc<Slot>>>,
}

#[derive(Default)]
struct Slot {
    /// Held while a fetch is under way.
    flight: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    token: Option<Token>,
    /// The one before, of which somebody may still speak.
    former: Option<Secret>,
    failure: Option<(Instant, ClientError)>,
}

impl TokenCache {
    /// The token for `key`, fetched when there is none that is fresh.
    pub(crate) async fn get<F, Fetching>(&self, key: &TokenKey, fetch: F) -> Result<Token, ClientError>
    where
        F: FnOnce() -> Fetching,
        Fetching: Future<Output = Result<Token, ClientError>>,
    {
        let slot = self.slot(key);
        let came = Instant::now();
        if let Some(token) = slot.fresh(came) {
            return Ok(token);
        }
        let _flight = match slot.flight.try_lock() {
            Ok(flight) => flight,
            // Somebody is refreshing it: the old one does until then.
            Err(_) if let Some(token) = slot.usable(came) => return Ok(token),
            Err(_) => slot.flight.lock().await,
        };
        if let Some(token) = slot.fresh(Instant::now()) {
            return Ok(token);
        }
        if let Some(failure) = slot.shared_failure(came) {
            return Err(failure);
        }
        slot.settle(fetch().await)
    }

    /// How long the longest-lived token with such a key is still good, when there is one.
    pub(crate) fn lives(&self, such: impl Fn(&TokenKey) -> bool) -> Option<Duration> {
        let now = Instant::now();
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let found = slots.iter().filter(|(key, _)| such(key)).filter_map(|(_, slot)| slot.usable(now));
        found.map(|token| token.expires_at - now).max()
    }

    /// Every token that is or was just now in use, so that none comes back in somebody's words.
    pub(crate) fn texts(&self) -> Vec<Secret> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let known = slots.values().map(|slot| {
            let known = slot.lock();
            [known.token.as_ref().map(|token| token.text.clone()), known.former.clone()]
        });
        known.flatten().flatten().collect()
    }

    /// Forgets a token that the upstream did not take. A newer one that has replaced it meanwhile stays.
    pub(crate) fn reject(&self, key: &TokenKey, rejected: &Secret) {
        let slot = self.slot(key);
        let mut known = slot.lock();
        if known.token.as_ref().is_some_and(|token| token.text.expose() == rejected.expose()) {
            known.token = None;
            known.former = Some(rejected.clone());
        }
    }

    fn slot(&self, key: &TokenKey) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(key) {
            return slot.clone();
        }
        if slots.len() >= MAX_TOKENS {
            slots.clear();
        }
        slots.entry(key.clone()).or_default().clone()
    }
}

impl Slot {
    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self, now: Instant) -> Option<Token> {
        self.lock().token.clone().filter(|token| now < token.refresh_at)
    }

    fn usable(&self, now: Instant) -> Option<Token> {
        self.lock().token.clone().filter(|token| now < token.expires_at)
    }

    /// A failure after the caller came is the outcome it waited for; an older one counts when it was a refusal just now.
    fn shared_failure(&self, came: Instant) -> Option<ClientError> {
        let known = self.lock();
        let (at, failure) = known.failure.as_ref()?;
        let refused = matches!(failure, ClientError::Unauthorized { .. } | ClientError::Denied { .. });
        (*at >= came || (refused && came < *at + REFUSED_FOR)).then(|| failure.clone())
    }

    /// Keeps the outcome of a fetch. When it failed, a token that has not expired yet is used on.
    fn settle(&self, outcome: Result<Token, ClientError>) -> Result<Token, ClientError> {
        let mut known = self.lock();
        match outcome {
            Ok(token) => {
                let former = known.token.take().map(|former| former.text).or(known.former.take());
                *known = Known { token: Some(token.clone()), former, failure: None };
                Ok(token)
            }
            Err(failure) => {
                let now = Instant::now();
                known.failure = Some((now, failure.clone()));
                known.token.clone().filter(|token| now < token.expires_at).ok_or(failure)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::UpstreamAnswer;

    fn key(scope: &str) -> TokenKey {
        TokenKey {
            realm: "https://a.example/token".into(),
            service: None,
            scopes: vec![scope.into()],
            credential: CredentialId::Anonymous,
        }
    }

    fn token(text: &'static str, seconds: u64) -> Token {
        Token::new(Secret::new(text), Instant::now(), Duration::from_secs(seconds))
    }

    fn refused() -> ClientError {
        ClientError::Unauthorized {
            upstream: "a.example".into(),
            answer: UpstreamAnswer { status: 401, message: None },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_cause_one_fetch_and_share_it() {
        let cache = Arc::new(TokenCache::default());
        let fetches = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..50)
            .map(|_| {
                let (cache, fetches) = (cache.clone(), fetches.clone());
                tokio::spawn(async move {
                    let fetch = || async {
                        fetches.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        Ok(token("t", 60))
                    };
                    cache.get(&key("x"), fetch).await.unwrap().text
                })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap().expose(), "t");
        }
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
        cache.get(&key("y"), || async { Ok(token("u", 60)) }).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_callers_share_a_failure_and_later_ones_try_again() {
        let cache = Arc::new(TokenCache::default());
        let fetches = Arc::new(AtomicUsize::new(0));
        let failing = |fetches: Arc<AtomicUsize>| async move {
            fetches.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            Err(refused())
        };
        let callers: Vec<_> = (0..20)
            .map(|_| {
                let (cache, fetches) = (cache.clone(), fetches.clone());
                tokio::spawn(async move { cache.get(&key("x"), || failing(fetches)).await.is_err() })
            })
            .collect();
        for caller in callers {
            assert!(caller.await.unwrap());
        }
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
        tokio::time::advance(REFUSED_FOR).await;
        assert_eq!(cache.get(&key("x"), || async { Ok(token("t", 60)) }).await.unwrap().text.expose(), "t");
    }

    #[tokio::test(start_paused = true)]
    async fn refreshes_at_four_fifths_and_survives_a_failed_refresh() {
        let cache = TokenCache::default();
        cache.get(&key("x"), || async { Ok(token("old", 100)) }).await.unwrap();
        tokio::time::advance(Duration::from_secs(79)).await;
        assert_eq!(cache.get(&key("x"), || async { Ok(token("early", 100)) }).await.unwrap().text.expose(), "old");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(cache.get(&key("x"), || async { Err(refused()) }).await.unwrap().text.expose(), "old");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(cache.get(&key("x"), || async { Ok(token("new", 100)) }).await.unwrap().text.expose(), "new");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_given_up_leaves_the_way_free() {
        let cache = TokenCache::default();
        let key = key("x");
        let stuck = cache.get(&key, std::future::pending);
        tokio::time::timeout(Duration::from_secs(1), stuck).await.unwrap_err();
        assert_eq!(cache.get(&key, || async { Ok(token("t", 60)) }).await.unwrap().text.expose(), "t");
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_rejected_token_is_forgotten() {
        let cache = TokenCache::default();
        cache.get(&key("x"), || async { Ok(token("new", 60)) }).await.unwrap();
        cache.reject(&key("x"), &Secret::new("old"));
        assert_eq!(cache.get(&key("x"), || async { Ok(token("newer", 60)) }).await.unwrap().text.expose(), "new");
        cache.reject(&key("x"), &Secret::new("new"));
        assert_eq!(cache.get(&key("x"), || async { Ok(token("newer", 60)) }).await.unwrap().text.expose(), "newer");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let cache = TokenCache::default();
        for number in 0..=MAX_TOKENS {
            cache.get(&key(&number.to_string()), || async { Ok(token("t", 60)) }).await.unwrap();
        }
        assert!(cache.slots.lock().unwrap().len() <= MAX_TOKENS);
    }
}
