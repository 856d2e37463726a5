//! The accept loop on real sockets, with a small service of its own behind it.
//!
//! Every wait has a generous bound, so that a fault is a failure and not a hang; nothing asserts how fast something is.

mod drain;
mod harness;
mod limits;
mod tls;
