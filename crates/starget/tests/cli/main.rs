//! The built program against a scriptable registry and real ones: what it prints, what it writes, what it asks for.

#![expect(clippy::unwrap_used, reason = "a test stops where something unexpected happens")]

mod access;
mod completion;
mod configuration;
mod downloads;
mod failures;
mod hostile;
mod hostile_tables;
mod housekeeping;
mod memory;
mod reading;
mod real;
mod resuming;
mod support;
mod terminal;
mod traffic;
