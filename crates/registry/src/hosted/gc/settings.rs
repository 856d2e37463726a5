//! The rules of garbage collection, and what one run is asked for.
//!
//! Must not know where they are written. Invariant: the rules left alone lose nothing that a client could still want.

use std::time::Duration;

/// What becomes of manifests without a tag that nothing needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Untagged {
    /// They stay: they can be pulled by digest.
    #[default]
    Keep,
    /// They are garbage. A manifest with a `subject` lives as long as that.
    Delete,
}

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcSettings {
    /// Time between runs; `None`: only when asked.
    pub interval: Option<Duration>,
    /// How long something stays after it was found unneeded.
    pub grace: Duration,
    /// How long something stays at least after a client was told that it is here.
    pub lease: Duration,
    /// What becomes of untagged manifests where a repository does not say it.
    pub untagged: Untagged,
}

impl Default for GcSettings {
    fn default() -> Self {
        let (interval, grace) = (Some(Duration::from_hours(1)), Duration::from_hours(24));
        Self { interval, grace, lease: Duration::from_hours(1), untagged: Untagged::Keep }
    }
}

/// Whether a run changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GcMode {
    /// It does.
    Collect,
    /// It says what it would do.
    DryRun,
}

/// Whether a run waits out the grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GcPatience {
    /// As configured.
    Grace,
    /// What is unneeded goes in this run. Leases hold.
    None,
}

/// What a run is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcRequest {
    /// Whether it changes anything.
    pub mode: GcMode,
    /// Whether it waits.
    pub patience: GcPatience,
}
