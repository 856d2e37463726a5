//! The rows as their users see them, on real files.

#![expect(
    clippy::unwrap_used,
    reason = "a failed step fails the test; the lint's own exception stops at test functions"
)]

mod concurrency;
mod content;
mod damage;
mod fixture;
mod garbage;
mod groups;
mod hosted;
mod opening;
mod promotions;
mod repositories;
mod retention;
mod sealing;
mod tags;
