//! The progress bar, on standard error.
//!
//! Must not know what is fetched. Invariant: nothing is drawn when standard error is no terminal, with `--no-progress` and
//! with `--json`.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    files: u64,
}

impl Progress {
    /// For this many bytes of layers and files.
    pub(crate) fn new(shown: bool, bytes: u64, files: usize) -> Self {
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}  {prefix}{msg} files";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_prefix(String::new());
        bar.set_message(format!("0/{files}"));
        Self { bar, files: files as u64 }
    }

    /// Bytes of a layer came.
    pub(crate) fn bytes(&self, count: u64) {
        self.bar.inc(count);
    }

    /// A file is there.
    pub(crate) fn file_done(&self) {
        if self.bar.is_hidden() {
            return;
        }
        let done: u64 = self.bar.message().split('/').next().and_then(|done| done.parse().ok()).unwrap_or_default();
        self.bar.set_message(format!("{}/{}", done + 1, self.files));
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
