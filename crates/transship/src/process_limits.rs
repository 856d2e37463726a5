//! What the operating system lets this process do: open files, and who may read what it writes.
//!
//! Must not know what the files are. Invariant: nothing here can keep the server from starting.

use rustix::fs::Mode;
use rustix::process::{Resource, getrlimit, setrlimit, umask};

/// Makes files written from now on private to this user: the database holds upstream passwords.
pub(crate) fn keep_files_private() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// Raises the number of files that may be open to what the system allows, and gives it: a connection is a file, and
/// the usual limit is 1024.
pub(crate) fn raise_open_files() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let before = limit.current;
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "cannot raise the number of open files; many connections may not be possible");
            return before;
        }
    }
    limit.current
}
