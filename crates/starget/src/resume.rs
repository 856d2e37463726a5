//! What is known of downloads that were broken off: one journal each, in the state folder.
//!
//! ```text
//! {"version":1,"image":…,"manifest":…,"layer":…,"pattern":…,"out":…,"files":…}   what the rest is about
//! m                              the folder was made for this download
//! p 12 "usr/bin/x.partial"       file 12 grows there
//! c 12 0                         its chunk 0 is there and was proven
//! d 12                           it is complete
//! ```
//!
//! Must not know requests. Invariants: a line is written after what it says is true; a journal says what to look at, not
//! what to trust: whoever resumes hashes it all again; two runs never share a journal; one that was completed is removed.

mod check;
mod journal;
mod list;

pub(crate) use check::{Found, look};
pub(crate) use journal::{Header, Journal};
pub(crate) use list::{Leftover, Standing, list, remove};
