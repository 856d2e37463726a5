//! Garbage collection of hosted repositories, while they serve.
//!
//! ```text
//!   nothing needs it, no lease ──▶ condemned ── grace ──▶ asked again, in one transaction ──▶ link gone ──▶ bytes gone
//!        ▲                             │                            │
//!        └── pushed, mounted, told of ─┴────────────────────────────┘ (the verdict is lifted)
//! ```
//!
//! Must not know HTTP. Invariants: whoever was told that something is here can push what needs it for as long as a lease;
//! nothing goes that a manifest or an upload needs; one run at a time, in batches small enough that pushes go on between
//! them; a run that ends anywhere leaves space unused at worst, and the next one goes on.

mod clock;
mod judge;
mod lease;
mod orphans;
mod report;
mod run;
mod settings;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{MutexGuard, Semaphore, watch};

pub use self::report::{GcCounts, GcEnd, GcItem, GcLeftOvers, GcReport, GcRepository};
pub(crate) use self::run::collect;
pub use self::settings::{GcMode, GcPatience, GcRequest, GcSettings, Untagged};
use super::error::HostedError;

/// Who may wait for a run of their own while one is under way.
const MOST_WAITING: usize = 4;

/// What runs share.
pub(super) struct Collector {
    settings: watch::Sender<GcSettings>,
    running: tokio::sync::Mutex<()>,
    waiting: Semaphore,
    last: Mutex<Option<GcReport>>,
    last_run: AtomicI64,
    clock: clock::WallClock,
}

impl Collector {
    pub(super) fn new(settings: GcSettings) -> Self {
        Self {
            settings: watch::Sender::new(settings),
            running: tokio::sync::Mutex::default(),
            waiting: Semaphore::new(MOST_WAITING),
            last: Mutex::default(),
            last_run: AtomicI64::new(0),
            clock: clock::WallClock::start(),
        }
    }

    /// The rules in force.
    pub(super) fn settings(&self) -> GcSettings {
        *self.settings.borrow()
    }

    /// Changes the rules; whoever waits for the next run is told.
    pub(super) fn set(&self, settings: GcSettings) {
        self.settings.send_if_modified(|current| std::mem::replace(current, settings) != settings);
    }

    pub(super) fn changes(&self) -> watch::Receiver<GcSettings> {
        self.settings.subscribe()
    }

    /// Becomes the one that runs.
    async fn turn(&self) -> Result<MutexGuard<'_, ()>, HostedError> {
        let _place = self.waiting.try_acquire().map_err(|_| HostedError::TooMany {
            what: "several garbage collections wait already".into(),
            retry_after: Duration::from_secs(5),
        })?;
        Ok(self.running.lock().await)
    }

    /// Waits until no run is under way.
    pub(super) async fn idle(&self) {
        drop(self.running.lock().await);
    }

    /// Tells one run from all others, also of former processes.
    fn next_run(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        let before = self.last_run.fetch_max(now, Ordering::Relaxed);
        if now > before { now } else { self.last_run.fetch_add(1, Ordering::Relaxed) + 1 }
    }

    /// What the last run of this process did.
    pub(super) fn last(&self) -> Option<GcReport> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, report: &GcReport) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(report.clone());
    }
}
