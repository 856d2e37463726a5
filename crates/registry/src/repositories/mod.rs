//! Configured repositories: what one is, where they come from, and which one answers a request.
//!
//! A repository comes from one of three places: built in, the configuration file, or the API (kept in the metadata
//! database). The API wins over built-in ones and never touches those of the file. Must not know HTTP statuses.
//! Invariant: the map that requests see is always a whole, checked snapshot.

mod addresses;
mod admin;
mod builtin;
mod configured;
mod document;
mod map;
mod memberships;
mod network;
mod pattern;
mod repository;
mod size;
pub(crate) use admin::builtin_specs;
mod spec;
mod view;

pub(crate) use addresses::{Addressed, Addresses};
pub use admin::{RepositoryAdmin, RepositoryError, RepositoryView};
pub(crate) use configured::AnyRepository;
pub use configured::ConfiguredRepository;
pub use document::{FIELDS, FieldDoc, FieldProblem, Provenance, read_own_limits};
pub(crate) use map::RepositoryMap;
pub use map::{Route, RouteQuery};
pub use memberships::check_references;
pub use network::NetworkSpec;
pub use pattern::{NamePattern, TagPattern};
pub use repository::{HeaderTrace, Repository, Source, UpstreamDefaults};
pub use size::parse_size;
pub use spec::{FillOnRange, HealthCheck, ReferrersSource, RepositorySpec, Strategy, UpstreamSpec, parse_duration};
