//! What the tests of every floor need from the outside world: a scriptable upstream registry, small real images, and
//! real peers (docker-registry, docker, containerd, podman, skopeo) run in folders of their own.
//!
//! Must not know: our stores, our configuration types, our server. It hands out URLs, folders and bytes.
//! Invariant: nothing is skipped. What is missing on the machine is a panic that says what to install.
#![expect(clippy::missing_panics_doc, reason = "a test kit reports every broken precondition by panicking")]

pub mod clients;
mod daemon;
pub mod debian_rootfs;
pub mod hello_program;
pub mod nginx_peer;
pub mod plain_http;
pub mod program;
pub mod proxy;
pub mod registry_peer;
pub mod stargz;
pub mod transship_process;

// The scriptable upstream has a crate of its own, for the binary serves it too (`transship mock-upstream`).
pub use mock_upstream::{h2, image, port, upstream};
