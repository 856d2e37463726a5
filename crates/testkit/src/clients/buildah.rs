//! buildah with storage and configuration of its own; it needs no daemon.
//!
//! Must not know: Transship. Invariant: reads no configuration of the machine.

use std::path::Path;
use std::process::Command;

use super::sandbox::Sandbox;
use crate::program::{self, Finished};

/// A buildah storage.
#[derive(Debug)]
pub struct Buildah {
    sandbox: Sandbox,
}

impl Buildah {
    /// An empty storage. `insecure`: a registry (`host:port`) that speaks plain HTTP.
    pub fn start(insecure: &str) -> Self {
        let sandbox = Sandbox::new();
        let containers = sandbox.folder(".config/containers");
        let write = |name: &str, text: &str| {
            std::fs::write(containers.join(name), text).expect("a file can be written");
        };
        write("policy.json", r#"{ "default": [{ "type": "insecureAcceptAnything" }] }"#);
        write("registries.conf", &format!("[[registry]]\nlocation = \"{insecure}\"\ninsecure = true\n"));
        let (root, run) = (sandbox.join("root").display().to_string(), sandbox.join("run").display().to_string());
        write("storage.conf", &format!("[storage]\ndriver = \"vfs\"\ngraphroot = \"{root}\"\nrunroot = \"{run}\"\n"));
        // It must be there when it is named.
        sandbox.file("auth.json", "{}");
        Self { sandbox }
    }

    /// Runs `buildah <words>`.
    pub fn command(&self, words: &[&str]) -> Finished {
        let mut command = program::command("buildah", self.sandbox.path());
        self.prepare(&mut command);
        Finished::of(command.args(words))
    }

    /// Makes any command that runs buildah (or skopeo) use this storage and configuration.
    pub fn prepare(&self, command: &mut Command) {
        let containers = self.sandbox.path().join(".config/containers");
        command
            .env("HOME", self.sandbox.path())
            .env("TMPDIR", self.sandbox.path())
            .env("XDG_RUNTIME_DIR", self.sandbox.folder("runtime"))
            .env("REGISTRY_AUTH_FILE", self.sandbox.join("auth.json"))
            .env("CONTAINERS_STORAGE_CONF", containers.join("storage.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", containers.join("registries.conf"))
            .env("BUILDAH_ISOLATION", "chroot");
    }

    /// The folder it lives in.
    pub fn home(&self) -> &Path {
        self.sandbox.path()
    }
}
