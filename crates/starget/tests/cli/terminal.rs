//! A terminal that a test types into: the program `tmux`, with a server of its own.
//!
//! Invariant: what is typed is what a person would type, and what is seen is what a person would see.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::Starget;

/// How long a shell may take for anything.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

/// One terminal.
pub(crate) struct Terminal<'s> {
    starget: &'s Starget,
}

impl<'s> Terminal<'s> {
    /// Starts the shell in it, where `starget` is on the path.
    pub(crate) fn start(starget: &'s Starget, shell: &str) -> Self {
        // One that is missing is told at once, with what to install.
        testkit::program::find(shell.split(' ').next().unwrap_or(shell));
        let programs = starget.path("programs");
        if !programs.exists() {
            std::fs::create_dir(&programs).unwrap();
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_starget"), programs.join("starget")).unwrap();
        }
        let terminal = Self { starget };
        let output = terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "180", "-y", "40", shell]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        terminal.line("echo REA''DY");
        terminal.wait_for("\nREADY");
        terminal
    }

    fn tmux(&self, words: &[&str]) -> Command {
        let mut command = Command::new(testkit::program::find("tmux"));
        let path = format!("{}:/usr/bin:/bin", self.starget.path("programs").display());
        command.arg("-S").arg(socket(self.starget.folder.path())).args(words);
        command.env_clear().env("PATH", path).env("HOME", self.starget.folder.path());
        command.env("TERM", "xterm").env("LC_ALL", "C.UTF-8").env("PS1", "$ ");
        command.env("STARGET_CACHE_DIR", self.starget.path("cache")).env("STARGET_STATE_DIR", self.starget.state());
        command.current_dir(self.starget.folder.path());
        command
    }

    fn send(&self, words: &[&str]) {
        let status = self.tmux(&[&["send-keys"], words].concat()).status().unwrap();
        assert!(status.success());
    }

    /// Types text.
    pub(crate) fn typed(&self, text: &str) {
        self.send(&["-l", text]);
    }

    /// Presses a key: `Tab`, `Enter`, `C-u`.
    pub(crate) fn key(&self, key: &str) {
        self.send(&[key]);
    }

    /// Types a line and ends it.
    pub(crate) fn line(&self, text: &str) {
        self.typed(text);
        self.key("Enter");
    }

    /// All that was shown; lines that were broken for their length are whole.
    pub(crate) fn shown(&self) -> String {
        let output = self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until this is shown.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        assert!(self.comes(text, PATIENCE), "'{text}' does not come; there is:\n{}", self.shown());
    }

    /// Presses the tabulator until this is shown: on a busy machine a registry may have been waited for too short the first time.
    #[track_caller]
    pub(crate) fn completes_to(&self, text: &str) {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            self.key("Tab");
            if self.comes(text, PATIENCE / 6) {
                return;
            }
        }
        panic!("it is not completed to '{text}'; there is:\n{}", self.shown());
    }

    fn comes(&self, text: &str, patience: Duration) -> bool {
        let started = Instant::now();
        while started.elapsed() < patience {
            if self.shown().contains(text) {
                return true;
            }
            std::thread::sleep(POLL);
        }
        false
    }
}

fn socket(folder: &Path) -> std::path::PathBuf {
    folder.join("tmux")
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        // When there is no server any more, all is well.
        let _ = self.tmux(&["kill-server"]).output();
    }
}
