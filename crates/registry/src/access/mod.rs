//! Who may pull from a repository with `auth: passthrough`: callers log in with their own accounts at its upstream.
//!
//! ```text
//!   request ── principal ── standing? ─┬─ grant, public mark ──────────────▶ Admission::Granted
//!   (Basic)    (fingerprint)           └─ probe: HEAD upstream as the caller ─▶ Granted, or refused
//! ```
//!
//! Must not know what is cached: the decision is made before anything looks there, so that a hit and a miss look alike
//! to whom it is refused. Invariants: bytes are shared by digest, permissions are not; a grant is for one principal, one
//! name and one right, and ends; what cannot be decided is refused; secrets are in memory only.

mod admission;
mod caller;
mod entrance;
mod probe;
mod rules;
mod table;

pub(crate) use admission::Admission;
pub use caller::{CallerCredential, Principal};
pub use entrance::{EntranceAsks, EntranceLogin};
pub use probe::Action;
pub(crate) use probe::{authorize, log_in};
pub use rules::PassthroughRules;
pub(crate) use rules::{MAX_GRACE, MAX_GRANT, MAX_PUBLIC};
pub(crate) use table::{Access, Right};
