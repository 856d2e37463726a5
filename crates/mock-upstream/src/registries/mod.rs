//! Fakes of the registries people pull from: their challenges, token servers, redirects, limits and error answers.
//!
//! Data in `recipes`, put together from the scriptable upstream in `fake_registry`. Must not know the code that pulls, nor
//! its table of profiles: written down twice on purpose. Invariant: a fake answers only what is documented or was seen of
//! the real one; what is guessed is said at its recipe.

mod fake_registry;
mod recipe;
mod recipes;

pub use fake_registry::{FakeRegistry, PASSWORD};
pub use recipe::{BlobsAt, Login, ManifestsAt, Place, Recipe, TokenServer};
pub use recipes::ALL;
