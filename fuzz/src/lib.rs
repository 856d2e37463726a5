//! What must hold for every input of every fuzz target. The targets call these functions with what the fuzzer makes
//! up; `tests/fuzz_seeds.rs` of `oci` and of `estargz` call them with the committed seeds, on any compiler.
//!
//! Must not know the fuzzer. Invariant: no function here depends on anything but its input.

mod layer_properties;
mod oci_properties;

pub use layer_properties::{layer_chunk, layer_footer, layer_toc};
pub use oci_properties::{byte_range, challenge, digest_reference, manifest};
