//! dockerd and the docker command, in folders of their own.
//!
//! Must not know: Transship. Invariant: listens on a unix socket in its sandbox only.

use serde_json::Value;

use super::sandbox::{Layering, Sandbox};
use crate::daemon::Daemon;
use crate::program::{self, Finished};

/// A running dockerd. Registries on 127.0.0.0/8 are reached over plain HTTP without being told so.
#[derive(Debug)]
pub struct Docker {
    daemon: Option<Daemon>,
    sandbox: Sandbox,
}

impl Docker {
    /// Starts dockerd with this `daemon.json` (`{}`, or `{"registry-mirrors": [..]}`).
    pub fn start(daemon_json: &Value) -> Self {
        let sandbox = Sandbox::new();
        let driver = match sandbox.layering() {
            Layering::Overlay => "overlay2",
            Layering::Copy => "vfs",
        };
        let mut command = program::command("dockerd", sandbox.path());
        command
            .arg("--config-file")
            .arg(sandbox.file("daemon.json", &daemon_json.to_string()))
            .arg("--data-root")
            .arg(sandbox.folder("data"))
            .arg("--exec-root")
            .arg(sandbox.folder("exec"))
            .arg("--pidfile")
            .arg(sandbox.join("pid"))
            .arg("--host")
            .arg(format!("unix://{}", sandbox.join("socket").display()))
            .args(["--storage-driver", driver])
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        let mut daemon = Daemon::spawn(command, &sandbox.join("log"));
        daemon.wait_ready(|| run(&sandbox, &["info"]).succeeded());
        Self { daemon: Some(daemon), sandbox }
    }

    /// Runs `docker <words>`.
    pub fn command(&self, words: &[&str]) -> Finished {
        run(&self.sandbox, words)
    }

    /// Where it listens, for `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.sandbox.join("socket").display())
    }

    /// `docker pull`
    pub fn pull(&self, image: &str) -> Finished {
        self.command(&["pull", "--quiet", image])
    }

    /// `docker run --rm` without network; the image must be there (`--pull never`).
    pub fn run(&self, image: &str, words: &[&str]) -> Finished {
        self.command(&[&["run", "--rm", "--pull", "never", "--network", "none", image], words].concat())
    }

    /// Forgets an image and its layers.
    pub fn remove(&self, image: &str) -> Finished {
        self.command(&["image", "rm", "--force", image])
    }

    /// What dockerd logged.
    pub fn log_text(&self) -> String {
        self.daemon.as_ref().map(Daemon::log_text).unwrap_or_default()
    }
}

fn run(sandbox: &Sandbox, words: &[&str]) -> Finished {
    let mut command = program::command("docker", sandbox.path());
    command.arg("--host").arg(format!("unix://{}", sandbox.join("socket").display()));
    Finished::of(command.args(words))
}

impl Drop for Docker {
    fn drop(&mut self) {
        // The daemon first: its mounts can go only when it has gone.
        self.daemon.take();
    }
}
