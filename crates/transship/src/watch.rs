//! Tells when one of a few files has changed.
//!
//! Watches the folders they are in, not the files: editors replace files, and Kubernetes swaps a `..data` symlink, so
//! a watch on the file itself would die with its first change. Must not know what the files are. Invariant: a change
//! is told once the files' content has settled and differs from what was last seen.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use oci::Digest;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// How long the folders must be quiet before the files are read.
const QUIET: Duration = Duration::from_millis(200);
/// Longest wait for that.
const PATIENCE: Duration = Duration::from_secs(5);

/// Watches files.
pub(crate) struct FileWatch {
    files: Vec<PathBuf>,
    seen: Vec<Option<Digest>>,
    events: mpsc::Receiver<()>,
    /// Something happened and the files have not been looked at since.
    stirred: bool,
    /// Ends the watch when dropped; none when there is nothing to watch.
    _watcher: Option<RecommendedWatcher>,
}

impl FileWatch {
    /// Starts to watch `files`. A folder that cannot be watched is logged; SIGHUP still works then.
    pub(crate) fn start(files: Vec<PathBuf>) -> Self {
        let (tell, events) = mpsc::channel(1);
        let handler = move |event: notify::Result<notify::Event>| match event {
            // Reading the files is no change; a full channel already says that something happened.
            Ok(event) if event.kind.is_access() => {}
            Ok(_) => drop(tell.try_send(())),
            Err(error) => {
                tracing::warn!(%error, "the configuration files' folders cannot be watched any more; use SIGHUP");
            }
        };
        let mut watcher = (!files.is_empty()).then(|| notify::recommended_watcher(handler)).and_then(logged);
        if let Some(watcher) = &mut watcher {
            for folder in files.iter().map(|file| folder_of(file)).collect::<BTreeSet<_>>() {
                logged(watcher.watch(folder, RecursiveMode::NonRecursive));
            }
        }
        let seen = fingerprint(&files);
        Self { files, seen, events, stirred: false, _watcher: watcher }
    }

    /// Takes files that were not there before as they are now: who starts makes some of them, which is no change.
    pub(crate) fn take_new_files(&mut self) {
        for (file, seen) in self.files.iter().zip(&mut self.seen) {
            if seen.is_none() {
                *seen = fingerprint_of(file);
            }
        }
    }

    /// Waits for the next change. Cancel-safe: a change that was not told yet is told by the next call.
    pub(crate) async fn changed(&mut self) {
        loop {
            if !self.stirred && self.events.recv().await.is_none() {
                // Nothing is watched.
                return std::future::pending().await;
            }
            self.stirred = true;
            // Ends early when the folder does not come to rest; the files are then read as they are.
            let _ = timeout(PATIENCE, settled(&mut self.events)).await;
            self.stirred = false;
            let now = fingerprint(&self.files);
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
    }
}

/// Takes events until there are none for a while.
async fn settled(events: &mut mpsc::Receiver<()>) {
    loop {
        sleep(QUIET).await;
        if events.try_recv().is_err() {
            return;
        }
    }
}

fn logged<T>(result: notify::Result<T>) -> Option<T> {
    result
        .map_err(|error| tracing::warn!(%error, "changes of the configuration files are not noticed; use SIGHUP"))
        .ok()
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// What the files hold; none for one that cannot be read.
fn fingerprint(files: &[PathBuf]) -> Vec<Option<Digest>> {
    files.iter().map(|file| fingerprint_of(file)).collect()
}

fn fingerprint_of(file: &Path) -> Option<Digest> {
    std::fs::read(file).ok().map(|bytes| Digest::sha256_of(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// Generous: only a failing test waits that long.
    const LONG: Duration = Duration::from_mins(1);

    async fn told(watch: &mut FileWatch) {
        timeout(LONG, watch.changed()).await.expect("a change is told");
    }

    #[tokio::test]
    async fn writing_replacing_and_a_kubernetes_swap_are_all_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("..one")).unwrap();
        fs::write(at("..one/t.yaml"), "1").unwrap();
        symlink("..one", at("..data")).unwrap();
        symlink("..data/t.yaml", at("t.yaml")).unwrap();
        let mut watch = FileWatch::start(vec![at("t.yaml")]);

        fs::create_dir(at("..two")).unwrap();
        fs::write(at("..two/t.yaml"), "2").unwrap();
        symlink("..two", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        told(&mut watch).await;

        fs::write(at("new"), "3").unwrap();
        fs::rename(at("new"), at("t.yaml")).unwrap();
        told(&mut watch).await;

        fs::write(at("t.yaml"), "4").unwrap();
        told(&mut watch).await;
    }

    #[tokio::test]
    async fn files_that_the_start_itself_makes_are_not_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let (made, other) = (folder.path().join("made.keys"), folder.path().join("t.yaml"));
        fs::write(&other, "1").unwrap();
        let mut watch = FileWatch::start(vec![made.clone(), other.clone()]);
        fs::write(&made, "k").unwrap();
        watch.take_new_files();
        assert!(timeout(QUIET * 4, watch.changed()).await.is_err());
        fs::write(&other, "2").unwrap();
        watch.take_new_files();
        told(&mut watch).await;
        fs::write(&made, "l").unwrap();
        told(&mut watch).await;
    }

    #[tokio::test]
    async fn the_same_content_and_other_files_are_not_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.yaml");
        fs::write(&file, "1").unwrap();
        let mut watch = FileWatch::start(vec![file.clone()]);
        fs::write(&file, "1").unwrap();
        fs::write(folder.path().join("other"), "x").unwrap();
        assert!(timeout(QUIET * 4, watch.changed()).await.is_err());
        fs::write(&file, "2").unwrap();
        told(&mut watch).await;
    }
}
