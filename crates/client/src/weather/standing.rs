//! How one account stands with a host's limits, for those who choose among several.
//!
//! Must not choose. Invariant: a copy; what is not known is not guessed.

use tokio::time::Instant;

use super::blocks::Cost;
use super::host::HostWeather;
use super::rate_limit::RateLimitTrack;
use crate::basic::CredentialId;

/// What is known of one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// It would be refused, or has nothing left: others should be asked with.
    pub(crate) rests: bool,
    /// What it had left when the host last said so; `None` when the host did not, or so long ago that it means nothing.
    pub(crate) left: Option<Left>,
}

/// A statement of what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) remaining: u64,
    pub(crate) seen_at: Instant,
}

impl HostWeather {
    /// How `account` stands.
    pub(crate) fn standing(&self, account: CredentialId) -> Standing {
        let now = Instant::now();
        self.change(|state| {
            let left = state.rate_limits.get(&account).filter(|track| track.is_current(now)).map(RateLimitTrack::left);
            let is_spent = left.is_some_and(|left| left.remaining == 0);
            Standing { rests: is_spent || state.blocks.own(account, Cost::Pull, now).is_some(), left }
        })
    }
}
