//! The accept loop on real sockets, with a small service of its own behind it.
//!
//! Every wait has a generous bound, so that a fault is a failure and not a hang; nothing asserts how fast something is.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

mod drain;
mod harness;
mod limits;
mod tls;
