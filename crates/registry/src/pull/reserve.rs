//! What an upstream still lets us pull, and for whom it is kept.
//!
//! Must not ask anybody. Invariant: nothing is kept back where nothing can stand in; what is not cached is always asked
//! for.

use std::time::Duration;

use client::RateLimit;
use client::profiles::RateLimitHeaders;

use super::manifest::said;
use crate::error::PullError;
use crate::repositories::Route;

/// How long a known tag rests when its revalidation would use up what is kept for others.
const REST: Duration = Duration::from_mins(1);

/// What revalidating a known tag would cost next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revalidation {
    /// A HEAD.
    Head,
    /// A GET of the manifest it moved to.
    Get,
}

/// The limit of the account that would be asked with, when it will not last.
pub(super) fn low(route: &Route) -> Option<RateLimit> {
    route.client().weather_for(&route.name).rate_limit.filter(|limit| limit.is_low)
}

/// Why a known tag is not revalidated now: the last pulls are for what is not cached.
pub(super) fn keeps_back(route: &Route, revalidation: Revalidation) -> Option<PullError> {
    let heads_are_free = route.client().profile().limits.headers == RateLimitHeaders::DockerHub;
    if heads_are_free && revalidation == Revalidation::Head {
        return None;
    }
    let limit = low(route).filter(|limit| limit.is_reserved)?;
    let message = format!("{} of {} pulls are left, kept for what is not cached", limit.remaining, limit.limit);
    Some(PullError::RateLimited { retry_after: Some(REST), said: said(route, message) })
}
