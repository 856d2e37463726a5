//! How long decisions about callers last.
//!
//! Must not know documents. Invariant: never longer than the bounds below, whatever is configured.

use std::time::Duration;

/// Longest a grant stands without asking upstream again.
pub(crate) const MAX_GRANT: Duration = Duration::from_mins(5);
/// Longest an anonymous success opens a name to everybody.
pub(crate) const MAX_PUBLIC: Duration = Duration::from_mins(15);
/// Longest a grant that has ended may stand in while upstream cannot be asked.
pub(crate) const MAX_GRACE: Duration = Duration::from_hours(24);
/// How long a refusal is remembered for the same caller and reference. Short: rights are also given.
pub(super) const REFUSED_FOR: Duration = Duration::from_secs(10);
/// Longest wait for a decision, so that decision and pull together stay within what clients wait.
pub(super) const DECIDED_WITHIN: Duration = Duration::from_secs(10);

/// The times of a repository with `auth: passthrough`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassthroughRules {
    /// How long a caller's grant stands; also not longer than the upstream's token. At most 5 minutes.
    pub grant_ttl: Duration,
    /// How long a name that upstream gives to anonymous callers is open to all. At most 15 minutes.
    pub public_ttl: Duration,
    /// How long an ended grant still counts while upstream cannot be asked. At most a day; zero means not at all.
    pub grace: Duration,
}

impl Default for PassthroughRules {
    fn default() -> Self {
        Self { grant_ttl: MAX_GRANT, public_ttl: MAX_PUBLIC, grace: Duration::ZERO }
    }
}
