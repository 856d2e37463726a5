//! Images: how people write them, and what their manifests say.
//!
//! Must not know layers' content. Invariant: everything read here was checked against its digest.

mod annotated;
mod reference;
mod resolve;

pub(crate) use annotated::{Layer, layers_of_manifest};
pub(crate) use reference::{ImageRef, Target, common_name};
pub(crate) use resolve::{Image, resolve};
