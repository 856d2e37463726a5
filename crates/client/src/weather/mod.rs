//! The weather at upstream hosts: what was seen of each, and what follows for the next request.
//!
//! ```text
//!   RegistryClient ── retry ──┐                       ┌─ breaker      one for each host
//!   RegistryClient ── retry ──┼── transport ── host ──┼─ blocks       by host and account (`Retry-After`, abuse)
//!   RegistryClient ── retry ──┘     (Climate)         ├─ rate limits  by host and account
//!                                                     └─ latency, errors, retry budget
//! ```
//!
//! Must not know what a request is for beyond its method and kind, and no secret: accounts are digests with names. Invariants: everything
//! is counted for the host that was actually asked, so a failing CDN says nothing of the registry that redirects to it;
//! one `Climate` is shared by all clients of a process; nothing here makes requests.

mod abuse;
mod admission;
mod backoff;
mod blocks;
mod breaker;
mod climate;
mod ewma;
mod hedge;
mod host;
mod host_limits;
mod limits;
mod rate_limit;
mod rate_limit_headers;
mod report;
mod retry;
mod retry_budget;
mod snapshot;
mod standing;
mod wait_hint;
mod window;

pub(crate) use admission::Question;
pub use backoff::Backoff;
pub(crate) use blocks::Cost;
pub use climate::Climate;
pub use hedge::{Hedging, hedge};
pub(crate) use host::HostWeather;
pub use host_limits::HostLimits;
pub(crate) use limits::Passage;
pub use limits::{Limiter, OwnLimits};
pub use rate_limit::RateLimit;
pub use report::{AccountReport, HostReport};
pub(crate) use retry::RetryRule;
pub use snapshot::{BreakerState, Weather};
pub(crate) use standing::{Left, Standing};
pub(crate) use wait_hint::wait_hint;
