//! What is said on standard error while a check runs.
//!
//! Must not know what is checked. Invariant: nothing of it reaches standard output, and a terminal is left as it was.

use std::io::{IsTerminal as _, Write as _};

use client::probe::Group;

/// Says what is going on, or nothing.
pub(crate) struct Progress {
    style: Style,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Nothing.
    Silent,
    /// One line that is written over.
    OneLine,
    /// A line each.
    Lines,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let style = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Style::Silent,
            (false, true) => Style::OneLine,
            (false, false) => Style::Lines,
        };
        Self { style }
    }

    /// A group of checks begins.
    pub(super) fn group(&self, group: Group) {
        self.say(&format!("checking {} …", group.as_str()));
    }

    /// Something is under way.
    pub(super) fn say(&self, what: &str) {
        match self.style {
            Style::Silent => {}
            Style::OneLine => write(&format!("\r\x1b[2K{what}")),
            Style::Lines => write(&format!("{what}\n")),
        }
    }

    /// Something to keep in mind.
    pub(super) fn note(&self, what: &str) {
        match self.style {
            Style::Silent => {}
            Style::OneLine => write(&format!("\r\x1b[2K{what}\n")),
            Style::Lines => write(&format!("{what}\n")),
        }
    }

    /// The check has ended.
    pub(super) fn end(&self) {
        if self.style == Style::OneLine {
            write("\r\x1b[2K");
        }
    }
}

fn write(text: &str) {
    let mut stderr = std::io::stderr();
    // When nobody takes what is said on the way, the report still counts.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}
