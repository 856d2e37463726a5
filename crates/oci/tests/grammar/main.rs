//! The parsers of `oci` seen from outside: the spec's grammar, independent models of it, and hostile input.

mod challenges;
mod digests;
mod headers;
mod manifest_limits;
mod manifests;
mod names;
mod ranges;
mod words;
