//! A registry that does what it is told: `upstream` (a scriptable registry, token server and CDN on loopback), `image`
//! (small real images to put into it), `registries` (fakes of the registries people pull from), `h2` (an HTTP/2 server
//! that writes what frames it is told), `port` (ports that stay free while a server is down).
//!
//! Must not know: the code that pulls from it, configuration files, command lines.
//! Invariant: without faults it is a correct registry, and what it counts is what it sent.
#![expect(clippy::missing_panics_doc, reason = "a broken precondition of a script or a test is a panic that says so")]

pub mod h2;
pub mod image;
mod layout;
pub mod port;
pub mod registries;
pub mod upstream;

pub use layout::LayoutError;
