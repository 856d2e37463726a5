//! One entry's credential, kept while it is good.
//!
//! Must not know where it comes from. Invariants: it is obtained once at a time, by a task that goes on when the caller
//! leaves, and all who wait share the outcome; the version grows exactly when the content changes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::source::{Lasts, Obtained};
use crate::basic::{Credential, CredentialId};
use crate::weather::{HostWeather, Left, Standing};

/// How long a failure is the answer to later calls too: a helper that fails is not run for each request of a pull.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// A credential that was rejected is obtained again, but not more often than this.
const REJECTED_FOR: Duration = Duration::from_secs(10);

/// The version of what is obtained next.
static NEXT_VERSION: AtomicU64 = AtomicU64::new(1);

/// A credential as it can be sent.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// The name of the credential it came from.
    pub(crate) name: Arc<str>,
    /// What is sent.
    pub(crate) credential: Credential,
    /// Under which what hosts say of its limits is kept.
    pub(crate) id: CredentialId,
    /// Another one for everything that was ever obtained and was not what it was before.
    pub(crate) version: u64,
}

impl Resolved {
    fn new(name: Arc<str>, credential: Credential) -> Self {
        let version = NEXT_VERSION.fetch_add(1, Ordering::Relaxed);
        Self { name, id: CredentialId::of(Some(&credential)), credential, version }
    }

    /// Whether both were obtained as one.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.version == other.version
    }
}

/// The outcome of obtaining: nothing is an outcome too. The error is a reason in words.
type Outcome = Result<Option<Arc<Resolved>>, Arc<str>>;

/// The kept credential of one entry.
#[derive(Default)]
pub(super) struct Keeper {
    /// Held while it is obtained.
    flight: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    kept: Option<Kept>,
    failure: Option<(Instant, Arc<str>)>,
    rejected_at: Option<Instant>,
    resting_until: Option<Instant>,
    /// How often it was chosen since the host said at that time what was left.
    chosen: Option<(Instant, u64)>,
}

struct Kept {
    resolved: Option<Arc<Resolved>>,
    lasts: Lasts,
}

impl Kept {
    fn is_fresh(&self, now: Instant) -> bool {
        match self.lasts {
            Lasts::Always => true,
            Lasts::Until { refresh_at, .. } => now < refresh_at,
        }
    }

    fn is_usable(&self, now: Instant) -> bool {
        match self.lasts {
            Lasts::Always => true,
            Lasts::Until { expires_at, .. } => now < expires_at,
        }
    }
}

impl Keeper {
    /// One whose credential is always the same.
    pub(super) fn fixed(name: Arc<str>, credential: Credential) -> Self {
        let kept = Kept { resolved: Some(Arc::new(Resolved::new(name, credential))), lasts: Lasts::Always };
        Self { known: Mutex::new(Known { kept: Some(kept), ..Known::default() }), ..Self::default() }
    }

    /// The credential, obtained when there is none that is good.
    pub(super) async fn get<F>(self: Arc<Self>, name: Arc<str>, obtain: F) -> Outcome
    where
        F: Future<Output = Result<Obtained, String>> + Send + 'static,
    {
        let came = Instant::now();
        if let Some(outcome) = self.known(Kept::is_fresh, came) {
            return Ok(outcome);
        }
        if self.flight.try_lock().is_err()
            && let Some(outcome) = self.known(Kept::is_usable, came)
        {
            // Somebody is renewing it: the old one does until then.
            return Ok(outcome);
        }
        let task = tokio::spawn(async move {
            let _flight = self.flight.lock().await;
            if let Some(outcome) = self.known(Kept::is_fresh, Instant::now()) {
                return Ok(outcome);
            }
            if let Some(reason) = self.failed(came) {
                return self.known(Kept::is_usable, Instant::now()).ok_or(reason);
            }
            self.settle(&name, obtain.await)
        });
        task.await.unwrap_or_else(|error| Err(format!("obtaining it failed: {error}").into()))
    }

    /// Has a credential that the upstream did not take obtained again, unless it was replaced meanwhile.
    pub(super) fn reject(&self, rejected: &Resolved) {
        let mut known = self.lock();
        let now = Instant::now();
        let again = known.rejected_at.is_none_or(|at| now >= at + REJECTED_FOR);
        let Some(kept) = &mut known.kept else { return };
        if !kept.resolved.as_ref().is_some_and(|kept| kept.is_same_as(rejected)) {
            return;
        }
        // What is always the same need not be obtained again. The old one stays to be compared with the new.
        if again && kept.lasts != Lasts::Always {
            kept.lasts = Lasts::Until { refresh_at: now, expires_at: now };
        }
        known.rejected_at = Some(now);
    }

    /// Leaves this account alone until then, when there are others.
    pub(super) fn rest(&self, until: Instant) {
        let mut known = self.lock();
        known.resting_until = known.resting_until.max(Some(until));
    }

    /// Whether others should be preferred: it rests, or was rejected just now.
    fn is_resting(&self, now: Instant) -> bool {
        let known = self.lock();
        known.resting_until.is_some_and(|until| now < until)
            || known.rejected_at.is_some_and(|at| now < at + REJECTED_FOR)
    }

    /// It was chosen for a request: until the host says anew what is left, that is one less.
    pub(super) fn choose(&self, host: &HostWeather) {
        let left = self.kept().and_then(|kept| host.standing(kept.id).left);
        let mut known = self.lock();
        let before = known.chosen.filter(|(since, _)| left.is_some_and(|left| left.seen_at == *since));
        known.chosen = left.map(|left| (left.seen_at, before.map_or(0, |(_, times)| times) + 1));
    }

    /// How it stands at the host, what is under way taken off.
    pub(super) fn standing(&self, host: &HostWeather, now: Instant) -> Standing {
        let told = self.kept().map(|kept| host.standing(kept.id)).unwrap_or_default();
        let chosen = self.lock().chosen;
        let under_way = |left: &Left| chosen.filter(|(since, _)| *since == left.seen_at).map_or(0, |(_, times)| times);
        let left = told.left.map(|left| Left { remaining: left.remaining.saturating_sub(under_way(&left)), ..left });
        Standing { rests: told.rests || self.is_resting(now), left }
    }

    /// What is kept, good or not.
    pub(super) fn kept(&self) -> Option<Arc<Resolved>> {
        self.lock().kept.as_ref().and_then(|kept| kept.resolved.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::option_option, reason = "that there is no credential is known too")]
    fn known(&self, good: fn(&Kept, Instant) -> bool, now: Instant) -> Option<Option<Arc<Resolved>>> {
        self.lock().kept.as_ref().filter(|kept| good(kept, now)).map(|kept| kept.resolved.clone())
    }

    /// A failure after the caller came is the outcome it waited for; one just before counts as well.
    fn failed(&self, came: Instant) -> Option<Arc<str>> {
        let known = self.lock();
        let (at, reason) = known.failure.as_ref()?;
        (came < *at + FAILED_FOR).then(|| reason.clone())
    }

    /// Keeps the outcome. When it failed, what has not expired yet is used on.
    fn settle(&self, name: &Arc<str>, outcome: Result<Obtained, String>) -> Outcome {
        let mut known = self.lock();
        match outcome {
            Ok(Obtained { credential, lasts }) => {
                let before = known.kept.take().and_then(|kept| kept.resolved);
                let resolved = credential.map(|credential| match before {
                    Some(before) if same(&before.credential, &credential) => before,
                    Some(_) | None => Arc::new(Resolved::new(name.clone(), credential)),
                });
                known.kept = Some(Kept { resolved: resolved.clone(), lasts });
                known.failure = None;
                Ok(resolved)
            }
            Err(reason) => {
                let (now, reason) = (Instant::now(), Arc::<str>::from(reason));
                known.failure = Some((now, reason.clone()));
                let kept = known.kept.as_ref().filter(|kept| kept.is_usable(now));
                kept.map(|kept| kept.resolved.clone()).ok_or(reason)
            }
        }
    }
}

fn same(one: &Credential, other: &Credential) -> bool {
    CredentialId::of(Some(one)) == CredentialId::of(Some(other))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::secret::Secret;

    fn obtained(text: &'static str, seconds: u64) -> Obtained {
        let now = Instant::now();
        let lasts = Lasts::Until {
            refresh_at: now + Duration::from_secs(seconds * 4 / 5),
            expires_at: now + Duration::from_secs(seconds),
        };
        Obtained { credential: Some(Credential::Bearer(Secret::new(text))), lasts }
    }

    async fn get(keeper: &Arc<Keeper>, outcome: Result<Obtained, String>) -> Outcome {
        keeper.clone().get("auth".into(), async move { outcome }).await
    }

    #[tokio::test(start_paused = true)]
    async fn many_callers_cause_one_run_even_when_the_first_leaves() {
        let (keeper, runs) = (Arc::new(Keeper::default()), Arc::new(AtomicUsize::new(0)));
        let call = || {
            let (keeper, runs) = (keeper.clone(), runs.clone());
            keeper.get("auth".into(), async move {
                runs.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(3)).await;
                Ok(obtained("t", 100))
            })
        };
        tokio::time::timeout(Duration::from_secs(1), call()).await.unwrap_err();
        let (one, two) = tokio::join!(call(), call());
        assert!(one.unwrap().unwrap().is_same_as(&two.unwrap().unwrap()));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_briefly_and_never_outlives_a_good_credential() {
        let keeper = Arc::new(Keeper::default());
        get(&keeper, Err("no".into())).await.unwrap_err();
        get(&keeper, Ok(obtained("t", 100))).await.unwrap_err();
        tokio::time::advance(FAILED_FOR).await;
        get(&keeper, Ok(obtained("t", 100))).await.unwrap();
        tokio::time::advance(Duration::from_secs(90)).await;
        get(&keeper, Err("no".into())).await.unwrap().unwrap();
        tokio::time::advance(Duration::from_secs(20)).await;
        get(&keeper, Err("no".into())).await.unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn the_version_grows_with_the_content_only() {
        let keeper = Arc::new(Keeper::default());
        let first = get(&keeper, Ok(obtained("a", 100))).await.unwrap().unwrap();
        tokio::time::advance(Duration::from_secs(90)).await;
        let same = get(&keeper, Ok(obtained("a", 100))).await.unwrap().unwrap();
        assert_eq!(same.version, first.version);
        keeper.reject(&same);
        let other = get(&keeper, Ok(obtained("b", 100))).await.unwrap().unwrap();
        assert_ne!(other.version, first.version);
        keeper.reject(&first);
        assert_eq!(get(&keeper, Ok(obtained("c", 100))).await.unwrap().unwrap().version, other.version);
        keeper.reject(&other);
        let again = get(&keeper, Ok(obtained("c", 100))).await.unwrap().unwrap();
        assert_eq!(again.version, other.version, "rejected again at once: it is not obtained each time");
    }
}
