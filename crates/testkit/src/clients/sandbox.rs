//! The folder a container runtime lives in, with whatever it mounts there.
//!
//! Must not know: which runtime. Invariant: dropped, it leaves no mount and no file behind.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::{self, Finished};

/// How layers can be put on top of each other here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layering {
    /// overlayfs mounts work.
    Overlay,
    /// Layers have to be copied.
    Copy,
}

/// A temporary folder.
#[derive(Debug)]
pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        // A short path: socket addresses below it must stay under 108 bytes.
        Self { folder: tempfile::Builder::new().prefix("tk").tempdir().expect("a folder can be made") }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new folder inside.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.join(name);
        fs::create_dir_all(&folder).expect("a folder can be made");
        folder
    }

    /// A new file inside.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let file = self.join(name);
        fs::write(&file, content).expect("a file can be written");
        file
    }

    /// Tries an overlay mount.
    pub(crate) fn layering(&self) -> Layering {
        let folders = ["lower", "upper", "work", "merged"].map(|name| self.folder(&format!("trial/{name}")));
        let [lower, upper, work, merged] = folders.each_ref().map(|folder| folder.display());
        let mut mount = program::command("mount", self.path());
        mount.args(["-t", "overlay", "overlay", "-o", &format!("lowerdir={lower},upperdir={upper},workdir={work}")]);
        if Finished::of(mount.arg(merged.to_string())).succeeded() { Layering::Overlay } else { Layering::Copy }
    }

    fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let inside = |target: &&str| Path::new(target).starts_with(self.path());
        let mut mounts: Vec<String> =
            table.lines().filter_map(|line| line.split(' ').nth(1)).filter(inside).map(str::to_owned).collect();
        // The deepest first: a mount below another one holds it.
        mounts.sort_by_key(|target| std::cmp::Reverse(target.len()));
        mounts
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for target in self.mounts() {
            let mut umount = program::command("umount", self.path());
            // A mount that went away by itself meanwhile is fine.
            Finished::of(umount.args(["--lazy", &target]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_and_files_go_with_the_sandbox() {
        let sandbox = Sandbox::new();
        let (path, target) = (sandbox.path().to_owned(), sandbox.folder("mounted"));
        let mut mount = program::command("mount", &path);
        Finished::of(mount.args(["-t", "tmpfs", "none"]).arg(&target)).expect_success();
        fs::write(target.join("file"), "inside").expect("a tmpfs takes files");
        drop(sandbox);
        assert!(!path.exists());
        let table = fs::read_to_string("/proc/self/mounts").expect("Linux lists its mounts");
        assert!(!table.contains(&path.display().to_string()));
    }
}
