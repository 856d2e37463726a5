//! The registry against scripted upstreams: each test states upstream's weather, pulls, and asserts what came, what
//! upstream saw and what is on disk.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]
#![expect(clippy::cast_precision_loss, reason = "ratios of sizes below 2^52")]

mod blobs;
mod deadlines;
mod explain;
mod faults;
mod groups;
mod harness;
mod hosted;
mod hosted_gc;
mod manifests;
mod mirrors;
mod ranges;
mod referrers;
mod repositories;
mod resuming;
mod room;
mod tags;
mod weather;
mod workflows;
