//! What has been moved so far, for the summary and for the progress that people see.
//!
//! Must not know what is moved. Invariant: nothing is drawn when standard error is no terminal, with `--quiet` and with
//! `--json`.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

/// The counters of one command. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tally {
    counts: Arc<Counts>,
    bar: ProgressBar,
}

#[derive(Default)]
struct Counts {
    bytes: AtomicU64,
    blobs_moved: AtomicU64,
    blobs_mounted: AtomicU64,
    blobs_there: AtomicU64,
    manifests_moved: AtomicU64,
    manifests_there: AtomicU64,
}

/// What became of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blob {
    Moved,
    Mounted,
    There,
}

/// What became of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manifest {
    Moved,
    There,
}

/// Whether people look on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Wanted,
    Unwanted,
}

impl Tally {
    pub(crate) fn new(progress: Progress) -> Self {
        let shown = progress == Progress::Wanted && std::io::stderr().is_terminal();
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {bytes} {bytes_per_sec}  {msg}") {
            bar.set_style(style);
        }
        Self { counts: Arc::default(), bar }
    }

    /// What is being worked on.
    pub(crate) fn begin(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    pub(crate) fn bytes(&self, count: usize) {
        self.counts.bytes.fetch_add(count as u64, Ordering::Relaxed);
        self.bar.inc(count as u64);
    }

    pub(crate) fn blob(&self, blob: Blob) {
        let count = match blob {
            Blob::Moved => &self.counts.blobs_moved,
            Blob::Mounted => &self.counts.blobs_mounted,
            Blob::There => &self.counts.blobs_there,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn manifest(&self, manifest: Manifest) {
        let count = match manifest {
            Manifest::Moved => &self.counts.manifests_moved,
            Manifest::There => &self.counts.manifests_there,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the progress away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    pub(crate) fn json(&self) -> Value {
        let Counts { bytes, blobs_moved, blobs_mounted, blobs_there, manifests_moved, manifests_there } = &*self.counts;
        json!({
            "bytes": read(bytes),
            "blobs": { "moved": read(blobs_moved), "mounted": read(blobs_mounted), "present": read(blobs_there) },
            "manifests": { "moved": read(manifests_moved), "present": read(manifests_there) },
        })
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { bytes, blobs_moved, blobs_mounted, blobs_there, manifests_moved, manifests_there } = &*self.counts;
        write!(
            formatter,
            "{} moved ({}), {} mounted, {} there already; {} moved, {} there already",
            counted(read(blobs_moved), "blob"),
            HumanBytes(read(bytes)),
            read(blobs_mounted),
            read(blobs_there),
            counted(read(manifests_moved), "manifest"),
            read(manifests_there)
        )
    }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!((counted(0, "blob"), counted(1, "blob")), ("0 blobs".to_owned(), "1 blob".to_owned()));
        let tally = Tally::new(Progress::Unwanted);
        tally.manifest(Manifest::Moved);
        assert!(tally.to_string().contains("; 1 manifest moved"), "{tally}");
    }
}
