//! Groups: an ordered list of repositories behind one key.
//!
//! ```text
//!   name ── rules (pin, routes) ──▶ members that may be asked
//!             └─ keeper? (remembered, pushed, pulled before) ──▶ that one alone
//!                  └─ else one after the other, each only after the one before said no ──▶ keeps the name
//!                        └─▶ the member's own Place, verbs and rules
//! ```
//!
//! Must not know HTTP, and holds no content. Invariants: what is served through a group is served by a member, under a
//! name that the member links it to; a member that fails is never taken for one that does not have the thing.

mod catalog;
mod conflicts;
mod error;
mod keepers;
mod lookup;
mod names;
mod push;
mod recheck;
mod referrers;
mod repository;
mod resolve;
mod rules;
mod spec;
mod tags;
mod walk;

pub(crate) use self::catalog::catalog;
pub(crate) use self::conflicts::list as list_conflicts;
pub use self::conflicts::{ConflictSide, GroupConflict, GroupConflicts};
pub use self::error::{GroupError, Sought};
pub(crate) use self::keepers::{Groups, peek_keeper};
pub(crate) use self::lookup::{NameFlight, peek_known};
pub use self::names::{GroupName, GroupNames};
pub(crate) use self::names::{list as list_names, release as release_name};
pub(crate) use self::push::{mount_source, push_route, pushed, tags_moved};
pub(crate) use self::referrers::list as list_referrers;
pub(crate) use self::repository::Member;
pub use self::repository::{GroupRepository, GroupRoute};
pub(crate) use self::resolve::resolve;
pub use self::resolve::{AnsweredBy, Resolved, Want};
pub use self::rules::NameRules;
pub(crate) use self::rules::{Choice, ChosenBy};
pub use self::spec::{GroupSpec, NameKeeping};
pub(crate) use self::tags::list as list_tags;
