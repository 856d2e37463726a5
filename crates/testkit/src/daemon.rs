//! A child process that serves until it is told to end: log to a file, readiness, signals, end on drop.
//!
//! Must not know: which program it is. Invariant: it ends only the process it started, by its id, and the drop of the
//! handle leaves none behind.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for readiness: generous, for only a failing test reaches it.
const READY_PATIENCE: Duration = Duration::from_mins(2);
/// Longest wait for an orderly end before SIGKILL.
const END_PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// A running program.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts a command; its outputs are appended to `log`.
    pub(crate) fn spawn(mut command: Command, log: &Path) -> Self {
        let open = || -> io::Result<File> { OpenOptions::new().create(true).append(true).open(log) };
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdout(open().expect("the log can be opened")).stderr(open().expect("the log can be opened"));
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { name, child, log: log.to_owned() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written so far, over all starts with this log file.
    pub(crate) fn log_text(&self) -> String {
        let bytes = std::fs::read(&self.log).expect("the log can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Polls until `ready`; panics with the log when the program ends first or takes minutes.
    pub(crate) fn wait_ready(&mut self, mut ready: impl FnMut() -> bool) {
        let started = Instant::now();
        while !ready() {
            let ended = self.child.try_wait().expect("a child can be asked");
            assert!(
                ended.is_none(),
                "{} ended ({ended:?}) before it was ready; its log:\n{}",
                self.name,
                self.log_text()
            );
            let waited = started.elapsed();
            assert!(
                waited < READY_PATIENCE,
                "{} is not ready after {waited:?}; its log:\n{}",
                self.name,
                self.log_text()
            );
            std::thread::sleep(POLL);
        }
    }

    /// Sends a signal to this process and to no other.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("process ids are positive");
        kill_process(pid, signal).expect("a child that was not waited for can be signalled");
    }

    /// Waits for its end; `None` when it is still running after `patience`.
    pub(crate) fn wait_end(&mut self, patience: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("a child can be asked");
            if ended.is_some() || started.elapsed() > patience {
                return ended;
            }
            std::thread::sleep(POLL);
        }
    }

    /// SIGTERM, then the exit status; SIGKILL when that takes half a minute.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.end(Signal::TERM)
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) -> ExitStatus {
        self.end(Signal::KILL)
    }

    fn end(&mut self, signal: Signal) -> ExitStatus {
        if let Some(ended) = self.wait_end(Duration::ZERO) {
            return ended;
        }
        self.signal(signal);
        if let Some(ended) = self.wait_end(END_PATIENCE) {
            return ended;
        }
        self.signal(Signal::KILL);
        self.child.wait().expect("a killed child ends")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end(Signal::TERM);
    }
}
