//! The configuration: what was written, in a file, the environment or flags, and what it comes to.
//!
//! ```text
//! file ─ parse_yaml ─ interpolate ─┐
//! environment ─────────────────────┼─ check (table of fields) ─ lay over ─ raw ─ resolve ─▶ Config
//! flags ───────────────────────────┘
//! ```
//!
//! Must not start anything. Invariant: every wrong field of every source is reported at once, with its place.

mod check;
pub(crate) mod env_vars;
mod fields;
mod files_of_auth;
mod host_limits;
mod interpolate;
mod kind;
mod proxies;
mod raw;
mod reference;
mod repositories;
mod resolve;
mod schema;
mod size;
mod workflows;

pub(crate) use config_document::{document, problem, suggest};

pub(crate) use env_vars::Environment;
pub(crate) use reference::reference;
pub(crate) use resolve::{AdminToken, Config, FlagValue, Sources};
pub(crate) use schema::schema;
pub(crate) use size::Size;

#[cfg(test)]
mod tests;
