//! A configuration file as a tree of values that know their lines, and the form in which problems with it are told.
//!
//! Both programs read their configuration with it. It must not know which fields exist, nor files or variables.
//! Invariant: whatever the text, the answer is a tree of bounded size or one problem with its line.

pub mod document;
pub mod problem;
pub mod suggest;
