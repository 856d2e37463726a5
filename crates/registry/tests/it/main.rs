//! The registry against scripted upstreams: each test states upstream's weather, pulls, and asserts what came, what
//! upstream saw and what is on disk.

mod blobs;
mod faults;
mod harness;
mod manifests;
mod ranges;
mod repositories;
mod room;
mod tags;
