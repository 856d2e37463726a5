//! Free loopback ports for servers that a test stops and starts again.
//!
//! Must not know: the servers. Ports lie below the range the kernel hands out by itself, so no outgoing connection
//! takes one while its server is down. Invariant: nobody listened on the port when it was handed out.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 10_240;
/// Linux starts its own range at 32768.
const COUNT: u16 = 22_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A candidate: a random start per process, then counting, so one process never gets the same port twice in a row.
pub(crate) fn candidate() -> u16 {
    static START: std::sync::LazyLock<u64> =
        std::sync::LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    let step = NEXT.fetch_add(1, Ordering::Relaxed);
    FIRST + ((*START % u64::from(COUNT)) as u16).wrapping_add(step) % COUNT
}

/// A port on which nobody listens.
pub fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(candidate).take(usize::from(COUNT)).find(free).expect("one of 22000 ports is free")
}
