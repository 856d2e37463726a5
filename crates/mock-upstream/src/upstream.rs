//! `FakeUpstream`: a scriptable OCI registry, token server and CDN on loopback, with a full request log.
//!
//! Must not know: the code under test. Without faults it is a correct registry; every misbehaviour is a `Fault`
//! attached to a `Target`. Invariant: what it counts is what it sent, byte for byte.

mod access;
mod answer;
mod connection;
mod contents;
mod delivery;
mod fake_upstream;
mod fault;
mod filling;
mod gate;
mod listener;
mod plan;
mod request_log;
mod routes;
mod script;
mod state;
mod target;
mod tls;
mod token_server;

pub use access::{Access, Account, Accounts, BearerManner, BearerRules, Login, Nobody, TokenReach};
pub use fake_upstream::FakeUpstream;
pub use fault::{Cut, DigestHeader, Fault, Location};
pub use gate::Gate;
pub use request_log::Request;
pub use state::Absence;
pub use target::{Kind, Target};
pub(crate) use tls::Certificate;
