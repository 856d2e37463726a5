//! Layers as other programs and our own test writer make them, read through the public face of the crate.

#![expect(clippy::unwrap_used, reason = "a test stops where something unexpected happens")]

mod formats;
mod from_above;
mod hostile_blobs;
mod hostile_tables;
mod merging;
mod opening;
mod real_layers;
mod resolving;
mod support;
mod verifying;
