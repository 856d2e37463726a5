//! The real peers work on this machine: registry, clients, and a real Debian root file system through all of them.

mod clients;
mod debian;
mod registry;
