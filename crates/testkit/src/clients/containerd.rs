//! containerd and `ctr`, in folders of their own.
//!
//! Must not know: Transship. Invariant: listens on a unix socket in its sandbox only.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::sandbox::{Layering, Sandbox};
use crate::daemon::Daemon;
use crate::program::{self, Finished};

/// A running containerd.
#[derive(Debug)]
pub struct Containerd {
    daemon: Option<Daemon>,
    sandbox: Sandbox,
    snapshotter: &'static str,
    runs: AtomicUsize,
}

impl Containerd {
    /// Starts containerd without CRI.
    pub fn start() -> Self {
        let sandbox = Sandbox::new();
        let snapshotter = match sandbox.layering() {
            Layering::Overlay => "overlayfs",
            Layering::Copy => "native",
        };
        let mut command = program::command("containerd", sandbox.path());
        command.arg("--config").arg(sandbox.file("config.toml", &configuration(&sandbox)));
        let mut daemon = Daemon::spawn(command, &sandbox.join("log"));
        daemon.wait_ready(|| ctr(&sandbox, &["version"]).succeeded());
        Self { daemon: Some(daemon), sandbox, snapshotter, runs: AtomicUsize::new(0) }
    }

    /// Runs `ctr <words>`.
    pub fn command(&self, words: &[&str]) -> Finished {
        ctr(&self.sandbox, words)
    }

    /// Runs `ctr-remote <words>` (of stargz-snapshotter), which converts images to eStargz.
    pub fn remote(&self, words: &[&str]) -> Finished {
        run_client("ctr-remote", &self.sandbox, words)
    }

    /// `ctr images pull` from a plain HTTP registry named in the image.
    pub fn pull(&self, image: &str) -> Finished {
        self.command(&["images", "pull", "--plain-http", "--snapshotter", self.snapshotter, image])
    }

    /// The same with a login, `user:password`.
    pub fn pull_as(&self, image: &str, credentials: &str) -> Finished {
        let login = ["--user", credentials];
        self.command(
            &[&["images", "pull", "--plain-http", "--snapshotter", self.snapshotter], &login[..], &[image]].concat(),
        )
    }

    /// `ctr images pull` of all platforms of an index, without unpacking any.
    pub fn pull_all(&self, image: &str) -> Finished {
        self.command(&["content", "fetch", "--plain-http", "--all-platforms", image])
    }

    /// `ctr images push` to a plain HTTP registry, with a login (`user:password`) or without.
    pub fn push(&self, target: &str, local: &str, credentials: Option<&str>) -> Finished {
        let login = credentials.map_or_else(Vec::new, |credentials| vec!["--user", credentials]);
        self.command(&[&["images", "push", "--plain-http"], &login[..], &[target, local]].concat())
    }

    /// Writes `<registry>/hosts.toml`, as an administrator does to have `registry` mirrored.
    pub fn write_hosts_toml(&self, registry: &str, content: &str) {
        let folder = self.sandbox.folder(&format!("hosts/{registry}"));
        fs::write(folder.join("hosts.toml"), content).expect("a file can be written");
    }

    /// `ctr images pull` through the mirrors of `write_hosts_toml` (which makes containerd send `?ns=<registry>`).
    pub fn pull_by_hosts(&self, image: &str) -> Finished {
        let hosts = self.hosts_dir().display().to_string();
        self.command(&["images", "pull", "--hosts-dir", &hosts, "--snapshotter", self.snapshotter, image])
    }

    /// The folder of `hosts.toml` files.
    pub fn hosts_dir(&self) -> PathBuf {
        self.sandbox.folder("hosts")
    }

    /// `ctr run --rm` without network.
    pub fn run(&self, image: &str, words: &[&str]) -> Finished {
        let name = format!("run-{}", self.runs.fetch_add(1, Ordering::Relaxed));
        self.command(&[&["run", "--rm", "--snapshotter", self.snapshotter, image, &name], words].concat())
    }

    /// Forgets an image, and at once everything that only it used.
    pub fn remove(&self, image: &str) -> Finished {
        self.command(&["images", "rm", "--sync", image])
    }

    /// What containerd logged.
    pub fn log_text(&self) -> String {
        self.daemon.as_ref().map(Daemon::log_text).unwrap_or_default()
    }
}

fn configuration(sandbox: &Sandbox) -> String {
    let [root, state, socket] = ["root", "state", "socket"].map(|name| sandbox.join(name).display().to_string());
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = [
  "io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
address = "{socket}"
"#
    )
}

fn ctr(sandbox: &Sandbox, words: &[&str]) -> Finished {
    run_client("ctr", sandbox, words)
}

fn run_client(program: &str, sandbox: &Sandbox, words: &[&str]) -> Finished {
    let mut command = program::command(program, sandbox.path());
    // How many parts are compressed side by side depends on it, and with them the bytes.
    command.env("GOMAXPROCS", "1");
    command.arg("--address").arg(sandbox.join("socket")).args(["--namespace", "test"]);
    Finished::of(command.args(words))
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // The daemon first: its mounts can go only when it has gone.
        self.daemon.take();
    }
}
