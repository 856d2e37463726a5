//! Writes a part of an image's tree into a folder.
//!
//! Must not know registries. Invariants: nothing is ever made, changed or removed outside of the folder, whatever names and
//! links an image holds and whatever stands in the folder; a file appears under its name when it is complete and proven,
//! with its mode and times; links come after all files, folders get their modes last.

mod attributes;
mod files;
mod folder;
mod shape;
mod special;

pub(crate) use attributes::{Attributes, Preserve};
pub(crate) use files::{Files, Partials};
pub(crate) use folder::Folder;
pub(crate) use shape::{Shape, Special};
pub(crate) use special::{Root, finish};
