//! podman with storage and configuration of its own; it needs no daemon.
//!
//! Must not know: Transship. Invariant: reads no configuration of the machine but the container defaults of its
//! package.

use std::process::Command;

use super::sandbox::{Layering, Sandbox};
use crate::program::{self, Finished};

/// Not above what any caller has: without the right to raise limits podman's own defaults are refused.
const LIMITS: [&str; 4] = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];

/// A podman storage.
#[derive(Debug)]
pub struct Podman {
    sandbox: Sandbox,
    driver: &'static str,
}

impl Podman {
    /// An empty storage with this `registries.conf` (empty text, or mirrors).
    pub fn start(registries_conf: &str) -> Self {
        let sandbox = Sandbox::new();
        sandbox.file("registries.conf", registries_conf);
        sandbox.file("policy.json", r#"{ "default": [{ "type": "insecureAcceptAnything" }] }"#);
        sandbox.folder("networks");
        let driver = match sandbox.layering() {
            Layering::Overlay => "overlay",
            Layering::Copy => "vfs",
        };
        Self { sandbox, driver }
    }

    /// Runs `podman <words>`.
    pub fn command(&self, words: &[&str]) -> Finished {
        Finished::of(self.base().args(words))
    }

    /// `podman pull`; loopback registries over plain HTTP.
    pub fn pull(&self, image: &str) -> Finished {
        let policy = self.sandbox.join("policy.json").display().to_string();
        self.command(&["pull", "--quiet", "--tls-verify=false", "--signature-policy", &policy, image])
    }

    /// The same with a login, `user:password`.
    pub fn pull_as(&self, image: &str, credentials: &str) -> Finished {
        let policy = self.sandbox.join("policy.json").display().to_string();
        let login = ["--creds", credentials];
        self.command(
            &[&["pull", "--quiet", "--tls-verify=false", "--signature-policy", &policy], &login[..], &[image]].concat(),
        )
    }

    /// `podman run --rm` without network; the image must be there.
    pub fn run(&self, image: &str, words: &[&str]) -> Finished {
        let options = ["run", "--rm", "--pull", "never", "--network", "none"];
        self.command(&[&options[..], &LIMITS, &[image], words].concat())
    }

    /// Forgets an image and its layers.
    pub fn remove(&self, image: &str) -> Finished {
        self.command(&["image", "rm", "--force", image])
    }

    fn base(&self) -> Command {
        let mut command = program::command("podman", self.sandbox.path());
        command
            .env("CONTAINERS_REGISTRIES_CONF", self.sandbox.join("registries.conf"))
            .arg("--root")
            .arg(self.sandbox.join("root"))
            .arg("--runroot")
            .arg(self.sandbox.join("run"))
            .arg("--tmpdir")
            .arg(self.sandbox.join("tmp"))
            .arg("--network-config-dir")
            .arg(self.sandbox.join("networks"))
            .args(["--storage-driver", self.driver, "--cgroup-manager", "cgroupfs", "--events-backend", "file"])
            .arg("--runtime")
            .arg(program::find("runc"));
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Waits for the clean-up that podman leaves to a process of its own; what fails here goes with the folder.
        self.command(&["rm", "--all", "--force"]);
    }
}
