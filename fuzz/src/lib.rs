//! What must hold for every input of every fuzz target. The targets call these functions with what the fuzzer makes
//! up; `tests/fuzz_seeds.rs` of `oci` calls them with the committed seeds, on any compiler.
//!
//! Must not know the fuzzer. Invariant: no function here depends on anything but its input.

mod oci_properties;

pub use oci_properties::{byte_range, challenge, digest_reference, manifest};
