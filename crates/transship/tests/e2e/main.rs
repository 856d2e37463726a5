//! End to end: the built program on real sockets, asked by real clients, before scripted and real upstreams.
//!
//! Must not know: the crates behind the program. Everything goes through arguments, files, signals and HTTP. Invariant:
//! no test skips; a program that is missing on the machine fails its test and says what to install.

#![expect(clippy::unwrap_used, reason = "a test stops where something unexpected happens")]

mod http;
mod lab;
mod referrers;
mod refusals;

mod addressing;
mod api;
mod archives;
mod bad_http;
mod bad_paths;
mod bad_values;
mod budget;
mod canaries;
mod ci_recipes;
mod configuration;
mod crashes;
mod credentials;
mod credentials_forms;
mod exchange_log;
mod explain;
mod fills;
mod foreign_layers;
mod gc;
mod groups;
mod groups_clients;
mod h2_upstream;
mod metrics;
mod passthrough;
mod passthrough_clients;
mod probe;
mod promotion;
mod pull_through;
mod push;
mod push_clients;
mod push_cross;
mod push_disk_full;
mod push_kills;
mod push_limits;
mod push_memory;
mod push_more_clients;
mod push_soak;
mod ranges;
mod reload;
mod request_log;
mod retention;
mod sealing;
mod secrets;
mod shutdown;
mod signatures;
mod starget;
mod tag_history;
mod tags;
mod throttled;
mod tls;
mod traces;
mod transfer;
mod transfer_layouts;
mod transfer_names;
mod upstream_headers;
mod warm;
mod workflows;
